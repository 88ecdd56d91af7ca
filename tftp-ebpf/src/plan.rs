//! The rules of a transfer as functions of what is known: nothing is written here.

use crate::abi::{Address, Policy, Transfer};
use crate::wire::tftp::Granted;

/// The share of DATA `block` (from 1, not wrapped) in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// First byte, counted from the beginning of the file.
    pub start: u64,
    /// Less than the block size for the last one, and then maybe zero.
    pub len: u16,
}

/// The number of the last DATA packet: the first one that is not full. A file that is a multiple
/// of the block size ends with an empty one (RFC 1350 section 6).
#[inline(always)]
pub const fn last_block(length: u32, block_len: u16) -> u64 {
    (if block_len == 0 {
        0
    } else {
        length / block_len as u32
    }) as u64
        + 1
}

#[inline(always)]
pub const fn block(length: u32, block_len: u16, number: u64) -> Block {
    let start = (number - 1) * block_len as u64;
    let rest = (length as u64).saturating_sub(start);
    let len = if rest < block_len as u64 {
        rest as u16
    } else {
        block_len
    };
    Block { start, len }
}

/// What an ACK asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// The next DATA packet, with this number.
    Next(u64),
    /// The outstanding packet again.
    Repeat,
    /// Nothing: it acknowledged the last block.
    Complete,
    /// Nothing: it repeats the ACK before, too soon for a resend (RFC 1123 4.2.3.1).
    Duplicate,
    /// Nothing: neither the outstanding block nor the one before.
    Stray,
}

impl Transfer {
    /// Number of the first packet: the OACK, or DATA 1.
    #[inline(always)]
    pub const fn first(&self) -> u64 {
        if self.oack != 0 { 0 } else { 1 }
    }

    /// Whether nothing was acknowledged yet.
    #[inline(always)]
    pub const fn is_fresh(&self) -> bool {
        self.block == self.first()
    }

    #[inline(always)]
    pub const fn last_block(&self) -> u64 {
        last_block(self.length, self.block_len)
    }

    /// The answer to the ACK of a block, whose number wrapped past 65535.
    #[inline(always)]
    pub const fn on_ack(&self, number: u16, now: u64, resend_after_ns: u64) -> Ack {
        if number == self.block as u16 {
            return if self.block == self.last_block() {
                Ack::Complete
            } else {
                Ack::Next(self.block + 1)
            };
        }
        if number != (self.block as u16).wrapping_sub(1) || self.is_fresh() {
            return Ack::Stray;
        }
        if now.saturating_sub(self.last_send_ns) < self.resend_after(resend_after_ns) {
            return Ack::Duplicate;
        }
        Ack::Repeat
    }

    /// How long the outstanding packet may stay unanswered: twice the round trip, between the
    /// policy's floor and two seconds. A floor alone would repeat every block on a slow line.
    #[inline(always)]
    pub const fn resend_after(&self, floor_ns: u64) -> u64 {
        const CEILING_NS: u64 = 2_000_000_000;
        let twice = self.srtt_us as u64 * 2000;
        let after = if twice > floor_ns { twice } else { floor_ns };
        if after < CEILING_NS {
            after
        } else {
            CEILING_NS
        }
    }

    /// The smoothed round trip after the outstanding packet was answered `now`: RFC 6298 2.3's
    /// average, with Karn's rule that a packet sent twice says nothing.
    ///
    /// The daemon sends what stalled again without a note in the transfer, and its own waiting must
    /// not count as the line's: a sample of more than a second and twice the round trip known so far
    /// says nothing either. A second is how long it waits before it knows a round trip. Ten seconds
    /// are no round trip, whatever a client made us believe before.
    #[inline(always)]
    pub const fn next_srtt_us(&self, now: u64) -> u32 {
        const LONGEST_US: u64 = 10_000_000;
        let sample = now.saturating_sub(self.last_send_ns) / 1000;
        let is_resent = self.resent != 0 || sample > 1_000_000 + 2 * self.srtt_us as u64;
        if is_resent || sample > LONGEST_US {
            return self.srtt_us;
        }
        let sample = sample as u32;
        if self.srtt_us == 0 {
            sample
        } else {
            self.srtt_us - self.srtt_us / 8 + sample / 8
        }
    }

    /// Whether it is of this file, and was granted the same options. The size is left out: a
    /// version published since does not make a repeated request another one.
    #[inline(always)]
    pub const fn is_of(&self, file_id: u32, granted: &Granted) -> bool {
        self.file_id == file_id
            && self.granted_blksize == granted.blksize
            && self.granted_timeout == granted.timeout
            && self.granted_windowsize as u16 == granted.windowsize
            && (self.granted_tsize != 0) == granted.tsize.is_some()
    }

    /// What was granted, as needed to repeat the OACK.
    #[inline(always)]
    pub const fn granted(&self) -> Granted {
        Granted {
            blksize: self.granted_blksize,
            windowsize: self.granted_windowsize as u16,
            timeout: self.granted_timeout,
            tsize: if self.granted_tsize != 0 {
                Some(self.length as u64)
            } else {
                None
            },
        }
    }
}

/// The port we answer a transfer from, network order: a keyed function (SipHash-1-3's rounds) of
/// who asks for what, so that a repeated request finds its transfer, another file or other options
/// get another port, and nobody off the path can guess it.
#[inline(always)]
pub fn tid(
    policy: &Policy,
    client: &Address,
    client_port: [u8; 2],
    server: &Address,
    file_id: u32,
    granted: &Granted,
) -> u16 {
    let half = |high: u32, low: u32| (high as u64) << 32 | low as u64;
    let options = (granted.blksize as u64) << 16
        | (granted.timeout as u64) << 8
        | (granted.windowsize as u64 & 0x7f) << 1
        | granted.tsize.is_some() as u64;
    let words = [
        half(client[0], client[1]),
        half(client[2], client[3]),
        half(server[0], server[1]),
        half(server[2], server[3]),
        (file_id as u64) << 16 | u16::from_be_bytes(client_port) as u64,
        options,
    ];
    let [k0, k1] = policy.tid_secret;
    let mut state = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    for word in words {
        state[3] ^= word;
        state = sip_round(state);
        state[0] ^= word;
    }
    state[2] ^= 0xff;
    for _ in 0..3 {
        state = sip_round(state);
    }
    let hash = state[0] ^ state[1] ^ state[2] ^ state[3];
    // Multiply and shift: even over a range that is no power of two.
    policy
        .tid_first
        .wrapping_add((((hash >> 48) * policy.tid_count as u64) >> 16) as u16)
}

/// The IPv4 identification of a packet of a transfer; `block` is zero for OACK and ERROR. Of one
/// transfer no two packets in flight have the same, and its port sets it apart from other transfers
/// of the same client.
#[inline(always)]
pub const fn identification(our_port: [u8; 2], block: u64) -> u16 {
    u16::from_be_bytes(our_port).wrapping_add(block as u16)
}

#[inline(always)]
const fn sip_round([mut a, mut b, mut c, mut d]: [u64; 4]) -> [u64; 4] {
    a = a.wrapping_add(b);
    b = b.rotate_left(13) ^ a;
    a = a.rotate_left(32);
    c = c.wrapping_add(d);
    d = d.rotate_left(16) ^ c;
    a = a.wrapping_add(d);
    d = d.rotate_left(21) ^ a;
    c = c.wrapping_add(b);
    b = b.rotate_left(17) ^ c;
    c = c.rotate_left(32);
    [a, b, c, d]
}

/// The bucket a source draws from: an IPv4 address, or an IPv6 /64.
#[inline(always)]
pub const fn source(address: &Address, v6: bool) -> Address {
    if v6 {
        [address[0], address[1], 0, 0]
    } else {
        *address
    }
}

/// Virtual scheduling (GCRA, ITU-T I.371): whether a bucket that will be full at `full_at` has a
/// whole token left `now`.
#[inline(always)]
pub const fn has_token(full_at: u64, now: u64, interval_ns: u64, burst_ns: u64) -> bool {
    full_at + interval_ns <= now + burst_ns
}

/// When the bucket will be full after one more token was taken. An empty one stays just that: who
/// may go on without a token owes nothing for it.
#[inline(always)]
pub const fn take_token(full_at: u64, now: u64, interval_ns: u64, burst_ns: u64) -> u64 {
    let taken = (if full_at > now { full_at } else { now }) + interval_ns;
    let empty = now + burst_ns;
    if taken < empty { taken } else { empty }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::abi::mapped;

    const FLOOR: u64 = 250_000_000;

    fn transfer(length: u32, block_len: u16, block: u64) -> Transfer {
        Transfer {
            length,
            block_len,
            block,
            last_send_ns: 1_000,
            ..Transfer::EMPTY
        }
    }

    #[test]
    fn a_file_ends_with_the_first_block_that_is_not_full() {
        for (length, last, len) in [
            (0, 1, 0),
            (1, 1, 1),
            (511, 1, 511),
            (512, 2, 0),
            (513, 2, 1),
            (1024, 3, 0),
        ] {
            assert_eq!(last_block(length, 512), last, "{length}");
            assert_eq!(block(length, 512, last).len, len, "{length}");
        }
    }

    #[test]
    fn the_outstanding_block_acknowledged_asks_for_the_next() {
        assert_eq!(transfer(2000, 512, 1).on_ack(1, 2_000, FLOOR), Ack::Next(2));
    }

    #[test]
    fn the_last_block_acknowledged_ends_the_transfer() {
        assert_eq!(
            transfer(1024, 512, 3).on_ack(3, 2_000, FLOOR),
            Ack::Complete
        );
    }

    #[test]
    fn a_duplicate_ack_is_answered_only_after_the_resend_time() {
        let transfer = transfer(2000, 512, 2);
        assert_eq!(transfer.on_ack(1, 2_000, FLOOR), Ack::Duplicate);
        assert_eq!(transfer.on_ack(1, 1_000 + FLOOR, FLOOR), Ack::Repeat);
    }

    #[test]
    fn on_a_slow_line_the_resend_time_is_longer() {
        let transfer = Transfer {
            srtt_us: 600_000,
            ..transfer(2000, 512, 2)
        };
        assert_eq!(transfer.on_ack(1, 1_000 + FLOOR, FLOOR), Ack::Duplicate);
        assert_eq!(
            transfer.on_ack(1, 1_000 + 1_200_000_000, FLOOR),
            Ack::Repeat
        );
    }

    #[test]
    fn future_and_old_blocks_are_ignored() {
        for number in [0, 3, 5, 65_535] {
            assert_eq!(
                transfer(9000, 512, 2).on_ack(number, FLOOR * 9, FLOOR),
                Ack::Stray
            );
        }
    }

    #[test]
    fn before_the_first_ack_nothing_else_is_a_duplicate() {
        assert_eq!(
            transfer(2000, 512, 1).on_ack(0, FLOOR * 9, FLOOR),
            Ack::Stray
        );
        let oack = Transfer {
            oack: 1,
            ..transfer(2000, 512, 0)
        };
        assert_eq!(oack.on_ack(65_535, FLOOR * 9, FLOOR), Ack::Stray);
        assert_eq!(oack.on_ack(0, 2_000, FLOOR), Ack::Next(1));
    }

    #[test]
    fn numbers_wrap_past_65535() {
        let transfer = transfer(u32::MAX, 512, 65_535);
        assert_eq!(transfer.on_ack(65_535, 2_000, FLOOR), Ack::Next(65_536));
        let wrapped = Transfer {
            block: 65_536,
            ..transfer
        };
        assert_eq!(wrapped.on_ack(65_535, 2_000, FLOOR), Ack::Duplicate);
        assert_eq!(wrapped.on_ack(0, 2_000, FLOOR), Ack::Next(65_537));
    }

    #[test]
    fn a_packet_sent_twice_says_nothing_about_the_round_trip() {
        let seen = Transfer {
            srtt_us: 8_000,
            resent: 1,
            ..transfer(2000, 512, 2)
        };
        assert_eq!(seen.next_srtt_us(90_000_000), 8_000);
        let fresh = Transfer { resent: 0, ..seen };
        assert_eq!(fresh.next_srtt_us(16_001_000), 9_000);
    }

    #[test]
    fn what_the_daemon_sent_again_says_nothing_about_the_round_trip() {
        let after_ms = |srtt_us: u32, ms: u64| {
            let seen = Transfer {
                srtt_us,
                ..transfer(2000, 512, 2)
            };
            seen.next_srtt_us(seen.last_send_ns + ms * 1_000_000)
        };
        assert_eq!(after_ms(0, 1000), 1_000_000);
        assert_eq!(after_ms(0, 1001), 0);
        assert_eq!(after_ms(8_000, 1016), 134_000);
        assert_eq!(after_ms(8_000, 1017), 8_000);
        assert_eq!(after_ms(600_000, 2200), 800_000);
        assert_eq!(after_ms(600_000, 2201), 600_000);
        assert_eq!(after_ms(8_000, 3_600_000), 8_000);
        assert_eq!(after_ms(9_000_000, 10_001), 9_000_000);
    }

    #[test]
    fn tokens_come_back_with_time() {
        let (interval, burst) = (1_000, 3_000);
        let mut full_at = 0;
        let mut taken = 0;
        while has_token(full_at, 10_000, interval, burst) {
            full_at = take_token(full_at, 10_000, interval, burst);
            taken += 1;
        }
        assert_eq!(taken, 3);
        assert!(
            !has_token(full_at, 10_999, interval, burst),
            "a part of one is none"
        );
        assert!(has_token(full_at, 11_000, interval, burst));
    }

    #[test]
    fn nobody_owes_more_than_the_burst() {
        let (interval, burst) = (1_000, 3_000);
        let full_at = (0..100).fold(0, |full_at, _| take_token(full_at, 10_000, interval, burst));
        assert!(!has_token(full_at, 10_000, interval, burst));
        assert!(has_token(full_at, 11_000, interval, burst));
    }

    fn policy() -> Policy {
        Policy {
            enabled: 1,
            tid_first: 50_000,
            tid_count: 1_000,
            tid_secret: [0x0123_4567_89ab_cdef, 0x1122_3344_5566_7788],
            resend_after_ns: FLOOR,
            restart_after_ns: FLOOR,
            first_interval_ns: 0,
            first_burst_ns: 0,
            miss_interval_ns: 0,
            miss_burst_ns: 0,
            unknown_interval_ns: 0,
            unknown_burst_ns: 0,
            known_for_ns: 0,
            registration_ports: 0,
            ds_field: 0,
            is_partial: 0,
            padding: [0; 6],
        }
    }

    #[test]
    fn a_request_repeated_finds_its_port_and_another_file_another() {
        let (client, server) = (mapped([10, 1, 2, 3]), mapped([10, 0, 0, 1]));
        let granted = Granted::default();
        let port = |id, granted: &Granted| tid(&policy(), &client, [4, 5], &server, id, granted);
        assert_eq!(port(7, &granted), port(7, &granted));
        assert_ne!(port(7, &granted), port(8, &granted));
        assert_ne!(
            port(7, &granted),
            port(
                7,
                &Granted {
                    tsize: Some(1),
                    ..granted
                }
            )
        );
    }

    #[test]
    fn ports_fill_their_range_evenly() {
        let (client, server) = (mapped([10, 1, 2, 3]), mapped([10, 0, 0, 1]));
        let mut tenths = [0_u32; 10];
        for id in 0..10_000 {
            let port = tid(&policy(), &client, [4, 5], &server, id, &Granted::default());
            assert!((50_000..51_000).contains(&port));
            tenths[usize::from(port - 50_000) / 100] += 1;
        }
        assert!(
            tenths.iter().all(|&count| (850..1150).contains(&count)),
            "{tenths:?}"
        );
    }

    proptest! {
        #[test]
        fn blocks_cover_a_file_once(length in 0_u32..200_000, block_len in 8_u16..1469) {
            let mut end = 0;
            for number in 1..=last_block(length, block_len) {
                let block = block(length, block_len, number);
                prop_assert_eq!(block.start, end);
                prop_assert_eq!(block.len < block_len, number == last_block(length, block_len));
                end += u64::from(block.len);
            }
            prop_assert_eq!(end, u64::from(length));
        }
    }
}
