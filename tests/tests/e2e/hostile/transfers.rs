//! Transfers under way, and what comes in between.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tftp_ebpf::verdict::{Reason, Rung};
use tftp_edge_tests::client::Exchange;
use tftp_edge_tests::lab::{CLIENT_IF, CLIENT_V4, CLIENT_V6, Capture};
use tftp_edge_tests::rig::{OVER_V4, OVER_V6, Rig, content, wait_for};

use super::{
    FILE, LEN, LONG, LONG_LEN, ack, answer, ask, data, ensure_counted, ensure_silent, put_files,
    rrq,
};

const UNKNOWN_TID: &[u8] = b"\0\x05\0\x05Unknown transfer ID\0";

/// The longest resend time that can be set: nothing here waits for an answer as long.
const RESEND_AFTER: Duration = Duration::from_secs(2);

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

    /// By then peers have sent their first packet three times or more (at 0, 2 and 4 s).
    fn ensure_sent_twice(self) -> Result<()> {
        const LONG_ENOUGH: Duration = Duration::from_millis(4500);
        let (_, again) = answer(&self.phone)?;
        ensure!(again == self.first, "another packet: {again:?}");
        let left = LONG_ENOUGH.saturating_sub(self.asked.elapsed());
        let third = self.phone.receive(left)?;
        ensure!(third.is_none(), "{third:?} was sent as well");
        Ok(())
    }
}

pub fn transfers_are_not_disturbed(rig: &mut Rig<'_>) -> Result<()> {
    put_files(rig)?;
    let after_ms = RESEND_AFTER.as_millis();
    rig.edge.configure(&format!(
        "\n[tftp.resend]\nfirst_ms = {after_ms}\nmin_ms = {after_ms}\nmax_ms = {after_ms}\n"
    ))?;
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
        ("ERRORs", errors_after_oack_and_in_mid_transfer),
        ("repeated request", repeated_request),
        ("late copies", late_copies),
        ("another file", another_file_from_the_same_port),
    ] {
        before_anything_is_due(rig, case).context(what)?;
    }
    for one in unanswered {
        one.ensure_sent_twice()?;
    }
    capture.finish().map(drop)
}

/// What is not acknowledged in time is sent again, and then there is no silence. A case is played once
/// more if that was so, because the machine stood still meanwhile.
fn before_anything_is_due(rig: &Rig<'_>, case: fn(&Rig<'_>) -> Result<()>) -> Result<()> {
    const MOST: usize = 3;
    let mut played = Ok(());
    for _ in 0..MOST {
        let began = Instant::now();
        played = case(rig);
        if played.is_ok() || began.elapsed() < RESEND_AFTER {
            break;
        }
    }
    played
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
    let none = Reason::NoTransfer;
    ensure_counted(rig, &before, none, Some(Reason::UnknownTid), 1)?;
    // Never in answer to an ERROR.
    let before = rig.metrics()?;
    intruder.send(tid, b"\0\x05\0\x05x\0")?;
    ensure_silent(&intruder)?;
    ensure_counted(rig, &before, none, Some(none), 1)?;
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

fn errors_after_oack_and_in_mid_transfer(rig: &Rig<'_>) -> Result<()> {
    let begun = rig.metrics()?;
    let phone = rig.exchange(CLIENT_V4)?;
    let request = rrq(LONG, b"tsize\x000\0");
    let (tid, oack) = ask(&phone, OVER_V4, &request)?;
    ensure!(oack == b"\0\x06tsize\x005000\0");
    phone.send(tid, b"\0\x05\0\x08\0")?;
    ensure_silent(&phone)?;
    ensure_counted(rig, &begun, Reason::Probe, Some(Reason::Probe), 1)?;
    // And then it asks for the file.
    let (tid, oack) = ask(&phone, OVER_V4, &request)?;
    ensure!(oack == b"\0\x06tsize\x005000\0");
    let (_, first) = ask(&phone, tid, &ack(0))?;
    go_on(&phone, tid, first[4..].to_vec())?;

    let (phone, tid, _) = begin(rig)?;
    ask(&phone, tid, &ack(1))?;
    phone.send(tid, b"\0\x05\0\x03full\0")?;
    ensure_silent(&phone)?;
    let reason = Reason::ClientError;
    ensure_counted(rig, &begun, reason, Some(reason), 1)?;
    // The second is a failure, and the first is none. What the kernel program saw is told later.
    let aborted = || -> Result<f64> {
        let labels = [("result", "aborted")];
        let metrics = rig.metrics()?;
        Ok(metrics.grown(&begun, "tftp_edge_tftp_responses_total", &labels))
    };
    wait_for("a failure to be counted", || {
        aborted().is_ok_and(|it| it > 0.0)
    })?;
    ensure!(aborted()? == 1.0, "{} failures counted", aborted()?);
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
    ensure_counted(rig, &before, none, Some(none), 1).map(drop)
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
