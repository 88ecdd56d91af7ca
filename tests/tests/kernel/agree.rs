//! The verified programs and the host's logic over the same random frames.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use tftp_ebpf::abi::{Transfer, TransferKey};
use tftp_ebpf::testing::random::{Random, spoil};
use tftp_ebpf::testing::{Case, MemoryFrame, MemoryMaps, Outcome, Site, Transfers, host, table};
use tftp_ebpf::verdict::{Rung, Verdict};
use tftp_edge_tests::programs::{Programs, can_run, may_load};

use crate::SOON;

/// Transfers without what depends on the time of a run.
fn timeless(transfers: &Transfers) -> HashMap<TransferKey, Transfer> {
    let timeless = |transfer: &Transfer| Transfer {
        started_ns: 0,
        last_send_ns: 0,
        srtt_us: 0,
        ..*transfer
    };
    transfers
        .iter()
        .map(|(key, transfer)| (*key, timeless(transfer)))
        .collect()
}

/// Says in what the kernel's outcome is not the host's.
fn difference(kernel: &Outcome, host: &Outcome) -> Option<String> {
    if kernel.reason != host.reason {
        return Some(format!(
            "{:?}, on the host {:?}",
            kernel.reason, host.reason
        ));
    }
    let class = |outcome: &Outcome| {
        let classified = outcome.classified.as_ref()?;
        Some((classified.class, classified.decision))
    };
    if class(kernel) != class(host) {
        let (kernel, host) = (class(kernel), class(host));
        return Some(format!("{kernel:?}, on the host {host:?}"));
    }
    // A frame that is dropped goes nowhere.
    if kernel.reason.verdict() != Verdict::Drop && kernel.frame != host.frame {
        let (kernel, host) = (&kernel.frame, &host.frame);
        return Some(format!("{kernel:02x?}\non the host\n{host:02x?}"));
    }
    let charged = |outcome: &Outcome| outcome.budgets.keys().copied().collect::<HashSet<_>>();
    if charged(kernel) != charged(host) {
        let (kernel, host) = (&kernel.budgets, &host.budgets);
        return Some(format!("{kernel:?}\non the host\n{host:?}"));
    }
    if timeless(&kernel.transfers) != timeless(&host.transfers) {
        let (kernel, host) = (&kernel.transfers, &host.transfers);
        return Some(format!("{kernel:?}\non the host\n{host:?}"));
    }
    None
}

/// The host's tests run the same Rust code, but over other traits, and compiled by another back
/// end: random frames must not tell the two apart.
fn compare_with_host<const RUNG: u8>(seed: u64) {
    const FRAMES: usize = 4_000;
    if !may_load("the comparison with the host") {
        return;
    }
    let rung = Rung::ALL[usize::from(RUNG)];
    let site = Site::on(rung);
    let cases: Vec<_> = table(&site)
        .into_iter()
        .filter(|case| can_run(rung, case))
        .collect();
    let mut programs = Programs::load(&site).expect("the programs load");
    let mut maps = MemoryMaps::new(site);
    let mut random = Random::new(seed);
    let mut verdicts = [0_u32; 4];
    let mut problems = Vec::new();
    for round in 0..FRAMES {
        let origin = &cases[random.below(cases.len())];
        let case = Case {
            frame: spoil(&origin.frame, &mut random),
            ..origin.clone()
        };
        if !can_run(rung, &case) {
            continue;
        }
        let kernel = loop {
            let started = Instant::now();
            programs.set_up(&case).expect("the maps can be written");
            let run = programs.run(rung, &case.frame).unwrap_or_else(|error| {
                panic!("round {round}, from {}: {error:#}", case.name);
            });
            if started.elapsed() < SOON {
                break run.outcome;
            }
        };
        maps.set_up(&case, host::NOW_NS);
        let frame = MemoryFrame::<RUNG>::new(case.frame.clone());
        let host = host::run(&maps, frame, host::NOW_NS);
        verdicts[kernel.reason.verdict() as usize] += 1;
        if let Some(difference) = difference(&kernel, &host) {
            problems.push(format!("round {round}, from {}: {difference}", case.name));
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    assert!(verdicts.iter().all(|&count| count > 200), "{verdicts:?}");
}

#[test]
fn xdp_and_the_host_agree_on_random_frames() {
    compare_with_host::<0>(0xd1ff);
}

#[test]
fn tc_and_the_host_agree_on_random_frames() {
    compare_with_host::<1>(0x7cff);
}
