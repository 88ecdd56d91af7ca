//! A transfer between a server and a client whose packets are lost, doubled and swapped: every byte arrives.

use std::collections::VecDeque;

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;

/// A client that keeps what comes in order and acknowledges it, over a network that loses,
/// doubles and swaps packets by chance. Drawn anew for every packet: a pattern that repeats would
/// sooner or later lose the same packet each time it is sent.
fn play(bytes: Vec<u8>, mode: Mode, granted: Granted, seed: u64) -> Vec<u8> {
    let mut luck = StdRng::seed_from_u64(seed);
    let mut bench = Bench::new(bytes, mode, granted);
    let block_len = usize::from(granted.block_len());
    let window = u64::from(granted.windowsize.max(1));
    let (mut received, mut expected, mut since_ack) = (Vec::new(), 1_u64, 0);
    let mut acks: VecDeque<u16> = VecDeque::new();
    for _ in 0..100_000 {
        let mut arrived: Vec<Vec<u8>> = Vec::new();
        for datagram in std::mem::take(&mut bench.out) {
            match luck.random_range(0..8) {
                0 => {}
                1 => arrived.extend([datagram.clone(), datagram]),
                2 if !arrived.is_empty() => arrived.insert(arrived.len() - 1, datagram),
                _ => arrived.push(datagram),
            }
        }
        let mut gap = false;
        for datagram in arrived {
            if datagram[1] == 6 {
                acks.push_back(0);
                continue;
            }
            let number = u16::from_be_bytes([datagram[2], datagram[3]]);
            if number != expected as u16 {
                gap = true;
                continue;
            }
            received.extend_from_slice(&datagram[4..]);
            expected += 1;
            since_ack += 1;
            let last = datagram.len() - 4 < block_len;
            if since_ack == window || last {
                acks.push_back((expected - 1) as u16);
                since_ack = 0;
            }
        }
        if gap {
            acks.push_back((expected - 1) as u16);
            since_ack = 0;
        }
        bench.now += 2 * MS;
        while let Some(ack) = acks.pop_front() {
            let copies = match luck.random_range(0..8) {
                0 => 0,
                1 => 2,
                _ => 1,
            };
            for _ in 0..copies {
                if let Step::Ended(reason) = bench.ack(ack) {
                    assert_eq!(reason, Reason::Complete);
                    return received;
                }
            }
        }
        if bench.out.is_empty() {
            match bench.timeout().1 {
                Step::Ended(_) if bench.transfer.is_unconfirmed() => return received,
                // Two sends were lost before the first ACK: the client would ask again.
                Step::Ended(_) if !bench.transfer.is_proved() => {
                    bench.now += 1000 * MS;
                    bench.repeat();
                }
                Step::Ended(reason) => panic!("ended by {reason:?} at block {expected}"),
                _ => {
                    // The client's own timer repeats its last ACK, which must do no harm.
                    if expected > 1 {
                        acks.push_back((expected - 1) as u16);
                    }
                }
            }
        }
    }
    panic!("not done after 100,000 turns");
}

proptest! {
    #[test]
    fn every_byte_arrives_over_a_bad_network(
        len in 0usize..6000,
        blksize in prop_oneof![Just(0u16), 8u16..700],
        windowsize in prop_oneof![Just(0u16), 1u16..70],
        seed: u64,
    ) {
        let got = play(content(len), Mode::Octet, windowed(blksize, windowsize), seed);
        prop_assert_eq!(got, content(len));
    }

    #[test]
    fn text_arrives_converted_over_a_bad_network(
        text in proptest::collection::vec(proptest::sample::select(&b"ab\r\n"[..]), 0..2000),
        blksize in prop_oneof![Just(0u16), 8u16..100],
        windowsize in prop_oneof![Just(0u16), 1u16..20],
        seed: u64,
    ) {
        let mut expected = Vec::new();
        for &byte in &text {
            match byte {
                b'\n' => expected.extend_from_slice(b"\r\n"),
                b'\r' => expected.extend_from_slice(b"\r\0"),
                byte => expected.push(byte),
            }
        }
        let got = play(text, Mode::Netascii, windowed(blksize, windowsize), seed);
        prop_assert_eq!(got, expected);
    }
}
