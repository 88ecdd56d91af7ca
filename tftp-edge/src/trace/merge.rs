//! Puts the packets of two sources in the order of their times, and what two rungs did with one
//! packet together.

use std::collections::BTreeMap;

use super::packet::{Direction, Packet, Via};

/// Packets that may wait for their turn: a ring and a socket full of small ones are fewer.
const WAITING_MAX: usize = 65_536;

/// Packets that wait until nothing earlier can come.
#[derive(Debug, Default)]
pub struct Merge {
    /// By time, and for one moment in the order they came.
    waiting: BTreeMap<(u64, u64), Packet>,
    count: u64,
    /// Packets for which there was no room.
    pub lost: u64,
}

impl Merge {
    pub fn push(&mut self, packet: Packet) {
        if self.waiting.len() >= WAITING_MAX {
            self.lost += 1;
            return;
        }
        self.count += 1;
        self.waiting.insert((packet.time_ns, self.count), packet);
    }

    /// A packet that TC had after XDP has told of it: what TC did with it belongs to what was told.
    /// Where nothing was told, as when a ring was full, the packet is told now.
    pub fn push_behind_xdp(&mut self, packet: Packet) {
        let until = (packet.time_ns, u64::MAX);
        let mut before = self.waiting.range_mut(..=until).rev();
        let told = before.find(|(_, it)| {
            it.via == Via::Xdp
                && it.direction == Direction::In
                && it.ifindex == packet.ifindex
                && it.decisions.len() == 1
                && it.frame == packet.frame
        });
        match told {
            Some((_, told)) => told.decisions.extend(packet.decisions),
            None => self.push(packet),
        }
    }

    /// Takes out what is earlier than this, in order.
    pub fn until(&mut self, time_ns: u64) -> impl Iterator<Item = Packet> {
        let later = self.waiting.split_off(&(time_ns, 0));
        std::mem::replace(&mut self.waiting, later).into_values()
    }

    /// Takes out everything.
    pub fn rest(&mut self) -> impl Iterator<Item = Packet> {
        std::mem::take(&mut self.waiting).into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::super::packet::Decision;
    use super::*;

    fn packet(time_ns: u64, via: Via, frame: &[u8], reason: &str) -> Packet {
        Packet {
            time_ns,
            ifindex: 1,
            direction: Direction::In,
            via,
            frame: frame.to_vec(),
            len: frame.len() as u32,
            decisions: vec![Decision {
                rung: via,
                action: "passed".to_owned(),
                reason: reason.to_owned(),
                class: None,
                verdict: None,
            }],
        }
    }

    fn times(packets: impl Iterator<Item = Packet>) -> Vec<u64> {
        packets.map(|packet| packet.time_ns).collect()
    }

    #[test]
    fn packets_come_out_in_order_once_nothing_earlier_can_come() {
        let mut merge = Merge::default();
        for time in [30, 10, 20, 40] {
            merge.push(packet(time, Via::Host, b"x", "not_ours"));
        }
        assert_eq!(times(merge.until(30)), [10, 20]);
        merge.push(packet(25, Via::Host, b"x", "not_ours"));
        assert_eq!(times(merge.until(30)), [25]);
        assert_eq!(times(merge.rest()), [30, 40]);
        assert_eq!(times(merge.rest()), [] as [u64; 0]);
    }

    #[test]
    fn what_comes_at_one_moment_stays_in_its_order() {
        let mut merge = Merge::default();
        for frame in [b"a", b"b", b"c"] {
            merge.push(packet(7, Via::Xdp, frame, "data"));
        }
        let frames: Vec<_> = merge.rest().map(|packet| packet.frame).collect();
        assert_eq!(frames, [b"a", b"b", b"c"]);
    }

    #[test]
    fn what_tc_did_after_xdp_is_told_with_the_same_packet() {
        let mut merge = Merge::default();
        // A request that was repeated: each belongs to the one before it.
        merge.push(packet(10, Via::Xdp, b"ask", "cannot_grow"));
        merge.push_behind_xdp(packet(11, Via::Tc, b"ask", "first_data"));
        merge.push(packet(20, Via::Xdp, b"ask", "cannot_grow"));
        merge.push_behind_xdp(packet(21, Via::Tc, b"ask", "repeat"));
        let told: Vec<_> = merge.rest().collect();
        assert_eq!(told.len(), 2);
        for (packet, reason) in told.iter().zip(["first_data", "repeat"]) {
            let reasons = packet.decisions.iter().map(|it| it.reason.as_str());
            assert_eq!(reasons.collect::<Vec<_>>(), ["cannot_grow", reason]);
        }
    }

    #[test]
    fn what_xdp_could_not_tell_is_told_by_tc() {
        let mut merge = Merge::default();
        merge.push(packet(10, Via::Xdp, b"another", "cannot_grow"));
        merge.push_behind_xdp(packet(11, Via::Tc, b"ask", "first_data"));
        assert_eq!(times(merge.rest()), [10, 11]);
    }

    #[test]
    fn there_is_a_bound_on_what_waits() {
        let mut merge = Merge::default();
        for time in 0..WAITING_MAX as u64 + 3 {
            merge.push(packet(time, Via::Host, b"", "data"));
        }
        assert_eq!(merge.lost, 3);
        assert_eq!(merge.rest().count(), WAITING_MAX);
    }
}
