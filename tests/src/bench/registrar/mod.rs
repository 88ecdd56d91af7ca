//! Registrations per CPU second and memory of each: SIP over UDP and TCP, with digest and without,
//! beside Kamailio; and SCCP.

mod arm;
mod edge;
mod kamailio;
mod play;
pub(super) mod population;
mod report;
mod sccp;
mod sip;
mod streams;
mod talk;
mod udp;

use anyhow::{Context as _, Result, ensure};
use tftp_edge::inventory::Protocol;

use self::arm::{Arm, loopback};
use self::edge::Registers;
use self::play::Played;
use super::{BenchOptions, Table, order};
use crate::lab::interrupted;

/// Phones that are at it at a time: enough to keep a registrar busy, and fewer than overflow the
/// buffer of its socket.
const WINDOW: usize = 256;

/// How the phones of a case reach the registrar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    SipUdp,
    SipTcp,
    Sccp,
}

impl Transport {
    const fn as_str(self) -> &'static str {
        match self {
            Self::SipUdp => "SIP UDP",
            Self::SipTcp => "SIP TCP",
            Self::Sccp => "SCCP",
        }
    }
}

/// What the phones of a case do, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// All register for the first time: the population is inserted.
    First,
    /// All refresh, with the nonce they have; over SCCP, a keepalive.
    Refresh,
    /// All refresh, and each is challenged anew.
    Challenged,
}

impl Phase {
    const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Refresh => "refresh",
            Self::Challenged => "challenged",
        }
    }
}

/// Phones of one kind against one registrar after the other.
struct Case<'a> {
    transport: Transport,
    digest: bool,
    phones: u32,
    /// Ours first, then who it is compared with.
    arms: Vec<&'a Arm<'a>>,
    /// For each of the arms, its rounds.
    played: Vec<Vec<Played>>,
}

impl<'a> Case<'a> {
    fn new(transport: Transport, digest: bool, phones: u32, arms: Vec<&'a Arm<'a>>) -> Self {
        let played = arms.iter().map(|_| Vec::new()).collect();
        Self {
            transport,
            digest,
            phones,
            arms,
            played,
        }
    }

    fn phases(&self) -> &'static [Phase] {
        match self.digest {
            true => &[Phase::First, Phase::Refresh, Phase::Challenged],
            false => &[Phase::First, Phase::Refresh],
        }
    }

    fn title(&self) -> String {
        let digest = if self.digest { ", digest" } else { "" };
        format!("{}{digest}", self.transport.as_str())
    }

    fn play(&mut self, round: usize) -> Result<()> {
        for at in order(self.arms.len(), round) {
            let arm = self.arms[at];
            let mut running = arm.start()?;
            let played = play::play(&mut running, self).with_context(|| {
                let log = running.log_tail();
                format!("{}: {}\n{log}", arm.name(), self.title())
            })?;
            running.stop()?;
            self.played[at].push(played);
        }
        Ok(())
    }
}

pub fn measure(options: &BenchOptions, say: &mut impl FnMut(&str)) -> Result<Vec<Table>> {
    // Over TCP each phone has a connection, and both ends of it count against the limit of files.
    let (over_udp, over_tcp) = match options.quick {
        true => (5_000, 500),
        false => (100_000, 10_000),
    };
    let namespaces = [(); 5]
        .iter()
        .map(|()| loopback())
        .collect::<Result<Vec<_>>>()?;
    say(&format!("g: {over_udp} phones are imported"));
    let edge = |at: usize, protocol, digest, phones| {
        let registers = Registers {
            protocol,
            digest,
            phones,
        };
        Arm::edge(&options.daemon, &namespaces[at], &registers)
    };
    let plain = edge(0, Protocol::Sip, false, over_udp)?;
    let digest = edge(1, Protocol::Sip, true, over_udp)?;
    let sccp = edge(2, Protocol::Sccp, false, over_tcp)?;
    let kamailio_plain = Arm::kamailio(&namespaces[3], false)?;
    let kamailio_digest = Arm::kamailio(&namespaces[4], true)?;

    let (plain, digest) = ([&plain, &kamailio_plain], [&digest, &kamailio_digest]);
    let mut cases = [
        Case::new(Transport::SipUdp, false, over_udp, plain.to_vec()),
        Case::new(Transport::SipUdp, true, over_udp, digest.to_vec()),
        Case::new(Transport::SipTcp, false, over_tcp, plain.to_vec()),
        Case::new(Transport::SipTcp, true, over_tcp, digest.to_vec()),
        Case::new(Transport::Sccp, false, over_tcp, vec![&sccp]),
    ];
    for round in 0..options.rounds {
        for at in order(cases.len(), round) {
            ensure!(!interrupted(), "interrupted");
            let case = &mut cases[at];
            say(&format!(
                "g: {}, round {} of {}",
                case.title(),
                round + 1,
                options.rounds
            ));
            case.play(round)?;
        }
    }
    Ok(report::tables(&cases))
}
