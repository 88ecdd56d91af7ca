//! Part b: phones that boot, and phones that fetch a configuration, from each server in turns.

use std::collections::HashMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::sys::{Stats, enable_stats};
use bytes::Bytes;
use tempfile::TempDir;
use tftp_ebpf::stage::Stage;
use tftp_edge::config::Config;
use tftp_edge::inventory::Inventory;
use tftp_edge::phonefile::Renderer;

use super::napi::Napi;
use super::runs::{cpu_time, programs_of};
use super::table::{median, spread};
use super::{BenchOptions, Cell, Goal, Ratio, Table, order};
use crate::demo::{Edge, Mode};
use crate::lab::{
    Attached, CLIENT_IF, Lab, LabOptions, LabPrograms, Process, SERVER_IF, SERVER_V4, interrupted,
};
use crate::phones::{Family, FileOracle, Fleet, FleetOptions, Oracle, PhoneSpec, Progress, Report};
use crate::server::{Place, Server};
use crate::site::{self, Site};

/// The configuration every phone fetches in the second load: 12 blocks of 512 bytes and an empty
/// one.
pub(super) const CONFIG_LEN: usize = 6 * 1024;

/// Where the phones of the second load are, behind those of the first.
const FETCHERS: Ipv4Addr = Ipv4Addr::new(10, 84, 0, 0);

/// Phones at a time where the cost of a block is asked for, and the files each fetches then.
const FEW: usize = 100;
const FILES_EACH: usize = 20;

/// The daemon's rungs, best first.
const NAMES: [&str; 3] = ["xdp", "tc", "sockets"];

/// What is asked of a server.
struct Load {
    title: String,
    phones: Vec<PhoneSpec>,
    oracle: Box<dyn Oracle>,
    asks: Asks,
}

/// What a load is to tell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// How a boot goes.
    Boot,
    /// How fast a storm is answered.
    Speed,
    /// What a block costs: few enough phones that no queue of a veth pair overflows, and the
    /// receiving of both ends in threads of its own.
    Cost,
}

/// A server in a lab of its own.
struct Arm<'lab> {
    name: &'static str,
    lab: &'lab Lab,
    process: Process,
    /// What receives for it in the kernel, its programs among it; while it has its own threads.
    network: Option<Napi>,
    _padding: Option<Attached>,
}

/// One load on one server.
#[derive(Clone, Copy)]
struct Round {
    per_second: f64,
    /// CPU of the server's process, of the kernel receiving for it, and of its programs, which are
    /// part of that; microseconds for each phone.
    process_us: f64,
    network_us: f64,
    programs_us: f64,
    /// CPU of process and network, nanoseconds for each block.
    block_ns: f64,
    p50_ms: f64,
    p99_ms: f64,
    resends: u64,
}

pub fn measure(options: &BenchOptions, say: &mut impl FnMut(&str)) -> Result<Vec<Table>> {
    let _counting = enable_stats(Stats::RunTime).context("asking the kernel to time programs")?;
    let labs = [(); 4]
        .iter()
        .map(|()| Lab::new(LabOptions::default()))
        .collect::<Result<Vec<_>>>()?;
    let folders = [(); 4]
        .iter()
        .map(|()| tempfile::tempdir())
        .collect::<std::io::Result<Vec<_>>>()?;
    let mut site = Site::without_upgrades(if options.quick { 100 } else { 500 });
    let fetchers = fetchers(options.phones);

    say("b: starting the daemon three times, and dnsmasq");
    let mut arms = Vec::new();
    for (index, (name, mode)) in NAMES
        .into_iter()
        .zip([Mode::Xdp, Mode::Tc, Mode::Off])
        .enumerate()
    {
        let (lab, folder) = (&labs[index], folders[index].path());
        let padding = match mode {
            Mode::Xdp => Some(LabPrograms::page_sized(&lab.client, CLIENT_IF)?),
            _ => None,
        };
        let place = Place::Namespace(&lab.server);
        let edge = Edge::new(&options.daemon, folder, place, mode, 20_000)?;
        site.write(&edge.root(), &folder.join("phones.csv"))?;
        edge.import(&folder.join("phones.csv"))?;
        edge.set(&site::settings(SERVER_V4.into()))?;
        write_configurations(&edge.root(), &fetchers)?;
        arms.push(Arm {
            name,
            lab,
            process: edge.start()?,
            network: None,
            _padding: padding,
        });
    }
    let (lab, folder) = (&labs[3], &folders[3]);
    let rendered = render(folders[0].path(), &site)?;
    for (phone, content) in &rendered {
        site.oracle.set_rendered(phone, content.clone());
    }
    let root = tree_of_files(&site, &fetchers, &rendered, folder)?;
    let server = Server::Dnsmasq { root };
    let log = folder.path().join("dnsmasq.log");
    arms.push(Arm {
        name: "dnsmasq",
        lab,
        process: server.start(Place::Namespace(&lab.server), 69, &log)?,
        network: None,
        _padding: None,
    });

    let mut oracle = FileOracle::default();
    for phone in &fetchers {
        oracle.insert(&phone.files[0], configuration(&phone.device));
    }
    let few = few(&fetchers);
    let loads = [
        Load {
            title: format!("{} phones boot at once", site.phones.len()),
            phones: site.phones.clone(),
            oracle: Box::new(site.oracle),
            asks: Asks::Boot,
        },
        Load {
            title: format!(
                "{} phones fetch their configuration of {CONFIG_LEN} bytes at once",
                fetchers.len()
            ),
            phones: fetchers,
            oracle: Box::new(oracle.clone()),
            asks: Asks::Speed,
        },
        Load {
            title: format!("{FEW} phones fetch configurations of {CONFIG_LEN} bytes in a row"),
            phones: few,
            oracle: Box::new(oracle),
            asks: Asks::Cost,
        },
    ];
    loads
        .iter()
        .map(|load| {
            if load.asks == Asks::Cost {
                for arm in &mut arms {
                    arm.thread_network()?;
                }
            }
            let mut rounds = vec![Vec::new(); arms.len()];
            for round in 0..options.rounds {
                say(&format!(
                    "b: {}, round {} of {}",
                    load.title,
                    round + 1,
                    options.rounds
                ));
                ensure!(!interrupted(), "interrupted");
                for index in order(arms.len(), round) {
                    rounds[index].push(arms[index].play(load)?);
                }
            }
            Ok(table(load, &arms, &rounds))
        })
        .collect()
}

/// Phones that want nothing but a configuration, in blocks of 512 bytes.
pub(super) fn fetchers(count: usize) -> Vec<PhoneSpec> {
    (0..count)
        .map(|index| {
            let device: std::sync::Arc<str> = format!("SEP00BE00{index:06X}").into();
            PhoneSpec {
                files: vec![Family::config_file(&device)],
                device,
                family: Family::Sip7961,
                address: Ipv4Addr::from(u32::from(FETCHERS) + index as u32).into(),
            }
        })
        .collect()
}

/// The first of them, each with the configurations of many.
pub(super) fn few(fetchers: &[PhoneSpec]) -> Vec<PhoneSpec> {
    let mut names = fetchers.iter().map(|phone| phone.files[0].clone()).cycle();
    fetchers
        .iter()
        .take(FEW)
        .map(|phone| PhoneSpec {
            files: names.by_ref().take(FILES_EACH).collect(),
            ..phone.clone()
        })
        .collect()
}

pub(super) fn configuration(device: &str) -> Bytes {
    let line = format!("<device>{device}</device>\n");
    line.bytes().cycle().take(CONFIG_LEN).collect()
}

pub(super) fn write_configurations(root: &Path, phones: &[PhoneSpec]) -> Result<()> {
    for phone in phones {
        let path = root.join(&*phone.files[0]);
        fs::write(&path, configuration(&phone.device))
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// What the daemon of this folder generates, by device.
fn render(folder: &Path, site: &Site) -> Result<HashMap<String, Bytes>> {
    let config = Config::load(&folder.join("tftp-edge.toml"))?;
    let snapshot = Inventory::open(&config.inventory)?.snapshot()?;
    let mut renderer = Renderer::default();
    let mut by_name: HashMap<String, Bytes> = snapshot
        .devices
        .values()
        .map(|device| {
            let content = Bytes::copy_from_slice(renderer.device(device, &snapshot)?);
            Ok((device.name.config_file(), content))
        })
        .collect::<Result<_>>()?;
    site.phones
        .iter()
        .map(|phone| {
            let name = Family::config_file(&phone.device).to_ascii_lowercase();
            let content = by_name.remove(&name).context("a phone is not imported")?;
            Ok((phone.device.to_string(), content))
        })
        .collect()
}

/// Everything the daemons serve, as files.
fn tree_of_files(
    site: &Site,
    fetchers: &[PhoneSpec],
    rendered: &HashMap<String, Bytes>,
    folder: &TempDir,
) -> Result<PathBuf> {
    let root = folder.path().join("tftp");
    fs::create_dir(&root)?;
    site.write(&root, &folder.path().join("phones.csv"))?;
    // dnsmasq tells upper case from lower.
    fs::copy(root.join("Ringlist.xml"), root.join("RINGLIST.XML"))?;
    for (device, content) in rendered {
        fs::write(root.join(&*Family::config_file(device)), content)?;
    }
    write_configurations(&root, fetchers)?;
    Ok(root)
}

impl Arm<'_> {
    fn play(&self, load: &Load) -> Result<Round> {
        let fleet = Fleet {
            phones: &load.phones,
            oracle: &*load.oracle,
            options: FleetOptions::new((SERVER_V4, 69).into()),
        };
        let before = self.used()?;
        let report = fleet.boot(Place::Namespace(&self.lab.client), &Progress::default())?;
        // The last acknowledgements are still on their way.
        std::thread::sleep(Duration::from_millis(100));
        let after = self.used()?;
        ensure!(
            report.failed == 0 && report.booted == report.phones,
            "{}: {} of {} phones failed: {:?}",
            self.name,
            report.failed,
            report.phones,
            report.failures.first()
        );
        Ok(Round::new(&report, before, after))
    }

    fn thread_network(&mut self) -> Result<()> {
        Napi::threaded(&self.lab.client, CLIENT_IF)?;
        self.network = Some(Napi::threaded(&self.lab.server, SERVER_IF)?);
        Ok(())
    }

    fn used(&self) -> Result<Used> {
        let pid = self.process.pid();
        let programs = programs_of(pid)?;
        Ok(Used {
            process: cpu_time(pid)?,
            network: match &self.network {
                Some(network) => network.cpu_time()?,
                None => Duration::ZERO,
            },
            programs: programs.iter().map(|program| program.runs.time).sum(),
        })
    }
}

/// CPU time so far.
#[derive(Clone, Copy)]
struct Used {
    process: Duration,
    network: Duration,
    programs: Duration,
}

impl Round {
    fn new(report: &Report, before: Used, after: Used) -> Self {
        let process = after.process.saturating_sub(before.process);
        let network = after.network.saturating_sub(before.network);
        let programs = after.programs.saturating_sub(before.programs);
        let config = report.stage(Stage::Config);
        let blocks: u64 = report.stages.iter().map(|stage| stage.blocks).sum();
        let phones = report.phones as f64;
        let serving = process + network;
        let us_each = |time: Duration| time.as_secs_f64() * 1e6 / phones;
        let quantile = |at| config.took_us.value_at_quantile(at) as f64 / 1e3;
        Self {
            per_second: phones / report.took.as_secs_f64(),
            process_us: us_each(process),
            network_us: us_each(network),
            programs_us: us_each(programs),
            block_ns: serving.as_nanos() as f64 / blocks as f64,
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
            resends: report.resends(),
        }
    }
}

fn table(load: &Load, arms: &[Arm<'_>], rounds: &[Vec<Round>]) -> Table {
    let middle = |of: &[Round], value: fn(&Round) -> f64| median(of.iter().map(value));
    let dnsmasq = &rounds[rounds.len() - 1];
    // Round by round: how many times less or more than dnsmasq.
    let against = |of: &[Round], value: fn(&Round) -> f64| {
        median(
            of.iter()
                .zip(dnsmasq)
                .map(|(ours, theirs)| value(ours) / value(theirs)),
        )
    };
    let is_cost = load.asks == Asks::Cost;
    let only = |wanted: bool, cell: Cell| if wanted { cell } else { Cell::None };
    let mut rows = Vec::new();
    let mut ratios = Vec::new();
    for (arm, of) in arms.iter().zip(rounds) {
        let per_second: Vec<f64> = of.iter().map(|round| round.per_second).collect();
        let less_cpu = 1.0 / against(of, |round| round.block_ns);
        rows.push(vec![
            Cell::text(arm.name),
            Cell::number(middle(of, |round| round.per_second), 0),
            spread(&per_second, 0),
            Cell::number(middle(of, |round| round.p50_ms), 1),
            Cell::number(middle(of, |round| round.p99_ms), 1),
            Cell::number(middle(of, |round| round.process_us), 1),
            Cell::number(middle(of, |round| round.programs_us), 1),
            only(
                is_cost,
                Cell::number(middle(of, |round| round.network_us), 1),
            ),
            only(is_cost, Cell::number(middle(of, |round| round.block_ns), 0)),
            only(is_cost, Cell::number(less_cpu, 1)),
            Cell::Count(of.iter().map(|round| round.resends).sum()),
        ]);
        if is_cost && let Some(goal) = goal(arm.name, [30.0, 12.0, 2.0]) {
            ratios.push(Ratio::new(
                format!("{}: times less CPU per block than dnsmasq", arm.name),
                less_cpu,
                " x",
                Goal::AtLeast(goal),
            ));
        }
        if load.asks == Asks::Speed {
            if let Some(goal) = goal(arm.name, [20.0, 12.0, f64::NAN]) {
                ratios.push(Ratio::new(
                    format!("{}: configurations per second against dnsmasq", arm.name),
                    against(of, |round| round.per_second),
                    " x",
                    Goal::AtLeast(goal),
                ));
            }
            if let Some(goal) = goal(arm.name, [0.1; 3]) {
                ratios.push(Ratio::new(
                    format!("{}: p99 of a configuration against dnsmasq", arm.name),
                    against(of, |round| round.p99_ms),
                    " x",
                    Goal::AtMost(goal),
                ));
            }
        }
    }
    Table {
        part: 'b',
        title: load.title.clone(),
        columns: vec![
            "server",
            "phones/s",
            "rounds",
            "p50 ms",
            "p99 ms",
            "process us",
            "programs us",
            "network us",
            "ns/block",
            "x less",
            "resends",
        ],
        rows,
        ratios,
        method: format!("{METHOD} {}", load.asks.method()),
    }
}

/// The goal for a server of ours, of those for XDP, TC and sockets.
fn goal(server: &str, goals: [f64; 3]) -> Option<f64> {
    let at = NAMES.iter().position(|&name| name == server)?;
    Some(goals[at]).filter(|goal| !goal.is_nan())
}

const METHOD: &str = "Method: the same simulated phones, each with an address of its own, against \
    each server in turns, each server in a namespace of its own behind a veth pair; every byte is \
    checked. dnsmasq serves the same files from disk with --tftp-max=20000, and takes requests \
    through a socket with the system's default buffer: what overflows it, the phones send again. \
    `process` is the CPU time of the server's threads, `programs` the run time of its kernel \
    programs as the kernel counts it, both for each phone. p50 and p99 are of a configuration, from \
    its first request to its last block. Medians over the rounds; ratios are medians of the rounds' \
    ratios.";

impl Asks {
    const fn method(self) -> &'static str {
        match self {
            Self::Boot | Self::Speed => {
                "On veth the kernel delivers a frame in the name of whoever sends it: `process` has \
                 the delivery to the phones in it, and the rest of the serving side's is in the \
                 phones'. The phones run on the same cores and take most of them, so phones/s \
                 understates what a fast server can do: its goals want phones that cost next to \
                 nothing."
            }
            Self::Cost => {
                "Both ends of each pair have threaded NAPI, so that receiving is done in threads of \
                 its own and not in the name of the sender: `network` is the CPU time of the \
                 server's end, with its kernel programs in it (`programs` is their part). ns/block \
                 is process and network for each block, `x less` how many times less than \
                 dnsmasq. XDP on veth first copies each frame into a page, which drivers of cards \
                 need not. What waking those threads and a veth pair cost is in it for all, and is \
                 more than the programs do."
            }
        }
    }
}
