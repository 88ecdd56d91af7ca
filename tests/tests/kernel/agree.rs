//! The verified programs and the host's logic over the same random frames.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::time::Instant;

use tftp_ebpf::abi::{Transfer, TransferKey};
use tftp_ebpf::testing::random::{Random, spoil};
use tftp_ebpf::testing::{Case, MemoryFrame, MemoryMaps, Outcome, Site, Transfers, host, table};
use tftp_ebpf::verdict::{Rung, Verdict};
use tftp_edge_fuzz::mutate::mutated;
use tftp_edge_fuzz::xdp_frame;
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

/// The programs of one rung and the host's logic, side by side.
struct Sides<const RUNG: u8> {
    programs: Programs,
    maps: MemoryMaps,
    verdicts: [u32; 4],
    problems: Vec<String>,
}

impl<const RUNG: u8> Sides<RUNG> {
    const RUNG: Rung = Rung::ALL[RUNG as usize];

    fn new() -> Self {
        let site = Site::on(Self::RUNG);
        Self {
            programs: Programs::load(&site).expect("the programs load"),
            maps: MemoryMaps::new(site),
            verdicts: [0; 4],
            problems: Vec::new(),
        }
    }

    /// Runs a case on both sides, if the kernel can run it.
    fn compare(&mut self, case: &Case, what: impl Fn() -> String) {
        if !can_run(Self::RUNG, case) {
            return;
        }
        let kernel = loop {
            let started = Instant::now();
            self.programs.set_up(case).expect("the maps can be written");
            let run = self
                .programs
                .run(Self::RUNG, &case.frame)
                .unwrap_or_else(|error| panic!("{}: {error:#}", what()));
            if started.elapsed() < SOON {
                break run.outcome;
            }
        };
        self.maps.set_up(case, host::NOW_NS);
        let frame = MemoryFrame::<RUNG>::new(case.frame.clone());
        let host = host::run(&self.maps, frame, host::NOW_NS);
        self.verdicts[kernel.reason.verdict() as usize] += 1;
        let difference = difference(&kernel, &host);
        self.problems
            .extend(difference.map(|it| format!("{}: {it}", what())));
    }

    fn finish(&self) {
        assert!(self.problems.is_empty(), "\n{}", self.problems.join("\n"));
    }
}

/// The host's tests run the same Rust code, but over other traits, and compiled by another back
/// end: random frames must not tell the two apart.
fn compare_with_host<const RUNG: u8>(seed: u64) {
    const FRAMES: usize = 4_000;
    if !may_load("the comparison with the host") {
        return;
    }
    let cases = table(&Site::on(Sides::<RUNG>::RUNG));
    let mut sides = Sides::<RUNG>::new();
    let mut random = Random::new(seed);
    for round in 0..FRAMES {
        let origin = &cases[random.below(cases.len())];
        let case = Case {
            frame: spoil(&origin.frame, &mut random),
            ..origin.clone()
        };
        if can_run(Sides::<RUNG>::RUNG, origin) {
            sides.compare(&case, || format!("round {round}, from {}", case.name));
        }
    }
    sides.finish();
    let verdicts = sides.verdicts;
    assert!(verdicts.iter().all(|&count| count > 200), "{verdicts:?}");
}

/// The corpus of the fuzz target, whichever rung its inputs were found on, and each of them with a
/// few changes. That every packet is counted under one reason is part of each run.
fn compare_on_corpus<const RUNG: u8>(seed: u64) {
    const CHANGED: usize = 3;
    if !may_load("the comparison with the host") {
        return;
    }
    let corpus = corpus();
    let cases = table(&Site::on(Sides::<RUNG>::RUNG));
    let mut sides = Sides::<RUNG>::new();
    let mut random = Random::new(seed);
    for (name, input) in &corpus {
        for change in 0..=CHANGED {
            let other = &corpus[random.below(corpus.len())].1;
            let changed = match change {
                0 => input.clone(),
                _ => {
                    let kept = input.len().min(xdp_frame::PREFIX);
                    let frame = mutated(&input[kept..], other, MAX_FRAME, &mut random);
                    [&input[..kept], &frame].concat()
                }
            };
            let case = xdp_frame::case_of(&changed, &cases);
            sides.compare(&case, || format!("{name}, change {change}: {changed:02x?}"));
        }
    }
    sides.finish();
    let verdicts = sides.verdicts;
    assert!(verdicts.iter().all(|&count| count > 10), "{verdicts:?}");
}

/// The longest frame that is tried.
const MAX_FRAME: usize = 1024;

fn corpus() -> Vec<(String, Vec<u8>)> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let folders = ["corpus", "regressions"].map(|kind| fuzz.join(kind).join("xdp_frame"));
    let mut inputs = Vec::new();
    for entry in folders
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
    {
        for file in entry {
            let file = file.expect("a folder can be read");
            let input = fs::read(file.path()).expect("a file can be read");
            inputs.push((file.file_name().to_string_lossy().into_owned(), input));
        }
    }
    inputs.sort_unstable();
    assert!(inputs.len() > 20, "{} inputs", inputs.len());
    inputs
}

#[test]
fn xdp_and_the_host_agree_on_random_frames() {
    compare_with_host::<0>(0xd1ff);
}

#[test]
fn tc_and_the_host_agree_on_random_frames() {
    compare_with_host::<1>(0x7cff);
}

#[test]
fn xdp_and_the_host_agree_on_the_corpus() {
    compare_on_corpus::<0>(0xc0_49);
}

#[test]
fn tc_and_the_host_agree_on_the_corpus() {
    compare_on_corpus::<1>(0xc0_7c);
}
