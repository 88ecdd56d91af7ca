//! A real Prometheus beside the daemon, with the rules as they are shipped, through a storm.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tftp_ebpf::verdict::Rung;
use tftp_edge_tests::demo::{Metrics, page};
use tftp_edge_tests::lab::{Namespace, Process, skipped, tool};
use tftp_edge_tests::phones::{Progress, Registering};
use tftp_edge_tests::rig::{Rig, ensure_all_registered, run, wait_for};
use tftp_edge_tests::site::Site;

const PHONES: usize = 200;
/// Slow enough for a storm that lasts for several scrapes.
const PER_SECOND: u32 = 50;

/// Where it answers, in the daemon's namespace.
const ADDRESS: &str = "127.0.0.1:9090";

const FIRING: &str = "ALERTS{alertname=\"TftpEdgeStormActive\",alertstate=\"firing\"}";

#[test]
fn prometheus_sees_a_storm_come_and_go() {
    run(Rung::Socket, watch_a_storm);
}

fn watch_a_storm(rig: &mut Rig<'_>) -> Result<()> {
    let Some(program) = tool("prometheus") else {
        skipped("there is no prometheus: `cargo xtask setup` unpacks one");
        return Ok(());
    };
    let mut site = Site::without_upgrades(PHONES);
    rig.edge.register(&format!(
        "max_registrations_per_second = {PER_SECOND}\ncalm_after_s = 2\n"
    ))?;
    rig.host(&mut site)?;
    rig.start()?;
    let watcher = Watcher::start(rig, &program)?;
    let progress = Progress::default();
    let (report, registered) = rig.stay(&site, Registering::default(), &progress, || {
        wait_for("the alert to fire", || watcher.has_fired())?;
        wait_for("all phones to be registered", || {
            progress.all_registered() == PHONES as u64
        })?;
        let recorded = || watcher.value("instance:tftp_edge_registrations:sum");
        wait_for("all phones to be recorded", || {
            recorded().is_some_and(|it| it == PHONES as f64)
        })?;
        wait_for("the alert to be resolved", || !watcher.is_firing())?;
        Ok(progress.all_registered())
    })?;
    ensure_all_registered(&report)?;
    ensure!(registered == PHONES as u64, "{registered} stayed");

    watcher.ensure_well()?;
    // What phones did has added no series.
    let [fewest, most] = ["min", "max"].map(|which| {
        watcher.value(&format!(
            "{which}_over_time(scrape_samples_scraped{{job=\"tftp-edge\"}}[5m])"
        ))
    });
    ensure!(
        fewest.is_some() && fewest == most,
        "{fewest:?} to {most:?} samples"
    );
    Ok(())
}

/// A Prometheus that scrapes every second.
struct Watcher<'lab> {
    namespace: &'lab Namespace,
    _process: Process,
}

impl<'lab> Watcher<'lab> {
    fn start(rig: &Rig<'lab>, program: &Path) -> Result<Self> {
        let (rules, config) = (rig.file("rules.yml"), rig.file("prometheus.yml"));
        let contrib = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib/prometheus");
        fs::write(
            &rules,
            hastened(&fs::read_to_string(contrib.join("tftp-edge.rules.yml"))?),
        )?;
        let example = fs::read_to_string(contrib.join("scrape.yml"))?;
        let example = example.replace("15s", "1s");
        ensure!(
            example.matches(": 1s").count() == 2,
            "the example has other intervals"
        );
        // Rules are found beside the configuration.
        fs::write(&config, example.replace("tftp-edge.rules.yml", "rules.yml"))?;
        let namespace = &rig.lab.server;
        let mut command = namespace.command(program);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                rig.file("tsdb").display()
            ))
            .arg(format!("--web.listen-address={ADDRESS}"));
        let mut process = Process::start("prometheus", command, &rig.file("prometheus.log"))?;
        let is_up = |query: &str| value(namespace, query).is_some_and(|it| it == 1.0);
        process.wait_until(Duration::from_secs(60), || is_up("up{job=\"tftp-edge\"}"))?;
        Ok(Self {
            namespace,
            _process: process,
        })
    }

    fn value(&self, query: &str) -> Option<f64> {
        value(self.namespace, query)
    }

    fn is_firing(&self) -> bool {
        self.value(FIRING).is_some()
    }

    /// Now or before.
    fn has_fired(&self) -> bool {
        self.value(&format!("count_over_time({FIRING}[5m])"))
            .is_some()
    }

    /// Every scrape was taken whole, and every rule could be computed.
    fn ensure_well(&self) -> Result<()> {
        let targets = answer(self.namespace, "/api/v1/targets")?;
        let target = &targets["data"]["activeTargets"][0];
        ensure!(
            target["health"] == "up" && target["lastError"] == "",
            "{target}"
        );
        let missed = self.value("min_over_time(up{job=\"tftp-edge\"}[5m])");
        ensure!(missed == Some(1.0), "a scrape failed");
        let own = self.namespace.enter(|| Metrics::get(ADDRESS))?;
        for problem in [
            "prometheus_target_scrapes_sample_duplicate_timestamp_total",
            "prometheus_target_scrapes_sample_out_of_order_total",
            "prometheus_target_scrapes_sample_out_of_bounds_total",
            "prometheus_rule_evaluation_failures_total",
        ] {
            ensure!(own.has(problem), "this Prometheus has no {problem}");
            let count = own.sum(problem, &[]);
            ensure!(count == 0.0, "{problem} is {count}");
        }
        Ok(())
    }
}

/// The rules with seconds in the place of minutes: nobody waits for a quarter of an hour here.
fn hastened(rules: &str) -> String {
    let lines = rules
        .lines()
        .map(|line| match line.trim_start().starts_with("for: ") {
            true => "        for: 1s".to_owned(),
            false => line.replace("[5m]", "[5s]").replace("[10m]", "[10s]"),
        });
    lines.map(|line| line + "\n").collect()
}

/// The one value that a query has now, if it has one.
fn value(namespace: &Namespace, query: &str) -> Option<f64> {
    let escaped: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let answer = answer(namespace, &format!("/api/v1/query?query={escaped}")).ok()?;
    let result = answer["data"]["result"].as_array()?;
    let [only] = &result[..] else {
        return None;
    };
    only["value"][1].as_str()?.parse().ok()
}

fn answer(namespace: &Namespace, path: &str) -> Result<Value> {
    let text = namespace.enter(|| page(ADDRESS, path))?;
    serde_json::from_str(&text).with_context(|| format!("{path} says {text}"))
}
