//! Senders that could do harm: they get silence, and others are served as before.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};

use anyhow::{Context as _, Result, ensure};
use tftp_ebpf::verdict::{Reason, Rung};
use tftp_edge_tests::client::Exchange;
use tftp_edge_tests::demo::Metrics;
use tftp_edge_tests::lab::{CLIENT_IF, CLIENT_V4, CLIENT_V6, SERVER_IF, SERVER_V4};
use tftp_edge_tests::rig::{OVER_V4, OVER_V6, Rig, content};

use super::{
    FILE, LEN, LONG, LONG_LEN, ack, answer, data, ensure_counted, ensure_silent, put_files, rrq,
};
use crate::raw::{Raw, Spoil};

pub fn senders_that_could_do_harm_get_silence(rig: &mut Rig<'_>) -> Result<()> {
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
    let reason = Reason::SourcePort;
    ensure_counted(rig, &before, reason, Some(reason), 1).map(drop)
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
        let after = ensure_counted(rig, &before, Reason::SourceAddress, None, 1)
            .with_context(|| format!("from {from}"))?;
        ensure!(after.grown(&before, "tftp_edge_tftp_requests_total", &[]) == 0.0);
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
    ensure_counted(rig, &before, first, Some(first), 1).map(drop)
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
