//! What the kernel program has seen of registrations, and what it lets in.

use tftp_ebpf::classify::{Class, Decision};
use tftp_ebpf::verdict::Rung;

use super::family::Family;
use crate::ops::sources::Reading;

pub(super) fn families(reading: &Reading) -> Vec<Family> {
    let seen = &reading.kernel.registrations;
    let mut packets = Family::counter(
        "registration_packets_total",
        "Packets from and to where phones register, by what they are and what became of them. Each \
         is counted by the first path that sees it.",
    );
    for (rung, counts) in [Rung::Xdp, Rung::Tc].iter().zip(&seen.packets) {
        for class in Class::ALL {
            for decision in Decision::ALL {
                packets.add(
                    &[
                        ("path", rung.as_str()),
                        ("class", class.as_str()),
                        ("verdict", decision.as_str()),
                    ],
                    counts.of(class, decision) as f64,
                );
            }
        }
    }
    let gate = &seen.gate;
    let (rate, burst) = gate.budget.map_or((0.0, 0.0), |budget| {
        let interval = budget.interval_ns as f64;
        (1e9 / interval, budget.burst_ns as f64 / interval)
    });
    let gauge = |name, help, value: f64| Family::gauge(name, help).with(&[], value);
    vec![
        packets,
        gauge(
            "registration_kernel_budget_packets_per_second",
            "Packets of newcomers that the kernel program lets in; 0 while it lets in all.",
            rate,
        ),
        gauge(
            "registration_kernel_budget_burst_packets",
            "Packets of newcomers that it lets in at once; 0 while it lets in all.",
            burst,
        ),
        Family::counter(
            "registration_kernel_sources_refused_total",
            "Addresses of registered phones that were too many for the kernel program to be told of.",
        )
        .with(&[], gate.overflow as f64),
        Family::counter(
            "registration_samples_lost_total",
            "Packets the daemon would have been told of: over the rate of samples, or with no room \
             in the ring buffer.",
        )
        .with(&[("reason", "rate")], seen.samples_skipped as f64)
        .with(&[("reason", "full")], seen.samples_lost as f64),
    ]
}
