//! One round of a case against one registrar: what each phase took, and what was stored after it.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::arm::Running;
use super::sccp::SccpPhone;
use super::sip::SipStream;
use super::streams::Streams;
use super::talk::{Talk, Tally};
use super::udp::{self, UdpPhones};
use super::{Case, Phase, Transport, WINDOW};

/// The share of the phones that is looked at by itself at either end of the first registrations. Of
/// 100,000 these are 2,000, whose table has a thousand others on average, and then nearly all.
const END: u32 = 50;

/// One phase.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    pub registrations: u64,
    pub took: Duration,
    /// CPU time of the registrar, and of the phones.
    pub used: Duration,
    pub own: Duration,
    pub resent: u64,
}

/// A round.
#[derive(Clone, Debug, Default)]
pub struct Played {
    pub samples: Vec<(Phase, Sample)>,
    /// The first and the last phones of the population to register.
    pub ends: Option<[Sample; 2]>,
    /// CPU time for writing them behind, which is in that of the first registrations.
    pub behind: Duration,
    /// What the registrar's memory has grown by in the first registrations, for each, in bytes.
    pub memory: f64,
}

impl Sample {
    /// Registrations for each second of the registrar's CPU time.
    pub fn per_cpu_second(&self) -> f64 {
        self.registrations as f64 / self.used.as_secs_f64()
    }

    pub fn per_second(&self) -> f64 {
        self.registrations as f64 / self.took.as_secs_f64()
    }

    fn add(&mut self, other: Self) {
        self.registrations += other.registrations;
        self.took += other.took;
        self.used += other.used;
        self.own += other.own;
        self.resent += other.resent;
    }
}

/// What plays the phases of a case, inside the registrar's namespace.
trait Crowd: Send {
    fn first(&mut self, numbers: Range<u32>) -> Result<Tally>;
    fn refresh(&mut self, phase: Phase) -> Result<Tally>;
}

/// Plays all phases against a registrar that has just been started.
pub fn play(running: &mut Running<'_>, case: &Case<'_>) -> Result<Played> {
    let namespace = running.arm.namespace;
    let (listen, phones) = (running.arm.listen, case.phones);
    let mut crowd = namespace.enter(|| crowd(listen, case))?;
    let mut played = Played::default();
    let before = running.memory()?;
    for &phase in case.phases() {
        let sample = match phase {
            Phase::First => {
                let store_before = running.store_time()?;
                let (mut sample, ends) = first(running, &mut *crowd, case)?;
                let so_far = running.cpu_time()?;
                running.settle()?;
                sample.used += running.cpu_time()?.saturating_sub(so_far);
                played.behind = running.store_time()?.saturating_sub(store_before);
                played.ends = ends;
                let grown = running.memory()?.saturating_sub(before);
                played.memory = grown as f64 / f64::from(phones);
                sample
            }
            Phase::Refresh | Phase::Challenged => {
                let tally = || namespace.enter(|| crowd.refresh(phase));
                measured(running, phones, tally)?
            }
        };
        played.samples.push((phase, sample));
        // An answer is no proof that it was kept.
        let registered = running.registered()?;
        ensure!(
            registered == u64::from(phones),
            "{registered} of {phones} phones are registered after `{}`",
            phase.as_str()
        );
    }
    Ok(played)
}

/// Registers all; over UDP also tells what the first and the last of them took.
fn first(
    running: &Running<'_>,
    crowd: &mut dyn Crowd,
    case: &Case<'_>,
) -> Result<(Sample, Option<[Sample; 2]>)> {
    let namespace = running.arm.namespace;
    let phones = case.phones;
    let mut register = |numbers: Range<u32>| {
        let count = numbers.len() as u32;
        let tally = || namespace.enter(|| crowd.first(numbers));
        measured(running, count, tally)
    };
    if case.transport != Transport::SipUdp {
        return Ok((register(0..phones)?, None));
    }
    let end = phones / END;
    let begin = register(0..end)?;
    let mut all = begin;
    all.add(register(end..phones - end)?);
    let last = register(phones - end..phones)?;
    all.add(last);
    Ok((all, Some([begin, last])))
}

fn measured(
    running: &Running<'_>,
    phones: u32,
    play: impl FnOnce() -> Result<Tally>,
) -> Result<Sample> {
    let before = running.cpu_time()?;
    let tally = play()?;
    let used = running.cpu_time()?.saturating_sub(before);
    ensure!(
        tally.done == u64::from(phones) && tally.refused.is_empty() && tally.lost == 0,
        "{} of {phones} phones are registered, {} gave up, refused: {:?}",
        tally.done,
        tally.lost,
        tally.refused
    );
    Ok(Sample {
        registrations: tally.done,
        took: tally.took,
        used,
        own: tally.own,
        resent: tally.resent,
    })
}

fn crowd(listen: SocketAddr, case: &Case<'_>) -> Result<Box<dyn Crowd>> {
    let numbers = 0..case.phones;
    Ok(match case.transport {
        Transport::SipUdp => Box::new(UdpPhones::new(listen, case.phones, WINDOW)?),
        Transport::SipTcp => {
            let phones = numbers.map(|number| SipStream::new(number, listen));
            Box::new(Streams::new(listen, phones, WINDOW)?)
        }
        Transport::Sccp => Box::new(Streams::new(listen, numbers.map(SccpPhone::new), WINDOW)?),
    })
}

impl Crowd for UdpPhones {
    fn first(&mut self, numbers: Range<u32>) -> Result<Tally> {
        self.play(numbers, udp::Round::Register)
    }

    fn refresh(&mut self, phase: Phase) -> Result<Tally> {
        let round = match phase {
            Phase::Challenged => udp::Round::Challenged,
            Phase::First | Phase::Refresh => udp::Round::Register,
        };
        self.play(self.all(), round)
    }
}

impl<T: Talk> Crowd for Streams<T> {
    fn first(&mut self, _all: Range<u32>) -> Result<Tally> {
        self.register()
    }

    fn refresh(&mut self, phase: Phase) -> Result<Tally> {
        if phase == Phase::Challenged {
            self.talks().for_each(Talk::forget_nonce);
        }
        Streams::refresh(self)
    }
}
