//! What a fleet has lived through.

use std::time::Duration;

use hdrhistogram::Histogram;
use tftp_ebpf::stage::Stage;

use super::{FileResult, RegistrationReport};

/// Failures that are told with their reason.
const TOLD: usize = 20;

/// One stage, over all phones.
#[derive(Clone, Debug)]
pub struct StageReport {
    pub files: u64,
    /// Of these, those that came over HTTP.
    pub over_http: u64,
    pub bytes: u64,
    pub blocks: u64,
    /// Packets the phones sent again.
    pub resends: u64,
    /// DATA or OACK that came again.
    pub duplicates: u64,
    /// Microseconds from the first request to the end of the file.
    pub took_us: Histogram<u64>,
    /// Microseconds from the first request to the first answer.
    pub first_answer_us: Histogram<u64>,
}

/// Why a phone did not get what it must.
#[derive(Clone, Debug, serde::Serialize)]
pub struct PhoneFailure {
    pub device: String,
    pub reason: String,
}

#[derive(Clone, Debug)]
pub struct Report {
    pub phones: u64,
    pub booted: u64,
    pub failed: u64,
    pub stages: Vec<StageReport>,
    /// Microseconds from a phone's power-on to its last file.
    pub boot_us: Histogram<u64>,
    pub registration: RegistrationReport,
    /// The first of them.
    pub failures: Vec<PhoneFailure>,
    /// From the first power-on to the end of the last phone's boot.
    pub took: Duration,
    /// CPU time of the threads that played the phones.
    pub cpu: Duration,
}

pub(super) fn histogram() -> Histogram<u64> {
    // Three digits, growing as needed: a bound would silently clip what is worst.
    Histogram::new(3).expect("three significant digits are a valid precision")
}

pub(super) fn record(histogram: &mut Histogram<u64>, time: Duration) {
    let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    histogram
        .record(us)
        .expect("a histogram that resizes takes any value");
}

impl Report {
    pub(super) fn new() -> Self {
        let stage = || StageReport {
            files: 0,
            over_http: 0,
            bytes: 0,
            blocks: 0,
            resends: 0,
            duplicates: 0,
            took_us: histogram(),
            first_answer_us: histogram(),
        };
        Self {
            phones: 0,
            booted: 0,
            failed: 0,
            stages: (0..Stage::COUNT).map(|_| stage()).collect(),
            boot_us: histogram(),
            registration: RegistrationReport::new(),
            failures: Vec::new(),
            took: Duration::ZERO,
            cpu: Duration::ZERO,
        }
    }

    pub fn stage(&self, stage: Stage) -> &StageReport {
        &self.stages[stage as usize]
    }

    pub fn files(&self) -> u64 {
        self.stages.iter().map(|stage| stage.files).sum()
    }

    /// Files that came over HTTP, or were told absent over it.
    pub fn files_over_http(&self) -> u64 {
        self.stages.iter().map(|stage| stage.over_http).sum()
    }

    pub fn bytes(&self) -> u64 {
        self.stages.iter().map(|stage| stage.bytes).sum()
    }

    pub fn resends(&self) -> u64 {
        self.stages.iter().map(|stage| stage.resends).sum()
    }

    pub(super) fn file(&mut self, result: &FileResult) {
        let stage = &mut self.stages[result.stage as usize];
        stage.files += 1;
        stage.over_http += u64::from(result.over_http);
        stage.bytes += result.tally.bytes;
        stage.blocks += result.tally.blocks;
        stage.resends += u64::from(result.tally.resends);
        stage.duplicates += u64::from(result.tally.duplicates);
        record(&mut stage.took_us, result.took);
        if let Some(first) = result.first_answer {
            record(&mut stage.first_answer_us, first);
        }
    }

    pub(super) fn booted(&mut self, took: Duration) {
        self.booted += 1;
        record(&mut self.boot_us, took);
    }

    pub(super) fn failed(&mut self, device: &str, reason: String) {
        self.failed += 1;
        if self.failures.len() < TOLD {
            self.failures.push(PhoneFailure {
                device: device.to_owned(),
                reason,
            });
        }
    }

    /// Takes in what another thread has counted.
    pub(super) fn merge(&mut self, other: Self) {
        self.phones += other.phones;
        self.booted += other.booted;
        self.failed += other.failed;
        self.cpu += other.cpu;
        self.took = self.took.max(other.took);
        for (mine, theirs) in self.stages.iter_mut().zip(other.stages) {
            mine.files += theirs.files;
            mine.over_http += theirs.over_http;
            mine.bytes += theirs.bytes;
            mine.blocks += theirs.blocks;
            mine.resends += theirs.resends;
            mine.duplicates += theirs.duplicates;
            add(&mut mine.took_us, &theirs.took_us);
            add(&mut mine.first_answer_us, &theirs.first_answer_us);
        }
        add(&mut self.boot_us, &other.boot_us);
        self.registration.merge(other.registration);
        self.failures.extend(other.failures);
        self.failures.truncate(TOLD);
    }
}

pub(super) fn add(mine: &mut Histogram<u64>, theirs: &Histogram<u64>) {
    mine.add(theirs)
        .expect("histograms that resize take any value");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_all_threads_are_kept_whole() {
        let (mut one, mut other) = (Report::new(), Report::new());
        one.booted(Duration::from_millis(3));
        other.booted(Duration::from_secs(9));
        one.merge(other);
        assert_eq!(one.booted, 2);
        let close = |value: u64, expected: u64| value.abs_diff(expected) <= expected / 1000;
        assert!(close(one.boot_us.min(), 3_000), "{}", one.boot_us.min());
        assert!(close(one.boot_us.max(), 9_000_000), "{}", one.boot_us.max());
    }
}
