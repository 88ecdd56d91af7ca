//! The settings, in the terms of the kernel program.

use std::time::Duration;

use rand::RngExt as _;
use tftp_ebpf::abi::Policy;

use super::settings::Settings;
use crate::misses::Rate;
use crate::tftp;
use crate::tftp::sources::KNOWN_FOR;

/// A request repeated during a transfer that is under way begins a new one after this long.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// What the kernel program goes by. It passes everything until `enabled` is set.
pub fn policy(settings: &Settings, tftp: &tftp::Settings) -> Policy {
    let budget = &tftp.budget;
    let first = Rate::new(budget.first_burst, budget.first_per_second);
    let misses = Rate::new(budget.miss_burst, budget.miss_per_second);
    let unknown = Rate::new(budget.unknown_burst, budget.unknown_per_second);
    let mut rng = rand::rng();
    Policy {
        enabled: 0,
        tid_first: settings.tid_ports.first,
        tid_count: settings.tid_ports.count(),
        tid_secret: [rng.random(), rng.random()],
        resend_after_ns: tftp.resend.min_ms * 1_000_000,
        restart_after_ns: RESTART_AFTER.as_nanos() as u64,
        first_interval_ns: first.interval_ns,
        first_burst_ns: first.burst_ns,
        miss_interval_ns: misses.interval_ns,
        miss_burst_ns: misses.burst_ns,
        unknown_interval_ns: unknown.interval_ns,
        unknown_burst_ns: unknown.burst_ns,
        known_for_ns: KNOWN_FOR.as_nanos() as u64,
        registration_ports: 0,
        ds_field: tftp.dscp << 2,
        is_partial: 0,
        padding: [0; 6],
    }
}
