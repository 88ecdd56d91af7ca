//! Input that is wrong, odd or meant to do harm: each is answered as required, or met with silence,
//! and counted with its reason.

mod requests;
mod senders;
mod transfers;

use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tftp_ebpf::verdict::{Reason, Rung, Verdict};
use tftp_edge_tests::client::Exchange;
use tftp_edge_tests::demo::Metrics;
use tftp_edge_tests::lab::output;
use tftp_edge_tests::rig::{Rig, content};

use requests::requests_are_answered_as_required;
use senders::senders_that_could_do_harm_get_silence;
use transfers::transfers_are_not_disturbed;

on_every_rung!(
    requests_are_answered_as_required,
    transfers_are_not_disturbed,
    senders_that_could_do_harm_get_silence,
);

/// Longer than any answer takes on this wire; well below every resend time.
const SILENCE: Duration = Duration::from_millis(100);
/// As long as an answer may take on a busy machine; nothing waits for it unless something is broken.
const ANSWER: Duration = Duration::from_secs(20);

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
/// that reach it; `None` if the host itself drops them. Returns the scrape that says so.
fn ensure_counted(
    rig: &Rig<'_>,
    before: &Metrics,
    kernel: Reason,
    socket: Option<Reason>,
    times: u64,
) -> Result<Metrics> {
    let mut expected = Vec::new();
    if rig.rung != Rung::Socket {
        expected.push((rig.first_path(), kernel, times));
    }
    if rig.rung == Rung::Xdp && kernel.verdict() == Verdict::Pass {
        expected.push((Rung::Tc.as_str(), kernel, times));
    }
    if let Some(reason) = socket
        && (rig.rung == Rung::Socket || kernel.verdict() == Verdict::Pass)
    {
        expected.push((Rung::Socket.as_str(), reason, times));
    }
    rig.until_counted(before, &expected)
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
