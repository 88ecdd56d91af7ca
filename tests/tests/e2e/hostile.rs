//! Input that is wrong, odd or meant to do harm: each is answered as required, or met with silence,
//! and counted with its reason.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tftp_ebpf::verdict::{Reason, Rung, Verdict};
use tftp_edge_tests::client::Exchange;
use tftp_edge_tests::demo::Metrics;
use tftp_edge_tests::lab::{
    CLIENT_IF, CLIENT_V4, CLIENT_V6, Capture, SERVER_IF, SERVER_V4, output,
};
use tftp_edge_tests::rig::{OVER_V4, OVER_V6, Rig, content};

use crate::raw::{Raw, Spoil};

on_every_rung!(
    requests_are_answered_as_required,
    transfers_are_not_disturbed,
    senders_that_could_do_harm_get_silence,
);

/// Longer than any answer takes on this wire; well below every resend time.
const SILENCE: Duration = Duration::from_millis(100);
/// As long as an answer may take on a busy machine.
const ANSWER: Duration = Duration::from_secs(2);

const ILLEGAL_OPERATION: &[u8] = b"\0\x05\0\x04Illegal operation\0";
const ACCESS_VIOLATION: &[u8] = b"\0\x05\0\x02Access violation\0";
const FILE_NOT_FOUND: &[u8] = b"\0\x05\0\x01File not found\0";
const UNKNOWN_TID: &[u8] = b"\0\x05\0\x05Unknown transfer ID\0";

/// The file that hostile requests are about, and its length: it ends with its first block.
const FILE: &str = "f.bin";
const LEN: usize = 100;
/// One of ten blocks.
const LONG: &str = "long.bin";
const LONG_LEN: usize = 5000;

fn put_files(rig: &Rig<'_>) -> Result<()> {
    rig.put(FILE, &content(LEN))?;
    rig.put(LONG, &content(LONG_LEN))?;
    rig.put("sub/inner.txt", b"inner")?;
    let secret = rig.file("secret.txt");
    std::fs::write(&secret, "secret")?;
    symlink(&secret, rig.edge.root().join("link.txt"))?;
    let pipe = rig.edge.root().join("pipe");
    output("mkfifo", [&pipe]).map(drop)
}

fn data(block: u16, payload: &[u8]) -> Vec<u8> {
    [&[0, 3], &block.to_be_bytes()[..], payload].concat()
}

fn ack(block: u16) -> Vec<u8> {
    [&[0, 4], &block.to_be_bytes()[..]].concat()
}

/// A read request in octet mode with `tail` behind the mode.
fn rrq(name: impl AsRef<[u8]>, tail: &[u8]) -> Vec<u8> {
    [b"\0\x01", name.as_ref(), b"\0octet\0", tail].concat()
}

/// Fails unless `reason` has been counted `times` since `before`: by the rung under test, and by
/// every rung behind it if it hands such packets on. `socket` is what the daemon counts for those
/// that reach it; `None` if the host itself drops them.
fn ensure_counted(
    rig: &Rig<'_>,
    before: &Metrics,
    kernel: Reason,
    socket: Option<Reason>,
    times: u64,
) -> Result<()> {
    let mut expected = Vec::new();
    if rig.rung != Rung::Socket {
        expected.push((rig.first_path(), kernel));
    }
    if rig.rung == Rung::Xdp && kernel.verdict() == Verdict::Pass {
        expected.push((Rung::Tc.as_str(), kernel));
    }
    if let Some(reason) = socket
        && (rig.rung == Rung::Socket || kernel.verdict() == Verdict::Pass)
    {
        expected.push((Rung::Socket.as_str(), reason));
    }
    for (path, reason) in expected {
        let grown = rig.grown(before, path, reason, times)?;
        ensure!(
            grown == times,
            "{grown} and not {times} counted as {} by {path}",
            reason.as_str()
        );
    }
    Ok(())
}

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

fn requests_are_answered_as_required(rig: &mut Rig<'_>) -> Result<()> {
    put_files(rig)?;
    rig.start()?;
    for case in cases() {
        let shown = String::from_utf8_lossy(&case.packet).into_owned();
        check(rig, &case).with_context(|| format!("{shown:?}"))?;
    }
    Ok(())
}

fn check(rig: &Rig<'_>, case: &Case) -> Result<()> {
    let phone = rig.exchange(CLIENT_V4)?;
    let before = rig.metrics()?;
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
    ensure_counted(rig, &before, case.kernel, Some(case.socket), 1)
}

fn answer(phone: &Exchange) -> Result<(SocketAddr, Vec<u8>)> {
    phone.receive(ANSWER)?.context("no answer")
}

/// Asks, and returns the answer.
fn ask(phone: &Exchange, to: SocketAddr, packet: &[u8]) -> Result<(SocketAddr, Vec<u8>)> {
    phone.send(to, packet)?;
    answer(phone)
}

fn ensure_silent(phone: &Exchange) -> Result<()> {
    match phone.receive(SILENCE)? {
        None => Ok(()),
        Some((from, packet)) => anyhow::bail!("{packet:?} came from {from}"),
    }
}

/// What has come from a server that nobody answers.
struct Unanswered {
    phone: Exchange,
    asked: Instant,
    first: Vec<u8>,
}

impl Unanswered {
    fn ask(rig: &Rig<'_>, from: IpAddr, to: SocketAddr, request: &[u8]) -> Result<Self> {
        let phone = rig.exchange(from)?;
        let (_, first) = ask(&phone, to, request)?;
        Ok(Self {
            phone,
            asked: Instant::now(),
            first,
        })
    }

    /// By then peers have sent their first packet three times or more (at 0, 1 and 3 s).
    fn ensure_sent_twice(self) -> Result<()> {
        const LONG_ENOUGH: Duration = Duration::from_millis(4500);
        let mut sends = 1;
        let left = || LONG_ENOUGH.saturating_sub(self.asked.elapsed());
        while let Some((_, packet)) = self.phone.receive(left())? {
            ensure!(packet == self.first, "another packet: {packet:?}");
            sends += 1;
        }
        ensure!(sends == 2, "{:?} was sent {sends} times", self.first);
        Ok(())
    }
}

fn transfers_are_not_disturbed(rig: &mut Rig<'_>) -> Result<()> {
    put_files(rig)?;
    rig.start()?;
    let capture = Capture::start(&rig.lab.client, CLIENT_IF, &rig.file("transfers.pcap"))?;
    // These take their time, while the others go on.
    let (plain, sized) = (rrq(LONG, b""), rrq(LONG, b"blksize\x001024\0"));
    let unanswered = [
        Unanswered::ask(rig, CLIENT_V4.into(), OVER_V4, &plain)?,
        Unanswered::ask(rig, CLIENT_V4.into(), OVER_V4, &sized)?,
        Unanswered::ask(rig, CLIENT_V6.into(), OVER_V6, &plain)?,
    ];

    for (what, case) in [
        ("wrong TID", wrong_tid as fn(&Rig<'_>) -> Result<()>),
        ("duplicate ACKs", duplicate_acks),
        ("ACKs of other blocks", acks_of_other_blocks),
        ("junk", junk_on_the_tid),
        ("long ACK", ack_with_more_behind_it),
        ("probe", error_after_oack),
        ("error", error_in_mid_transfer),
        ("repeated request", repeated_request),
        ("late copies", late_copies),
        ("another file", another_file_from_the_same_port),
    ] {
        case(rig).context(what)?;
    }
    for one in unanswered {
        one.ensure_sent_twice()?;
    }
    capture.finish().map(drop)
}

/// Begins a transfer of the long file.
fn begin(rig: &Rig<'_>) -> Result<(Exchange, SocketAddr, Vec<u8>)> {
    let phone = rig.exchange(CLIENT_V4)?;
    let (tid, first) = ask(&phone, OVER_V4, &rrq(LONG, b""))?;
    ensure!(first == data(1, &content(LONG_LEN)[..512]));
    Ok((phone, tid, first[4..].to_vec()))
}

/// Fetches the rest of the long file, of which `got` is there, and compares all of it.
fn go_on(phone: &Exchange, tid: SocketAddr, mut got: Vec<u8>) -> Result<()> {
    let done = got.len() / 512;
    for block in done as u16..10 {
        let (from, packet) = ask(phone, tid, &ack(block))?;
        ensure!(from == tid, "{from} answers for {tid}");
        ensure!(
            packet[..4] == data(block + 1, b"")[..],
            "{:?} after {block}",
            &packet[..4]
        );
        got.extend_from_slice(&packet[4..]);
    }
    phone.send(tid, &ack(10))?;
    ensure!(got == content(LONG_LEN), "not the bytes of the file");
    Ok(())
}

fn wrong_tid(rig: &Rig<'_>) -> Result<()> {
    let (phone, tid, got) = begin(rig)?;
    let intruder = rig.exchange(CLIENT_V4)?;
    let before = rig.metrics()?;
    intruder.send(tid, &ack(1))?;
    if rig.rung == Rung::Socket {
        ensure!(answer(&intruder)? == (tid, UNKNOWN_TID.to_vec()));
    }
    ensure_silent(&intruder)?;
    ensure_counted(
        rig,
        &before,
        Reason::NoTransfer,
        Some(Reason::UnknownTid),
        1,
    )?;
    // Never in answer to an ERROR.
    let before = rig.metrics()?;
    intruder.send(tid, b"\0\x05\0\x05x\0")?;
    ensure_silent(&intruder)?;
    ensure_counted(
        rig,
        &before,
        Reason::NoTransfer,
        Some(Reason::NoTransfer),
        1,
    )?;
    go_on(&phone, tid, got)
}

fn duplicate_acks(rig: &Rig<'_>) -> Result<()> {
    let (phone, tid, mut got) = begin(rig)?;
    let before = rig.metrics()?;
    phone.send(tid, &ack(1))?;
    phone.send(tid, &ack(1))?;
    let (_, second) = answer(&phone)?;
    ensure!(second[..4] == data(2, b"")[..]);
    got.extend_from_slice(&second[4..]);
    ensure_silent(&phone)?;
    let duplicate = Reason::DuplicateAck;
    ensure_counted(rig, &before, duplicate, Some(duplicate), 1)?;
    go_on(&phone, tid, got)?;

    let phone = rig.exchange(CLIENT_V4)?;
    let (tid, _) = ask(&phone, OVER_V4, &rrq(LONG, b"blksize\x00512\0"))?;
    let before = rig.metrics()?;
    phone.send(tid, &ack(0))?;
    phone.send(tid, &ack(0))?;
    let (_, first) = answer(&phone)?;
    ensure_silent(&phone)?;
    ensure_counted(rig, &before, duplicate, Some(duplicate), 1)?;
    go_on(&phone, tid, first[4..].to_vec())
}

fn acks_of_other_blocks(rig: &Rig<'_>) -> Result<()> {
    let (phone, tid, got) = begin(rig)?;
    let before = rig.metrics()?;
    for block in [5, 2, 65_535] {
        phone.send(tid, &ack(block))?;
    }
    ensure_silent(&phone)?;
    ensure_counted(rig, &before, Reason::StrayAck, Some(Reason::StrayAck), 3)?;
    go_on(&phone, tid, got)
}

fn junk_on_the_tid(rig: &Rig<'_>) -> Result<()> {
    let (phone, tid, got) = begin(rig)?;
    let before = rig.metrics()?;
    for packet in [
        &b"\0\x03\0\x01junk"[..],
        &rrq(LONG, b""),
        b"\0\x06tsize\x001\0",
        b"\xff\xff\xff\xff",
    ] {
        phone.send(tid, packet)?;
    }
    ensure_silent(&phone)?;
    ensure_counted(rig, &before, Reason::Junk, Some(Reason::Junk), 4)?;
    for packet in [&b""[..], b"x", b"\0\x04", b"\0\x04\0"] {
        phone.send(tid, packet)?;
    }
    ensure_silent(&phone)?;
    go_on(&phone, tid, got)
}

fn ack_with_more_behind_it(rig: &Rig<'_>) -> Result<()> {
    let (phone, tid, mut got) = begin(rig)?;
    let (_, second) = ask(&phone, tid, b"\0\x04\0\x01more")?;
    got.extend_from_slice(&second[4..]);
    go_on(&phone, tid, got)
}

fn error_after_oack(rig: &Rig<'_>) -> Result<()> {
    let phone = rig.exchange(CLIENT_V4)?;
    let request = rrq(LONG, b"tsize\x000\0");
    let (tid, oack) = ask(&phone, OVER_V4, &request)?;
    ensure!(oack == b"\0\x06tsize\x005000\0");
    let before = rig.metrics()?;
    phone.send(tid, b"\0\x05\0\x08\0")?;
    ensure_silent(&phone)?;
    ensure_counted(rig, &before, Reason::Probe, Some(Reason::Probe), 1)?;
    ensure!(failed(rig, &before)? == 0.0, "counted as a failure");
    // And then it asks for the file.
    let (tid, oack) = ask(&phone, OVER_V4, &request)?;
    ensure!(oack == b"\0\x06tsize\x005000\0");
    let (_, first) = ask(&phone, tid, &ack(0))?;
    go_on(&phone, tid, first[4..].to_vec())
}

fn failed(rig: &Rig<'_>, before: &Metrics) -> Result<f64> {
    let metrics = rig.metrics()?;
    let grown = ["aborted", "timeout"].map(|result| {
        let labels = [("result", result)];
        metrics.grown(before, "tftp_edge_tftp_responses_total", &labels)
    });
    Ok(grown.iter().sum())
}

fn error_in_mid_transfer(rig: &Rig<'_>) -> Result<()> {
    let (phone, tid, _) = begin(rig)?;
    ask(&phone, tid, &ack(1))?;
    let before = rig.metrics()?;
    phone.send(tid, b"\0\x05\0\x03full\0")?;
    ensure_silent(&phone)?;
    let reason = Reason::ClientError;
    ensure_counted(rig, &before, reason, Some(reason), 1)?;
    ensure!(failed(rig, &before)? == 1.0, "not counted as a failure");
    Ok(())
}

fn repeated_request(rig: &Rig<'_>) -> Result<()> {
    let before = rig.metrics()?;
    let (phone, tid, got) = begin(rig)?;
    let again = ask(&phone, OVER_V4, &rrq(LONG, b""))?;
    ensure!(
        again == (tid, data(1, &got)),
        "not the same packet from the same TID"
    );
    // At least once: what nobody has answered is sent again meanwhile, and counted as the same.
    let repeats = rig.grown(&before, rig.first_path(), Reason::Repeat, 1)?;
    ensure!(repeats >= 1, "not counted as a repeated request");
    go_on(&phone, tid, got)
}

fn late_copies(rig: &Rig<'_>) -> Result<()> {
    let (phone, tid, mut got) = begin(rig)?;
    got.extend_from_slice(&ask(&phone, tid, &ack(1))?.1[4..]);
    let before = rig.metrics()?;
    phone.send(OVER_V4, &rrq(LONG, b""))?;
    ensure_silent(&phone)?;
    let late = Reason::LateRequest;
    ensure_counted(rig, &before, late, Some(late), 1)?;
    go_on(&phone, tid, got)?;
    // The last ACK again: no ERROR.
    let before = rig.metrics()?;
    phone.send(tid, &ack(10))?;
    ensure_silent(&phone)?;
    let none = Reason::NoTransfer;
    ensure_counted(rig, &before, none, Some(none), 1)
}

fn another_file_from_the_same_port(rig: &Rig<'_>) -> Result<()> {
    let (phone, old, _) = begin(rig)?;
    let (tid, packet) = ask(&phone, OVER_V4, &rrq(FILE, b""))?;
    ensure!(packet == data(1, &content(LEN)));
    ensure!(
        tid != old || rig.rung == Rung::Socket,
        "one TID for two files"
    );
    phone.send(tid, &ack(1))?;
    ensure_silent(&phone)
}

fn senders_that_could_do_harm_get_silence(rig: &mut Rig<'_>) -> Result<()> {
    put_files(rig)?;
    rig.start()?;
    let request = rrq(FILE, b"");
    for (what, case) in [
        (
            "port 69 or 0",
            from_a_port_that_could_loop as fn(&Rig<'_>, &[u8]) -> Result<()>,
        ),
        ("to a group", to_a_group),
        ("impossible source", from_an_impossible_address),
        ("off the list", from_an_address_off_the_list),
        ("spoilt UDP", with_a_spoilt_header),
        ("complex IP", with_a_complex_header_alone),
    ] {
        case(rig, &request).context(what)?;
    }
    // After all that it serves as before.
    ensure!(rig.get_all(LONG)? == content(LONG_LEN));
    Ok(())
}

fn from_a_port_that_could_loop(rig: &Rig<'_>, request: &[u8]) -> Result<()> {
    for (from, to) in [
        (IpAddr::from(CLIENT_V4), OVER_V4),
        (CLIENT_V6.into(), OVER_V6),
    ] {
        let before = rig.metrics()?;
        let server = rig.as_client(|| Exchange::new(from, 69))?;
        server.send(to, request)?;
        ensure_silent(&server)?;
        let reason = Reason::SourcePort;
        ensure_counted(rig, &before, reason, Some(reason), 1)?;
    }
    let before = rig.metrics()?;
    let raw = Raw::to_server((CLIENT_V4, 0), request);
    rig.as_client(|| raw.send())?;
    ensure_counted(
        rig,
        &before,
        Reason::SourcePort,
        Some(Reason::SourcePort),
        1,
    )
}

fn to_a_group(rig: &Rig<'_>, request: &[u8]) -> Result<()> {
    let phone = rig.exchange(CLIENT_V4)?;
    for to in [Ipv4Addr::new(10, 77, 0, 255), Ipv4Addr::BROADCAST] {
        let before = rig.metrics()?;
        let raw = Raw {
            to: (to, 69),
            ..Raw::to_server((CLIENT_V4, phone.local_port()?), request)
        };
        rig.as_client(|| raw.send())?;
        ensure_silent(&phone)?;
        ensure_broadcast_counted(rig, &before).with_context(|| format!("to {to}"))?;
    }
    let index = rig
        .lab
        .client
        .output("cat", [format!("/sys/class/net/{CLIENT_IF}/ifindex")])?;
    let all_nodes = SocketAddrV6::new("ff02::1".parse()?, 69, 0, index.trim().parse()?);
    let phone = rig.exchange(CLIENT_V6)?;
    let before = rig.metrics()?;
    phone.send(all_nodes.into(), request)?;
    ensure_silent(&phone)?;
    ensure_broadcast_counted(rig, &before).context("to ff02::1")
}

/// Each of the daemon's sockets on the port is given a copy of its own.
fn ensure_broadcast_counted(rig: &Rig<'_>, before: &Metrics) -> Result<()> {
    let grown = rig.grown(before, rig.first_path(), Reason::Broadcast, 1)?;
    ensure!(grown >= 1, "not counted as a broadcast");
    Ok(())
}

fn from_an_impossible_address(rig: &Rig<'_>, request: &[u8]) -> Result<()> {
    for from in [
        Ipv4Addr::BROADCAST,
        Ipv4Addr::new(224, 0, 0, 1),
        Ipv4Addr::LOCALHOST,
        Ipv4Addr::UNSPECIFIED,
        SERVER_V4,
    ] {
        // Zero stands for "whatever fits" where a raw socket sends.
        if from.is_unspecified() {
            continue;
        }
        let before = rig.metrics()?;
        let raw = Raw::to_server((from, 2000), request);
        rig.as_client(|| raw.send())?;
        // Behind the kernel program the host drops these by itself.
        ensure_counted(rig, &before, Reason::SourceAddress, None, 1)
            .with_context(|| format!("from {from}"))?;
        ensure!(
            rig.metrics()?
                .grown(&before, "tftp_edge_tftp_requests_total", &[])
                == 0.0
        );
    }
    Ok(())
}

fn from_an_address_off_the_list(rig: &Rig<'_>, request: &[u8]) -> Result<()> {
    let strangers: [(IpAddr, SocketAddr); 2] = [
        ("192.0.2.9".parse()?, OVER_V4),
        ("2001:db8::9".parse()?, OVER_V6),
    ];
    for (stranger, server) in strangers {
        let (address, via) = match stranger {
            IpAddr::V4(_) => (format!("{stranger}/32"), CLIENT_V4.to_string()),
            IpAddr::V6(_) => (format!("{stranger}/128"), CLIENT_V6.to_string()),
        };
        let add = ["addr", "add", &address, "dev", CLIENT_IF];
        match stranger {
            IpAddr::V4(_) => rig.lab.client.ip(&add)?,
            IpAddr::V6(_) => rig.lab.client.ip(&[&add[..], &["nodad"]].concat())?,
        }
        // An answer would find its way.
        rig.lab
            .server
            .ip(&["route", "add", &address, "via", &via, "dev", SERVER_IF])?;
        let phone = rig.exchange(stranger)?;
        let before = rig.metrics()?;
        phone.send(server, request)?;
        ensure_silent(&phone)?;
        ensure_counted(rig, &before, Reason::Denied, Some(Reason::Denied), 1)?;
    }
    Ok(())
}

fn with_a_spoilt_header(rig: &Rig<'_>, request: &[u8]) -> Result<()> {
    for (spoil, reason) in [
        (Spoil::Checksum, Reason::Checksum),
        (Spoil::Length, Reason::Length),
    ] {
        let phone = rig.exchange(CLIENT_V4)?;
        let before = rig.metrics()?;
        let raw = Raw {
            spoil,
            ..Raw::to_server((CLIENT_V4, phone.local_port()?), request)
        };
        rig.as_client(|| raw.send())?;
        ensure_silent(&phone)?;
        ensure_counted(rig, &before, reason, None, 1).with_context(|| format!("{spoil:?}"))?;
    }
    let phone = rig.exchange(CLIENT_V4)?;
    let before = rig.metrics()?;
    let raw = Raw {
        spoil: Spoil::NoChecksum,
        ..Raw::to_server((CLIENT_V4, phone.local_port()?), request)
    };
    rig.as_client(|| raw.send())?;
    ensure_served(&phone)?;
    let first = Reason::FirstData;
    ensure_counted(rig, &before, first, Some(first), 1)
}

/// The client's system reports its multicast groups when it likes to, in packets with IP options:
/// a count that one of them got into is taken again.
fn with_a_complex_header_alone(rig: &Rig<'_>, request: &[u8]) -> Result<()> {
    with_a_complex_header(rig, request)
        .or_else(|_| with_a_complex_header(rig, request))
        .or_else(|_| with_a_complex_header(rig, request))
}

fn with_a_complex_header(rig: &Rig<'_>, request: &[u8]) -> Result<()> {
    let phone = rig.exchange(CLIENT_V4)?;
    let raw = Raw::to_server((CLIENT_V4, phone.local_port()?), request);
    let before = rig.metrics()?;
    let no_operation = Raw {
        options: vec![1; 4],
        ..raw.clone()
    };
    rig.as_client(|| no_operation.send())?;
    ensure_served(&phone)?;
    let (complex, first) = (Reason::IpComplex, Reason::FirstData);
    ensure_counted(rig, &before, complex, Some(first), 1)?;

    let before = rig.metrics()?;
    rig.as_client(|| raw.send_in_fragments())?;
    ensure_served(&phone)?;
    if rig.rung != Rung::Socket {
        let fragments = rig.grown(&before, rig.first_path(), complex, 2)?;
        ensure!(fragments == 2, "{fragments} fragments counted");
    }
    ensure!(rig.grown(&before, Rung::Socket.as_str(), first, 1)? == 1);
    Ok(())
}

/// The whole file is given, in one block.
fn ensure_served(phone: &Exchange) -> Result<()> {
    let (tid, packet) = answer(phone)?;
    ensure!(packet == data(1, &content(LEN)), "{packet:?}");
    phone.send(tid, &ack(1))
}
