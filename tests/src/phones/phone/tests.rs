use std::net::Ipv4Addr;

use bytes::Bytes;

use super::*;
use crate::phones::FileOracle;

const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 69);
const TID: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4000);

fn spec(files: &[&str]) -> PhoneSpec {
    PhoneSpec {
        device: "SEP001122334455".into(),
        family: Family::Sccp7940,
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        files: files.iter().map(|&name| name.into()).collect(),
    }
}

#[test]
fn images_named_in_a_loads_file_are_fetched_next() {
    let mut oracle = FileOracle::default();
    oracle.insert(
        "x.loads",
        Bytes::from_static(b"# set\r\na.sbn \r\nb.sbn\r\n"),
    );
    let spec = spec(&["x.loads", "last"]);
    let now = Instant::now();
    let mut phone = Phone::new(&spec, &oracle, SERVER, Retry::default(), 0);
    assert!(phone.next_file(now));
    let data = b"\0\x03\0\x01# set\r\na.sbn \r\nb.sbn\r\n";
    assert_eq!(phone.on_datagram(now, TID, data), Action::SendThenNext);
    assert_eq!(
        phone.take_result(now).and_then(|result| result.failure),
        None
    );
    for expected in ["a.sbn", "b.sbn", "last"] {
        assert!(phone.next_file(now));
        assert_eq!(phone.file(), Some(expected));
    }
    assert!(!phone.next_file(now));
}

#[test]
fn a_file_that_must_be_absent_may_not_come() {
    let (oracle, spec, now) = (FileOracle::default(), spec(&["f"]), Instant::now());
    let mut phone = Phone::new(&spec, &oracle, SERVER, Retry::default(), 0);
    phone.next_file(now);
    phone.on_datagram(now, TID, b"\0\x03\0\x01content");
    let result = phone.take_result(now).expect("it has ended");
    assert_eq!(
        result.failure.as_deref(),
        Some("f: came, but must be absent")
    );
}

#[test]
fn a_phone_that_gets_no_answer_over_http_asks_over_tftp() {
    let (oracle, now) = (FileOracle::default(), Instant::now());
    let mut spec = spec(&["f"]);
    spec.family = Family::Sip8851;
    let http = SocketAddr::new(SERVER.ip(), 6970);
    let phone = Phone::new(&spec, &oracle, SERVER, Retry::default(), 0);
    let mut phone = phone.with_http(Some(http));
    assert!(phone.next_file(now));
    assert_eq!(phone.transmit(&mut Vec::new()), None);
    assert_eq!(phone.http_request().map(|(server, _)| server), Some(http));
    assert_eq!(phone.on_http_end(now), Action::FallBack);
    assert_eq!(phone.transmit(&mut Vec::new()), Some(SERVER));
    assert_eq!(
        phone.on_datagram(now, TID, b"\0\x05\0\x01no\0"),
        Action::Next
    );
    let result = phone.take_result(now).expect("it has ended");
    assert_eq!((result.failure, result.over_http), (None, false));
}

#[test]
fn old_families_never_ask_over_http() {
    let (oracle, spec, now) = (FileOracle::default(), spec(&["f"]), Instant::now());
    let phone = Phone::new(&spec, &oracle, SERVER, Retry::default(), 0);
    let mut phone = phone.with_http(Some(SERVER));
    assert!(phone.next_file(now));
    assert_eq!(phone.http_request(), None);
}

#[test]
fn only_error_1_is_absence() {
    for (packet, absent) in [(b"\0\x05\0\x01no\0", true), (b"\0\x05\0\x02no\0", false)] {
        let (oracle, spec, now) = (FileOracle::default(), spec(&["f"]), Instant::now());
        let mut phone = Phone::new(&spec, &oracle, SERVER, Retry::default(), 0);
        phone.next_file(now);
        assert_eq!(phone.on_datagram(now, TID, packet), Action::Next);
        let result = phone.take_result(now).expect("it has ended");
        assert_eq!(result.failure.is_none(), absent);
    }
}
