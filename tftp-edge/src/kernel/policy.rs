//! The settings, in the terms of the kernel program.

use std::time::Duration;

use rand::RngExt as _;
use tftp_ebpf::abi::Policy;

use super::settings::Settings;
use crate::tftp;
use crate::tftp::sources::KNOWN_FOR;

/// A request repeated during a transfer that is under way begins a new one after this long.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// What the kernel program goes by. It passes everything until `enabled` is set.
pub fn policy(settings: &Settings, tftp: &tftp::Settings) -> Policy {
    let interval = |per_second: u32| 1_000_000_000 / u64::from(per_second.max(1));
    let burst = |burst: u32, per_second: u32| u64::from(burst) * interval(per_second);
    let budget = &tftp.budget;
    let mut rng = rand::rng();
    Policy {
        enabled: 0,
        tid_first: settings.tid_ports.first,
        tid_count: settings.tid_ports.count(),
        tid_secret: [rng.random(), rng.random()],
        resend_after_ns: tftp.resend.min_ms * 1_000_000,
        restart_after_ns: RESTART_AFTER.as_nanos() as u64,
        first_interval_ns: interval(budget.first_per_second),
        first_burst_ns: burst(budget.first_burst, budget.first_per_second),
        miss_interval_ns: interval(budget.miss_per_second),
        miss_burst_ns: burst(budget.miss_burst, budget.miss_per_second),
        known_for_ns: KNOWN_FOR.as_nanos() as u64,
        ds_field: tftp.dscp << 2,
        padding: [0; 7],
    }
}
