//! The kernel program: where it is attached, what it costs, how full it is. What it answers is told
//! in `served`, and what it sees of registrations in `classified`.

use tftp_ebpf::verdict::Rung;

use super::family::{Bounds, Family};
use crate::kernel::{BoundedMap, Ladder, Mode};
use crate::ops::sources::Reading;

/// One run of the kernel program: 64 ns to 1 ms.
const PROGRAM: Bounds = Bounds {
    exponents: 6..=20,
    units_per_second: 1e9,
};

pub(super) fn families(reading: &Reading) -> Vec<Family> {
    let kernel = &reading.kernel;
    let mut attached = Family::gauge(
        "xdp_attached",
        "1 for the mode an interface is served in: xdp, tc, or off for sockets alone.",
    );
    for interface in &kernel.interfaces {
        for mode in Mode::ALL {
            attached.add(
                &[("interface", &interface.name), ("mode", mode.as_str())],
                f64::from(u8::from(interface.mode == mode)),
            );
        }
    }
    let mut program = Family::histogram(
        "xdp_program_seconds",
        "Time in the kernel program, sampled; the sum is estimated from the buckets.",
    );
    for (rung, buckets) in [Rung::Xdp, Rung::Tc].iter().zip(&kernel.latency_ns) {
        program.add_log2(&[("path", rung.as_str())], &PROGRAM, buckets, None);
    }
    let mut wanted = Family::gauge(
        "xdp_interfaces_wanted",
        "Interfaces that kernel.interfaces names, at the mode that kernel.mode asks for.",
    );
    for mode in Ladder::ALL.into_iter().filter(|mode| *mode != Ladder::Off) {
        let count = match kernel.wanted.mode == mode {
            true => kernel.wanted.interfaces,
            false => 0,
        };
        wanted.add(&[("mode", mode.as_str())], count as f64);
    }
    let mut entries = Family::gauge("xdp_map_entries", "Entries of the kernel program's maps.");
    let mut capacity = Family::gauge("xdp_map_capacity", "Most entries there may be.");
    for map in BoundedMap::ALL {
        let fill = kernel.fills[map as usize];
        let map = [("map", map.as_str())];
        entries.add(&map, fill.entries as f64);
        capacity.add(&map, fill.capacity as f64);
    }
    let gauge = |name, help, value: u64| Family::gauge(name, help).with(&[], value as f64);
    let counter = |name, help, value: u64| Family::counter(name, help).with(&[], value as f64);
    vec![
        attached,
        wanted,
        program,
        entries,
        capacity,
        gauge(
            "xdp_map_bytes",
            "Memory of all maps, as the kernel accounts it.",
            kernel.map_bytes,
        ),
        gauge(
            "xdp_slab_bytes",
            "Memory for content in the kernel.",
            kernel.slab_bytes,
        ),
        gauge(
            "xdp_slab_limit_bytes",
            "Most memory for content in the kernel.",
            kernel.slab_bytes_limit,
        ),
        gauge(
            "xdp_content_bytes",
            "Payload of the files in the kernel.",
            kernel.content_bytes,
        ),
        gauge(
            "xdp_files",
            "Files in the kernel's directory.",
            kernel.files,
        ),
        counter(
            "xdp_evicted_files_total",
            "Files taken out of the kernel to make room.",
            kernel.evicted,
        ),
        counter(
            "xdp_refused_files_total",
            "Files that found no room in the kernel.",
            kernel.refused,
        ),
        counter(
            "xdp_events_lost_total",
            "Events for which the ring buffer had no room.",
            kernel.events_lost,
        ),
    ]
}
