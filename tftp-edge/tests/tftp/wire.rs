//! Packet by packet: who is answered, with what, and from where.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tftp_ebpf::stage::Stage;
use tftp_ebpf::verdict::Reason;
use tftp_ebpf::wire::tftp::FILE_NOT_FOUND;
use tftp_edge::access::Access;
use tftp_edge::misses::Misses;
use tftp_edge::stats::StageCounter;
use tftp_edge::tftp::sources::Sources;
use tftp_edge::tftp::{Server, Settings, StartError};

use crate::site::{PATIENCE, Phone, Site, content, rrq};

const ILLEGAL_OPERATION: &[u8] = b"\0\x05\0\x04Illegal operation\0";
const ACCESS_VIOLATION: &[u8] = b"\0\x05\0\x02Access violation\0";
const UNKNOWN_TID: &[u8] = b"\0\x05\0\x05Unknown transfer ID\0";

fn ack(block: u16) -> [u8; 4] {
    let number = block.to_be_bytes();
    [0, 4, number[0], number[1]]
}

fn site_with(files: &[(&str, usize)]) -> Site {
    let site = Site::start();
    for &(name, len) in files {
        site.files.put(name, content(len));
    }
    site
}

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
fn more_blocks_than_numbers_wrap_to_0() {
    let site = site_with(&[("f", 8 * 65_600 + 3)]);
    let request = rrq("f", b"blksize\x008\0windowsize\x0032\0");
    assert_eq!(
        Phone::new().fetch(site.v4(), &request, 8, 32),
        content(8 * 65_600 + 3)
    );
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
fn errors_are_so_many_a_second_for_each_source() {
    let mut settings = Site::settings();
    (
        settings.budget.error_burst,
        settings.budget.error_per_second,
    ) = (3, 1);
    let site = Site::with(settings);
    for _ in 0..3 {
        assert_eq!(
            Phone::new().ask(site.v4(), b"\0\x09xx").0,
            ILLEGAL_OPERATION
        );
    }
    let phone = Phone::new();
    phone.send(site.v4(), b"\0\x09xx");
    phone.expect_silence();
    assert_eq!(
        Phone::at("127.0.0.9:0").ask(site.v4(), b"\0\x09xx").0,
        ILLEGAL_OPERATION
    );
}

#[test]
fn broadcasts_are_ignored() {
    let site = Site::with(Settings {
        listen: vec!["0.0.0.0:0".parse().unwrap()],
        // The kernel gives each of the sockets on a port its copy of a broadcast.
        workers: 1,
        ..Site::settings()
    });
    site.files.put("f", content(100));
    let phone = Phone::new();
    phone.socket.set_broadcast(true).unwrap();
    let port = site.server.local_addrs()[0].port();
    phone.send(([127, 255, 255, 255], port).into(), &rrq("f", b""));
    phone.expect_silence();
    site.wait_for(Reason::Broadcast, 1);
}

#[test]
fn clients_off_the_list_get_silence() {
    let access = Access::from_nets(vec!["127.0.0.1/32".parse().unwrap()]);
    let site = Site::with_access(Site::settings(), access);
    site.files.put("f", content(100));
    let stranger = Phone::at("127.0.0.2:0");
    stranger.send(site.v4(), &rrq("f", b""));
    stranger.expect_silence();
    site.wait_for(Reason::Denied, 1);
    assert_eq!(
        Phone::new().fetch(site.v4(), &rrq("f", b""), 512, 1),
        content(100)
    );
}

#[test]
fn answers_leave_from_the_address_that_was_asked() {
    let site = Site::with(Settings {
        listen: vec!["0.0.0.0:0".parse().unwrap()],
        ..Site::settings()
    });
    site.files.put("f", content(100));
    let port = site.server.local_addrs()[0].port();
    for ip in [[127, 0, 0, 1], [127, 0, 0, 5], [127, 9, 9, 9]] {
        let (_, from) = Phone::new().ask((ip, port).into(), &rrq("f", b""));
        assert_eq!(from.ip(), std::net::IpAddr::from(ip));
    }
}

#[test]
fn everything_sent_carries_the_dscp() {
    use std::io::IoSliceMut;
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{
        ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt::IpRecvTos,
        sockopt::Ipv6RecvTClass,
    };

    let site = site_with(&[("f", 100)]);
    let cs3 = 24 << 2;
    for (phone, ip) in [(Phone::new(), "127.0.0.1"), (Phone::at("[::1]:0"), "::1")] {
        if ip == "::1" {
            setsockopt(&phone.socket, Ipv6RecvTClass, &true).unwrap();
        } else {
            setsockopt(&phone.socket, IpRecvTos, &true).unwrap();
        }
        for name in ["f", "absent"] {
            phone.send(site.address(ip), &rrq(name, b""));
            let (mut buffer, mut control) = ([0; 600], nix::cmsg_space!(i32));
            let mut slices = [IoSliceMut::new(&mut buffer)];
            let fd = phone.socket.as_raw_fd();
            let message =
                recvmsg::<()>(fd, &mut slices, Some(&mut control), MsgFlags::empty()).unwrap();
            let tos = match message.cmsgs().unwrap().next() {
                Some(ControlMessageOwned::Ipv4Tos(tos)) => i32::from(tos),
                Some(ControlMessageOwned::Ipv6TClass(class)) => class,
                other => panic!("{ip} {name}: {other:?}"),
            };
            assert_eq!(tos, cs3, "{ip} {name}");
        }
    }
}

#[test]
fn each_transfer_has_a_port_out_of_the_range_and_seldom_the_same() {
    let site = site_with(&[("f", 100)]);
    let ports: Vec<u16> = (0..40)
        .map(|_| Phone::new().ask(site.v4(), &rrq("f", b"")).1.port())
        .collect();
    assert!(ports.iter().all(|port| (49152..=57343).contains(port)));
    let distinct: std::collections::HashSet<_> = ports.iter().collect();
    assert!(distinct.len() > 8, "{ports:?}");
}

#[test]
fn a_wrong_tid_gets_error_5_and_disturbs_nobody() {
    let site = site_with(&[("f", 5000)]);
    let (phone, intruder) = (Phone::new(), Phone::new());
    let (first, tid) = phone.ask(site.v4(), &rrq("f", b""));
    assert_eq!(intruder.ask(tid, &ack(1)).0, UNKNOWN_TID);
    // Never in answer to an ERROR, nor to what is not a packet of a transfer.
    intruder.send(tid, b"\0\x05\0\x05x\0");
    intruder.send(tid, &rrq("f", b""));
    intruder.send(tid, b"x");
    intruder.expect_silence();
    site.wait_for(Reason::UnknownTid, 1);
    site.wait_for(Reason::NoTransfer, 3);
    // Junk from the client itself does no harm either.
    phone.send(tid, b"j");
    phone.send(tid, b"\0\x03\0\x01junk");
    let mut got = first[4..].to_vec();
    for block in 1..=9 {
        got.extend_from_slice(&phone.ask(tid, &ack(block)).0[4..]);
    }
    assert_eq!(got, content(5000));
}

#[test]
fn a_late_copy_of_the_last_ack_is_not_an_error() {
    let site = site_with(&[("f", 100)]);
    let phone = Phone::new();
    let (_, tid) = phone.ask(site.v4(), &rrq("f", b""));
    phone.send(tid, &ack(1));
    phone.send(tid, &ack(1));
    phone.expect_silence();
    site.wait_for(Reason::Complete, 1);
    site.wait_for(Reason::NoTransfer, 1);
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
fn a_size_probe_ends_at_once_and_is_no_failure() {
    let site = site_with(&[("f", 5000)]);
    let phone = Phone::new();
    let request = rrq("f", b"tsize\x000\0");
    let (_, tid) = phone.ask(site.v4(), &request);
    phone.send(tid, b"\0\x05\0\x08\0");
    site.wait_for(Reason::Probe, 1);
    assert_eq!(site.server.gauges().transfers, 0);
    assert_eq!(site.tally().stage(Stage::Other, StageCounter::Aborted), 0);
    phone.expect_silence();
    assert_eq!(phone.fetch(site.v4(), &request, 512, 1), content(5000));
}

#[test]
fn an_error_in_mid_transfer_ends_it() {
    let site = site_with(&[("f", 5000)]);
    let phone = Phone::new();
    let (_, tid) = phone.ask(site.v4(), &rrq("f", b""));
    phone.ask(tid, &ack(1));
    phone.send(tid, b"\0\x05\0\x03full\0");
    site.wait_for(Reason::ClientError, 1);
    assert_eq!(site.tally().stage(Stage::Other, StageCounter::Aborted), 1);
    phone.expect_silence();
}

#[test]
fn what_is_not_acknowledged_is_sent_once_more_and_then_given_up() {
    let mut settings = Site::settings();
    (settings.resend.first_ms, settings.resend.min_ms) = (100, 100);
    let site = Site::with(settings);
    site.files.put("f", content(5000));
    let phone = Phone::new();
    let first = phone.ask(site.v4(), &rrq("f", b""));
    assert_eq!(phone.receive(), first);
    site.wait_for(Reason::TimedOut, 1);
    phone.expect_silence();
    assert_eq!(site.tally().stage(Stage::Other, StageCounter::Resent), 1);
}

#[test]
fn a_lost_block_comes_again() {
    let site = site_with(&[("f", 5000)]);
    let phone = Phone::new();
    let (_, tid) = phone.ask(site.v4(), &rrq("f", b""));
    let lost = phone.ask(tid, &ack(1));
    assert_eq!(phone.receive(), lost);
}

#[test]
fn an_unreachable_client_ends_its_transfer() {
    let site = site_with(&[("f", 5000)]);
    for (address, ip) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1")] {
        let phone = Phone::at(address);
        let (_, tid) = phone.ask(site.address(ip), &rrq("f", b""));
        phone.send(tid, &ack(1));
        // Closed: what comes now is answered by an ICMP "port unreachable".
        drop(phone);
    }
    site.wait_for(Reason::Unreachable, 2);
    assert_eq!(site.server.gauges().transfers, 0);
    // The socket that got the news goes on.
    assert_eq!(
        Phone::new().fetch(site.v4(), &rrq("f", b""), 512, 1),
        content(5000)
    );
}

#[test]
fn a_single_port_serves_all() {
    let mut settings = Site::settings();
    settings.single_port = true;
    let site = Site::with(settings);
    site.files.put("f", content(100_000));
    let phones: Vec<Phone> = (0..20).map(|_| Phone::new()).collect();
    for phone in &phones {
        let request = rrq("f", b"blksize\x001024\0");
        let (_, tid) = phone.ask(site.v4(), &request);
        assert_eq!(tid, site.v4());
        assert_eq!(phone.fetch(site.v4(), &request, 1024, 1), content(100_000));
    }
    let stranger = Phone::new();
    stranger.send(site.v4(), &ack(1));
    stranger.expect_silence();
    site.wait_for(Reason::ReplyOpcode, 1);
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

#[test]
fn at_the_bound_there_is_silence_and_known_clients_go_first() {
    let mut settings = Site::settings();
    settings.max_transfers = 8;
    let site = Site::with(settings);
    site.files.put("f", content(5000));
    let known = Phone::at("127.0.0.7:0");
    known.fetch(site.v4(), &rrq("f", b""), 512, 1);
    let busy: Vec<Phone> = (0..6).map(|_| Phone::new()).collect();
    for phone in &busy {
        phone.ask(site.v4(), &rrq("f", b""));
    }
    let stranger = Phone::at("127.0.0.8:0");
    stranger.send(site.v4(), &rrq("f", b""));
    stranger.expect_silence();
    site.wait_for(Reason::Shed, 1);
    // The last quarter is for those in the middle of their boot, and then it is full for all.
    let more: Vec<Phone> = (0..2).map(|_| Phone::at("127.0.0.7:0")).collect();
    for phone in &more {
        assert_eq!(phone.ask(site.v4(), &rrq("f", b"")).0[1], 3);
    }
    known.send(site.v4(), &rrq("f", b""));
    known.expect_silence();
    site.wait_for(Reason::Shed, 2);
    assert_eq!(site.server.gauges().transfers, 8);
    assert_eq!(site.server.gauges().limit, 8);
}

#[test]
fn first_packets_nobody_acknowledges_use_up_a_budget() {
    let mut settings = Site::settings();
    (
        settings.budget.first_burst,
        settings.budget.first_per_second,
    ) = (2, 1);
    let site = Site::with(settings);
    site.files.put("f", content(100));
    let phones = [Phone::new(), Phone::new(), Phone::new()];
    let (_, tid) = phones[0].ask(site.v4(), &rrq("f", b""));
    phones[1].ask(site.v4(), &rrq("f", b""));
    phones[2].send(site.v4(), &rrq("f", b""));
    phones[2].expect_silence();
    site.wait_for(Reason::FirstBudget, 1);
    // An ACK proves the address.
    phones[0].send(tid, &ack(1));
    site.wait_for(Reason::Complete, 1);
    phones[2].ask(site.v4(), &rrq("f", b""));
}

#[test]
fn whoever_asks_for_too_much_that_is_not_there_meets_silence() {
    let mut settings = Site::settings();
    (settings.budget.miss_burst, settings.budget.miss_per_second) = (3, 1);
    let site = Site::with(settings);
    site.files.put("f", content(100));
    let phone = Phone::new();
    for _ in 0..3 {
        phone.ask(site.v4(), &rrq("SEP001122334455.cnf.xml", b""));
    }
    let list = rrq("CTLSEP001122334455.tlv", b"");
    for request in [&rrq("no-such-file", b""), &list] {
        phone.send(site.v4(), request);
        phone.expect_silence();
    }
    site.wait_for(Reason::MissBudget, 2);
    assert_eq!(phone.fetch(site.v4(), &rrq("f", b""), 512, 1), content(100));
    // Known to be there now: what phones ask for in vain at every boot is no longer held back.
    phone.ask(site.v4(), &list);
}

#[test]
fn a_scan_for_devices_meets_silence_and_other_names_do_not() {
    let mut settings = Site::settings();
    let budget = &mut settings.budget;
    (budget.unknown_burst, budget.unknown_per_second) = (3, 1);
    let site = Site::with(settings);
    site.files.put("sep001122334499.cnf.xml", content(100));
    let scanner = Phone::new();
    for number in 0..3 {
        let name = format!("SEP00112233440{number}.cnf.xml");
        scanner.ask(site.v4(), &rrq(&name, b""));
    }
    scanner.send(site.v4(), &rrq("SEP001122334403.cnf.xml", b""));
    scanner.expect_silence();
    site.wait_for(Reason::UnknownBudget, 1);
    let phone = Phone::new();
    phone.ask(site.v4(), &rrq("CTLSEP001122334403.tlv", b""));
    phone.ask(site.v4(), &rrq("no-such-file", b""));
    let config = rrq("SEP001122334499.cnf.xml", b"");
    assert_eq!(phone.fetch(site.v4(), &config, 512, 1), content(100));
}

#[test]
fn datagrams_the_kernel_dropped_are_counted() {
    let site = Site::with(Settings {
        workers: 1,
        socket_buffer: 0,
        ..Site::settings()
    });
    site.files.put("f", content(100));
    let phone = Phone::new();
    phone.send(site.v4(), &rrq("slow/f", b""));
    for _ in 0..200 {
        phone.send(site.v4(), &rrq("f", b""));
    }
    phone.receive();
    // The kernel tells with the next datagram.
    let until = Instant::now() + PATIENCE;
    while site.server.gauges().receive_overflows == 0 {
        assert!(Instant::now() < until);
        Phone::new().ask(site.v4(), &rrq("f", b""));
    }
}

#[test]
fn a_storm_of_phones_is_served_without_a_loss() {
    let site = site_with(&[("sep.cnf.xml", 6000)]);
    let server = site.v4();
    let phones = 16;
    let rounds = 50;
    std::thread::scope(|scope| {
        for _ in 0..phones {
            scope.spawn(|| {
                // All from one port, as some phones do.
                let phone = Phone::new();
                for _ in 0..rounds {
                    let got = phone.fetch(server, &rrq("sep.cnf.xml", b""), 512, 1);
                    assert_eq!(got, content(6000));
                }
            });
        }
    });
    site.wait_for(Reason::Complete, phones * rounds);
}

#[test]
fn the_server_stops_promptly_and_gives_its_port_back() {
    let site = site_with(&[("f", 5000)]);
    let address = site.v4();
    Phone::new().ask(address, &rrq("f", b""));
    let started = Instant::now();
    site.server.shutdown();
    // Not when the transfer that runs is given up, half a minute later.
    assert!(started.elapsed() < Duration::from_secs(10));
    std::net::UdpSocket::bind(address).expect("the port is free again");
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_its_owner() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = start_error(address);
    assert!(matches!(error, StartError::Taken { .. }));
    let text = error.to_string();
    assert!(
        text.contains(&format!("(pid {})", std::process::id())),
        "{text}"
    );
    assert!(text.contains(&address.to_string()), "{text}");
}

#[test]
fn a_second_server_does_not_share_the_port() {
    let site = Site::start();
    assert!(matches!(start_error(site.v4()), StartError::Taken { .. }));
}

#[test]
fn a_setting_that_cannot_be_is_named() {
    let settings = Settings {
        windowsize: 0,
        ..Site::settings()
    };
    assert_eq!(
        start(&settings).to_string(),
        "[tftp] windowsize: must be at least 1"
    );
}

fn start_error(address: SocketAddr) -> StartError {
    start(&Settings {
        listen: vec![address],
        ..Settings::default()
    })
}

fn start(settings: &Settings) -> StartError {
    let result = Server::start(
        settings,
        Default::default(),
        std::sync::Arc::<crate::site::Files>::default(),
        Default::default(),
        std::sync::Arc::new(Sources::new(&settings.budget)),
        std::sync::Arc::new(Misses::new(&settings.budget, None)),
        Default::default(),
    );
    result.err().expect("the server must not start")
}
