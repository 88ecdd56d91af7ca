//! `tftp-edge-lab`: shows tftp-edge at work, and measures it.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use tftp_edge_tests::bench::{self, BenchOptions, Part};
use tftp_edge_tests::demo::{DemoOptions, Mode, daemon_beside_us, run};
use tftp_edge_tests::lab::{interrupted, is_root, sweep_stale, watch_for_interrupt};
use tftp_edge_tests::soak::{self, SoakOptions};
use tftp_edge_tests::storm::{self, StormOptions};

#[derive(Parser)]
#[command(
    name = "tftp-edge-lab",
    about = "A lab for tftp-edge: phones, namespaces, a demonstration, a benchmark"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Boot a whole site at once until all phones are registered, then change one shared setting
    ///
    /// As root in network namespaces of its own, with the kernel path; else on the loopback.
    Demo {
        /// Phones of the site
        #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=200_000))]
        phones: u32,
        /// Which kernel program answers
        #[arg(long, value_enum, default_value_t = Mode::Auto)]
        mode: Mode,
        /// Stay on the loopback, with sockets alone
        #[arg(long)]
        loopback: bool,
        /// The tftp-edge to start [default: the one beside this program]
        #[arg(long, value_name = "PATH")]
        daemon: Option<PathBuf>,
        /// Bring the power back over this many seconds instead of at once
        #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
        ramp: Duration,
        /// How many times smaller than real ones the firmware images are
        #[arg(long, value_name = "FACTOR", default_value_t = 64)]
        firmware_divisor: usize,
        /// Write the tables to this file too
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Measure the kernel path, the daemon, regeneration, HTTP and the registrars
    ///
    /// Needs root, and takes some minutes; a machine that does nothing else gives better figures.
    Bench {
        /// Parts to measure, as in a,c
        #[arg(
            long,
            value_enum,
            value_delimiter = ',',
            default_value = "a,b,c,d,e,f,g,i"
        )]
        only: Vec<Part>,
        /// Small and short: shows that it works, and measures little
        #[arg(long)]
        quick: bool,
        /// Rounds of what is compared [default: 7, with --quick 2]
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..=100))]
        rounds: Option<u8>,
        /// Phones that fetch a configuration at once in parts b and e [default: 2000, with --quick 200]
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=20_000))]
        phones: Option<u32>,
        /// The tftp-edge to start [default: the one beside this program]
        #[arg(long, value_name = "PATH")]
        daemon: Option<PathBuf>,
        /// Write the tables to this file too
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Storm a registrar that is throttled to a tenth of what it can do
    ///
    /// Needs root. Fails if a phone is lost, if one asks more often than it needs to, or if it takes
    /// longer than 1.3 times the ideal.
    Storm {
        /// Phones that register at once
        #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        phones: u32,
        /// Registrations a second [default: a tenth of what is measured first]
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        per_second: Option<u32>,
        /// The tftp-edge to start [default: the one beside this program]
        #[arg(long, value_name = "PATH")]
        daemon: Option<PathBuf>,
        /// Write the figures to this file too
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Put an hour's load on the daemon in a short time, and see whether what it holds grows
    ///
    /// Needs root. Fails if memory, descriptors, threads, maps or databases are larger in the last
    /// third of the run than in the middle one, or if a file or a registration was lost.
    Soak {
        /// Files fetched, from the kernel, by sockets and over HTTP
        #[arg(long, default_value_t = 1_000_000, value_parser = count)]
        transfers: u64,
        /// Registrations, of phones that come and go
        #[arg(long, default_value_t = 100_000, value_parser = count)]
        registrations: u64,
        /// Phones that are on at one time
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(4..=20_000))]
        phones: u32,
        /// Stop after this time, whatever is left to do [default: no limit]
        #[arg(long)]
        minutes: Option<f64>,
        /// The tftp-edge to start [default: the one beside this program]
        #[arg(long, value_name = "PATH")]
        daemon: Option<PathBuf>,
        /// Write the figures to this file too
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Remove what killed runs left behind
    Sweep,
}

/// As people write large numbers: `1_000_000`.
fn count(text: &str) -> Result<u64, String> {
    let digits: String = text.chars().filter(|it| *it != '_').collect();
    digits
        .parse()
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| "expected a number, such as 1_000_000".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text
        .trim_end_matches('s')
        .parse()
        .map_err(|_| "expected seconds, such as 2 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

fn main() -> Result<ExitCode> {
    match Cli::parse().command {
        Command::Demo {
            phones,
            mode,
            loopback,
            daemon,
            ramp,
            firmware_divisor,
            json,
        } => {
            watch_for_interrupt()?;
            if !is_root() && !loopback {
                eprintln!("no root: no network namespaces and no kernel path; use sudo for them");
            }
            let options = DemoOptions {
                daemon: daemon.unwrap_or_else(daemon_beside_us),
                phones: phones as usize,
                mode,
                loopback: loopback || !is_root(),
                ramp,
                firmware_divisor,
            };
            let demo = match run(&options, |step| eprintln!("{step}")) {
                // 128 + SIGINT, as a shell says it.
                Err(_) if interrupted() => return Ok(ExitCode::from(130)),
                result => result?,
            };
            println!("{}", demo.boot);
            println!("{}", demo.registrations);
            let [registered, back] = &demo.agreements;
            println!("{registered}");
            println!(
                "the change reached the sampled phones within {:.2} s",
                demo.change_live_s
            );
            println!("{}", demo.refetch);
            println!(
                "{} phones restarted by order, {:.1} s after the change all were back\n{back}",
                demo.restarted, demo.back_s
            );
            if let Some(file) = json {
                fs::write(&file, serde_json::to_vec_pretty(&demo)?)
                    .with_context(|| format!("writing {}", file.display()))?;
            }
            Ok(match demo.is_complete() {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            })
        }
        Command::Bench {
            only,
            quick,
            rounds,
            phones,
            daemon,
            json,
        } => {
            watch_for_interrupt()?;
            let options = BenchOptions {
                daemon: daemon.unwrap_or_else(daemon_beside_us),
                parts: only,
                quick,
                rounds: rounds.map_or(if quick { 2 } else { 7 }, usize::from),
                phones: phones.map_or(if quick { 200 } else { 2000 }, |phones| phones as usize),
            };
            let say = |step: &str| eprintln!("{step}");
            let bench = match bench::run(&options, say, |table| println!("{table}")) {
                // 128 + SIGINT, as a shell says it.
                Err(_) if interrupted() => return Ok(ExitCode::from(130)),
                result => result?,
            };
            if let Some(file) = json {
                fs::write(&file, serde_json::to_vec_pretty(&bench)?)
                    .with_context(|| format!("writing {}", file.display()))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Storm {
            phones,
            per_second,
            daemon,
            json,
        } => {
            watch_for_interrupt()?;
            let options = StormOptions {
                daemon: daemon.unwrap_or_else(daemon_beside_us),
                phones: phones as usize,
                per_second,
            };
            let storm = match storm::run(&options, |step| eprintln!("{step}")) {
                // 128 + SIGINT, as a shell says it.
                Err(_) if interrupted() => return Ok(ExitCode::from(130)),
                result => result?,
            };
            println!("{storm}");
            if let Some(file) = json {
                fs::write(&file, serde_json::to_vec_pretty(&storm)?)
                    .with_context(|| format!("writing {}", file.display()))?;
            }
            Ok(match storm.is_orderly() {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            })
        }
        Command::Soak {
            transfers,
            registrations,
            phones,
            minutes,
            daemon,
            json,
        } => {
            watch_for_interrupt()?;
            let limit = minutes.map(|minutes| Duration::try_from_secs_f64(minutes * 60.0));
            let options = SoakOptions {
                daemon: daemon.unwrap_or_else(daemon_beside_us),
                transfers,
                registrations,
                phones: phones as usize,
                limit: limit.transpose().context("--minutes")?,
            };
            let soak = match soak::run(&options, |step| eprintln!("{step}")) {
                // 128 + SIGINT, as a shell says it.
                Err(_) if interrupted() => return Ok(ExitCode::from(130)),
                result => result?,
            };
            println!("{soak}");
            if let Some(file) = json {
                fs::write(&file, serde_json::to_vec_pretty(&soak)?)
                    .with_context(|| format!("writing {}", file.display()))?;
            }
            Ok(match soak.is_flat() && soak.failures.is_empty() {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            })
        }
        Command::Sweep => {
            sweep_stale();
            Ok(ExitCode::SUCCESS)
        }
    }
}
