//! The demonstration: a site loses its power, all phones boot at once and register, and one shared
//! setting changes for all of them.

mod agreement;
mod edge;
mod metrics;
mod registration;
mod table;
mod watch;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde::Serialize;

pub use agreement::{Agreement, Count};
pub use edge::{Edge, Mode};
pub use metrics::{Metrics, page};
pub use registration::{OverRow, Registrations, SetbackRow};
pub use table::{Run, StageRow};
pub use watch::{Watched, watch};

use crate::client::{Outcome, get};
use crate::lab::{CLIENT_IF, Lab, LabOptions, LabPrograms, Process, interrupted, is_root};
use crate::phones::{
    Expected, Family, Fleet, FleetOptions, Oracle as _, PhoneSpec, Progress, Registering,
    try_open_files,
};
use crate::server::Place;
use crate::site::{self, Site, SiteOptions, TIME_ZONE};

/// The shared setting after the change.
const NEW_TIME_ZONE: &str = "GMT Standard/Daylight Time";

/// Phones, spread over the site, that are watched for the change.
const WATCHED: usize = 64;

/// How long phones may take to be registered again after the change.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// How fast phones are told to read the change. The daemon's own pace spares phones and what is
/// behind it, and would have a site of thousands restart over many minutes.
const ORDERS: &str = "\n[register.orders]\nper_second = 1000\nsite_per_second = 1000\n";

/// Phones whose configuration is rendered by `tftp-edge render` too, a process each.
const RENDERED: usize = 8;

/// What can be chosen about a demonstration.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    pub daemon: PathBuf,
    pub phones: usize,
    pub mode: Mode,
    /// On the loopback, without root and without the kernel path.
    pub loopback: bool,
    pub ramp: Duration,
    pub firmware_divisor: usize,
}

/// What a demonstration has shown.
#[derive(Clone, Debug, Serialize)]
pub struct Demo {
    /// What was asked for; [`Run::stages`] tell what answered.
    pub mode: Mode,
    pub loopback: bool,
    pub boot: Run,
    pub registrations: Registrations,
    /// What phones and daemon said when all had registered, and when all were back.
    pub agreements: [Agreement; 2],
    /// Seconds from the change of the setting until the watched phones are served the new files.
    pub change_live_s: f64,
    pub refetch: Run,
    /// Phones that restarted by order, and the seconds from the change until all were back.
    pub restarted: u64,
    pub back_s: f64,
}

impl Demo {
    /// Whether every phone got everything, is registered, and the daemon says so of the same
    /// phones.
    pub fn is_complete(&self) -> bool {
        let has_all = [&self.boot, &self.refetch]
            .iter()
            .all(|run| run.failed == 0 && run.booted == run.phones);
        has_all
            && self.registrations.is_complete()
            && self.restarted == self.registrations.phones
            && self.agreements.iter().all(Agreement::holds)
    }
}

/// Runs it. `say` is given a line for each step.
pub fn run(options: &DemoOptions, mut say: impl FnMut(&str)) -> Result<Demo> {
    ensure!(
        options.daemon.exists(),
        "there is no {}: build it with `cargo build -p tftp-edge`, or name it with --daemon",
        options.daemon.display()
    );
    if options.loopback {
        say("on the loopback: sockets alone, no kernel path");
        return Show::new(options, None)?.play(say);
    }
    ensure!(is_root(), "the lab needs root; --loopback does not");
    let lab = Lab::new(LabOptions::default())?;
    say("made two network namespaces with a veth pair");
    let wants_xdp = matches!(options.mode, Mode::Auto | Mode::Xdp);
    let mut options = options.clone();
    // Left to itself the daemon would take TC on veth; with these programs at the other end the
    // pair does what a network card does.
    let _page_sized = match LabPrograms::unavailable() {
        None if wants_xdp => {
            options.mode = Mode::Xdp;
            Some(LabPrograms::page_sized(&lab.client, CLIENT_IF)?)
        }
        Some(missing) if wants_xdp => {
            say(&format!("XDP cannot answer on veth: {missing}"));
            None
        }
        _ => None,
    };
    Show::new(&options, Some(&lab))?.play(say)
}

/// What was seen while the phones were on.
struct Told {
    /// What the daemon said and had used when all had registered.
    after: Metrics,
    cpu: Duration,
    agreements: [Agreement; 2],
    change_live_s: f64,
    refetch: Run,
    restarted: u64,
    back_s: f64,
}

/// Whether every phone is registered or has failed.
fn is_over(progress: &Progress, phones: usize) -> bool {
    progress.all_registered() + Progress::read(&progress.failed) >= phones as u64
}

/// Returns when `holds` does, or `within` has passed.
fn wait_until(within: Option<Duration>, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !interrupted() && !holds() && within.is_none_or(|within| started.elapsed() < within) {
        thread::sleep(Duration::from_millis(10));
    }
}

/// Everything a demonstration plays with.
struct Show<'lab> {
    options: DemoOptions,
    edge: Edge<'lab>,
    server: Place<'lab>,
    client: Place<'lab>,
    site: Site,
    folder: tempfile::TempDir,
}

impl<'lab> Show<'lab> {
    fn new(options: &DemoOptions, lab: Option<&'lab Lab>) -> Result<Self> {
        let folder = tempfile::tempdir().context("making a folder for the site")?;
        let (server, client, first_address) = match lab {
            Some(lab) => (
                Place::Namespace(&lab.server),
                Place::Namespace(&lab.client),
                SiteOptions::default().first_address,
            ),
            None => (
                Place::Loopback,
                Place::Loopback,
                Ipv4Addr::new(127, 1, 0, 1),
            ),
        };
        let site = Site::new(&SiteOptions {
            phones: options.phones,
            firmware_divisor: options.firmware_divisor,
            first_address,
            ..SiteOptions::default()
        });
        // Ended transfers linger; twice the phones is room enough.
        let transfers = (options.phones * 2).max(1000);
        let edge = Edge::new(
            &options.daemon,
            folder.path(),
            server,
            options.mode,
            transfers,
        )?;
        edge.register("")?;
        edge.configure(ORDERS)?;
        // The daemon has a connection with each phone, and takes over how many it may have.
        try_open_files(options.phones as u64 * 2 + 1024)?;
        Ok(Self {
            options: options.clone(),
            edge,
            server,
            client,
            site,
            folder,
        })
    }

    fn play(mut self, mut say: impl FnMut(&str)) -> Result<Demo> {
        let phones = self.site.phones.len();
        let csv = self.folder.path().join("phones.csv");
        self.site.write(&self.edge.root(), &csv)?;
        self.edge.import(&csv)?;
        self.edge
            .set(&site::settings(self.server.address().into()))?;
        say(&format!("imported a site of {phones} phones"));
        self.site.oracle.expect_everywhere(TIME_ZONE);
        self.render_all()?;

        let begun = Instant::now();
        let mut daemon = self.edge.start()?;
        say(&format!(
            "daemon ready after {:.1} s",
            begun.elapsed().as_secs_f64()
        ));

        say("the power is back: all phones boot, and register");
        let all = self.site.phones.clone();
        // What they are given now, whatever is expected of others later.
        let oracle = self.site.oracle.clone();
        let mut options = FleetOptions::new(self.edge.address());
        options.ramp = self.options.ramp;
        options.registration = Some(Registering::default());
        let fleet = Fleet {
            phones: &all,
            oracle: &oracle,
            options,
        };
        let progress = Progress::default();
        let before = self.edge.metrics()?;
        let cpu_before = daemon.cpu_time()?;
        let (report, told) = fleet.stay(self.client, &progress, || {
            self.while_registered(&all, &progress, &mut daemon, &mut say)
        })?;
        daemon.stop()?;
        let cpu = (told.cpu - cpu_before).as_secs_f64();
        Ok(Demo {
            mode: self.options.mode,
            loopback: self.options.loopback,
            boot: Run::new("boot", &report, &before, &told.after, cpu),
            registrations: Registrations::new(report.phones, &report.registration),
            agreements: told.agreements,
            change_live_s: told.change_live_s,
            refetch: told.refetch,
            restarted: told.restarted,
            back_s: told.back_s,
        })
    }

    /// From the power cut to the end: the phones boot, register, and stay registered.
    fn while_registered(
        &mut self,
        all: &[PhoneSpec],
        progress: &Progress,
        daemon: &mut Process,
        say: &mut impl FnMut(&str),
    ) -> Result<Told> {
        self.watch_phones("boot", all, progress, || {
            wait_until(None, || is_over(progress, all.len()));
        });
        // The last acknowledgements are still on their way.
        thread::sleep(Duration::from_millis(200));
        let (cpu, after) = (daemon.cpu_time()?, self.edge.metrics()?);
        ensure!(!interrupted(), "interrupted");
        ensure!(
            daemon.is_running(),
            "the daemon ended:\n{}",
            daemon.log_tail()
        );
        say(&format!(
            "{} of {} phones are registered",
            progress.all_registered(),
            all.len()
        ));
        let registered = self.agreement(all, progress)?;

        say(&format!(
            "time_zone becomes {NEW_TIME_ZONE} for the whole site"
        ));
        let changed = Instant::now();
        self.edge.set(&[format!("time_zone={NEW_TIME_ZONE}")])?;
        self.site.oracle.expect_everywhere(NEW_TIME_ZONE);
        self.wait_for_change()?;
        let change_live_s = changed.elapsed().as_secs_f64();
        self.render_all()?;
        let configurations = self.site.configurations_only();
        let refetch = self.fetch("configurations", &configurations, daemon)?;
        say("phones are told to read it, and restart with it");
        self.watch_phones("restart", all, progress, || {
            wait_until(Some(BACK_WITHIN), || {
                Progress::read(&progress.reboots) >= all.len() as u64
                    && is_over(progress, all.len())
            });
        });
        let back_s = changed.elapsed().as_secs_f64();
        ensure!(!interrupted(), "interrupted");
        Ok(Told {
            after,
            cpu,
            agreements: [registered, self.agreement(all, progress)?],
            change_live_s,
            refetch,
            restarted: Progress::read(&progress.reboots),
            back_s,
        })
    }

    /// Shows phones that register, and what the daemon says of the storm, while `work` runs.
    fn watch_phones(
        &self,
        title: &str,
        phones: &[PhoneSpec],
        progress: &Progress,
        work: impl FnOnce(),
    ) {
        let watched = Watched {
            title,
            phones,
            progress,
            storm: Some(&|| self.edge.storm().ok()),
        };
        watch(&watched, work);
    }

    /// Asks the phones and the daemon who is registered. What either has just done may not have
    /// reached the other: the last word is that of a few moments later.
    fn agreement(&self, all: &[PhoneSpec], progress: &Progress) -> Result<Agreement> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let (listed, metrics) = (self.edge.registrations()?, self.edge.metrics()?);
            let agreement = Agreement::new(all, progress, &listed, &metrics)?;
            if agreement.holds() || Instant::now() > deadline || interrupted() {
                return Ok(agreement);
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Gives the oracle every configuration, byte for byte, and makes sure that the command line
    /// prints the same.
    fn render_all(&mut self) -> Result<()> {
        for (device, content) in self.edge.rendered()? {
            self.site
                .oracle
                .check(&Family::config_file(&device), &content)
                .map_err(|why| anyhow!("the configuration of {device}: {why}"))?;
            self.site.oracle.set_rendered(&device, content);
        }
        for phone in self.site.sample(RENDERED) {
            let name = Family::config_file(&phone.device);
            let printed = self.edge.render(&phone.device)?;
            ensure!(
                matches!(self.site.oracle.expected(&name), Expected::Bytes(bytes) if bytes == printed),
                "tftp-edge render {} does not print what is served",
                phone.device
            );
        }
        Ok(())
    }

    /// Boots `phones` and puts together what they and the daemon saw.
    fn fetch(&self, title: &str, phones: &[PhoneSpec], daemon: &Process) -> Result<Run> {
        let mut options = FleetOptions::new(self.edge.address());
        options.ramp = self.options.ramp;
        let fleet = Fleet {
            phones,
            oracle: &self.site.oracle,
            options,
        };
        let progress = Progress::default();
        let before = self.edge.metrics()?;
        let cpu_before = daemon.cpu_time()?;
        let watched = Watched {
            title,
            phones,
            progress: &progress,
            storm: None,
        };
        let report = watch(&watched, || fleet.boot(self.client, &progress))?;
        // The last acknowledgements are still on their way.
        thread::sleep(Duration::from_millis(200));
        let cpu = daemon.cpu_time()? - cpu_before;
        let after = self.edge.metrics()?;
        Ok(Run::new(title, &report, &before, &after, cpu.as_secs_f64()))
    }

    /// Returns when the phones that are watched are given configurations with the change.
    fn wait_for_change(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        for phone in self.site.sample(WATCHED) {
            let name = Family::config_file(&phone.device);
            loop {
                let fetched = self.client.enter(|| {
                    let request = phone.family.request(name.clone());
                    let retry = FleetOptions::new(self.edge.address()).retry;
                    get(phone.address, self.edge.address(), request, retry)
                })?;
                if fetched.outcome == Outcome::Complete
                    && self.site.oracle.check(&name, &fetched.bytes).is_ok()
                {
                    break;
                }
                ensure!(!interrupted(), "interrupted");
                ensure!(
                    Instant::now() < deadline,
                    "{name} is still the old one after 30 s ({:?})",
                    fetched.outcome
                );
                thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }
}

/// The daemon beside the program that runs.
pub fn daemon_beside_us() -> PathBuf {
    std::env::current_exe()
        .ok()
        .as_deref()
        .and_then(Path::parent)
        .map_or_else(|| "tftp-edge".into(), |folder| folder.join("tftp-edge"))
}
