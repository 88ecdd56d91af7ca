//! The daemon under test in a lab, on one rung of the ladder.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use tempfile::TempDir;
use tftp_ebpf::verdict::{Reason, Rung};

use crate::client::{Exchange, Fetched, Outcome, Request, Retry, get, http_get};
use crate::demo::{Edge, Metrics, Mode};
use crate::lab::{
    Attached, CLIENT_IF, CLIENT_V4, CLIENT_V6, Lab, LabOptions, LabPrograms, Process, SERVER_V4,
    SERVER_V6, is_root, skipped,
};
use crate::phones::{Family, Fleet, FleetOptions, PhoneSpec, Progress, Registering, Report};
use crate::server::Place;
use crate::site::Site;

/// Names the daemon under test.
const DAEMON_VARIABLE: &str = "TFTP_EDGE_DAEMON";

/// How long is waited for what has to come; nothing waits as long unless something is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// As long as a fleet may take on a busy machine.
const BOOTED_WITHIN: Duration = Duration::from_secs(60);

/// For a wire that loses nothing: no machine stands still so long that anything is asked twice, and
/// counted twice.
pub const PATIENT: Retry = Retry {
    first: Duration::from_secs(10),
    longest: Duration::from_secs(10),
    sends: 3,
};

/// The server's request port over IPv4 and over IPv6.
pub const OVER_V4: SocketAddr = SocketAddr::new(IpAddr::V4(SERVER_V4), 69);
pub const OVER_V6: SocketAddr = SocketAddr::new(IpAddr::V6(SERVER_V6), 69);

/// Where the server takes HTTP, over IPv4 and over IPv6.
pub const HTTP_V4: SocketAddr = SocketAddr::new(IpAddr::V4(SERVER_V4), 6970);
pub const HTTP_V6: SocketAddr = SocketAddr::new(IpAddr::V6(SERVER_V6), 6970);

/// A lab with a daemon that serves on one rung. It is made with the daemon not started, so that
/// the case can lay out what is served.
#[derive(Debug)]
pub struct Rig<'lab> {
    // Dropped in this order: the daemon, what is attached for it, its files.
    daemon: Option<Process>,
    _page_sized: Option<Attached>,
    pub rung: Rung,
    pub lab: &'lab Lab,
    pub edge: Edge<'lab>,
    folder: TempDir,
}

/// Runs a case on a rung, or says why it cannot be run. Where the daemon is missing, that is a
/// failure.
pub fn run(rung: Rung, case: fn(&mut Rig<'_>) -> Result<()>) {
    run_in(LabOptions::default(), rung, case);
}

/// As [`run`], in a lab of a certain kind.
pub fn run_in(options: LabOptions, rung: Rung, case: fn(&mut Rig<'_>) -> Result<()>) {
    if let Some(why) = cannot_run(rung) {
        return skipped(why);
    }
    let lab = Lab::new(options).unwrap_or_else(|error| panic!("no lab: {error:?}"));
    let mut rig = Rig::new(&lab, rung).unwrap_or_else(|error| panic!("no rig: {error:?}"));
    // The rig is dropped while this unwinds, so that the daemon's log is shown.
    case(&mut rig).unwrap_or_else(|error| panic!("on {}: {error:?}", rung.as_str()));
}

fn cannot_run(rung: Rung) -> Option<&'static str> {
    if !is_root() {
        return Some("network namespaces need root");
    }
    match rung {
        Rung::Xdp | Rung::Tc => LabPrograms::unavailable(),
        Rung::Socket => None,
    }
}

/// The daemon that is named, or else the one beside the tests.
pub fn daemon_under_test() -> Result<PathBuf> {
    let daemon = match std::env::var_os(DAEMON_VARIABLE) {
        Some(named) => PathBuf::from(named),
        None => std::env::current_exe()?
            .ancestors()
            .nth(2)
            .map(|target| target.join("tftp-edge"))
            .context("the test has no target folder")?,
    };
    ensure!(
        daemon.is_file(),
        "there is no daemon {}: build it with `cargo build -p tftp-edge`, or name one with \
         {DAEMON_VARIABLE}",
        daemon.display()
    );
    Ok(daemon)
}

impl<'lab> Rig<'lab> {
    fn new(lab: &'lab Lab, rung: Rung) -> Result<Self> {
        let folder = tempfile::tempdir().context("making a folder for the daemon")?;
        let mode = match rung {
            Rung::Xdp => Mode::Xdp,
            Rung::Tc => Mode::Tc,
            Rung::Socket => Mode::Off,
        };
        let page_sized = match rung {
            Rung::Xdp => Some(LabPrograms::page_sized(&lab.client, CLIENT_IF)?),
            Rung::Tc | Rung::Socket => None,
        };
        let place = Place::Namespace(&lab.server);
        let edge = Edge::new(&daemon_under_test()?, folder.path(), place, mode, 4000)?;
        Ok(Self {
            daemon: None,
            _page_sized: page_sized,
            rung,
            lab,
            edge,
            folder,
        })
    }

    /// The daemon's folder: its configuration, its databases.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file of the case's own, out of the daemon's sight.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file that is served.
    pub fn put(&self, name: &str, content: &[u8]) -> Result<()> {
        let path = self.edge.root().join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, content).with_context(|| format!("writing {}", path.display()))
    }

    /// Puts a new version in the place of a file that is served, in one step.
    pub fn replace(&self, name: &str, content: &[u8]) -> Result<()> {
        let fresh = self.file("fresh");
        fs::write(&fresh, content)?;
        fs::rename(&fresh, self.edge.root().join(name)).with_context(|| format!("replacing {name}"))
    }

    /// Starts the daemon, and makes sure that it serves on the rung it is to be tested on.
    pub fn start(&mut self) -> Result<()> {
        self.daemon = Some(self.edge.start()?);
        let metrics = self.metrics()?;
        let attached = |mode| metrics.sum("tftp_edge_xdp_attached", &[("mode", mode)]);
        let modes = ["xdp", "tc"].map(attached);
        let expected = match self.rung {
            Rung::Xdp => [1.0, 0.0],
            Rung::Tc => [0.0, 1.0],
            Rung::Socket => [0.0, 0.0],
        };
        ensure!(
            modes == expected,
            "attached as xdp, as tc: {modes:?}, but {expected:?} is to be tested:\n{}",
            self.daemon_mut()?.log_tail()
        );
        Ok(())
    }

    /// The daemon that runs.
    pub fn daemon_mut(&mut self) -> Result<&mut Process> {
        self.daemon.as_mut().context("the daemon is not started")
    }

    pub fn metrics(&self) -> Result<Metrics> {
        self.edge.metrics()
    }

    /// Runs `work` where the clients are.
    pub fn as_client<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.lab.client.enter(work)
    }

    /// A client's socket with any port.
    pub fn exchange(&self, from: impl Into<IpAddr> + Send) -> Result<Exchange> {
        self.as_client(|| Exchange::new(from.into(), 0))
    }

    /// Fetches a file with the lab's own client, over IPv4 or IPv6 as `server` has it.
    pub fn get(&self, server: SocketAddr, request: Request) -> Result<Fetched> {
        let from = match server {
            SocketAddr::V4(_) => CLIENT_V4.into(),
            SocketAddr::V6(_) => CLIENT_V6.into(),
        };
        self.as_client(|| get(from, server, request, PATIENT))
    }

    /// Fetches a file over HTTP. None: the server sends us elsewhere.
    pub fn http_get(&self, server: SocketAddr, name: &str) -> Result<Option<(Outcome, Vec<u8>)>> {
        let from = match server {
            SocketAddr::V4(_) => CLIENT_V4.into(),
            SocketAddr::V6(_) => CLIENT_V6.into(),
        };
        self.as_client(|| http_get(from, server, name))
    }

    /// Fetches a file without options; anything but the whole file is a failure.
    pub fn get_all(&self, name: &str) -> Result<Vec<u8>> {
        let fetched = self.get(OVER_V4, Request::plain(name))?;
        ensure!(fetched.outcome == Outcome::Complete, "{name}: {fetched:?}");
        Ok(fetched.bytes)
    }

    /// The rung that sees a packet first.
    pub fn first_path(&self) -> &'static str {
        self.rung.as_str()
    }

    /// Fails unless this rung has answered since `before`, and no other has.
    pub fn ensure_alone(&self, before: &Metrics) -> Result<()> {
        let after = self.scrape_until(|after| answers(before, after, self.rung) > 0.0)?;
        for rung in Rung::ALL {
            let answers = answers(before, &after, rung);
            ensure!(
                (answers > 0.0) == (rung == self.rung),
                "{answers} answers by {}, while {} was to answer",
                rung.as_str(),
                self.rung.as_str()
            );
        }
        Ok(())
    }

    /// Whether that is so by now.
    pub fn was_alone(&self, before: &Metrics) -> Result<bool> {
        let after = self.metrics()?;
        let has_answered = |&rung: &Rung| answers(before, &after, rung) > 0.0;
        Ok(Rung::ALL
            .iter()
            .filter(|rung| has_answered(rung))
            .eq([&self.rung]))
    }

    /// Reads the counters until `reason` on `path` has grown by `wanted` since `before`, or the
    /// patience is at its end; returns by how much it has grown.
    pub fn grown(&self, before: &Metrics, path: &str, reason: Reason, wanted: u64) -> Result<u64> {
        let after = self.scrape_until(|after| counted(before, after, path, reason) >= wanted)?;
        Ok(counted(before, &after, path, reason))
    }

    /// Fails unless each of these reasons is counted so often since `before`, on its path and all in
    /// one scrape, which is returned: an answer may be here before its count is.
    pub fn until_counted(
        &self,
        before: &Metrics,
        expected: &[(&str, Reason, u64)],
    ) -> Result<Metrics> {
        let grown = |after: &Metrics, &(path, reason, _): &(&str, Reason, u64)| {
            counted(before, after, path, reason)
        };
        let after =
            self.scrape_until(|after| expected.iter().all(|it| grown(after, it) >= it.2))?;
        for it in expected {
            let (path, reason, times) = *it;
            ensure!(
                grown(&after, it) == times,
                "{} and not {times} counted as {} by {path}",
                grown(&after, it),
                reason.as_str()
            );
        }
        Ok(after)
    }

    /// The first scrape of which `holds` is true, or else the last one.
    pub fn scrape_until(&self, holds: impl Fn(&Metrics) -> bool) -> Result<Metrics> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let metrics = self.metrics()?;
            if holds(&metrics) || Instant::now() > deadline {
                return Ok(metrics);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks for the beginning of a file until the rung under test answers: the kernel program comes
    /// to know a moment later what the daemon has just read or generated.
    pub fn until_first_rung_has(&self, name: &str) -> Result<()> {
        let request = [b"\0\x01", name.as_bytes(), b"\0octet\0"].concat();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let before = self.metrics()?;
            let phone = self.exchange(CLIENT_V4)?;
            phone.send(OVER_V4, &request)?;
            let (tid, packet) = phone.receive(PATIENCE)?.context("no answer")?;
            ensure!(packet.starts_with(b"\0\x03\0\x01"), "{name}: {packet:?}");
            phone.send(tid, b"\0\x05\0\0enough\0")?;
            let after = self.metrics()?;
            if counted(&before, &after, self.first_path(), Reason::FirstData) > 0 {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{name} does not come to {}",
                self.first_path()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Makes a site the daemon's: files, inventory, and what every phone must be given, byte for
    /// byte.
    pub fn host(&self, site: &mut Site) -> Result<()> {
        self.edge.host(site, &self.file("phones.csv"))
    }

    /// Boots phones; `change` has the last word on how.
    pub fn boot(
        &self,
        site: &Site,
        phones: &[PhoneSpec],
        progress: &Progress,
        change: impl FnOnce(&mut FleetOptions),
    ) -> Result<Report> {
        let mut options = FleetOptions::new(OVER_V4);
        options.limit = BOOTED_WITHIN;
        change(&mut options);
        let fleet = Fleet {
            phones,
            oracle: &site.oracle,
            options,
        };
        fleet.boot(Place::Namespace(&self.lab.client), progress)
    }

    /// Boots phones that register, and keeps them registered until `meanwhile` has returned.
    pub fn stay<T>(
        &self,
        site: &Site,
        registering: Registering,
        progress: &Progress,
        meanwhile: impl FnOnce() -> Result<T>,
    ) -> Result<(Report, T)> {
        let mut options = FleetOptions::new(OVER_V4);
        options.limit = BOOTED_WITHIN;
        options.registration = Some(registering);
        let fleet = Fleet {
            phones: &site.phones,
            oracle: &site.oracle,
            options,
        };
        fleet.stay(Place::Namespace(&self.lab.client), progress, meanwhile)
    }

    /// The daemon, for a case that ends it while others use the rig.
    pub fn take_daemon(&mut self) -> Result<Process> {
        self.daemon.take().context("the daemon is not started")
    }

    /// The daemon that such a case has started again.
    pub fn give_daemon(&mut self, daemon: Process) {
        self.daemon = Some(daemon);
    }

    /// Ends the daemon in order, and fails if it does not end so.
    pub fn stop(&mut self) -> Result<()> {
        let mut daemon = self.take_daemon()?;
        let status = daemon.stop()?;
        ensure!(
            status.success(),
            "the daemon ended with {status}:\n{}",
            daemon.log_tail()
        );
        Ok(())
    }

    /// Kills the daemon, which can do nothing about it.
    pub fn kill(&mut self) -> Result<()> {
        self.take_daemon()?.end(Signal::SIGKILL).map(drop)
    }

    /// A phone's configuration, as it is fetched now.
    pub fn config(&self, phone: &PhoneSpec) -> Result<Fetched> {
        let request = phone.family.request(Family::config_file(&phone.device));
        self.as_client(|| get(phone.address, OVER_V4, request, PATIENT))
    }
}

/// By how much a reason on a path has grown.
pub fn counted(before: &Metrics, after: &Metrics, path: &str, reason: Reason) -> u64 {
    let labels = [("path", path), ("reason", reason.as_str())];
    after.grown(before, "tftp_edge_tftp_packets_total", &labels) as u64
}

/// How many packets a rung has answered between two scrapes.
pub fn answers(before: &Metrics, after: &Metrics, rung: Rung) -> f64 {
    let labels = [("path", rung.as_str()), ("action", "answer")];
    after.grown(before, "tftp_edge_tftp_packets_total", &labels)
}

/// Bytes without a short period, so that blocks in the wrong order are seen.
pub fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

/// Fails with the reasons of the phones that did not boot.
pub fn ensure_all_booted(report: &Report) -> Result<()> {
    ensure!(
        report.failed == 0 && report.booted == report.phones,
        "{} of {} phones booted: {:#?}",
        report.booted,
        report.phones,
        report.failures
    );
    Ok(())
}

/// Fails with the reasons of the phones that are not registered at the end.
pub fn ensure_all_registered(report: &Report) -> Result<()> {
    let registration = &report.registration;
    ensure!(
        report.failed == 0
            && registration.phones() == report.phones
            && registration.at_end() == report.phones,
        "{} of {} phones registered, {} at the end: {:#?}",
        registration.phones(),
        report.phones,
        registration.at_end(),
        report.failures
    );
    Ok(())
}

/// The same of phones that say farewell at the end.
pub fn ensure_all_left(report: &Report) -> Result<()> {
    let registration = &report.registration;
    ensure!(
        report.failed == 0
            && registration.phones() == report.phones
            && registration.left == report.phones,
        "{} of {} phones registered, {} left at the end: {:#?}",
        registration.phones(),
        report.phones,
        registration.left,
        report.failures
    );
    Ok(())
}

/// Returns when `holds` does; fails, with what was waited for, after 30 seconds.
pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        ensure!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
