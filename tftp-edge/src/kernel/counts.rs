//! What the programs have counted, over all processors.

use std::os::fd::RawFd;

use aya::maps::{MapData, PerCpuArray};
use tftp_ebpf::abi::registration::{ClassCounts, Sampling};
use tftp_ebpf::abi::{CounterBlock, LatencyHistogram};
use tftp_ebpf::stage::Stage;

use super::events::LostCounter;
use super::fill::Walked;
use super::gate::GateStatus;
use super::object::memory_of;
use super::snapshot::Registrations;
use crate::stats::{self, Tally};

/// The maps that are only read.
pub(super) struct Counts {
    pub(super) blocks: PerCpuArray<MapData, CounterBlock>,
    pub(super) latency: PerCpuArray<MapData, LatencyHistogram>,
    pub(super) events_lost: LostCounter,
    pub(super) classes: PerCpuArray<MapData, ClassCounts>,
    pub(super) sampling: PerCpuArray<MapData, Sampling>,
    pub(super) descriptors: Vec<RawFd>,
    pub(super) walked: Walked,
}

impl Counts {
    /// Bytes of all maps but the banks.
    pub(super) fn map_bytes(&self) -> u64 {
        self.descriptors.iter().map(|&map| memory_of(map)).sum()
    }

    /// What was seen of registrations.
    pub(super) fn registrations(&self, gate: GateStatus) -> Registrations {
        let packets = [0, 1].map(|rung| {
            let mut sum = ClassCounts::ZERO;
            if let Ok(counts) = self.classes.get(&rung, 0) {
                counts.iter().for_each(|counts| sum.add(counts));
            }
            sum
        });
        let sampling = self.sampling.get(&0, 0);
        let sum = |of: fn(&Sampling) -> u64| {
            let sampling = sampling.as_ref();
            sampling.map_or(0, |each| each.iter().map(of).sum())
        };
        Registrations {
            packets,
            gate,
            samples_skipped: sum(|it| it.skipped),
            samples_lost: sum(|it| it.lost),
        }
    }

    pub(super) fn tally(&self, rung: u32) -> Tally {
        let mut tally = Tally::default();
        let Ok(blocks) = self.blocks.get(&rung, 0) else {
            return tally;
        };
        for block in blocks.iter() {
            for (sum, count) in tally.reasons.iter_mut().zip(&block.reasons) {
                *sum += count;
            }
            for stage in 0..Stage::COUNT {
                for (sum, count) in tally.stages[stage].iter_mut().zip(&block.stages[stage]) {
                    *sum += count;
                }
                for (sum, count) in tally.transfer_us[stage]
                    .iter_mut()
                    .zip(&block.transfer_us[stage])
                {
                    *sum += count;
                }
                tally.transfer_us_sum[stage] += block.transfer_us_sum[stage];
            }
        }
        tally
    }

    pub(super) fn latency(&self, rung: u32) -> [u64; stats::LOG2_BUCKETS] {
        let mut sum = [0; stats::LOG2_BUCKETS];
        if let Ok(histograms) = self.latency.get(&rung, 0) {
            for histogram in histograms.iter() {
                for (sum, count) in sum.iter_mut().zip(histogram) {
                    *sum += count;
                }
            }
        }
        sum
    }
}
