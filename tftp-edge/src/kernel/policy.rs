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
    let mut rng = rand::rng();
    let mut policy = Policy {
        enabled: 0,
        tid_first: settings.tid_ports.first,
        tid_count: settings.tid_ports.count(),
        tid_secret: [rng.random(), rng.random()],
        resend_after_ns: 0,
        restart_after_ns: RESTART_AFTER.as_nanos() as u64,
        first_interval_ns: 0,
        first_burst_ns: 0,
        miss_interval_ns: 0,
        miss_burst_ns: 0,
        unknown_interval_ns: 0,
        unknown_burst_ns: 0,
        known_for_ns: KNOWN_FOR.as_nanos() as u64,
        registration_ports: 0,
        ds_field: tftp.dscp << 2,
        is_partial: 0,
        padding: [0; 6],
    };
    follow(&mut policy, tftp);
    policy
}

/// Takes over what may change while the program runs.
pub fn follow(policy: &mut Policy, tftp: &tftp::Settings) {
    let budget = &tftp.budget;
    let first = Rate::new(budget.first_burst, budget.first_per_second);
    let misses = Rate::new(budget.miss_burst, budget.miss_per_second);
    let unknown = Rate::new(budget.unknown_burst, budget.unknown_per_second);
    policy.resend_after_ns = tftp.resend.min_ms * 1_000_000;
    (policy.first_interval_ns, policy.first_burst_ns) = (first.interval_ns, first.burst_ns);
    (policy.miss_interval_ns, policy.miss_burst_ns) = (misses.interval_ns, misses.burst_ns);
    policy.unknown_interval_ns = unknown.interval_ns;
    policy.unknown_burst_ns = unknown.burst_ns;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_and_resends_follow_the_settings_and_nothing_else_does() {
        let before = tftp::Settings::default();
        let mut after = before.clone();
        after.dscp = 0;
        after.resend.min_ms = 500;
        after.budget.first_burst = 7;
        after.budget.miss_burst = 8;
        after.budget.unknown_burst = 9;
        let settings = Settings::default();
        let mut wanted = policy(&settings, &before);
        let mut followed = wanted;
        follow(&mut followed, &after);
        assert_eq!(followed.resend_after_ns, 500_000_000);
        for (burst_ns, interval_ns, burst) in [
            (followed.first_burst_ns, followed.first_interval_ns, 7),
            (followed.miss_burst_ns, followed.miss_interval_ns, 8),
            (followed.unknown_burst_ns, followed.unknown_interval_ns, 9),
        ] {
            assert_eq!(burst_ns / interval_ns, burst);
        }
        wanted.resend_after_ns = followed.resend_after_ns;
        wanted.first_burst_ns = followed.first_burst_ns;
        wanted.miss_burst_ns = followed.miss_burst_ns;
        wanted.unknown_burst_ns = followed.unknown_burst_ns;
        assert!(followed == wanted, "ports, secret and DSCP stay");
    }
}
