//! An hour's load in a short time: phones come, fetch by all ways there are, register, refresh and
//! go, over a wire that loses and repeats, again and again. What the daemon holds meanwhile must not
//! grow.

mod held;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use tftp_ebpf::wire::tftp::Options;

pub use held::{Course, HEAD, Sample, What};

use crate::client::{Outcome, Request, Retry, get};
use crate::demo::{Edge, Mode};
use crate::lab::{
    Attached, CLIENT_IF, CLIENT_V4, Impairment, Lab, LabOptions, LabPrograms, Process, SERVER_V4,
    Side, interrupted, is_root,
};
use crate::phones::registration::Habits;
use crate::phones::{
    Family, Fleet, FleetOptions, PhoneSpec, Progress, Registering, try_open_files,
};
use crate::server::Place;
use crate::site::Site;

/// In a hundred transfers, over HTTP, and by the daemon's own TFTP sockets; the kernel program has the
/// others.
const OVER_HTTP: u64 = 25;
const BY_SOCKETS: u64 = 15;

/// Threads that fetch by sockets.
const FETCHERS: u64 = 2;

/// Fewer rounds have no thirds worth comparing.
const ROUNDS_MIN: u64 = 9;

/// Packets in a hundred that the wire loses, and repeats.
const LOST_PERCENT: f64 = 0.2;

/// How often phones refresh: real ones do twice a minute and less often.
const REFRESH: Duration = Duration::from_secs(1);

/// How long phones of a round may take to be registered.
const PATIENCE: Duration = Duration::from_secs(120);

/// What can be chosen about a soak.
#[derive(Clone, Debug)]
pub struct SoakOptions {
    pub daemon: PathBuf,
    pub transfers: u64,
    pub registrations: u64,
    /// Phones that are on at one time.
    pub phones: usize,
    /// After so long no further round begins, whatever is left to do.
    pub limit: Option<Duration>,
}

/// How a soak went.
#[derive(Clone, Debug, Serialize)]
pub struct Soak {
    pub rounds: u64,
    pub took_s: f64,
    /// By the kernel program or, where it passes on, by sockets.
    pub over_tftp: u64,
    pub over_http: u64,
    /// With a window, which the kernel program leaves to the daemon.
    pub by_sockets: u64,
    pub registrations: u64,
    pub refreshes: u64,
    /// Files that did not come, and phones that did not register.
    pub failures: Vec<String>,
    pub courses: Vec<Course>,
}

impl Soak {
    pub fn is_flat(&self) -> bool {
        self.courses.iter().all(Course::is_flat)
    }

    pub fn transfers(&self) -> u64 {
        self.over_tftp + self.over_http + self.by_sockets
    }
}

/// Runs a daemon of its own. `say` is given a line for each round.
pub fn run(options: &SoakOptions, mut say: impl FnMut(&str)) -> Result<Soak> {
    ensure!(is_root(), "the lab needs root: run this with sudo");
    ensure!(
        options.daemon.exists(),
        "there is no {}: build it with `cargo build --release -p tftp-edge`, or name it with --daemon",
        options.daemon.display()
    );
    if let Some(why) = LabPrograms::unavailable() {
        anyhow::bail!("{why}");
    }
    let began = Instant::now();
    let lab = Lab::new(LabOptions::default())?;
    let folder = tempfile::tempdir().context("making a folder for the site")?;
    try_open_files(options.phones as u64 * 4 + 1024)?;
    let mut bath = Bath::new(&lab, folder.path(), options)?;
    let _wire = bath.impair()?;
    let rounds = options
        .registrations
        .div_ceil(options.phones as u64)
        .max(ROUNDS_MIN);
    let mut soak = Soak {
        rounds: 0,
        took_s: 0.0,
        over_tftp: 0,
        over_http: 0,
        by_sockets: 0,
        registrations: 0,
        refreshes: 0,
        failures: Vec::new(),
        courses: Vec::new(),
    };
    let mut samples = Vec::new();
    let is_over = |soak: &Soak| {
        let is_late = options.limit.is_some_and(|limit| began.elapsed() >= limit);
        soak.rounds >= rounds || is_late && soak.rounds >= ROUNDS_MIN
    };
    while !is_over(&soak) {
        ensure!(!interrupted(), "interrupted");
        bath.round(options.transfers.div_ceil(rounds), &mut soak)?;
        soak.rounds += 1;
        let sample = bath.sample()?;
        say(&format!(
            "round {} of {rounds}: {} transfers, {} registrations, {:.1} MB, {} descriptors",
            soak.rounds,
            soak.transfers(),
            soak.registrations,
            sample.of(What::MemoryBytes) / 1e6,
            sample.of(What::Descriptors),
        ));
        samples.push(sample);
    }
    bath.stop()?;
    soak.took_s = began.elapsed().as_secs_f64();
    let of = |what| Course::of(what, &samples);
    soak.courses = What::ALL.into_iter().map(of).collect();
    Ok(soak)
}

/// A daemon and its phones.
struct Bath<'lab> {
    lab: &'lab Lab,
    folder: PathBuf,
    edge: Edge<'lab>,
    site: Site,
    daemon: Process,
    round: u64,
}

impl<'lab> Bath<'lab> {
    fn new(lab: &'lab Lab, folder: &Path, options: &SoakOptions) -> Result<Self> {
        let place = Place::Namespace(&lab.server);
        let edge = Edge::new(&options.daemon, folder, place, Mode::Tc, 20_000)?;
        edge.register("")?;
        let mut site = Site::without_upgrades(options.phones);
        edge.host(&mut site, &folder.join("phones.csv"))?;
        let daemon = edge.start()?;
        Ok(Self {
            lab,
            folder: folder.to_owned(),
            edge,
            site,
            daemon,
            round: 0,
        })
    }

    /// Losses in both directions, while the guards live.
    fn impair(&self) -> Result<[Attached; 2]> {
        let client = &self.lab.client;
        let impairment = Impairment::percent(LOST_PERCENT, LOST_PERCENT);
        Ok([
            LabPrograms::impair(client, CLIENT_IF, Side::Egress, impairment)?,
            LabPrograms::impair(client, CLIENT_IF, Side::Ingress, impairment)?,
        ])
    }

    /// All phones come, fetch and register; while they are there, others fetch over HTTP and by
    /// sockets; then they go, in order or because their power is cut.
    fn round(&mut self, transfers: u64, soak: &mut Soak) -> Result<()> {
        self.round += 1;
        let over_http = transfers * OVER_HTTP / 100;
        let by_sockets = transfers * BY_SOCKETS / 100;
        let phones = asking(&self.site.phones, transfers - over_http - by_sockets);
        let newer = self
            .site
            .phones
            .iter()
            .filter(|it| it.family == Family::Sip8851);
        let newer: Vec<_> = newer.cloned().collect();
        let newer = asking(&newer, over_http);
        let mut options = FleetOptions::new((SERVER_V4, 69).into());
        options.registration = Some(Registering {
            habits: Habits {
                hurry: Some(REFRESH),
                ..Habits::default()
            },
            says_farewell: self.round.is_multiple_of(2),
        });
        let fleet = self.fleet(&phones, options);
        let place = Place::Namespace(&self.lab.client);
        let progress = Progress::default();
        let (report, meanwhile) = fleet.stay(place, &progress, || {
            let mut options = FleetOptions::new((SERVER_V4, 69).into());
            options.http = Some((SERVER_V4, 6970).into());
            let report = self
                .fleet(&newer, options)
                .boot(place, &Progress::default())?;
            let by_sockets = self.fetch_by_sockets(by_sockets)?;
            // Whoever is not registered when this ends is told among the failures.
            let deadline = Instant::now() + PATIENCE;
            while progress.all_registered() < phones.len() as u64 && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(20));
            }
            // All refresh once at least.
            thread::sleep(REFRESH);
            Ok((report, by_sockets))
        })?;
        let (over_http, by_sockets) = meanwhile;
        soak.over_tftp += report.files() + over_http.files() - over_http.files_over_http();
        soak.over_http += over_http.files_over_http();
        soak.by_sockets += by_sockets;
        soak.registrations += report.registration.phones();
        soak.refreshes += report.registration.refreshes;
        for failure in report.failures.iter().chain(&over_http.failures) {
            let what = format!(
                "round {}, {}: {}",
                self.round, failure.device, failure.reason
            );
            soak.failures.push(what);
        }
        ensure!(
            self.daemon.is_running(),
            "the daemon ended:\n{}",
            self.daemon.log_tail()
        );
        Ok(())
    }

    fn fleet<'f>(&'f self, phones: &'f [PhoneSpec], options: FleetOptions) -> Fleet<'f> {
        Fleet {
            phones,
            oracle: &self.site.oracle,
            options,
        }
    }

    /// Transfers with a window, one after the other on each thread.
    fn fetch_by_sockets(&self, transfers: u64) -> Result<u64> {
        let done = AtomicU64::new(0);
        let place = Place::Namespace(&self.lab.client);
        thread::scope(|scope| {
            let fetch = || -> Result<()> {
                place.enter_thread()?;
                for phone in self.site.phones.iter().cycle() {
                    if done.fetch_add(1, Ordering::Relaxed) >= transfers {
                        break;
                    }
                    let windowed = Request {
                        options: Options {
                            windowsize: 4,
                            ..Options::default()
                        },
                        ..Request::plain(Family::config_file(&phone.device))
                    };
                    let server = (SERVER_V4, 69).into();
                    let fetched = get(CLIENT_V4.into(), server, windowed, Retry::default())?;
                    ensure!(
                        fetched.outcome == Outcome::Complete,
                        "{:?}",
                        fetched.outcome
                    );
                }
                Ok(())
            };
            let threads: Vec<_> = (0..FETCHERS).map(|_| scope.spawn(fetch)).collect();
            for thread in threads {
                let ended = thread.join();
                ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            }
            Ok(transfers)
        })
    }

    /// What is held once nothing is under way any more.
    fn sample(&self) -> Result<Sample> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let metrics = self.edge.metrics()?;
            let busy = metrics.sum("tftp_edge_sccp_sessions", &[])
                + metrics.sum("tftp_edge_sip_connections", &[])
                + metrics.sum("tftp_edge_http_connections", &[]);
            if busy == 0.0 || Instant::now() >= deadline {
                return Sample::take(self.daemon.pid(), &metrics, &self.folder);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn stop(mut self) -> Result<()> {
        let status = self.daemon.stop()?;
        ensure!(
            status.success(),
            "the daemon ended with {status}:\n{}",
            self.daemon.log_tail()
        );
        Ok(())
    }
}

/// The phones, with so many files between them that each is asked for its own configuration again and
/// again.
fn asking(phones: &[PhoneSpec], transfers: u64) -> Vec<PhoneSpec> {
    let each = transfers.div_ceil(phones.len().max(1) as u64).max(1);
    let of = |phone: &PhoneSpec| PhoneSpec {
        files: vec![Family::config_file(&phone.device); each as usize],
        ..phone.clone()
    };
    phones.iter().map(of).collect()
}

impl fmt::Display for Soak {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            to,
            "{} rounds in {:.0} s: {} transfers ({} over TFTP, {} of windows by sockets, {} over \
             HTTP), {} registrations, {} refreshes",
            self.rounds,
            self.took_s,
            self.transfers(),
            self.over_tftp,
            self.by_sockets,
            self.over_http,
            self.registrations,
            self.refreshes
        )?;
        let [what, columns @ ..] = HEAD;
        write!(to, "{what:<34}")?;
        for column in columns {
            write!(to, "{column:>14}")?;
        }
        writeln!(to)?;
        for course in &self.courses {
            writeln!(to, "{course}")?;
        }
        for failure in &self.failures {
            writeln!(to, "FAILED {failure}")?;
        }
        Ok(())
    }
}
