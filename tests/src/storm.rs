//! A storm of phones against a registrar that can take only so many a second.
//!
//! What is to be seen: all are registered in the end, the registrar is busy all the time and no
//! more than that, and no phone asks more often than it was told to.
//!
//! The ideal is phones divided by registrations a second. SIP phones come back to the second they
//! were told. SCCP phones at power-on cannot be told a time: RegisterReject carries none, and they
//! come every half a minute by themselves. So the last of them may find its turn half a minute
//! after it was free, and storms that are over within a minute cannot come near the ideal.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::demo::{Edge, Mode, Registrations, Watched, watch};
use crate::lab::{Lab, LabOptions, interrupted, is_root};
use crate::phones::registration::{AFTER_REJECT, Habits};
use crate::phones::{
    Fleet, FleetOptions, Over, PhoneFailure, Progress, Registering, Report, try_open_files,
};
use crate::server::Place;
use crate::site::{self, Site};

/// The registrar is throttled to one in so many of what it can do.
const THROTTLE: u32 = 10;

/// The time of the drain that is still well, as a multiple of the ideal one.
const RATIO_MAX: f64 = 1.3;

/// The longest wait that the daemon tells a phone: who has to wait longer asks on the way.
const LONGEST_WAIT_S: f64 = 120.0;

/// What can be chosen about a storm.
#[derive(Clone, Debug)]
pub struct StormOptions {
    pub daemon: PathBuf,
    pub phones: usize,
    /// Registrations a second; none is a tenth of what is measured first.
    pub per_second: Option<u32>,
}

/// One storm against a fresh daemon.
#[derive(Clone, Copy, Debug)]
pub struct Assault<'a> {
    pub daemon: &'a Path,
    pub site: &'a Site,
    /// 0 is as many as it can.
    pub per_second: u32,
    /// More of `[register.storm]`.
    pub settings: &'a str,
    pub habits: Habits,
    pub limit: Duration,
}

/// How a storm went.
#[derive(Clone, Debug, Serialize)]
pub struct Storm {
    /// Registrations in the busiest second without a throttle; none if it was not measured.
    pub unthrottled_per_second: Option<f64>,
    pub per_second: u32,
    pub registrations: Registrations,
    /// Phones divided by registrations a second.
    pub ideal_s: f64,
    pub failures: Vec<PhoneFailure>,
}

impl Storm {
    /// Time of the drain against the ideal one.
    pub fn ratio(&self) -> f64 {
        self.registrations.drain_s / self.ideal_s
    }

    /// The most asks that a phone needs which is let in last: its first, and one at the end of
    /// each wait. What it waits is what SCCP phones have by themselves, and what SIP phones are told.
    pub fn needed_asks(&self, over: Over) -> u64 {
        let wait_s = match over {
            Over::Sccp => AFTER_REJECT.as_secs_f64(),
            Over::SipTcp | Over::SipUdp => LONGEST_WAIT_S,
        };
        1 + (self.registrations.drain_s / wait_s).ceil() as u64
    }

    /// Whether no phone is lost or asked more than it needed, and the drain was near the ideal.
    pub fn is_orderly(&self) -> bool {
        let asks = &self.registrations.over;
        self.registrations.is_complete()
            && self.ratio() <= RATIO_MAX
            && asks
                .iter()
                .all(|it| it.asks_max <= self.needed_asks(it.over))
    }
}

/// Measures a registrar and storms it. `say` is given a line for each step.
pub fn run(options: &StormOptions, mut say: impl FnMut(&str)) -> Result<Storm> {
    ensure!(is_root(), "the lab needs root: run this with sudo");
    ensure!(
        options.daemon.exists(),
        "there is no {}: build it with `cargo build --release -p tftp-edge`, or name it with --daemon",
        options.daemon.display()
    );
    let mut site = Site::without_upgrades(options.phones);
    // What is stormed is the registrar: the rest of the boot would only spread the phones.
    site.phones = site.configurations_only();
    let assault = |per_second: u32, limit: Duration| Assault {
        daemon: &options.daemon,
        site: &site,
        per_second,
        settings: "",
        habits: Habits::default(),
        limit,
    };
    let mut unthrottled_per_second = None;
    let per_second = match options.per_second {
        Some(per_second) => per_second,
        None => {
            say("measuring the registrar without a throttle");
            let report = assault(0, Duration::from_secs(300)).run()?;
            ensure_all(&report)?;
            // Not the mean: phones that were turned away come when few others do.
            let measured = f64::from(report.registration.taken_per_second());
            say(&format!(
                "{measured:.0} registrations in its busiest second"
            ));
            unthrottled_per_second = Some(measured);
            (measured as u32 / THROTTLE).max(1)
        }
    };
    let ideal_s = options.phones as f64 / f64::from(per_second);
    say(&format!(
        "{} phones against {per_second} registrations a second: {ideal_s:.0} s at best",
        options.phones
    ));
    // What has not registered in four times the ideal and some is lost.
    let limit = Duration::from_secs_f64(ideal_s * 4.0 + 60.0);
    let report = assault(per_second, limit).run()?;
    ensure!(!interrupted(), "interrupted");
    Ok(Storm {
        unthrottled_per_second,
        per_second,
        registrations: Registrations::new(report.phones, &report.registration),
        ideal_s,
        failures: report.failures,
    })
}

impl Assault<'_> {
    /// Starts a daemon of its own, and lets all phones at it at once.
    pub fn run(&self) -> Result<Report> {
        let lab = Lab::new(LabOptions::default())?;
        let folder = tempfile::tempdir().context("making a folder for the site")?;
        let place = Place::Namespace(&lab.server);
        let phones = self.site.phones.len();
        let edge = Edge::new(self.daemon, folder.path(), place, Mode::Off, phones * 2)?;
        edge.register(&format!(
            "max_registrations_per_second = {}\n{}",
            self.per_second, self.settings
        ))?;
        let csv = folder.path().join("phones.csv");
        self.site.write(&edge.root(), &csv)?;
        edge.import(&csv)?;
        edge.set(&site::settings(place.address().into()))?;
        // The daemon has a connection with each phone, and takes over how many it may have.
        try_open_files(phones as u64 * 2 + 1024)?;
        let mut daemon = edge.start()?;
        let mut options = FleetOptions::new(edge.address());
        options.limit = self.limit;
        options.registration = Some(Registering {
            habits: self.habits,
            says_farewell: false,
        });
        let fleet = Fleet {
            phones: &self.site.phones,
            oracle: &self.site.oracle,
            options,
        };
        let progress = Progress::default();
        let watched = Watched {
            title: "boot",
            phones: &self.site.phones,
            progress: &progress,
            storm: Some(&|| edge.storm().ok()),
        };
        let report = watch(&watched, || {
            fleet.boot(Place::Namespace(&lab.client), &progress)
        })?;
        ensure!(
            daemon.is_running(),
            "the daemon ended:\n{}",
            daemon.log_tail()
        );
        daemon.stop()?;
        Ok(report)
    }
}

fn ensure_all(report: &Report) -> Result<()> {
    ensure!(
        report.registration.at_end() == report.phones,
        "{} of {} phones registered: {:#?}",
        report.registration.at_end(),
        report.phones,
        report.failures
    );
    Ok(())
}

impl fmt::Display for Storm {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(measured) = self.unthrottled_per_second {
            writeln!(
                to,
                "without a throttle: {measured:.0} registrations in the busiest second"
            )?;
        }
        write!(to, "{}", self.registrations)?;
        let lost = self.registrations.phones - self.registrations.at_end;
        writeln!(
            to,
            "at {} registrations/s: {:.1} s of drain against {:.1} s at best, {:.2} x; {lost} lost",
            self.per_second,
            self.registrations.drain_s,
            self.ideal_s,
            self.ratio()
        )?;
        for row in &self.registrations.over {
            writeln!(
                to,
                "{}: nobody asked more than {} times; who is let in last needs {}",
                row.over.as_str(),
                row.asks_max,
                self.needed_asks(row.over)
            )?;
        }
        for failure in &self.failures {
            writeln!(to, "FAILED {}: {}", failure.device, failure.reason)?;
        }
        Ok(())
    }
}
