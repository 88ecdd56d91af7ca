//! What was counted, in one shape for all three rungs and HTTP: the kernel's maps are read into it,
//! the socket path and HTTP count in it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use tftp_ebpf::abi::{LOG2_BUCKETS, StageCounter, log2_bucket};
use tftp_ebpf::stage::Stage;
use tftp_ebpf::verdict::{Reason, Rung};

/// How a file was asked for and answered: the ladder's rungs, which know TFTP, and HTTP. The label
/// value `path` of the metrics. The kernel knows of the rungs alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    Rung(Rung),
    Http,
    Https,
}

impl Path {
    pub const COUNT: usize = Rung::COUNT + 2;
    pub const ALL: [Self; Self::COUNT] = [
        Self::Rung(Rung::Xdp),
        Self::Rung(Rung::Tc),
        Self::Rung(Rung::Socket),
        Self::Http,
        Self::Https,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rung(rung) => rung.as_str(),
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Ends of requests that the kernel program never counts, since only the daemon waits for clients
/// and turns them away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unserved {
    /// Nothing came back in spite of all resends; over HTTP the client took too little.
    TimedOut,
    /// There was no place for it: silence over TFTP, 503 over HTTP.
    Shed,
}

impl Unserved {
    pub const COUNT: usize = 2;
}

/// The counters of one path at one moment.
#[derive(Clone, Debug)]
pub struct Tally {
    pub reasons: [u64; Reason::COUNT],
    pub stages: [[u64; StageCounter::COUNT]; Stage::COUNT],
    /// Microseconds from RRQ to the last ACK, or from a request over HTTP to its last byte, for
    /// each stage.
    pub transfer_us: [[u64; LOG2_BUCKETS]; Stage::COUNT],
    /// Microseconds in total, for each stage: the sum to [`Tally::transfer_us`].
    pub transfer_us_sum: [u64; Stage::COUNT],
    /// Of each stage, by [`Unserved`].
    pub outcomes: [[u64; Unserved::COUNT]; Stage::COUNT],
    /// Microseconds from the arrival of a request to the first packet of the answer, for each
    /// stage. The kernel program does not tell: it answers in the time it runs.
    pub first_byte_us: [[u64; LOG2_BUCKETS]; Stage::COUNT],
    /// Microseconds in total, for each stage: the sum to [`Tally::first_byte_us`].
    pub first_byte_us_sum: [u64; Stage::COUNT],
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            reasons: [0; Reason::COUNT],
            stages: [[0; StageCounter::COUNT]; Stage::COUNT],
            transfer_us: [[0; LOG2_BUCKETS]; Stage::COUNT],
            transfer_us_sum: [0; Stage::COUNT],
            outcomes: [[0; Unserved::COUNT]; Stage::COUNT],
            first_byte_us: [[0; LOG2_BUCKETS]; Stage::COUNT],
            first_byte_us_sum: [0; Stage::COUNT],
        }
    }
}

impl Tally {
    pub fn outcome(&self, stage: Stage, outcome: Unserved) -> u64 {
        self.outcomes[stage as usize][outcome as usize]
    }

    pub fn reason(&self, reason: Reason) -> u64 {
        self.reasons[reason as usize]
    }

    pub fn stage(&self, stage: Stage, counter: StageCounter) -> u64 {
        self.stages[stage as usize][counter as usize]
    }
}

/// Live counters of the socket path or of HTTP; one for each worker would be faster, but a relaxed add on a
/// line few cores share is far below the cost of a datagram.
#[derive(Debug)]
pub struct Counters {
    reasons: [AtomicU64; Reason::COUNT],
    stages: [[AtomicU64; StageCounter::COUNT]; Stage::COUNT],
    transfer_us: [[AtomicU64; LOG2_BUCKETS]; Stage::COUNT],
    transfer_us_sum: [AtomicU64; Stage::COUNT],
    outcomes: [[AtomicU64; Unserved::COUNT]; Stage::COUNT],
    first_byte_us: [[AtomicU64; LOG2_BUCKETS]; Stage::COUNT],
    first_byte_us_sum: [AtomicU64; Stage::COUNT],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            reasons: [const { AtomicU64::new(0) }; Reason::COUNT],
            stages: [const { [const { AtomicU64::new(0) }; StageCounter::COUNT] }; Stage::COUNT],
            transfer_us: [const { [const { AtomicU64::new(0) }; LOG2_BUCKETS] }; Stage::COUNT],
            transfer_us_sum: [const { AtomicU64::new(0) }; Stage::COUNT],
            outcomes: [const { [const { AtomicU64::new(0) }; Unserved::COUNT] }; Stage::COUNT],
            first_byte_us: [const { [const { AtomicU64::new(0) }; LOG2_BUCKETS] }; Stage::COUNT],
            first_byte_us_sum: [const { AtomicU64::new(0) }; Stage::COUNT],
        }
    }
}

impl Counters {
    pub fn count(&self, reason: Reason) {
        self.reasons[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub fn add(&self, stage: Stage, counter: StageCounter, amount: u64) {
        self.stages[stage as usize][counter as usize].fetch_add(amount, Ordering::Relaxed);
    }

    pub fn ended(&self, stage: Stage, outcome: Unserved) {
        self.outcomes[stage as usize][outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub fn first_byte(&self, stage: Stage, after: Duration) {
        let us = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        self.first_byte_us[stage as usize][log2_bucket(us)].fetch_add(1, Ordering::Relaxed);
        self.first_byte_us_sum[stage as usize].fetch_add(us, Ordering::Relaxed);
    }

    pub fn completed(&self, stage: Stage, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.add(stage, StageCounter::Complete, 1);
        self.transfer_us[stage as usize][log2_bucket(us)].fetch_add(1, Ordering::Relaxed);
        self.transfer_us_sum[stage as usize].fetch_add(us, Ordering::Relaxed);
    }

    pub fn tally(&self) -> Tally {
        let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        Tally {
            reasons: std::array::from_fn(|at| read(&self.reasons[at])),
            stages: std::array::from_fn(|s| std::array::from_fn(|at| read(&self.stages[s][at]))),
            transfer_us: std::array::from_fn(|s| {
                std::array::from_fn(|at| read(&self.transfer_us[s][at]))
            }),
            transfer_us_sum: std::array::from_fn(|at| read(&self.transfer_us_sum[at])),
            outcomes: std::array::from_fn(|s| {
                std::array::from_fn(|at| read(&self.outcomes[s][at]))
            }),
            first_byte_us: std::array::from_fn(|s| {
                std::array::from_fn(|at| read(&self.first_byte_us[s][at]))
            }),
            first_byte_us_sum: std::array::from_fn(|at| read(&self.first_byte_us_sum[at])),
        }
    }
}
