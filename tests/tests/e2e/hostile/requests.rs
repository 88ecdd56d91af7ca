//! Requests: good ones that look odd, bad ones that look good, and what is none.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use tftp_ebpf::verdict::Reason;
use tftp_edge_tests::demo::Metrics;
use tftp_edge_tests::lab::{CLIENT_V4, SERVER_V4};
use tftp_edge_tests::rig::{OVER_V4, Rig, content};

use super::{FILE, LEN, ack, answer, data, ensure_counted, ensure_silent, put_files, rrq};

const ILLEGAL_OPERATION: &[u8] = b"\0\x05\0\x04Illegal operation\0";
const ACCESS_VIOLATION: &[u8] = b"\0\x05\0\x02Access violation\0";
const FILE_NOT_FOUND: &[u8] = b"\0\x05\0\x01File not found\0";

/// A request, what must come back (nothing if it is empty), and what it is counted as.
struct Case {
    packet: Vec<u8>,
    answer: Vec<u8>,
    kernel: Reason,
    socket: Reason,
}

fn case(packet: impl Into<Vec<u8>>, answer: &[u8], kernel: Reason, socket: Reason) -> Case {
    Case {
        packet: packet.into(),
        answer: answer.to_vec(),
        kernel,
        socket,
    }
}

fn cases() -> Vec<Case> {
    use Reason as R;

    let mut cases = Vec::new();
    for len in 0..4 {
        cases.push(case(&b"\0\x01\0"[..len.min(3)], b"", R::Short, R::Short));
    }
    for opcode in 3..=6 {
        let packet = [0, opcode, 0, 1, b'x', 0];
        cases.push(case(packet, b"", R::ReplyOpcode, R::ReplyOpcode));
    }
    for opcode in [0, 7, 8, 9, 0x0100, 0xffff_u16] {
        let packet = [&opcode.to_be_bytes()[..], b"f\0octet\0"].concat();
        cases.push(case(packet, ILLEGAL_OPERATION, R::Opcode, R::Refused));
    }
    let write = [b"\0\x02", FILE.as_bytes(), b"\0octet\0"].concat();
    cases.push(case(write, ACCESS_VIOLATION, R::Write, R::Refused));

    // Requests that are no requests: ERROR 4.
    for (packet, kernel) in [
        (&b"\0\x01f.bin\0octet"[..], R::Malformed),
        (b"\0\x01f.bin\0", R::Malformed),
        (b"\0\x01f.bin", R::Malformed),
        (b"\0\x01\0octet\0", R::Name),
        (b"\0\x01f.bin\0\0", R::Mode),
        (b"\0\x01f.bin\0mail\0", R::Mode),
        (b"\0\x01f.bin\0binary\0", R::Mode),
        (b"\0\x01f.bin\0octets\0", R::Mode),
    ] {
        cases.push(case(packet, ILLEGAL_OPERATION, kernel, R::Refused));
    }
    let mut too_long = rrq(FILE, b"");
    too_long.resize(513, 0);
    cases.push(case(
        too_long,
        ILLEGAL_OPERATION,
        R::LongRequest,
        R::Refused,
    ));
    let long_name = rrq("x".repeat(256), b"");
    cases.push(case(
        long_name,
        ILLEGAL_OPERATION,
        R::LongRequest,
        R::Refused,
    ));

    // Names that lead astray: never a path in the answer.
    for (name, kernel) in [
        (&b"../secret.txt"[..], R::Name),
        (b"sub/../../secret.txt", R::Name),
        (b"..\\secret.txt", R::Name),
        (b"./f.bin", R::Name),
        (b"link.txt", R::UnknownName),
        (b"sub", R::UnknownName),
        (b"pipe", R::UnknownName),
    ] {
        cases.push(case(rrq(name, b""), ACCESS_VIOLATION, kernel, R::Refused));
    }
    let longer_than_a_key = "x".repeat(97);
    for (name, kernel) in [
        (longer_than_a_key.as_bytes(), R::Name),
        (&b"/etc/passwd"[..], R::UnknownName),
        (b"sub/inner.txt/x", R::UnknownName),
        (b"f.bin\xff", R::Name),
        (b"f.bin ", R::UnknownName),
        (b"%s%n", R::UnknownName),
    ] {
        cases.push(case(rrq(name, b""), FILE_NOT_FOUND, kernel, R::Absent));
    }

    // What looks odd but asks for the file.
    let first = data(1, &content(LEN));
    for name in ["/f.bin", "//f.bin", "F.BIN", "C:\\f.bin", "\\f.bin"] {
        cases.push(case(rrq(name, b""), &first, R::FirstData, R::FirstData));
    }
    let upper = b"\0\x01f.bin\0OcTeT\0";
    cases.push(case(*upper, &first, R::FirstData, R::FirstData));
    // The kernel reads requests of 252 bytes, the daemon the 512 that RFC 2347 allows.
    for (len, kernel) in [(252, R::FirstData), (512, R::LongRequest)] {
        let mut padded = rrq(FILE, b"");
        padded.resize(len, 0);
        cases.push(case(padded, &first, kernel, R::FirstData));
    }
    for tail in [
        &b"\0"[..],
        b"\0\0\0\0",
        b"blksize",
        b"blksize\0",
        b"blksize\x001024",
        b"odd\0",
        b"multicast\0\0",
        b"utimeout\x009\0rollover\x001\0",
        b"blksize\x007\0",
        b"blksize\x000\0",
        b"blksize\0-1\0",
        b"blksize\0abc\0",
        b"timeout\x000\0",
        b"timeout\x00256\0",
        b"timeout\0abc\0",
        b"windowsize\x000\0",
        b"windowsize\x0065536\0",
    ] {
        cases.push(case(rrq(FILE, tail), &first, R::FirstData, R::FirstData));
    }
    for (tail, oack) in [
        (&b"blksize\x0065465\0"[..], &b"blksize\x001468\0"[..]),
        (b"blksize\x0099999999999999999999\0", b"blksize\x001468\0"),
        (b"blksize\x008\0", b"blksize\x008\0"),
        (b"BLKSIZE\x001024\0", b"blksize\x001024\0"),
        (b"blksize\x00512\0blksize\x001024\0", b"blksize\x00512\0"),
        (b"tsize\x005\0", b"tsize\x00100\0"),
        (b"timeout\x00255\0", b"timeout\x00255\0"),
        (b"utimeout\x009\0tsize\x000\0odd", b"tsize\x00100\0"),
        (b"windowsize\x001\0", b"windowsize\x001\0"),
    ] {
        let oack = [b"\0\x06", oack].concat();
        cases.push(case(rrq(FILE, tail), &oack, R::Oack, R::Oack));
    }

    // What only the daemon serves.
    let window = rrq(FILE, b"windowsize\x004\0");
    cases.push(case(window, b"\0\x06windowsize\x004\0", R::Option, R::Oack));
    let text = *b"\0\x01sub/inner.txt\0netascii\0";
    cases.push(case(text, &data(1, b"inner"), R::Mode, R::FirstData));
    cases
}

pub fn requests_are_answered_as_required(rig: &mut Rig<'_>) -> Result<()> {
    put_files(rig)?;
    rig.start()?;
    let mut before = rig.metrics()?;
    for case in cases() {
        let shown = String::from_utf8_lossy(&case.packet).into_owned();
        before = check(rig, &case, &before).with_context(|| format!("{shown:?}"))?;
    }
    Ok(())
}

/// Returns what is counted when the case has been: the next one begins there.
fn check(rig: &Rig<'_>, case: &Case, before: &Metrics) -> Result<Metrics> {
    let phone = rig.exchange(CLIENT_V4)?;
    phone.send(OVER_V4, &case.packet)?;
    if case.answer.is_empty() {
        ensure_silent(&phone)?;
    } else {
        let (from, answer) = answer(&phone)?;
        ensure!(
            answer == case.answer,
            "{:?} and not {:?}",
            String::from_utf8_lossy(&answer),
            String::from_utf8_lossy(&case.answer)
        );
        ensure!(
            from.ip() == IpAddr::from(SERVER_V4) && from.port() != 69,
            "from {from}"
        );
        // Nothing is to be left that would be sent again.
        match answer[1] {
            3 => phone.send(from, &ack(1))?,
            6 => phone.send(from, b"\0\x05\0\x08\0")?,
            _ => {}
        }
    }
    ensure_counted(rig, before, case.kernel, Some(case.socket), 1)
}
