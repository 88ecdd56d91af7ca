//! Over TFTP: from our own daemon, and from servers that break the protocol.

use std::io;
use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use tftp_edge::content::ByteSize;
use tftp_edge::content::upstream::Settings;
use tftp_edge_tests::lab::uninterrupted;
use tftp_edge_tests::rig::content;

use crate::edge::{Edge, Got, settings};
use crate::servers::Other;

fn data(number: u16, payload: &[u8]) -> Vec<u8> {
    [&[0, 3], &number.to_be_bytes()[..], payload].concat()
}

/// The block number of the next ACK.
fn acknowledged(socket: &UdpSocket) -> io::Result<u16> {
    let mut packet = [0; 600];
    let len = uninterrupted(|| socket.recv(&mut packet))?;
    match packet[..len] {
        [0, 4, high, low] => Ok(u16::from_be_bytes([high, low])),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[test]
fn our_own_daemon_upstream_gives_every_byte() {
    let origin = Edge::at("127.0.0.9:0", Settings::default());
    let edge = Edge::behind(&[origin.url()]);
    // None, less than a block, whole blocks, whole windows, and a file of many.
    for len in [0, 1, 1427, 1428, 1429, 16 * 1428, 16 * 1428 + 1, 400_000] {
        let name = format!("file{len}.bin");
        origin.put(&name, &content(len));
        assert_eq!(edge.get(&name), Got::File(content(len)), "{len}");
    }
    assert_eq!(edge.get("nowhere"), Got::Absent);
    assert_eq!(edge.outcomes("not_found"), 1);
}

#[test]
fn a_server_without_options_is_enough() {
    let other = Other::tftp(|_, socket| {
        socket.send(&data(1, &content(512)))?;
        assert_eq!(acknowledged(socket)?, 1);
        socket.send(&data(2, b"end"))?;
        assert_eq!(acknowledged(socket)?, 2);
        Ok(())
    });
    let edge = Edge::behind(&[other.url()]);
    let whole = [&content(512)[..], b"end"].concat();
    assert_eq!(edge.get("Ringlist.xml"), Got::file(whole));
    let request = other.requests().remove(0);
    assert!(
        request.starts_with("\0\u{1}Ringlist.xml\0octet\0"),
        "{request:?}"
    );
    assert!(request.ends_with("\0cdn-loop\0tftp-edge\0"), "{request:?}");
}

#[test]
fn what_is_lost_comes_again_and_what_comes_twice_is_taken_once() {
    let other = Other::tftp(|_, socket| {
        socket.send(b"\0\x06blksize\x008\0windowsize\x004\0")?;
        assert_eq!(acknowledged(socket)?, 0);
        // The second is lost, the first comes twice.
        for number in [1, 1, 3, 4] {
            socket.send(&data(number, &[number as u8; 8]))?;
        }
        assert_eq!(acknowledged(socket)?, 1, "where the gap is");
        for number in [2, 3, 4, 5] {
            socket.send(&data(number, &[number as u8; 8]))?;
        }
        assert_eq!(acknowledged(socket)?, 5);
        socket.send(&data(6, b""))?;
        assert_eq!(acknowledged(socket)?, 6);
        Ok(())
    });
    let edge = Edge::behind(&[other.url()]);
    let whole: Vec<u8> = (1..=5).flat_map(|number| [number; 8]).collect();
    assert_eq!(edge.get("x"), Got::File(whole));
}

#[test]
fn a_packet_from_another_port_is_not_part_of_the_file() {
    let other = Other::tftp(|_, socket| {
        let client = socket.peer_addr()?;
        let stranger = UdpSocket::bind("127.0.0.9:0")?;
        stranger.set_read_timeout(Some(Duration::from_secs(10)))?;
        socket.send(&data(1, &content(512)))?;
        assert_eq!(acknowledged(socket)?, 1);
        stranger.send_to(&data(2, b"evil"), client)?;
        let mut told = [0; 64];
        uninterrupted(|| stranger.recv(&mut told))?;
        assert_eq!(&told[..4], b"\0\x05\0\x05");
        socket.send(&data(2, b"good"))?;
        assert_eq!(acknowledged(socket)?, 2);
        Ok(())
    });
    let edge = Edge::behind(&[other.url()]);
    let whole = [&content(512)[..], b"good"].concat();
    assert_eq!(edge.get("x"), Got::file(whole));
}

#[test]
fn nothing_that_is_not_whole_is_served() {
    type Answer = fn(&UdpSocket) -> io::Result<()>;
    let cases: [(&str, Answer, &str, Got); 8] = [
        (
            "shorter than it says",
            |s| {
                s.send(b"\0\x06tsize\x00100\0")?;
                acknowledged(s)?;
                s.send(&data(1, b"half")).map(drop)
            },
            "broken",
            Got::Silence,
        ),
        (
            "longer than it says",
            |s| {
                s.send(b"\0\x06tsize\x004\0")?;
                acknowledged(s)?;
                s.send(&data(1, b"half of it")).map(drop)
            },
            "broken",
            Got::Silence,
        ),
        (
            "it stops",
            |s| s.send(&data(1, &content(512))).map(drop),
            "timeout",
            Got::Silence,
        ),
        ("it keeps silent", |_| Ok(()), "timeout", Got::Silence),
        (
            "an option too many",
            |s| s.send(b"\0\x06multicast\0\0").map(drop),
            "broken",
            Got::Silence,
        ),
        (
            "too large",
            |s| s.send(b"\0\x06tsize\x0099999999999\0").map(drop),
            "too_large",
            Got::Absent,
        ),
        (
            "forbidden",
            |s| s.send(b"\0\x05\0\x02no\0").map(drop),
            "forbidden",
            Got::Absent,
        ),
        (
            "absent",
            |s| s.send(b"\0\x05\0\x01no\0").map(drop),
            "not_found",
            Got::Absent,
        ),
    ];
    let check = |what, answer: Answer, outcome, expected| {
        let other = Other::tftp(move |_, socket| answer(socket));
        let edge = Edge::behind(&[other.url()]);
        assert_eq!(edge.get("file.txt"), expected, "{what}");
        edge.until(what, |edge| edge.outcomes(outcome) == 1);
        assert_eq!(edge.upstream().files, 0, "{what}");
    };
    thread::scope(|scope| {
        for (what, answer, outcome, expected) in cases {
            scope.spawn(move || check(what, answer, outcome, expected));
        }
    });
}

#[test]
fn a_file_without_an_end_is_cut_off() {
    let other = Other::tftp(|_, socket| {
        for number in 1_u16.. {
            socket.send(&data(number, &[b'x'; 512]))?;
            acknowledged(socket)?;
        }
        Ok(())
    });
    let edge = Edge::with(Settings {
        max_file: ByteSize(100_000),
        ..settings(&[other.url()])
    });
    assert_eq!(edge.get("endless"), Got::Absent);
    assert_eq!(edge.outcomes("too_large"), 1);
}

#[test]
fn a_flood_of_strangers_is_not_answered_in_kind() {
    let other = Other::tftp(|_, socket| {
        socket.send(&data(1, &content(512)))?;
        acknowledged(socket)?;
        let stranger = UdpSocket::bind("127.0.0.9:0")?;
        stranger.set_read_timeout(Some(Duration::from_millis(500)))?;
        for _ in 0..200 {
            stranger.send_to(&data(2, &content(512)), socket.peer_addr()?)?;
        }
        let mut packet = [0; 64];
        let mut answers = 0;
        while stranger.recv(&mut packet).is_ok() {
            answers += 1;
        }
        socket.send(&data(2, format!("{answers}").as_bytes()))?;
        Ok(())
    });
    let edge = Edge::with(Settings {
        timeout_ms: 3000,
        ..settings(&[other.url()])
    });
    let Got::File(content) = edge.get("x") else {
        panic!("the file does not come");
    };
    assert_eq!(&content[512..], b"3", "answers to 200 packets");
}
