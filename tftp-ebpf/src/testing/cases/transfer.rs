//! ACK and ERROR during a transfer.

use std::net::IpAddr;

use super::request::{over_link_local, over_v6};
use super::{Case, JUST_NOW, LATE};
use crate::testing::datagram::{Checksum, Datagram, Endpoint};
use crate::testing::site::{SERVER_LINK_LOCAL, Site, Standing, Talk};
use crate::verdict::Reason;
use crate::wire::tftp::Granted;

const CONFIG: &str = "sep001122334455.cnf.xml";
const FIRMWARE: &str = "firmware/cp78xx.sbn";

pub(super) fn cases(site: &Site) -> Vec<Case> {
    [
        progress(site),
        wrap(site),
        out_of_turn(site),
        ends(site),
        strangers(site),
    ]
    .concat()
}

fn plain<'site>(site: &'site Site, file: &str) -> Talk<'site> {
    site.talk(&Datagram::default(), file, Granted::default())
}

fn with_blksize<'site>(site: &'site Site, file: &str, blksize: u16) -> Talk<'site> {
    let granted = Granted {
        blksize,
        ..Granted::default()
    };
    site.talk(&Datagram::default(), file, granted)
}

/// The outstanding block acknowledged, and the next one sent.
fn next(name: &'static str, talk: &Talk<'_>, block: u64) -> Case {
    Case::answer(
        name,
        &talk.ack(block as u16),
        Reason::Data,
        talk.data(block + 1),
        Some(block + 1),
    )
    .during(talk.standing(block, JUST_NOW))
}

fn progress(site: &Site) -> Vec<Case> {
    let config = plain(site, CONFIG);
    let in_vlan = site.talk(
        &Datagram {
            tags: vec![(0x88a8, 0x0064), (0x8100, 0xa0c8)],
            ..Datagram::default()
        },
        CONFIG,
        Granted::default(),
    );
    let unpadded = site.talk(
        &Datagram {
            padded_to: 0,
            ..Datagram::default()
        },
        CONFIG,
        Granted::default(),
    );
    let again = config.standing(1, JUST_NOW);
    let sent_again = Standing {
        transfer: crate::abi::Transfer {
            resent: 1,
            resends: 3,
            ..again.transfer
        },
        ..again
    };
    let acked = |ack: Datagram, name| {
        Case::answer(name, &ack, Reason::Data, config.data(2), Some(2))
            .during(config.standing(1, JUST_NOW))
    };
    let mut trailing = config.ack(1);
    trailing.payload.extend_from_slice(b"junk!");
    vec![
        next("an ACK gets the next block", &config, 1),
        next("the last block is not full", &config, 2),
        next(
            "a file that is a multiple ends with an empty block",
            &plain(site, "ringlist.xml"),
            2,
        ),
        next("ACK 0 gets DATA 1", &with_blksize(site, FIRMWARE, 1468), 0),
        next(
            "a block over the edge of a slab",
            &with_blksize(site, FIRMWARE, 1468),
            20,
        ),
        next(
            "an odd block size",
            &with_blksize(site, FIRMWARE, 1427),
            300,
        ),
        next(
            "a block size of which two remain",
            &with_blksize(site, FIRMWARE, 1026),
            7,
        ),
        next(
            "a block size of three more than words",
            &with_blksize(site, FIRMWARE, 1031),
            7,
        ),
        next(
            "the last block of a long file",
            &with_blksize(site, FIRMWARE, 1468),
            408,
        ),
        next(
            "ACK 0 for an empty file",
            &with_blksize(site, "empty.xml", 512),
            0,
        ),
        next("two tags", &in_vlan, 1),
        next("the block after one that was sent again", &config, 1).during(sent_again),
        next(
            "an ACK over IPv6",
            &site.talk(&over_v6(), CONFIG, Granted::default()),
            1,
        ),
        next(
            "from a link-local address, within its interface",
            &site.talk(&over_link_local(), CONFIG, Granted::default()),
            1,
        ),
        next("an ACK that was not padded", &unpadded, 2),
        acked(trailing, "bytes behind an ACK do not matter"),
        acked(
            Datagram {
                checksum: Checksum::Zero,
                ..config.ack(1)
            },
            "an ACK without a checksum",
        ),
        acked(
            Datagram {
                checksum: Checksum::Pending,
                ..config.ack(1)
            },
            "an ACK whose checksum was left to an offload",
        ),
    ]
}

fn wrap(site: &Site) -> Vec<Case> {
    let talk = with_blksize(site, FIRMWARE, 8);
    vec![
        next("block 65535 comes before", &talk, 65_534),
        next("block 65535 is followed by 0", &talk, 65_535),
        next("block 0 is followed by 1", &talk, 65_536),
        Case::silence(
            "a duplicate over the wrap",
            &talk.ack(65_535),
            Reason::DuplicateAck,
        )
        .during(talk.standing(65_536, JUST_NOW)),
    ]
}

fn out_of_turn(site: &Site) -> Vec<Case> {
    let talk = plain(site, CONFIG);
    let optioned = with_blksize(site, CONFIG, 1024);
    let firmware = plain(site, FIRMWARE);
    let slow = Standing {
        transfer: crate::abi::Transfer {
            // Twice that is longer ago than the outstanding block.
            srtt_us: 900_000,
            ..firmware.standing(9, JUST_NOW).transfer
        },
        ..firmware.standing(9, std::time::Duration::from_millis(1_200))
    };
    let stray = |name, number, block| {
        Case::silence(name, &firmware.ack(number), Reason::StrayAck)
            .during(firmware.standing(block, LATE))
    };
    vec![
        Case::silence(
            "a duplicate ACK is not answered",
            &talk.ack(1),
            Reason::DuplicateAck,
        )
        .during(talk.standing(2, JUST_NOW)),
        Case::silence(
            "nor a duplicate ACK 0",
            &optioned.ack(0),
            Reason::DuplicateAck,
        )
        .during(optioned.standing(1, JUST_NOW)),
        Case::answer(
            "a duplicate ACK after the resend time gets the block again",
            &talk.ack(1),
            Reason::Repeat,
            talk.data(2),
            Some(2),
        )
        .during(talk.standing(2, LATE)),
        Case::silence(
            "on a slow line the resend time is longer",
            &firmware.ack(8),
            Reason::DuplicateAck,
        )
        .during(slow),
        stray("an ACK of a future block", 11, 10),
        stray("an ACK of an old block", 3, 10),
        stray("ACK 0 for DATA 1 without an OACK", 0, 1),
        Case::silence(
            "a wrapped ACK before the first",
            &optioned.ack(65_535),
            Reason::StrayAck,
        )
        .during(optioned.standing(0, LATE)),
    ]
}

fn ends(site: &Site) -> Vec<Case> {
    let talk = plain(site, CONFIG);
    let exact = plain(site, "ringlist.xml");
    let empty = plain(site, "empty.xml");
    let optioned = with_blksize(site, CONFIG, 1024);
    vec![
        Case::silence(
            "the last ACK ends a transfer",
            &talk.ack(3),
            Reason::Complete,
        )
        .during(talk.standing(3, JUST_NOW)),
        Case::silence(
            "the ACK of an empty last block",
            &exact.ack(3),
            Reason::Complete,
        )
        .during(exact.standing(3, JUST_NOW)),
        Case::silence("the ACK of an empty file", &empty.ack(1), Reason::Complete)
            .during(empty.standing(1, JUST_NOW)),
        Case::silence(
            "an ERROR for an OACK was a probe",
            &optioned.error(8),
            Reason::Probe,
        )
        .during(optioned.standing(0, JUST_NOW)),
        Case::silence(
            "an ERROR in mid-transfer",
            &optioned.error(3),
            Reason::ClientError,
        )
        .during(optioned.standing(1, JUST_NOW)),
        Case::silence(
            "an ERROR without text",
            &talk.client(&[0, 5, 0, 0]),
            Reason::ClientError,
        )
        .during(talk.standing(1, JUST_NOW)),
    ]
}

/// Packets that are close to a transfer, but not of it.
fn strangers(site: &Site) -> Vec<Case> {
    let talk = plain(site, CONFIG);
    let standing = talk.standing(1, JUST_NOW);
    let ack = talk.ack(1);
    let from = |port: u16, address: [u8; 4]| Datagram {
        from: Endpoint {
            port,
            address: IpAddr::from(address),
            ..ack.from
        },
        ..ack.clone()
    };
    let to = |address: [u8; 4], port: u16| Datagram {
        to: Endpoint {
            port,
            address: IpAddr::from(address),
            ..ack.to
        },
        ..ack.clone()
    };
    let link_local = site.talk(&over_link_local(), CONFIG, Granted::default());
    let mut elsewhere = link_local.standing(1, JUST_NOW);
    elsewhere.key.scope += 1;
    let server = [10, 20, 0, 1];
    let client = [10, 20, 30, 40];
    let other_port = if talk.port == 60_000 { 60_001 } else { 60_000 };
    let mut to_link_local = link_local.ack(1);
    to_link_local.to.address = SERVER_LINK_LOCAL.parse().expect("an address of the site");
    [
        (
            "an ACK from another port",
            from(49_153, client),
            Reason::NoTransfer,
        ),
        (
            "an ACK from another address",
            from(49_152, [10, 20, 30, 41]),
            Reason::NoTransfer,
        ),
        (
            "an ACK to another port of ours",
            to(server, other_port),
            Reason::NoTransfer,
        ),
        (
            "an ACK to another address of ours",
            to([10, 20, 255, 255], talk.port),
            Reason::NotOurs,
        ),
        (
            "an ACK to an address that is not ours",
            to([10, 20, 0, 2], talk.port),
            Reason::NotOurs,
        ),
        (
            "an ACK above the range of ports",
            to(server, 61_440),
            Reason::NotOurs,
        ),
        (
            "an ACK below the range of ports",
            to(server, 57_343),
            Reason::NotOurs,
        ),
        (
            "DATA to a transfer of ours",
            talk.client(&[0, 3, 0, 1, 9]),
            Reason::Junk,
        ),
        (
            "a request to a transfer of ours",
            talk.client(b"\0\x01x\0octet\0"),
            Reason::Junk,
        ),
        ("four bytes of nothing", talk.client(&[0; 4]), Reason::Junk),
        ("less than an ACK", talk.client(&[0, 4, 0]), Reason::NotOurs),
        (
            "an ACK with a wrong checksum",
            Datagram {
                checksum: Checksum::Wrong,
                ..ack.clone()
            },
            Reason::Checksum,
        ),
        (
            "an ERROR with a wrong checksum",
            Datagram {
                checksum: Checksum::Wrong,
                ..talk.error(0)
            },
            Reason::Checksum,
        ),
        (
            "an ACK as long as a block",
            talk.client(&[&[0, 4, 0, 1][..], &[7; 300]].concat()),
            Reason::LongRequest,
        ),
    ]
    .into_iter()
    .map(|(name, request, reason)| Case::silence(name, &request, reason).during(standing.clone()))
    .chain([
        Case::silence(
            "the same link-local address on another interface",
            &to_link_local,
            Reason::NoTransfer,
        )
        .during(elsewhere),
        Case::silence("a late ACK after the end", &ack, Reason::NoTransfer),
        Case::silence(
            "a late ERROR after the end",
            &talk.error(0),
            Reason::NoTransfer,
        ),
        Case::silence(
            "what is not TFTP may be somebody else's",
            &talk.client(b"hello"),
            Reason::NotOurs,
        ),
        Case::silence(
            "an ACK without a transfer that is not for this host",
            &to([10, 20, 0, 2], talk.port),
            Reason::NotOurs,
        ),
    ])
    .collect()
}
