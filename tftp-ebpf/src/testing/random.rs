//! Frames nobody would build: good ones with mistakes in them, and noise.

use super::datagram::sum;

/// A generator with a seed, the same on every run (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `end`, or zero.
    pub fn below(&mut self, end: usize) -> usize {
        (self.word() % (end.max(1) as u64)) as usize
    }

    pub fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}

/// A frame with up to four mistakes. In half of those over IPv4 the checksums do not give them
/// away: the header's is right again, and UDP has none. A few are nothing but noise.
pub fn spoil(frame: &[u8], random: &mut Random) -> Vec<u8> {
    if random.one_in(16) {
        let len = random.below(400);
        return (0..len).map(|_| random.word() as u8).collect();
    }
    let mut frame = frame.to_vec();
    for _ in 0..random.below(5) {
        mistake(&mut frame, random);
    }
    if random.one_in(2) {
        repair_checksums(&mut frame);
    }
    frame
}

fn mistake(frame: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(frame.len());
    match random.below(8) {
        0 => frame.truncate(at),
        1 => frame.resize(frame.len() + random.below(64), 0),
        2 => {
            let byte = random.word() as u8;
            frame.insert(at, byte);
        }
        3 if !frame.is_empty() => {
            frame.remove(at);
        }
        // Where most decisions are made: ports, lengths, opcode, block number, the name.
        4 => put(frame, 34 + random.below(16), random.below(10) as u8),
        5 => put(frame, at, [0, 1, 0x7f, 0x80, 0xff][random.below(5)]),
        6 => {
            let bit = 1 << random.below(8);
            let byte = frame.get(at).copied().unwrap_or_default();
            put(frame, at, byte ^ bit);
        }
        _ => put(frame, at, random.word() as u8),
    }
}

fn put(frame: &mut [u8], at: usize, byte: u8) {
    if let Some(place) = frame.get_mut(at) {
        *place = byte;
    }
}

fn repair_checksums(frame: &mut [u8]) {
    let mut network = 14;
    while matches!(
        frame.get(network - 2..network),
        Some([0x81, 0x00] | [0x88, 0xa8])
    ) {
        network += 4;
    }
    if frame.get(network - 2..network) != Some(&[0x08, 0x00]) {
        return;
    }
    put(frame, network + 26, 0);
    put(frame, network + 27, 0);
    if let Some(header) = frame.get_mut(network..network + 20) {
        header[10..12].fill(0);
        let repaired = (!sum(header)).to_be_bytes();
        header[10..12].copy_from_slice(&repaired);
    }
}
