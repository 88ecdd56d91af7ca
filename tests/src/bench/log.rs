//! Part j: what the log costs, when it is off, and when it is not.

use std::hint::black_box;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::time::{ClockId, clock_gettime};
use tftp_edge::ops::log::{self, Change, Log};

use super::boots::{CONFIG_LEN, configuration, fetchers, few, write_configurations};
use super::runs::cpu_time;
use super::table::{median, spread};
use super::{BenchOptions, Cell, Goal, Ratio, Table, order};
use crate::demo::{Edge, Mode};
use crate::lab::{Lab, LabOptions, SERVER_V4, interrupted};
use crate::phones::{FileOracle, Fleet, FleetOptions, Progress};
use crate::server::Place;

const TFTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(SERVER_V4), 69);
/// Of events that cost little, and of those that are written.
const TIMES: u64 = 20_000_000;
const TIMES_WRITTEN: u64 = 50_000;
/// What the daemon is started with. At debug, each request and each transfer is a line.
const LEVELS: [&str; 3] = ["off", "info", "debug"];

pub fn measure(options: &BenchOptions, say: &mut impl FnMut(&str)) -> Result<Vec<Table>> {
    let folder = tempfile::tempdir()?;
    let callsites = callsites(options, folder.path(), say)?;
    let serving = serving(options, folder.path(), say)?;
    Ok(vec![callsites, serving])
}

/// An event of this process, as the daemon's are.
struct Event {
    what: &'static str,
    times: u64,
    run: fn(u64),
    ns: Vec<f64>,
}

fn callsites(options: &BenchOptions, folder: &Path, say: &mut impl FnMut(&str)) -> Result<Table> {
    let log = log::init(&log::Settings {
        file: folder.join("bench.log"),
        ..log::Settings::default()
    })?;
    let event = |what, times, run| Event {
        what,
        times: if options.quick { times / 100 } else { times },
        run,
        ns: Vec::new(),
    };
    let mut events = [
        event("none", TIMES, |at| {
            black_box(at);
        }),
        event("debug!, off", TIMES, |at| {
            tracing::debug!(peer = black_box(at), "off");
        }),
        event("trace!, off", TIMES, |at| {
            tracing::trace!(peer = black_box(at), "off");
        }),
        event("warn!, held back", TIMES / 10, |at| {
            tracing::warn!(
                event = "bench.repeated",
                number = black_box(at),
                "held back"
            );
        }),
        event("info!, written to a file", TIMES_WRITTEN, |at| {
            tracing::info!(event = "bench.written", number = black_box(at), "written");
        }),
    ];
    let mut followed = [event("debug!, another device followed", TIMES / 10, |at| {
        tracing::debug!(peer = black_box(at), "of another");
    })];
    for round in 0..options.rounds {
        ensure!(!interrupted(), "interrupted");
        say(&format!(
            "j: events, round {} of {}",
            round + 1,
            options.rounds
        ));
        for index in order(events.len(), round) {
            events[index].play()?;
        }
        follow(&log, vec!["SEP001122334455".parse()?])?;
        followed[0].play()?;
        follow(&log, Vec::new())?;
    }
    let rows: Vec<_> = events.iter().chain(&followed).map(Event::row).collect();
    let [none, debug, trace, ..] = &events;
    let worst = debug.middle().max(trace.middle());
    Ok(Table {
        part: 'j',
        title: "an event of the log".to_owned(),
        columns: vec!["event", "ns", "rounds"],
        rows,
        ratios: vec![Ratio::new(
            "an event that is off, beyond the loop around it",
            worst - none.middle(),
            " ns",
            Goal::AtMost(2.0),
        )],
        method:
            "Method: the daemon's own log in this process, at info, to a file; each event in a \
                 loop of its own, in CPU time of its thread. `none` is the loop alone. `held back` is a warning beyond ten in \
                 ten seconds. With a device followed, events that could be about one are looked \
                 into; this one is not. Medians over the rounds."
                .to_owned(),
    })
}

fn follow(log: &Log, devices: Vec<tftp_edge::inventory::DeviceName>) -> Result<()> {
    Ok(log.change(Change::Devices(devices), None, Instant::now())?)
}

impl Event {
    fn play(&mut self) -> Result<()> {
        // Of this thread alone: what else runs on the machine is not the log's.
        let used =
            || -> Result<Duration> { Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into()) };
        let before = used()?;
        for at in 0..self.times {
            (self.run)(at);
        }
        let took = used()?.saturating_sub(before);
        self.ns.push(took.as_nanos() as f64 / self.times as f64);
        Ok(())
    }

    fn middle(&self) -> f64 {
        median(self.ns.iter().copied())
    }

    fn row(&self) -> Vec<Cell> {
        vec![
            Cell::text(self.what),
            Cell::number(self.middle(), 2),
            spread(&self.ns, 2),
        ]
    }
}

/// The daemon at one level.
#[derive(Default)]
struct Case {
    per_second: Vec<f64>,
    /// CPU of the daemon for each configuration.
    process_us: Vec<f64>,
}

fn serving(options: &BenchOptions, folder: &Path, say: &mut impl FnMut(&str)) -> Result<Table> {
    let lab = Lab::new(LabOptions::default())?;
    let phones = few(&fetchers(options.phones));
    let mut oracle = FileOracle::default();
    for phone in &phones {
        oracle.insert(&phone.files[0], configuration(&phone.device));
    }
    let mut cases: [Case; LEVELS.len()] = Default::default();
    for round in 0..options.rounds {
        ensure!(!interrupted(), "interrupted");
        say(&format!(
            "j: serving, round {} of {}",
            round + 1,
            options.rounds
        ));
        for index in order(cases.len(), round) {
            let folder = folder.join(format!("{}-{round}", LEVELS[index]));
            std::fs::create_dir(&folder)?;
            let place = Place::Namespace(&lab.server);
            let edge = Edge::new(&options.daemon, &folder, place, Mode::Off, 20_000)?;
            write_configurations(&edge.root(), &phones)?;
            edge.configure(&format!("\n[log]\nlevel = \"{}\"\n", LEVELS[index]))?;
            let mut daemon = edge.start()?;
            let fleet = Fleet {
                phones: &phones,
                oracle: &oracle,
                options: FleetOptions::new(TFTP),
            };
            let before = cpu_time(daemon.pid())?;
            let report = fleet.boot(Place::Namespace(&lab.client), &Progress::default())?;
            // The last acknowledgements are still on their way.
            std::thread::sleep(Duration::from_millis(100));
            let process = cpu_time(daemon.pid())?.saturating_sub(before);
            ensure!(
                report.booted == report.phones,
                "at {}: {} of {} phones failed: {:?}",
                LEVELS[index],
                report.failed,
                report.phones,
                report.failures.first()
            );
            daemon.stop()?;
            let files = report.files() as f64;
            let case = &mut cases[index];
            case.per_second.push(files / report.took.as_secs_f64());
            case.process_us.push(process.as_secs_f64() * 1e6 / files);
        }
    }
    Ok(table(&cases))
}

fn table(cases: &[Case; LEVELS.len()]) -> Table {
    let [off, info, _] = cases;
    let against = |case: &Case| {
        let pairs = case.process_us.iter().zip(&off.process_us);
        median(pairs.map(|(case, off)| case / off))
    };
    let row = |(level, case): (&&str, &Case)| {
        vec![
            Cell::text(*level),
            Cell::number(median(case.per_second.iter().copied()), 0),
            Cell::number(median(case.process_us.iter().copied()), 1),
            spread(&case.process_us, 1),
            Cell::number(against(case), 3),
        ]
    };
    Table {
        part: 'j',
        title: format!("configurations of {CONFIG_LEN} bytes over TFTP sockets, by level of the log"),
        columns: vec!["level", "files/s", "process us", "rounds", "x off"],
        rows: LEVELS.iter().zip(cases).map(row).collect(),
        ratios: vec![Ratio::new(
            "CPU of the daemon at info, against no log at all",
            against(info),
            "",
            Goal::AtMost(1.05),
        )],
        method: "Method: a daemon without the kernel path for each round and level, logging to a \
                 file; phones that fetch one configuration after the other, over TFTP. `process` is \
                 the CPU time of the daemon's threads for each configuration. At debug, each has \
                 two lines. Medians over the rounds; `x off` is the median of the rounds' ratios."
            .to_owned(),
    }
}
