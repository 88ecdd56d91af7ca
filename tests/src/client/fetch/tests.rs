use std::net::Ipv4Addr;

use super::super::{Collect, Expect};
use super::*;

const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 69);
const TID: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4000);

fn data(block: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0, 3];
    packet.extend_from_slice(&block.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}

fn fetch(request: Request) -> (Fetch<Collect>, Instant) {
    let now = Instant::now();
    let fetch = Fetch::new(SERVER, request, Retry::default(), Collect::default(), now);
    (fetch, now)
}

#[test]
fn blocks_are_taken_in_order_and_acknowledged_to_the_tid() {
    let (mut fetch, now) = fetch(Request::plain("f"));
    let mut out = Vec::new();
    assert_eq!(fetch.transmit(&mut out), SERVER);
    assert_eq!(out, b"\0\x01f\0octet\0");
    assert_eq!(
        fetch.on_datagram(now, TID, &data(1, &[7; 512])),
        Reaction::Send
    );
    assert_eq!(fetch.transmit(&mut out), TID);
    assert_eq!(out, [0, 4, 0, 1]);
    let last = fetch.on_datagram(now, TID, &data(2, b""));
    assert_eq!(last, Reaction::SendAndEnd);
    assert_eq!(fetch.outcome(), Some(&Outcome::Complete));
    assert_eq!(fetch.into_sink().0, [7; 512]);
}

#[test]
fn another_tid_does_not_disturb_the_transfer() {
    let (mut fetch, now) = fetch(Request::plain("f"));
    fetch.on_datagram(now, TID, &data(1, &[7; 512]));
    let other = SocketAddr::new(TID.ip(), 4001);
    assert_eq!(
        fetch.on_datagram(now, other, &data(2, b"no")),
        Reaction::Wait
    );
    assert_eq!(fetch.tally().foreign, 1);
    assert_eq!(fetch.outcome(), None);
}

#[test]
fn an_option_that_was_not_asked_for_breaks_the_protocol() {
    let (mut fetch, now) = fetch(Request::sized("f", 1428));
    let reaction = fetch.on_datagram(now, TID, b"\0\x06blksize\x001428\0timeout\x003\0");
    assert_eq!(reaction, Reaction::End);
    assert!(matches!(
        fetch.outcome(),
        Some(Outcome::Failed(Failure::Protocol(_)))
    ));
}

#[test]
fn a_size_that_is_not_kept_is_a_failure() {
    let (mut fetch, now) = fetch(Request::sized("f", 1428));
    fetch.on_datagram(now, TID, b"\0\x06tsize\x005\0blksize\x001428\0");
    fetch.on_datagram(now, TID, &data(1, b"four"));
    let expected = Outcome::Failed(Failure::Size { len: 4, tsize: 5 });
    assert_eq!(fetch.outcome(), Some(&expected));
}

#[test]
fn the_first_wrong_byte_is_named() {
    let now = Instant::now();
    let sink = Expect::new(bytes::Bytes::from_static(b"right"));
    let mut fetch = Fetch::new(SERVER, Request::plain("f"), Retry::default(), sink, now);
    fetch.on_datagram(now, TID, &data(1, b"rigid"));
    let expected = Outcome::Failed(Failure::Content(Mismatch { offset: 3 }));
    assert_eq!(fetch.outcome(), Some(&expected));
}

#[test]
fn a_file_that_ends_early_is_not_the_expected_one() {
    let now = Instant::now();
    let sink = Expect::new(bytes::Bytes::from_static(b"right"));
    let mut fetch = Fetch::new(SERVER, Request::plain("f"), Retry::default(), sink, now);
    fetch.on_datagram(now, TID, &data(1, b"rig"));
    let expected = Outcome::Failed(Failure::Content(Mismatch { offset: 3 }));
    assert_eq!(fetch.outcome(), Some(&expected));
}

#[test]
fn the_wait_doubles_until_the_client_gives_up() {
    let (mut fetch, mut now) = fetch(Request::plain("f"));
    let mut waits = Vec::new();
    loop {
        waits.push((fetch.deadline() - now).as_millis());
        now = fetch.deadline();
        if fetch.on_deadline(now) == Reaction::End {
            break;
        }
    }
    assert_eq!(waits, [500, 1000, 2000, 4000, 4000, 4000, 4000, 4000]);
    let expected = Outcome::Failed(Failure::Timeout { sends: 8, block: 0 });
    assert_eq!(fetch.outcome(), Some(&expected));
}

#[test]
fn a_window_is_acknowledged_as_a_whole_and_at_a_gap() {
    let mut request = Request::plain("f");
    request.options.windowsize = 4;
    let (mut fetch, now) = fetch(request);
    let mut out = Vec::new();
    assert_eq!(
        fetch.on_datagram(now, TID, b"\0\x06windowsize\x004\0"),
        Reaction::Send
    );
    for block in 1..4 {
        let reaction = fetch.on_datagram(now, TID, &data(block, &[1; 512]));
        assert_eq!(reaction, Reaction::Wait);
    }
    assert_eq!(
        fetch.on_datagram(now, TID, &data(4, &[1; 512])),
        Reaction::Send
    );
    fetch.on_datagram(now, TID, &data(5, &[1; 512]));
    assert_eq!(
        fetch.on_datagram(now, TID, &data(7, &[1; 512])),
        Reaction::Send
    );
    fetch.transmit(&mut out);
    assert_eq!(out, [0, 4, 0, 5]);
    assert_eq!(
        fetch.on_datagram(now, TID, &data(8, &[1; 512])),
        Reaction::Wait
    );
}

#[test]
fn block_numbers_wrap() {
    let mut request = Request::plain("f");
    request.options.blksize = 8;
    let (mut fetch, now) = fetch(request);
    fetch.on_datagram(now, TID, b"\0\x06blksize\x008\0");
    for block in 1..=65_536_u32 {
        fetch.on_datagram(now, TID, &data(block as u16, &[1; 8]));
    }
    assert_eq!(
        fetch.on_datagram(now, TID, &data(1, b"")),
        Reaction::SendAndEnd
    );
    assert_eq!(fetch.into_sink().0.len(), 65_536 * 8);
}
