//! Part e: configurations over HTTP, beside the same ones over TFTP sockets.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use tftp_ebpf::stage::Stage;

use super::boots::{CONFIG_LEN, configuration, fetchers, few, write_configurations};
use super::runs::cpu_time;
use super::table::{median, spread};
use super::{BenchOptions, Cell, Table, order};
use crate::demo::{Edge, Mode};
use crate::lab::{Lab, LabOptions, Process, SERVER_V4, interrupted};
use crate::phones::{FileOracle, Fleet, FleetOptions, PhoneSpec, Progress};
use crate::server::Place;

const TFTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(SERVER_V4), 69);
const HTTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(SERVER_V4), 6970);

/// Phones that fetch over one protocol.
struct Case<'p> {
    load: String,
    phones: &'p [PhoneSpec],
    over: &'static str,
    http: Option<SocketAddr>,
    rounds: Vec<Round>,
}

/// One load over one protocol.
#[derive(Clone, Copy)]
struct Round {
    per_second: f64,
    /// CPU of the daemon for each configuration.
    process_us: f64,
    p50_ms: f64,
    p99_ms: f64,
}

pub fn measure(options: &BenchOptions, say: &mut impl FnMut(&str)) -> Result<Table> {
    let lab = Lab::new(LabOptions::default())?;
    let folder = tempfile::tempdir()?;
    let place = Place::Namespace(&lab.server);
    let edge = Edge::new(&options.daemon, folder.path(), place, Mode::Off, 20_000)?;
    let at_once = fetchers(options.phones);
    let few = few(&at_once);
    write_configurations(&edge.root(), &at_once)?;
    // Of one's own, so that nobody is sent away: what is measured is serving.
    edge.amend("http", "max_connections = 20000")?;
    let daemon = edge.start()?;
    let mut oracle = FileOracle::default();
    for phone in &at_once {
        oracle.insert(&phone.files[0], configuration(&phone.device));
    }
    let case = |phones, load: &str, over, http| Case {
        load: load.to_owned(),
        phones,
        over,
        http,
        rounds: Vec::new(),
    };
    let all = format!("{} at once", at_once.len());
    let row = format!("{} in a row", few.len());
    let mut cases = [
        case(&at_once, &all, "tftp", None),
        case(&at_once, &all, "http", Some(HTTP)),
        case(&few, &row, "tftp", None),
        case(&few, &row, "http", Some(HTTP)),
    ];
    for round in 0..options.rounds {
        ensure!(!interrupted(), "interrupted");
        say(&format!("e: round {} of {}", round + 1, options.rounds));
        for index in order(cases.len(), round) {
            cases[index].play(&lab, &daemon, &oracle)?;
        }
    }
    Ok(table(&cases))
}

impl Case<'_> {
    fn play(&mut self, lab: &Lab, daemon: &Process, oracle: &FileOracle) -> Result<()> {
        let mut options = FleetOptions::new(TFTP);
        options.http = self.http;
        let fleet = Fleet {
            phones: self.phones,
            oracle,
            options,
        };
        let before = cpu_time(daemon.pid())?;
        let report = fleet.boot(Place::Namespace(&lab.client), &Progress::default())?;
        // The last acknowledgements are still on their way.
        std::thread::sleep(Duration::from_millis(100));
        let process = cpu_time(daemon.pid())?.saturating_sub(before);
        let files = report.files();
        let over_http = self.http.map_or(0, |_| files);
        ensure!(
            report.booted == report.phones && report.files_over_http() == over_http,
            "{} over {}: {} of {} phones failed, {} of {files} files over HTTP: {:?}",
            self.load,
            self.over,
            report.failed,
            report.phones,
            report.files_over_http(),
            report.failures.first()
        );
        let took = &report.stage(Stage::Config).took_us;
        let quantile = |at| took.value_at_quantile(at) as f64 / 1e3;
        self.rounds.push(Round {
            per_second: files as f64 / report.took.as_secs_f64(),
            process_us: process.as_secs_f64() * 1e6 / files as f64,
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
        });
        Ok(())
    }

    fn middle(&self, value: fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(value))
    }
}

fn table(cases: &[Case<'_>]) -> Table {
    let rows = cases
        .chunks(2)
        .flat_map(|pair| pair.iter().map(|case| row(case, &pair[0])))
        .collect();
    Table {
        part: 'e',
        title: format!("configurations of {CONFIG_LEN} bytes over HTTP and over TFTP sockets"),
        columns: vec![
            "phones",
            "over",
            "files/s",
            "rounds",
            "x tftp",
            "p50 ms",
            "p99 ms",
            "process us",
        ],
        rows,
        ratios: Vec::new(),
        method:
            "Method: one daemon without the kernel path; the same simulated phones, each with an \
            address of its own, over both protocols in turns; every byte is checked. `at once`: \
            each phone fetches one configuration, over HTTP with a connection for it. `in a row`: \
            each fetches one after the other, over HTTP on a connection that is kept; over TFTP \
            each file takes 13 blocks in lockstep. `process` is the CPU time of the daemon's \
            threads for each configuration, and on veth part of the phones' is in it. p50 and p99 \
            are from the first packet to the last byte. Medians over the rounds; `x tftp` is the \
            median of the rounds' ratios."
                .to_owned(),
    }
}

fn row(case: &Case<'_>, tftp: &Case<'_>) -> Vec<Cell> {
    let per_second: Vec<f64> = case.rounds.iter().map(|round| round.per_second).collect();
    let pairs = case.rounds.iter().zip(&tftp.rounds);
    let against = median(pairs.map(|(ours, tftp)| ours.per_second / tftp.per_second));
    vec![
        Cell::text(&*case.load),
        Cell::text(case.over),
        Cell::number(case.middle(|round| round.per_second), 0),
        spread(&per_second, 0),
        Cell::number(against, 2),
        Cell::number(case.middle(|round| round.p50_ms), 1),
        Cell::number(case.middle(|round| round.p99_ms), 1),
        Cell::number(case.middle(|round| round.process_us), 1),
    ]
}
