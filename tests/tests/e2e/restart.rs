//! The daemon goes and comes back, in order or not, and the kernel serves on.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray};
use nix::sys::signal::Signal;
use serde_json::Value;
use tftp_ebpf::abi::{CounterBlock, Lease};
use tftp_ebpf::verdict::{Reason, Rung, Verdict};
use tftp_edge::config::Config;
use tftp_edge::ops::control;
use tftp_edge_tests::client::{Outcome, Retry};
use tftp_edge_tests::demo::{Edge, Mode};
use tftp_edge_tests::lab::{BpfFs, Process, SERVER_IF, identities};
use tftp_edge_tests::phones::{PhoneSpec, Progress};
use tftp_edge_tests::rig::{
    OVER_V4, Rig, answers, content, daemon_under_test, ensure_all_booted, run, wait_for,
};
use tftp_edge_tests::server::Place;
use tftp_edge_tests::site::Site;

use crate::interfaces::status;

/// Where the daemon of a rig pins, in a BPF file system of the test's own.
pub struct Pinned {
    _bpffs: BpfFs,
    path: PathBuf,
}

impl Pinned {
    pub fn new(rig: &Rig<'_>) -> Result<Self> {
        let bpffs = BpfFs::mount()?;
        let path = bpffs.path().join("edge");
        rig.edge.pin_under(&path)?;
        Ok(Self {
            _bpffs: bpffs,
            path,
        })
    }

    /// The directory of this version.
    pub fn version(&self) -> PathBuf {
        self.path.join(format!("v{}", tftp_ebpf::abi::ABI_VERSION))
    }

    pub fn map(&self, name: &str) -> Result<MapData> {
        let path = self.version().join("maps").join(name);
        MapData::from_pin(&path).with_context(|| format!("{}", path.display()))
    }

    /// How often the programs have given a reason, whether a daemon is there or not.
    fn counted(&self, is_meant: impl Fn(Reason) -> bool) -> Result<u64> {
        let counters =
            PerCpuArray::<_, CounterBlock>::try_from(Map::PerCpuArray(self.map("COUNTERS")?))?;
        let mut sum = 0;
        for rung in [0, 1] {
            for block in counters.get(&rung, 0)?.iter() {
                let reasons = Reason::ALL.into_iter().filter(|&reason| is_meant(reason));
                sum += reasons.map(|it| block.reasons[it as usize]).sum::<u64>();
            }
        }
        Ok(sum)
    }

    fn answers(&self) -> Result<u64> {
        self.counted(|reason| reason.verdict() == Verdict::Answer)
    }

    /// What is pinned of this version: names below `folder`.
    pub fn names(&self, folder: &str) -> Result<Vec<String>> {
        let entries = match fs::read_dir(self.version().join(folder)) {
            Ok(entries) => entries,
            Err(_) => return Ok(Vec::new()),
        };
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let mut names = names.collect::<Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }
}

fn attached(rig: &Rig<'_>) -> Result<String> {
    identities(&rig.lab.server, SERVER_IF)
}

/// The daemon ends by `signal`; whatever it leaves stays.
fn end(rig: &mut Rig<'_>, signal: Signal) -> Result<()> {
    let mut daemon = rig.take_daemon()?;
    let status = daemon.end(signal)?;
    ensure!(
        signal == Signal::SIGKILL || status.success(),
        "{signal}: {status}\n{}",
        daemon.log_tail()
    );
    Ok(())
}

#[test]
fn what_is_left_in_the_kernel_serves_on_until_it_is_taken_off() {
    for rung in [Rung::Xdp, Rung::Tc] {
        run(rung, |rig| {
            let pinned = Pinned::new(rig)?;
            let bytes = content(20_000);
            rig.put("firmware.sbn", &bytes)?;
            rig.put("small.xml", &bytes[..900])?;
            rig.start()?;
            let links: &[&str] = match rig.rung {
                Rung::Xdp => &["srv0-tc", "srv0-xdp"],
                _ => &["srv0-tc"],
            };
            ensure!(
                pinned.names("links")? == links,
                "{:?}",
                pinned.names("links")
            );
            ensure!(pinned.names("banks")? == ["0"]);
            for signal in [Signal::SIGKILL, Signal::SIGUSR2] {
                let before = attached(rig)?;
                end(rig, signal)?;
                ensure!(attached(rig)? == before, "{signal}: {}", attached(rig)?);
                ensure!(rig.get_all("small.xml")? == bytes[..900]);

                let told = rig.edge.command(&["detach"])?;
                let told = String::from_utf8(told)?;
                for rung in links {
                    let (_, rung) = rung.split_once('-').context("a link's name")?;
                    let line = format!("{SERVER_IF}: took off the {rung} program\n");
                    ensure!(told.contains(&line), "{told}");
                }
                ensure!(attached(rig)?.is_empty(), "{}", attached(rig)?);
                let told = String::from_utf8(rig.edge.command(&["detach"])?)?;
                ensure!(told.starts_with("nothing is pinned under "), "{told}");
                rig.start()?;
            }

            // Ended in order, the daemon leaves nothing.
            end(rig, Signal::SIGTERM)?;
            ensure!(attached(rig)?.is_empty(), "{}", attached(rig)?);
            ensure!(fs::read_dir(&pinned.path)?.next().is_none());
            Ok(())
        });
    }
}

#[test]
fn a_second_daemon_is_refused_before_it_touches_anything() {
    run(Rung::Tc, |rig| {
        let pinned = Pinned::new(rig)?;
        rig.put("small.xml", b"<small/>")?;
        rig.start()?;
        let before = attached(rig)?;
        let pid = rig.daemon_mut()?.pid();

        let place = Place::Namespace(&rig.lab.server);
        let folder = rig.file("second");
        let second = Edge::new(&daemon_under_test()?, &folder, place, Mode::Tc, 4000)?;
        second.pin_under(&pinned.path)?;
        for (arguments, hint) in [(["run"], "stop it first"), (["detach"], "--force")] {
            let refused = second.output(&arguments)?;
            let told = String::from_utf8_lossy(&refused.stderr).into_owned();
            ensure!(
                refused.status.code() == Some(69),
                "{}: {told}",
                refused.status
            );
            ensure!(told.contains(&format!("(pid {pid})")), "{told}");
            ensure!(told.contains(hint), "{told}");
        }
        ensure!(attached(rig)? == before);
        ensure!(rig.get_all("small.xml")? == b"<small/>");

        // By force the programs go. The daemon says so, and its sockets serve until it is told to
        // attach them again.
        second.command(&["detach", "--force"])?;
        ensure!(attached(rig)?.is_empty());
        let told = wait_for_rung(rig, "off")?;
        let problem = told["problem"].as_str().unwrap_or_default();
        ensure!(problem.contains("`tftp-edge reload`"), "{told}");
        ensure!(
            rig.metrics()?
                .sum("tftp_edge_xdp_attached", &[("mode", "tc")])
                == 0.0
        );
        ensure!(pins(rig)?["problem"].is_string());
        serves_small(rig, Rung::Socket)?;
        rig.edge.command(&["reload"])?;
        let told = wait_for_rung(rig, "tc")?;
        ensure!(told["problem"].is_null(), "{told}");
        serves_small(rig, Rung::Tc)?;
        rig.stop()
    });
}

/// What the status says of the interface when it is served so.
fn wait_for_rung(rig: &Rig<'_>, mode: &str) -> Result<Value> {
    let mut told = Value::Null;
    let waited = wait_for("the interface to be served so", || {
        let status = status(rig, SERVER_IF);
        told = status.map_or(Value::Null, |(status, _)| status);
        told["mode"] == mode
    });
    waited.with_context(|| format!("{mode}, not {told}"))?;
    Ok(told)
}

/// The small file is there, and this rung has served it.
fn serves_small(rig: &Rig<'_>, rung: Rung) -> Result<()> {
    let before = rig.metrics()?;
    ensure!(rig.get_all("small.xml")? == b"<small/>");
    let after = rig.metrics()?;
    for other in Rung::ALL {
        let answered = answers(&before, &after, other) > 0.0;
        ensure!(answered == (other == rung), "{}", other.as_str());
    }
    Ok(())
}

/// What the status of the daemon says of its pins.
fn pins(rig: &Rig<'_>) -> Result<Value> {
    // It may well be degraded: veth is no place for XDP.
    let status = rig.edge.output(&["status", "--json"])?;
    let status: Value = serde_json::from_slice(&status.stdout)?;
    Ok(status["kernel"]["pins"].clone())
}

/// The daemon is there again, and has taken over what was left, or has begun anew for a reason.
fn start_again(rig: &mut Rig<'_>, why_not: Option<&str>) -> Result<()> {
    rig.start()?;
    let pins = pins(rig)?;
    let log = rig.daemon_mut()?.log();
    ensure!(
        pins["adopted"] == why_not.is_none(),
        "{pins}, {why_not:?}:\n{log}"
    );
    ensure!(pins["problem"].is_null(), "{pins}");
    if let Some(why) = why_not {
        // All of them write to the same file.
        let told = log
            .lines()
            .rfind(|line| line.contains("kernel.pins_removed"));
        let told = told.context("the log does not say why")?;
        ensure!(told.contains(why), "{told}");
    }
    Ok(())
}

/// How often the journal has the phone's configuration, whole, and from the kernel.
fn configurations(rig: &Rig<'_>, phone: &PhoneSpec) -> Result<u64> {
    let socket = Config::load(&rig.edge.config())?.control.socket;
    let Some(view) = control::phone(&socket, phone.device.parse()?)? else {
        return Ok(0);
    };
    let view = serde_json::to_value(view)?;
    let boots = view["boots"].as_array().into_iter().flatten();
    let entries = boots
        .filter_map(|boot| boot["entries"].as_array())
        .flatten();
    let is_meant = |entry: &&Value| {
        let name = entry["name"].as_str().unwrap_or_default();
        name.ends_with(".cnf.xml") && entry["outcome"] == "complete" && entry["path"] == "tc"
    };
    Ok(entries
        .filter(is_meant)
        .map(|entry| entry["times"].as_u64().unwrap_or(1))
        .sum())
}

#[test]
fn the_next_daemon_takes_over_what_fits_and_begins_anew_where_it_does_not() {
    run(Rung::Tc, |rig| {
        let pinned = Pinned::new(rig)?;
        let mut site = Site::without_upgrades(10);
        rig.host(&mut site)?;
        rig.start()?;
        let phone = &site.phones[0];
        let fetches = |rig: &Rig<'_>| -> Result<()> {
            ensure!(rig.config(phone)?.outcome == Outcome::Complete);
            Ok(())
        };
        let address = phone.address.to_string();
        let log = rig.file("trace.json");
        let trace = rig
            .edge
            .spawn("trace", &["trace", &address, "--json"], &log)?;
        wait_for("the trace to begin", || trace.log().contains("watching"))?;
        let traced = attached(rig)?;
        ensure!(traced.contains("tftp_edge_tc_tr"), "{traced}");

        // The daemon dies in the middle of a trace, and the phone is served all the same. The next
        // one ends the trace, and knows what was served.
        end(rig, Signal::SIGKILL)?;
        drop(trace);
        ensure!(attached(rig)? == traced);
        let banks = pinned.names("banks")?;
        fetches(rig)?;
        start_again(rig, None)?;
        ensure!(
            !attached(rig)?.contains("tftp_edge_tc_tr"),
            "{}",
            attached(rig)?
        );
        wait_for("what was served meanwhile to be told", || {
            configurations(rig, phone).is_ok_and(|count| count == 1)
        })?;
        ensure!(
            pinned.names("banks")? == banks,
            "what is published again was there"
        );

        // Another allow list fits.
        let config = fs::read_to_string(rig.edge.config())?;
        let allow = r#"allow = ["10.0.0.0/8", "#;
        ensure!(config.contains(allow));
        fs::write(
            rig.edge.config(),
            config.replace(allow, r#"allow = ["10.64.0.0/10", "#),
        )?;
        end(rig, Signal::SIGUSR2)?;
        fetches(rig)?;
        start_again(rig, None)?;
        fetches(rig)?;
        let told = String::from_utf8(rig.edge.output(&["status"])?.stdout)?;
        ensure!(
            told.contains(", taken over from the daemon before\n"),
            "{told}"
        );

        // When nobody is there for too long, the program leaves everything to sockets.
        end(rig, Signal::SIGKILL)?;
        let mut lease = Array::<_, Lease>::try_from(Map::Array(pinned.map("LEASE")?))?;
        let last = lease.get(&0, 0)?;
        ensure!(
            last.until_ns > last.renewed_ns && last.renewed_ns > 0,
            "{last:?}"
        );
        let until_ns = last.renewed_ns;
        lease.set(0, Lease { until_ns, ..last }, 0)?;
        let before = pinned.answers()?;
        let exchange = rig.exchange(phone.address)?;
        exchange.send(OVER_V4, b"\0\x01XMLDefault.cnf.xml\0octet\0")?;
        wait_for("the lease to be over", || {
            let over = pinned.counted(|reason| reason == Reason::LeaseOver);
            over.is_ok_and(|count| count > 0)
        })?;
        ensure!(pinned.answers()? == before);
        start_again(rig, None)?;
        fetches(rig)?;

        // Maps of another size, of another version, and of somebody else.
        rig.edge.amend("kernel", "max_names = 5000")?;
        end(rig, Signal::SIGUSR2)?;
        start_again(rig, Some("map FILES is of type 1, 131072 entries"))?;
        fetches(rig)?;

        end(rig, Signal::SIGKILL)?;
        fs::rename(pinned.version(), pinned.path.join("v4"))?;
        start_again(rig, Some("of another version"))?;
        ensure!(!pinned.path.join("v4").exists());
        fetches(rig)?;

        end(rig, Signal::SIGKILL)?;
        let files = pinned.version().join("maps/FILES");
        fs::remove_file(&files)?;
        HashMap::<_, u32, u32>::create(10, 0)?.pin(&files)?;
        start_again(
            rig,
            Some("map FILES is of type 1, 10 entries of 4 to 4 bytes"),
        )?;
        fetches(rig)?;

        end(rig, Signal::SIGKILL)?;
        let link = pinned.version().join("links/srv0-tc");
        fs::rename(&link, pinned.version().join("links/gone0-tc"))?;
        start_again(rig, None)?;
        ensure!(
            pinned.names("links")? == ["srv0-tc"],
            "{:?}",
            pinned.names("links")
        );
        ensure!(attached(rig)?.lines().count() == 1, "{}", attached(rig)?);
        fetches(rig)?;
        rig.stop()
    });
}

/// Phones that boot while the daemon comes and goes, and how many at a time.
const PHONES: usize = 5000;
const AT_A_TIME: usize = 250;
/// How often the daemon is replaced, and how often it is killed.
const ENDS: usize = 10;

#[test]
fn no_boot_fails_while_the_daemon_is_replaced_and_killed() {
    run(Rung::Tc, |rig| {
        let pinned = Pinned::new(rig)?;
        let mut site = Site::without_upgrades(PHONES);
        rig.host(&mut site)?;
        rig.start()?;
        let mut daemon = rig.take_daemon()?;
        let (booted, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
        let (shared, booted, is_over) = (&*rig, &booted, &is_over);
        let (site, pinned) = (&site, &pinned);
        let daemon = thread::scope(|scope| -> Result<Process> {
            let boots = scope.spawn(move || boot_until(shared, site, booted, is_over));
            let mut replace = || -> Result<()> {
                for number in 0..2 * ENDS {
                    let signal = [Signal::SIGUSR2, Signal::SIGKILL][number % 2];
                    daemon.end(signal)?;
                    let answers = pinned.answers()?;
                    wait_for("the kernel to answer alone", || {
                        boots.is_finished() || pinned.answers().is_ok_and(|it| it > answers + 50)
                    })?;
                    ensure!(!boots.is_finished(), "boots have failed");
                    let before = attached(shared)?;
                    ensure!(!before.is_empty(), "nothing is attached");
                    let log = shared.file(&format!("{number}.log"));
                    daemon = shared.edge.spawn("tftp-edge", &["run"], &log)?;
                    // One that is to end in order gets so far; one that is killed may be at anything.
                    let is_there = || match number % 2 {
                        0 => attached(shared).is_ok_and(|now| now != before),
                        _ => fs::read_to_string(&log).is_ok_and(|it| it.contains("edge.started")),
                    };
                    daemon.wait_until(Duration::from_secs(60), is_there)?;
                }
                Ok(())
            };
            let replaced = replace();
            is_over.store(true, Ordering::Relaxed);
            let boots = boots
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            // Why a boot has failed is the better reason.
            boots?;
            replaced?;
            Ok(daemon)
        })?;
        rig.give_daemon(daemon);
        let booted = booted.load(Ordering::Relaxed);
        ensure!(booted >= PHONES as u64, "{booted} phones have booted");
        wait_for("the last daemon to be ready", || {
            let metrics = rig.metrics();
            metrics.is_ok_and(|it| it.sum("tftp_edge_ready", &[]) == 1.0)
        })?;
        ensure!(pins(rig)?["adopted"] == true);
        rig.stop()
    });
}

/// Boots phones, some at a time, until all have booted and the daemon has been replaced often enough.
fn boot_until(rig: &Rig<'_>, site: &Site, booted: &AtomicU64, is_over: &AtomicBool) -> Result<()> {
    let progress = Progress::default();
    for phones in site.phones.chunks(AT_A_TIME).cycle() {
        let all = booted.load(Ordering::Relaxed) >= PHONES as u64;
        if all && is_over.load(Ordering::Relaxed) {
            return Ok(());
        }
        let report = rig.boot(site, phones, &progress, |options| {
            // Less patient than real phones, or the test would take as long as they do: what only the
            // daemon has is asked for again and again while it is away.
            options.retry = Retry {
                first: Duration::from_millis(200),
                longest: Duration::from_millis(500),
                sends: 8,
            };
            options.second_tries = 50;
            options.limit = Duration::from_secs(120);
        })?;
        ensure_all_booted(&report)?;
        booted.fetch_add(report.booted, Ordering::Relaxed);
    }
    Ok(())
}
