//! What status tells of registrations.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::classified::Classified;
use super::duration;
use crate::inventory::Protocol;
use crate::ops::sources::Reading;
use crate::register::Mode;
use crate::register::bans::Banned;
use crate::register::front::{Seen, Stage};
use crate::register::newcomers::Counts;
use crate::register::storm::{State, Told};

/// Sources that are told one by one; the others are counted.
const MAX_BANNED: usize = 100;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Register {
    pub mode: Mode,
    /// None where phones register at servers behind this host.
    pub table: Option<Table>,
    /// What the kernel program has seen; none before the first packet.
    pub packets: Option<Classified>,
    pub storm: Storm,
    /// The first to be let in again first; of many, the first hundred.
    pub banned: Vec<Banned>,
    pub banned_count: u64,
    pub newcomers: Counts,
    /// Phones of servers behind this host.
    pub front: Option<Front>,
}

/// Phones that are registered here.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Table {
    pub sip: u64,
    pub sccp: u64,
    /// The most there may be.
    pub limit: u64,
    /// Of them, restored after a restart and not back over their connection yet.
    pub restored: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Front {
    /// By what they were last seen doing.
    pub phones: Vec<Seeing>,
    /// Some of those that are not registered, the last seen first.
    pub missing: Vec<Seen>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Seeing {
    pub stage: Stage,
    pub phones: u64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Storm {
    pub state: State,
    pub for_s: u64,
    /// Since the start.
    pub storms: u64,
    pub arrivals_per_second: f64,
    pub served_per_second: f64,
    /// None while no limit is known.
    pub capacity_per_second: Option<f64>,
    pub waiting: u64,
    pub waiting_limit: u64,
    /// Until the last one has its turn.
    pub longest_wait_s: u64,
    pub in_progress: u64,
    /// Phones that were told to come again, or to ask again on the way, since the start.
    pub told_to_wait: u64,
    pub missed: u64,
    pub abandoned: u64,
    /// Messages that were too old when they were looked at.
    pub stale: u64,
    /// Packets a second that the kernel program is to let in of newcomers; none for all. What it
    /// does is among the packets.
    pub kernel_budget: Option<u32>,
}

impl Register {
    /// None where phones do not register.
    pub fn new(reading: &Reading) -> Option<Self> {
        let register = &reading.register;
        if register.mode == Mode::Off {
            return None;
        }
        let mut banned = register.bans.banned.clone();
        let banned_count = banned.len() as u64;
        banned.truncate(MAX_BANNED);
        Some(Self {
            mode: register.mode,
            table: (register.mode == Mode::Registrar).then(|| Table {
                sip: register.table.registered(Protocol::Sip),
                sccp: register.table.registered(Protocol::Sccp),
                limit: register.table.limit,
                restored: register.table.expected,
            }),
            packets: Classified::new(&reading.kernel),
            storm: Storm::new(reading),
            banned,
            banned_count,
            newcomers: register.newcomers,
            front: register.front.as_ref().map(|it| Front {
                phones: Stage::ALL
                    .map(|stage| Seeing {
                        stage,
                        phones: it.stages[stage as usize],
                    })
                    .to_vec(),
                missing: it.missing.clone(),
            }),
        })
    }

    /// One line for `/readyz`, while there is something to know.
    pub fn notice(&self) -> Option<String> {
        let storm = &self.storm;
        storm.state.is_storm().then(|| {
            format!(
                "registrations: {}, {} phones wait, the last of them {}",
                storm.state,
                storm.waiting,
                seconds(storm.longest_wait_s)
            )
        })
    }
}

impl Storm {
    fn new(reading: &Reading) -> Self {
        let storm = &reading.register.storm;
        let told = |which: &[Told]| {
            let tallies = Protocol::ALL.map(|protocol| storm.tally(protocol));
            let counts = tallies
                .iter()
                .flat_map(|tally| which.iter().map(|it| tally.told(*it)));
            counts.sum()
        };
        let tenths = |rate: f64| (rate * 10.0).round() / 10.0;
        Self {
            state: storm.state,
            for_s: storm.lasted.as_secs(),
            storms: storm.storms,
            arrivals_per_second: tenths(storm.arrivals_per_second),
            served_per_second: tenths(storm.served_per_second),
            capacity_per_second: storm.capacity_per_second.map(tenths),
            waiting: storm.waiting,
            waiting_limit: storm.waiting_limit,
            longest_wait_s: storm.longest_wait.as_secs(),
            in_progress: storm.in_progress,
            told_to_wait: told(&[Told::Wait, Told::Rest, Told::NoPlace]),
            missed: storm.missed,
            abandoned: storm.abandoned,
            stale: told(&[Told::Stale]),
            kernel_budget: storm.kernel_budget,
        }
    }
}

fn seconds(seconds: u64) -> String {
    duration(std::time::Duration::from_secs(seconds))
}

/// The section for people.
impl fmt::Display for Register {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let storm = &self.storm;
        let state = storm.state;
        writeln!(
            out,
            "\nregister: {}, {state} for {}",
            self.mode.as_str(),
            seconds(storm.for_s)
        )?;
        if let Some(table) = self.table {
            write!(
                out,
                "  registered: {} SIP, {} SCCP; at most {}",
                table.sip, table.sccp, table.limit
            )?;
            match table.restored {
                0 => writeln!(out)?,
                restored => writeln!(out, "; {restored} of them have yet to come back")?,
            }
        }
        write!(
            out,
            "  new a second: {} come, {} served",
            storm.arrivals_per_second, storm.served_per_second
        )?;
        match storm.capacity_per_second {
            Some(capacity) => writeln!(out, ", {capacity} can be")?,
            None => writeln!(out)?,
        }
        if storm.waiting > 0 {
            writeln!(
                out,
                "  {} of {} places in the queue are taken, the last for {}",
                storm.waiting,
                storm.waiting_limit,
                seconds(storm.longest_wait_s)
            )?;
        }
        if storm.told_to_wait > 0 {
            writeln!(
                out,
                "  told to come again: {} times; {} phones did not come, {} came and did not \
                 register",
                storm.told_to_wait, storm.missed, storm.abandoned
            )?;
        }
        if let Some(packets) = &self.packets {
            writeln!(out, "  {packets}")?;
        }
        let newcomers = self.newcomers;
        if newcomers != Counts::default() {
            writeln!(
                out,
                "  unknown phones: {} taken in, {} not",
                newcomers.taken_in,
                newcomers.unfit + newcomers.no_number + newcomers.failed
            )?;
        }
        if let Some(front) = &self.front {
            let phones = front.phones.iter();
            let told = phones.map(|it| format!("{} {}", it.phones, it.stage.as_str()));
            let told: Vec<_> = told.collect();
            writeln!(out, "  phones last seen: {}", told.join(", "))?;
        }
        for banned in &self.banned {
            let Banned {
                source, offence, ..
            } = banned;
            let what = match banned.is_spared {
                true => "would be shut out",
                false => "shut out",
            };
            let left = seconds(banned.seconds_left);
            writeln!(
                out,
                "  {source}: {what} for {} ({left} left)",
                offence.as_str()
            )?;
        }
        let more = self.banned_count - self.banned.len() as u64;
        if more > 0 {
            writeln!(out, "  and {more} more")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tftp_ebpf::classify::{Class, Decision};

    use super::*;
    use crate::misses::Rate;
    use crate::ops::sources::Sources;
    use crate::ops::status::Status;
    use crate::register::bans::Offence;
    use crate::register::{self, storm};

    #[test]
    fn a_storm_stands_there_with_who_waits_and_who_is_shut_out() {
        let silent = Status::new(&Sources::default().read());
        assert!(silent.register.is_none());
        assert!(!silent.to_string().contains("register"));
        let mut reading = Sources::default().read();
        reading.register = register::Snapshot {
            mode: register::Mode::Registrar,
            storm: storm::Snapshot {
                state: storm::State::Storm,
                lasted: Duration::from_secs(12),
                arrivals_per_second: 612.34,
                served_per_second: 199.6,
                capacity_per_second: Some(200.0),
                waiting: 5_000,
                waiting_limit: 100_000,
                longest_wait: Duration::from_secs(25),
                kernel_budget: Some(50),
                missed: 3,
                ..storm::Snapshot::default()
            },
            ..register::Snapshot::default()
        };
        reading.register.storm.tallies[0].told[storm::Told::Wait as usize] = 7_000;
        reading.register.newcomers.taken_in = 4;
        reading.register.bans.banned = vec![Banned {
            source: "10.66.6.6".to_owned(),
            offence: Offence::Guess,
            is_spared: false,
            for_s: 60,
            seconds_left: 840,
            refused: 12,
        }];
        let seen = &mut reading.kernel.registrations;
        seen.packets[1].packets[Class::Syn as usize][Decision::Pass as usize] = 940;
        seen.packets[1].packets[Class::Syn as usize][Decision::Drop as usize] = 60;
        seen.gate.budget = Some(Rate::new(200, 50));
        let status = Status::new(&reading);
        insta::assert_snapshot!(status.register.as_ref().unwrap());
        let json = serde_json::to_string(&status).unwrap();
        let back: Status = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), json);
    }
}
