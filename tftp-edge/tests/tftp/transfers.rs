//! Transfers under way: TIDs, lost packets, and how they end.

use tftp_ebpf::stage::Stage;
use tftp_ebpf::verdict::Reason;
use tftp_edge::stats::StageCounter;

use crate::site::{Phone, Site, content, rrq};
use crate::wire::{UNKNOWN_TID, ack, site_with};

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
