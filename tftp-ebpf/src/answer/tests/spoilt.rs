//! Frames with mistakes in them.

use super::check_with_etherparse;
use crate::testing::cases::table;
use crate::testing::random::{Random, spoil};
use crate::testing::{MemoryFrame, MemoryMaps, Site, host};
use crate::verdict::{Rung, Verdict};

/// The destination port, and whether the packet is UDP over IP at all, by another implementation.
fn udp_port(frame: &[u8]) -> Option<u16> {
    let packet = etherparse::LaxSlicedPacket::from_ethernet(frame).ok()?;
    match packet.transport? {
        etherparse::TransportSlice::Udp(udp) => Some(udp.destination_port()),
        _ => None,
    }
}

fn spoilt_frames<const RUNG: u8>(seed: u64) {
    let site = Site::on(Rung::ALL[usize::from(RUNG)]);
    let cases = table(&site);
    let mut maps = MemoryMaps::new(site.clone());
    let mut random = Random::new(seed);
    let mut verdicts = [0_u32; 4];
    for round in 0..20_000 {
        let case = &cases[random.below(cases.len())];
        let spoilt = spoil(&case.frame, &mut random);
        maps.set_up(case, host::NOW_NS);
        let transfers = maps.transfers();
        let frame = MemoryFrame::<RUNG> {
            grows: !case.before.stuck,
            ..MemoryFrame::new(spoilt.clone())
        };
        let outcome = host::run(&maps, frame, host::NOW_NS);
        let what = || format!("round {round}, from {}: {:?}", case.name, outcome.reason);
        verdicts[outcome.reason.verdict() as usize] += 1;
        match outcome.reason.verdict() {
            Verdict::Pass | Verdict::Classify => {
                assert_eq!(outcome.frame, spoilt, "{}", what());
                assert_eq!(outcome.transfers, transfers, "{}", what());
                continue;
            }
            Verdict::Answer => check_with_etherparse(&outcome.frame),
            Verdict::Drop => {}
        }
        let port = udp_port(&spoilt).unwrap_or_else(|| panic!("not UDP; {}", what()));
        let policy = &site.policy;
        let ours = policy.tid_first..=policy.tid_first + (policy.tid_count - 1);
        assert!(
            port == 69 || ours.contains(&port),
            "port {port}; {}",
            what()
        );
    }
    // All four are met often enough to mean something.
    assert!(verdicts.iter().all(|&count| count > 1_000), "{verdicts:?}");
}

#[test]
fn spoilt_frames_are_passed_untouched_or_were_for_us_under_xdp() {
    spoilt_frames::<0>(0x7f7f);
}

#[test]
fn spoilt_frames_are_passed_untouched_or_were_for_us_under_tc() {
    spoilt_frames::<1>(0x7c7c);
}
