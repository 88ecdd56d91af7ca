//! The benchmark: what is compared runs interleaved in one go, several rounds, and medians are
//! told. Machines are noisy and differ, so ratios say more than times, and none makes it fail.

mod answers;
mod boots;
mod classify;
mod flood;
mod http;
mod load;
mod log;
mod memory;
mod napi;
mod registrar;
mod republish;
mod runs;
mod scale;
mod scrape;
mod table;

use std::fs;
use std::path::PathBuf;
use std::thread;

use anyhow::{Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;

use crate::lab::{interrupted, is_root};

pub use table::{Cell, Goal, Ratio, Table};

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Kernel time per answer
    A,
    /// Boots per second and CPU per boot
    B,
    /// Time to regenerate and republish every configuration
    C,
    /// Kernel memory against content
    D,
    /// Configurations per second over HTTP and over TFTP sockets
    E,
    /// Time and memory for 100,000 devices
    F,
    /// Registrations per CPU second, and memory of each
    G,
    /// Kernel time to look for registrations
    H,
    /// Time of a scrape with 100,000 phones
    I,
    /// What the log costs, off and on
    J,
    /// Boots in quiet and under a flood of garbage
    K,
}

/// What can be chosen about a run.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    pub daemon: PathBuf,
    pub parts: Vec<Part>,
    /// Smaller and fewer rounds: shows that it works, measures little.
    pub quick: bool,
    /// Rounds of everything that is repeated.
    pub rounds: usize,
    /// Phones that fetch a configuration at once in part b.
    pub phones: usize,
}

/// What a run has measured, and where.
#[derive(Clone, Debug, Serialize)]
pub struct Bench {
    pub kernel: String,
    pub cpu: String,
    pub cores: usize,
    pub quick: bool,
    pub rounds: usize,
    pub tables: Vec<Table>,
}

/// Runs the parts that were chosen. `say` is given a line for each step, `show` each table.
pub fn run(
    options: &BenchOptions,
    mut say: impl FnMut(&str),
    mut show: impl FnMut(&Table),
) -> Result<Bench> {
    ensure!(
        is_root(),
        "the benchmark measures the kernel path, which needs root: run it with sudo"
    );
    ensure!(
        options.daemon.exists(),
        "there is no {}: build it with `cargo build --release -p tftp-edge`, or name it with --daemon",
        options.daemon.display()
    );
    // Servers take it over: some open a socket for each transfer.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let mut bench = Bench {
        kernel: read_line("/proc/sys/kernel/osrelease"),
        cpu: cpu_model(),
        cores: thread::available_parallelism().map_or(1, std::num::NonZero::get),
        quick: options.quick,
        rounds: options.rounds,
        tables: Vec::new(),
    };
    for part in &options.parts {
        ensure!(!interrupted(), "interrupted");
        let tables = match part {
            Part::A => answers::measure(options, &mut say)?,
            Part::B => boots::measure(options, &mut say)?,
            Part::C => vec![republish::measure(options, &mut say)?],
            Part::D => vec![memory::measure(options, &mut say)?],
            Part::E => vec![http::measure(options, &mut say)?],
            Part::F => vec![scale::measure(options, &mut say)?],
            Part::G => registrar::measure(options, &mut say)?,
            Part::H => vec![classify::measure(options, &mut say)?],
            Part::I => vec![scrape::measure(options, &mut say)?],
            Part::J => log::measure(options, &mut say)?,
            Part::K => vec![flood::measure(options, &mut say)?],
        };
        for table in tables {
            show(&table);
            bench.tables.push(table);
        }
    }
    Ok(bench)
}

/// Indices of `count` things in the order of a round: each begins once.
fn order(count: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |index| (index + round) % count)
}

fn read_line(path: &str) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn cpu_model() -> String {
    read_line("/proc/cpuinfo")
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or_else(|| "unknown".to_owned(), |(_, model)| model.to_owned())
}
