//! Requests: what is read and answered, with which options, and what is refused.

use std::time::{Duration, Instant};

use tftp_ebpf::stage::Stage;
use tftp_ebpf::verdict::Reason;
use tftp_ebpf::wire::tftp::FILE_NOT_FOUND;
use tftp_edge::stats::StageCounter;

use crate::site::{PATIENCE, Phone, Site, content, rrq};
use crate::wire::{ACCESS_VIOLATION, ILLEGAL_OPERATION, ack, site_with};

#[test]
fn a_file_is_read_over_ipv4_and_ipv6() {
    let site = site_with(&[("f", 5000)]);
    for (phone, ip) in [(Phone::new(), "127.0.0.1"), (Phone::at("[::1]:0"), "::1")] {
        assert_eq!(
            phone.fetch(site.address(ip), &rrq("f", b""), 512, 1),
            content(5000)
        );
    }
    site.wait_for(Reason::Complete, 2);
    let tally = site.tally();
    assert_eq!(tally.stage(Stage::Other, StageCounter::Requests), 2);
    assert_eq!(tally.stage(Stage::Other, StageCounter::Complete), 2);
    assert_eq!(tally.stage(Stage::Other, StageCounter::Blocks), 20);
    assert_eq!(tally.stage(Stage::Other, StageCounter::Bytes), 10_000);
    assert_eq!(
        tally.transfer_us[Stage::Other as usize].iter().sum::<u64>(),
        2
    );
    let first_bytes = tally.first_byte_us[Stage::Other as usize];
    assert_eq!(first_bytes.iter().sum::<u64>(), 2, "one for each request");
    assert_eq!(site.server.gauges().transfers, 0);
}

#[test]
fn the_largest_block_is_served_where_the_link_carries_it() {
    let site = site_with(&[("f", 200_000)]);
    let request = rrq("f", b"blksize\x0065464\0");
    assert_eq!(
        Phone::new().fetch(site.v4(), &request, 65464, 1),
        content(200_000)
    );
}

#[test]
fn options_are_answered_as_asked_and_no_others() {
    let site = site_with(&[("f", 5000)]);
    let asked = b"windowsize\x0099\0TSIZE\x000\0blksize\x001024\0timeout\x003\0utimeout\x009\0";
    let (oack, _) = Phone::new().ask(site.v4(), &rrq("f", asked));
    assert_eq!(
        oack,
        b"\0\x06blksize\x001024\0timeout\x003\0tsize\x005000\0windowsize\x0064\0"
    );
    for nothing_known in [
        &b"multicast\0\0"[..],
        b"blksize\x007\0",
        b"timeout\x00256\0",
        b"windowsize\x000\0",
        b"odd",
        b"\0\0\0",
    ] {
        let (data, _) = Phone::new().ask(site.v4(), &rrq("f", nothing_known));
        assert_eq!(data[..4], [0, 3, 0, 1], "{nothing_known:?}");
    }
}

#[test]
fn the_size_of_text_is_not_told_before_it_is_converted() {
    let site = Site::start();
    site.files.put("t", b"a\nb\rc\n".to_vec());
    let request = b"\0\x01t\0NetASCII\0tsize\x000\0";
    let (data, _) = Phone::new().ask(site.v4(), request);
    assert_eq!(data, b"\0\x03\0\x01a\r\nb\r\0c\r\n");
}

#[test]
fn names_are_found_in_any_spelling_and_up_to_255_bytes() {
    let long = format!("desktops/{}", "x".repeat(246));
    let site = site_with(&[("german_germany/mk-sip.jar", 100), (&long, 100)]);
    for name in [
        "C:\\German_Germany\\MK-sip.jar",
        "//german_germany//mk-sip.jar",
        &long,
    ] {
        let got = Phone::new().fetch(site.v4(), &rrq(name, b""), 512, 1);
        assert_eq!(got, content(100), "{name}");
    }
    let too_long = rrq(&"x".repeat(256), b"");
    assert_eq!(Phone::new().ask(site.v4(), &too_long).0, ILLEGAL_OPERATION);
}

#[test]
fn what_cannot_be_read_gets_a_short_error_without_a_path() {
    let site = site_with(&[("f", 100)]);
    let long = [&rrq("f", b"")[..], &[b'x'; 520]].concat();
    for (request, error) in [
        (&b"\0\x02f\0octet\0"[..], ACCESS_VIOLATION),
        (b"\0\x01../f\0octet\0", ACCESS_VIOLATION),
        (b"\0\x01a/../../f\0octet\0", ACCESS_VIOLATION),
        (b"\0\x01f\xff\0octet\0", ACCESS_VIOLATION),
        (b"\0\x01absent\0octet\0", &FILE_NOT_FOUND),
        (b"\0\x01f\0mail\0", ILLEGAL_OPERATION),
        (b"\0\x01f\0binary\0", ILLEGAL_OPERATION),
        (b"\0\x01f\0octet", ILLEGAL_OPERATION),
        (b"\0\x01f\0", ILLEGAL_OPERATION),
        (b"\0\x01ff", ILLEGAL_OPERATION),
        (b"\0\x01\0octet\0", ILLEGAL_OPERATION),
        (b"\0\0ff", ILLEGAL_OPERATION),
        (b"\0\x07ff", ILLEGAL_OPERATION),
        (b"\xff\xffff", ILLEGAL_OPERATION),
        (&long, ILLEGAL_OPERATION),
    ] {
        let (answer, from) = Phone::new().ask(site.v4(), request);
        assert_eq!(answer, error, "{request:?}");
        assert_ne!(from.port(), site.v4().port(), "from a port of its own");
    }
    site.wait_for(Reason::Absent, 1);
    site.wait_for(Reason::Refused, 14);
    assert_eq!(site.tally().stage(Stage::Other, StageCounter::NotFound), 1);
}

#[test]
fn a_request_of_512_bytes_is_the_longest() {
    let site = site_with(&[("f", 100)]);
    let mut request = rrq("f", b"");
    request.resize(512, 0);
    assert_eq!(Phone::new().ask(site.v4(), &request).0[..4], [0, 3, 0, 1]);
    request.push(0);
    assert_eq!(Phone::new().ask(site.v4(), &request).0, ILLEGAL_OPERATION);
}

#[test]
fn nothing_that_could_loop_is_answered() {
    let site = site_with(&[("f", 100)]);
    let phone = Phone::new();
    for opcode in 3..=6 {
        phone.send(site.v4(), &[0, opcode, 0, 1, b'x', 0]);
    }
    for len in 0..4 {
        phone.send(site.v4(), &[0, 1, 0, 0][..len]);
    }
    phone.expect_silence();
    site.wait_for(Reason::ReplyOpcode, 4);
    site.wait_for(Reason::Short, 4);
}

#[test]
fn a_repeated_request_joins_its_transfer() {
    let site = site_with(&[("f", 5000)]);
    let phone = Phone::new();
    for request in [rrq("f", b""), rrq("f", b"blksize\x001024\0")] {
        let first = phone.ask(site.v4(), &request);
        let second = phone.ask(site.v4(), &request);
        assert_eq!(first, second, "the same packet from the same TID");
    }
    site.wait_for(Reason::Repeat, 2);
    // Under way it is a late copy.
    let (_, tid) = phone.ask(site.v4(), &rrq("f", b""));
    phone.ask(tid, &ack(1));
    phone.send(site.v4(), &rrq("f", b""));
    phone.expect_silence();
    site.wait_for(Reason::LateRequest, 1);
}

#[test]
fn another_file_from_the_same_port_ends_the_old_transfer() {
    let site = site_with(&[("a", 5000), ("b", 700)]);
    let phone = Phone::new();
    let (_, old) = phone.ask(site.v4(), &rrq("a", b""));
    assert_eq!(phone.fetch(site.v4(), &rrq("b", b""), 512, 1), content(700));
    site.wait_for(Reason::Superseded, 1);
    phone.send(old, &ack(1));
    phone.expect_silence();
}

#[test]
fn a_file_that_is_being_read_is_served_when_it_is_there() {
    let site = Site::start();
    let phones: Vec<Phone> = (0..5).map(|_| Phone::new()).collect();
    for phone in &phones {
        phone.send(site.v4(), &rrq("loading/f", b""));
        phone.send(site.v4(), &rrq("loading/f", b""));
    }
    let until = Instant::now() + PATIENCE;
    while site.files.waiting() < phones.len() {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(1));
    }
    phones[0].expect_silence();
    site.files.put("loading/f", content(100));
    site.files.loaded();
    for phone in &phones {
        assert_eq!(phone.receive().0[4..], content(100));
        phone.expect_silence();
    }
}
