//! The one table a run ends with, for people and as JSON.

use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;
use tftp_ebpf::stage::Stage;
use tftp_ebpf::verdict::Rung;

use super::Metrics;
use crate::phones::{PhoneFailure, Report};

/// One stage of the boot.
#[derive(Clone, Debug, Serialize)]
pub struct StageRow {
    pub stage: &'static str,
    /// Requests the daemon counted, by the rung that answered them: XDP, TC, socket.
    pub xdp: u64,
    pub tc: u64,
    pub socket: u64,
    /// Files the phones got, or were told are absent.
    pub files: u64,
    pub bytes: u64,
    /// From the request to the last block, as the phone sees it.
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Packets the phones sent again.
    pub resends: u64,
}

/// A boot of all phones, or a fetch of one file by all phones.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    pub title: String,
    pub phones: u64,
    pub booted: u64,
    pub failed: u64,
    pub seconds: f64,
    pub requests: u64,
    /// Share of the requests that XDP or TC answered, 0 to 1.
    pub kernel_share: f64,
    pub bytes: u64,
    pub resends: u64,
    pub boot_p50_ms: f64,
    pub boot_p99_ms: f64,
    pub stages: Vec<StageRow>,
    /// CPU time of the daemon, seconds.
    pub daemon_cpu_s: f64,
    /// CPU time in the kernel programs, seconds: their mean time, which is sampled, times their
    /// runs. `None` where the daemon does not say.
    pub kernel_cpu_s: Option<f64>,
    /// CPU time of the simulated phones, seconds. It includes what the kernel does for packets
    /// that they send, the programs above too.
    pub phones_cpu_s: f64,
    pub failures: Vec<PhoneFailure>,
}

impl Run {
    /// Puts together what the phones and the daemon say about the same time.
    pub fn new(
        title: &str,
        report: &Report,
        before: &Metrics,
        after: &Metrics,
        daemon_cpu_s: f64,
    ) -> Self {
        let grown = |name: &str, labels: &[(&str, &str)]| after.grown(before, name, labels) as u64;
        let requests = |stage: Stage, rung: Rung| {
            grown(
                "tftp_edge_tftp_requests_total",
                &[("class", stage.as_str()), ("path", rung.as_str())],
            )
        };
        let stages: Vec<StageRow> = Stage::ALL
            .into_iter()
            .map(|stage| {
                let seen = report.stage(stage);
                StageRow {
                    stage: stage.as_str(),
                    xdp: requests(stage, Rung::Xdp),
                    tc: requests(stage, Rung::Tc),
                    socket: requests(stage, Rung::Socket),
                    files: seen.files,
                    bytes: seen.bytes,
                    p50_ms: quantile_ms(&seen.took_us, 0.5),
                    p99_ms: quantile_ms(&seen.took_us, 0.99),
                    resends: seen.resends,
                }
            })
            .filter(|row| row.files + row.xdp + row.tc + row.socket > 0)
            .collect();
        let kernel: u64 = stages.iter().map(|row| row.xdp + row.tc).sum();
        let all = kernel + stages.iter().map(|row| row.socket).sum::<u64>();
        Self {
            title: title.to_owned(),
            phones: report.phones,
            booted: report.booted,
            failed: report.failed,
            seconds: report.took.as_secs_f64(),
            requests: all,
            kernel_share: kernel as f64 / all.max(1) as f64,
            bytes: report.bytes(),
            resends: report.resends(),
            boot_p50_ms: quantile_ms(&report.boot_us, 0.5),
            boot_p99_ms: quantile_ms(&report.boot_us, 0.99),
            stages,
            daemon_cpu_s,
            kernel_cpu_s: kernel_cpu(before, after),
            phones_cpu_s: report.cpu.as_secs_f64(),
            failures: report.failures.clone(),
        }
    }
}

/// Mean time of a program's run, times the packets it looked at.
fn kernel_cpu(before: &Metrics, after: &Metrics) -> Option<f64> {
    if !after.has("tftp_edge_xdp_program_seconds_count") {
        return None;
    }
    let seconds = [Rung::Xdp, Rung::Tc].map(|rung| {
        let path = [("path", rung.as_str())];
        let grown = |name: &str| after.grown(before, name, &path);
        let sampled = grown("tftp_edge_xdp_program_seconds_count");
        if sampled == 0.0 {
            return 0.0;
        }
        let mean = grown("tftp_edge_xdp_program_seconds_sum") / sampled;
        mean * grown("tftp_edge_tftp_packets_total")
    });
    Some(seconds.iter().sum())
}

pub(super) fn quantile_ms(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1000.0
}

impl fmt::Display for Run {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            to,
            "{}: {} of {} phones in {:.1} s, {} failed",
            self.title, self.booted, self.phones, self.seconds, self.failed
        )?;
        writeln!(
            to,
            "{:<10} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9} {:>8}",
            "stage", "xdp", "tc", "socket", "files", "MB", "p50 ms", "p99 ms", "resends"
        )?;
        for row in &self.stages {
            writeln!(
                to,
                "{:<10} {:>8} {:>8} {:>8} {:>8} {:>9.1} {:>9.1} {:>9.1} {:>8}",
                row.stage,
                row.xdp,
                row.tc,
                row.socket,
                row.files,
                row.bytes as f64 / 1e6,
                row.p50_ms,
                row.p99_ms,
                row.resends
            )?;
        }
        let column = |value: fn(&StageRow) -> u64| self.stages.iter().map(value).sum::<u64>();
        writeln!(
            to,
            "{:<10} {:>8} {:>8} {:>8} {:>8} {:>9.1} {:>9.1} {:>9.1} {:>8}",
            "a phone",
            column(|row| row.xdp),
            column(|row| row.tc),
            column(|row| row.socket),
            column(|row| row.files),
            self.bytes as f64 / 1e6,
            self.boot_p50_ms,
            self.boot_p99_ms,
            self.resends
        )?;
        write!(
            to,
            "answered in the kernel: {:.1} % of {} requests; CPU: daemon {:.2} s",
            self.kernel_share * 100.0,
            self.requests,
            self.daemon_cpu_s
        )?;
        if let Some(kernel) = self.kernel_cpu_s {
            write!(to, ", kernel programs {kernel:.2} s")?;
        }
        writeln!(to, ", phones {:.2} s", self.phones_cpu_s)?;
        for failure in &self.failures {
            writeln!(to, "FAILED {}: {}", failure.device, failure.reason)?;
        }
        Ok(())
    }
}
