use proptest::prelude::*;
use tftp_ebpf::testing::datagram::{Endpoint, Ip};
use tftp_ebpf::testing::segment::{ACK, SYN};
use tftp_ebpf::testing::{Datagram, Segment, Site, table};

use super::*;

fn line(frame: &[u8]) -> String {
    let it = decode(frame);
    format!("{} > {} {} {}", it.from, it.to, it.protocol, it.summary)
}

fn sip(payload: &[u8]) -> Datagram {
    let plain = Datagram::default();
    Datagram {
        to: Endpoint {
            port: 5060,
            ..plain.to
        },
        payload: payload.to_vec(),
        ..plain
    }
}

#[test]
fn a_boot_reads_like_one() {
    let request = Datagram::default().read("SEP001122334455.cnf.xml", "octet", "");
    assert_eq!(
        line(&request.frame()),
        "10.20.30.40:49152 > 10.20.0.1:69 TFTP RRQ SEP001122334455.cnf.xml octet"
    );
    let data = request.reply(40_000, 0, [&[0, 3, 0, 1][..], &[b'x'; 512]].concat());
    assert_eq!(
        line(&data.frame()),
        "10.20.0.1:40000 > 10.20.30.40:49152 TFTP DATA 1 512 bytes"
    );
    let syn = Segment {
        flags: SYN,
        ..Segment::default()
    };
    assert_eq!(
        line(&syn.clone().frame()),
        "10.20.30.40:49152 > 10.20.0.1:2000 TCP SYN"
    );
    let answer = Segment {
        flags: SYN | ACK,
        ..syn.back()
    };
    assert_eq!(
        line(&answer.frame()),
        "10.20.0.1:2000 > 10.20.30.40:49152 TCP SYN ACK"
    );
    let keepalive = Segment::default().with(&[4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        line(&keepalive.frame()),
        "10.20.30.40:49152 > 10.20.0.1:2000 SCCP KeepAlive"
    );
    let hello = Segment::default().with(&[22, 3, 1, 0, 5, 1, 0, 0, 1, 0]);
    assert!(line(&hello.frame()).ends_with("TLS handshake, 10 bytes"));
}

/// RFC 2617, and Cisco's configuration of a line.
const SECRETS: [&str; 3] = ["6629fae49393a053", "hunter2", "1001"];

#[test]
fn nothing_secret_is_told() {
    let register = "REGISTER sip:1001@10.20.0.1 SIP/2.0\r\nCSeq: 7 REGISTER\r\n\
                    Authorization: Digest username=\"1001\",response=\"6629fae49393a053\"\r\n\r\n";
    let config = [
        &[0, 3, 0, 1][..],
        b"<authPassword>hunter2</authPassword><name>1001</name>",
    ]
    .concat();
    let over_http = b"HTTP/1.1 200 OK\r\n\r\n<authPassword>hunter2</authPassword>";
    for frame in [
        sip(register.as_bytes()).frame(),
        Datagram::default().reply(40_000, 0, config).frame(),
        Segment::default().with(over_http).frame(),
        // What follows in another segment.
        Segment::default().with(b"<authPassword>hunter2").frame(),
    ] {
        let line = line(&frame);
        for secret in SECRETS {
            assert!(!line.contains(secret), "{line}");
        }
    }
}

#[test]
fn tags_fragments_and_strangers_are_told() {
    let tagged = Datagram {
        tags: vec![(0x8100, 0x606e)],
        ..Datagram::default()
    };
    assert_eq!(decode(&tagged.frame()).vlan, Some(110));
    let fragment = Datagram {
        ip: Ip::Fragment(0x0010),
        ..Datagram::default()
    };
    assert_eq!(
        line(&fragment.frame()),
        "10.20.30.40 > 10.20.0.1 IP fragment, protocol 17"
    );
    assert_eq!(decode(&[0; 4]).protocol, "?");
    let lldp = [
        &[1, 0x80, 0xc2, 0, 0, 14, 2, 0, 0, 0, 0, 1, 0x88, 0xcc][..],
        &[0; 46],
    ]
    .concat();
    assert_eq!(decode(&lldp).summary, "60 bytes that are not IP");
    let arp = [
        &[0xff; 12][..],
        &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1],
        &[2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 5],
    ]
    .concat();
    assert_eq!(decode(&arp).summary, "who has 10.0.0.5? tell 10.0.0.1");
}

#[test]
fn every_frame_of_the_table_is_one_plain_line() {
    for case in table(&Site::new()) {
        let line = line(&case.frame);
        let is_plain = line.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        assert!(is_plain && line.len() < 2_000, "{}: {line}", case.name);
    }
}

proptest! {
    #[test]
    fn nothing_that_comes_in_is_more_than_a_line(
        head in prop::sample::select(vec![
            Datagram::default().frame(),
            Segment::default().frame(),
            sip(b"").frame(),
        ]),
        cut in 0..60_usize,
        rest in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let frame = [&head[..cut.min(head.len())], &rest].concat();
        let line = line(&frame);
        prop_assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", line);
        prop_assert!(line.len() < 2_000);
    }
}
