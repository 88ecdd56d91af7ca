//! Mutations of inputs that are the same on every run: what stands in for libFuzzer in ordinary
//! tests.

use tftp_ebpf::testing::random::Random;

/// Bytes that parsers of text and of packets decide by.
const TELLING: &[u8] = b"\0\x01\x7f\x80\xff \t\r\n,;:=\"'<>\\/@?%#[](){}|-.019aA";

/// An input with up to four changes, at most `max_len` bytes of it.
pub fn mutated(input: &[u8], other: &[u8], max_len: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(4) {
        change(&mut bytes, other, max_len, random);
    }
    bytes.truncate(max_len);
    bytes
}

fn change(bytes: &mut Vec<u8>, other: &[u8], max_len: usize, random: &mut Random) {
    let at = random.below(bytes.len());
    match random.below(9) {
        0 => bytes.truncate(at),
        1 => {
            let end = (at + 1 + random.below(16)).min(bytes.len());
            bytes.drain(at.min(end)..end);
        }
        2 => bytes.insert(at, TELLING[random.below(TELLING.len())]),
        3 => {
            // A piece of another input.
            let from = random.below(other.len());
            let to = (from + 1 + random.below(64)).min(other.len());
            let piece = other[from..to].to_vec();
            bytes.splice(at..at, piece);
        }
        4 => {
            // A piece again.
            let to = (at + 1 + random.below(64)).min(bytes.len());
            let piece = bytes[at..to].to_vec();
            bytes.splice(at..at, piece);
        }
        5 if random.one_in(8) => {
            let repeated = repeated(bytes, max_len, random);
            *bytes = repeated;
        }
        6 => put(bytes, at, TELLING[random.below(TELLING.len())]),
        7 => {
            let bit = 1 << random.below(8);
            let byte = bytes.get(at).copied().unwrap_or_default();
            put(bytes, at, byte ^ bit);
        }
        _ => put(bytes, at, random.word() as u8),
    }
}

/// One short piece so often that the input is as long as it may be: what takes longer than its
/// length is long then.
pub fn repeated(input: &[u8], max_len: usize, random: &mut Random) -> Vec<u8> {
    let from = random.below(input.len());
    let to = (from + 1 + random.below(12)).min(input.len());
    let (before, rest) = input.split_at(from);
    let (piece, after) = rest.split_at(to - from);
    if piece.is_empty() {
        return input.to_vec();
    }
    let room = max_len.saturating_sub(before.len() + after.len());
    let times = room / piece.len();
    [before, &piece.repeat(times), after].concat()
}

fn put(bytes: &mut [u8], at: usize, byte: u8) {
    if let Some(place) = bytes.get_mut(at) {
        *place = byte;
    }
}
