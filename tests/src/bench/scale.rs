//! Part f: an inventory of 100,000 devices: taken in, rendered, served and changed.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::republish::{ask, ms};
use super::table::{median, spread};
use super::{BenchOptions, Cell, Goal, Ratio, Table};
use crate::demo::{Edge, Metrics, Mode};
use crate::lab::{Lab, LabOptions, Process, interrupted};
use crate::phones::{Fleet, FleetOptions, PhoneSpec, Progress};
use crate::server::Place;
use crate::site::{self, Site};

/// One device in so many has the profile that is changed.
const SHARED_ONE_IN: usize = 10;

/// Phones that fetch at one time: all at once would need a hundred thousand sockets.
const AT_ONCE: usize = 4_000;

/// Phones that are asked whether they are given the new file.
const ASKED: usize = 16;

const PROFILE: &str = "shared";

pub fn measure(options: &BenchOptions, say: &mut impl FnMut(&str)) -> Result<Table> {
    let phones = if options.quick { 10_000 } else { 100_000 };
    let mut site = Site::without_upgrades(phones);
    let lab = Lab::new(LabOptions::default())?;
    let folder = tempfile::tempdir()?;
    let place = Place::Namespace(&lab.server);
    let edge = Edge::new(&options.daemon, folder.path(), place, Mode::Tc, 20_000)?;
    edge.amend("kernel", "memory_limit = \"2GiB\"\n")?;

    say(&format!("f: {phones} devices are imported"));
    let csv = folder.path().join("devices.csv");
    site.write(&edge.root(), &csv)?;
    with_profile(&csv)?;
    edge.command(&["inventory", "set", "profiles", PROFILE, "voicemail=8500"])?;
    let (import, ()) = timed(|| edge.import(&csv))?;
    let (again, _) = timed(|| edge.command(&["inventory", "diff", &csv.to_string_lossy()]))?;
    edge.set(&site::settings(place.address().into()))?;
    let (export, exported) =
        timed(|| edge.command(&["inventory", "export", "--table", "devices", "-"]))?;
    ensure!(
        exported.iter().filter(|&&byte| byte == b'\n').count() == phones + 1,
        "not every device is exported"
    );

    say("f: the daemon starts");
    let (start, mut daemon) = timed(|| edge.start())?;
    let memory = Memory::of(&daemon, &edge.metrics()?)?;

    say("f: every phone fetches its configuration");
    for (device, content) in edge.rendered()? {
        site.oracle.set_rendered(&device, content);
    }
    let (serve, in_kernel) = fetch_all(&edge, &lab, &site)?;

    say("f: one profile changes");
    let changes = changes(&edge, &lab, &site, options.rounds)?;
    let after = Memory::of(&daemon, &edge.metrics()?)?;
    daemon.stop()?;

    let number = |what: String, value: f64, digits, rounds| {
        vec![Cell::text(what), Cell::number(value, digits), rounds]
    };
    let seconds = |what: &str, time: Duration| {
        number(format!("{what}, s"), time.as_secs_f64(), 2, Cell::None)
    };
    let megabytes =
        |what: &str, bytes: u64| number(format!("{what}, MB"), bytes as f64 / 1e6, 1, Cell::None);
    let of_profile = phones / SHARED_ONE_IN;
    let live: Vec<f64> = changes.iter().map(|change| change.served).collect();
    let inside: Vec<f64> = changes.iter().map(|change| change.regenerated).collect();
    Ok(Table {
        part: 'f',
        title: format!("{phones} devices, {of_profile} of them with the profile that changes"),
        columns: vec!["what", "value", "rounds"],
        rows: vec![
            seconds("`inventory import` of all devices", import),
            seconds("`inventory diff` with the same file", again),
            seconds("`inventory export` of all devices", export),
            seconds(
                "start of the daemon to all rendered and in the kernel",
                start,
            ),
            number(
                "configurations served a second, every byte checked".into(),
                phones as f64 / serve.as_secs_f64(),
                0,
                Cell::None,
            ),
            number(
                "of these from the kernel, %".into(),
                in_kernel * 100.0,
                1,
                Cell::None,
            ),
            megabytes("content generated", memory.content),
            megabytes("memory of the daemon's own", memory.own),
            megabytes("the same after the changes", after.own),
            number(
                "memory of the daemon's own against content".into(),
                memory.own as f64 / memory.content as f64,
                2,
                Cell::None,
            ),
            megabytes("maps of the kernel side", memory.maps),
            number(
                format!("{of_profile} configurations rendered and published, ms"),
                median(inside.iter().copied()),
                1,
                spread(&inside, 1),
            ),
            number(
                "end of the command to last phone served, ms".into(),
                median(live.iter().copied()),
                1,
                spread(&live, 1),
            ),
        ],
        ratios: vec![Ratio::new(
            format!("{of_profile} configurations, change to last phone served"),
            median(live.iter().copied()) / 1e3,
            " s",
            Goal::AtMost(1.0),
        )],
        method: format!(
            "Method: the real commands and the real daemon on TC, with room for all names in the \
             kernel. The site's {phones} phones fetch their configuration {AT_ONCE} at a time and \
             compare every byte with what the library renders. Then a setting of the profile is \
             changed {} times; {ASKED} phones spread over it, the last by name among them, fetch \
             until all are given the new text. Memory is RssAnon of the process, for the kernel's \
             slabs are mapped into it, too; maps are what the kernel accounts for them.",
            options.rounds
        ),
    })
}

/// Gives one row in [`SHARED_ONE_IN`] the profile.
fn with_profile(csv: &Path) -> Result<()> {
    let text = fs::read_to_string(csv)?;
    let mut lines = text.lines();
    let header = lines.next().context("the file has no header")?;
    let mut wanted = format!("{header},profile\n");
    for (index, line) in lines.enumerate() {
        let profile = if has_profile(index) { PROFILE } else { "" };
        writeln!(wanted, "{line},{profile}").expect("writing to a string cannot fail");
    }
    Ok(fs::write(csv, wanted)?)
}

fn has_profile(index: usize) -> bool {
    index.is_multiple_of(SHARED_ONE_IN)
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
    let began = Instant::now();
    let result = work()?;
    Ok((began.elapsed(), result))
}

/// In bytes.
struct Memory {
    /// Of the process's own: the kernel's slabs are mapped into it, and counted as maps.
    own: u64,
    content: u64,
    maps: u64,
}

impl Memory {
    fn of(daemon: &Process, metrics: &Metrics) -> Result<Self> {
        let path = format!("/proc/{}/status", daemon.pid());
        let status = fs::read_to_string(&path).with_context(|| path.clone())?;
        let kilobytes = |key: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            let value = line.and_then(|line| line.split_whitespace().next());
            let value = value.with_context(|| format!("{path} has no {key}"))?;
            Ok(value.parse::<u64>()? * 1024)
        };
        Ok(Self {
            own: kilobytes("RssAnon:")?,
            content: metrics.sum("tftp_edge_content_memory_bytes", &[]) as u64,
            maps: metrics.sum("tftp_edge_xdp_map_bytes", &[]) as u64,
        })
    }
}

/// How long it took, and the share that the kernel answered.
fn fetch_all(edge: &Edge<'_>, lab: &Lab, site: &Site) -> Result<(Duration, f64)> {
    let answered = |metrics: &Metrics, path: &[(&str, &str)]| {
        metrics.sum("tftp_edge_tftp_responses_total", path)
    };
    let before = edge.metrics()?;
    let mut took = Duration::ZERO;
    for phones in site.configurations_only().chunks(AT_ONCE) {
        ensure!(!interrupted(), "interrupted");
        let fleet = Fleet {
            phones,
            oracle: &site.oracle,
            options: FleetOptions::new(edge.address()),
        };
        let began = Instant::now();
        let report = fleet.boot(Place::Namespace(&lab.client), &Progress::default())?;
        took += began.elapsed();
        ensure!(
            report.failed == 0,
            "{} phones failed: {:?}",
            report.failed,
            report.failures.first()
        );
    }
    let after = edge.metrics()?;
    let grown = |path: &[(&str, &str)]| answered(&after, path) - answered(&before, path);
    let kernel = grown(&[("path", "tc")]) + grown(&[("path", "xdp")]);
    Ok((took, kernel / grown(&[])))
}

/// One change of the profile, in milliseconds.
struct Changed {
    regenerated: f64,
    served: f64,
}

fn changes(edge: &Edge<'_>, lab: &Lab, site: &Site, rounds: usize) -> Result<Vec<Changed>> {
    let of_profile: Vec<&PhoneSpec> = site
        .phones
        .iter()
        .enumerate()
        .filter(|&(index, _)| has_profile(index))
        .map(|(_, phone)| phone)
        .collect();
    let step = of_profile.len().div_ceil(ASKED);
    let mut asked: Vec<&PhoneSpec> = of_profile.iter().copied().step_by(step).collect();
    asked.extend(of_profile.last());
    let mut result = Vec::new();
    for round in 0..rounds {
        ensure!(!interrupted(), "interrupted");
        let zone = ["Arabian Standard Time", "Iran Standard/Daylight Time"][round % 2];
        let setting = format!("time_zone={zone}");
        edge.command(&["inventory", "set", "profiles", PROFILE, &setting])?;
        let set = Instant::now();
        lab.client.enter(|| ask(edge, &asked, zone))?;
        let served = ms(set.elapsed());
        // Counted once it is handed out to the kernel.
        std::thread::sleep(Duration::from_millis(700));
        let metrics = edge.metrics()?;
        let files = metrics.sum("tftp_edge_regeneration_last_files", &[]);
        ensure!(
            files == of_profile.len() as f64,
            "{files} files were regenerated, not the {} of the profile",
            of_profile.len()
        );
        result.push(Changed {
            regenerated: metrics.sum("tftp_edge_regeneration_last_duration_seconds", &[]) * 1e3,
            served,
        });
    }
    Ok(result)
}
