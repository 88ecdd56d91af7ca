//! The rules of a transfer, time stepped by hand.

mod bad_network;

use bytes::Bytes;
use tftp_ebpf::stage::Stage;

use super::*;

const MS: Duration = Duration::from_millis(1);

fn version(bytes: Vec<u8>) -> Arc<Version> {
    Arc::new(Version {
        name: "f".into(),
        stage: Stage::Other,
        generation: 1,
        published: std::time::SystemTime::UNIX_EPOCH,
        bytes: Bytes::from(bytes),
    })
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 % 251) as u8).collect()
}

fn windowed(blksize: u16, windowsize: u16) -> Granted {
    Granted {
        blksize,
        windowsize,
        ..Granted::default()
    }
}

/// A transfer, the time, and what it has sent since last asked.
struct Bench {
    transfer: Transfer,
    now: Instant,
    out: Vec<Vec<u8>>,
}

impl Bench {
    fn new(bytes: Vec<u8>, mode: Mode, granted: Granted) -> Self {
        let (mut out, now) = (Vec::new(), Instant::now());
        let (transfer, _) = Transfer::begin(
            version(bytes),
            mode,
            granted,
            Policy::default(),
            now,
            0.0,
            &mut out,
        );
        Self { transfer, now, out }
    }

    fn octet(len: usize, granted: Granted) -> Self {
        Self::new(content(len), Mode::Octet, granted)
    }

    fn ack(&mut self, number: u16) -> Step {
        self.transfer.on_ack(number, self.now, 0.0, &mut self.out)
    }

    fn repeat(&mut self) -> Repeated {
        self.transfer.on_repeat(self.now, 0.0, &mut self.out)
    }

    /// Waits for the timer; returns how long that was.
    fn timeout(&mut self) -> (Duration, Step) {
        let waited = self.transfer.deadline() - self.now;
        self.now = self.transfer.deadline();
        (waited, self.transfer.on_timer(self.now, 0.0, &mut self.out))
    }

    /// Block numbers sent since last asked; an OACK is `None`.
    fn sent(&mut self) -> Vec<Option<u16>> {
        std::mem::take(&mut self.out)
            .iter()
            .map(|datagram| match datagram[1] {
                3 => Some(u16::from_be_bytes([datagram[2], datagram[3]])),
                6 => None,
                opcode => panic!("sent opcode {opcode}"),
            })
            .collect()
    }
}

fn blocks(numbers: impl IntoIterator<Item = u16>) -> Vec<Option<u16>> {
    numbers.into_iter().map(Some).collect()
}

#[test]
fn without_options_a_transfer_begins_with_data_1() {
    let mut bench = Bench::octet(600, Granted::default());
    assert_eq!(bench.out[0][..4], [0, 3, 0, 1]);
    assert_eq!(bench.out[0][4..], content(600)[..512]);
    assert_eq!(bench.sent(), blocks([1]));
    bench.ack(1);
    assert_eq!(bench.out[0][4..], content(600)[512..]);
    assert_eq!(bench.ack(2), Step::Ended(Reason::Complete));
}

#[test]
fn an_empty_file_is_one_empty_block() {
    let mut bench = Bench::octet(0, Granted::default());
    assert_eq!(bench.out, [[0, 3, 0, 1]]);
    assert_eq!(bench.ack(1), Step::Ended(Reason::Complete));
}

#[test]
fn a_size_that_is_a_multiple_of_the_block_ends_in_an_empty_block() {
    let mut bench = Bench::octet(1024, Granted::default());
    bench.ack(1);
    bench.out.clear();
    bench.ack(2);
    assert_eq!(bench.out, [[0, 3, 0, 3]]);
    assert_eq!(bench.ack(3), Step::Ended(Reason::Complete));
}

#[test]
fn no_window_goes_out_before_ack_0() {
    let mut bench = Bench::octet(100_000, windowed(0, 8));
    assert_eq!(bench.sent(), [None]);
    assert_eq!(bench.ack(1), Step::Ignored(Reason::StrayAck));
    assert_eq!(bench.sent(), []);
    bench.ack(0);
    assert_eq!(bench.sent(), blocks(1..=8));
}

#[test]
fn a_duplicate_ack_never_repeats_data() {
    let mut bench = Bench::octet(5000, windowed(512, 0));
    bench.ack(0);
    bench.sent();
    assert_eq!(bench.ack(0), Step::Ignored(Reason::DuplicateAck));
    bench.ack(1);
    bench.sent();
    bench.now += 10 * 1000 * MS;
    for _ in 0..5 {
        assert_eq!(bench.ack(1), Step::Ignored(Reason::DuplicateAck));
    }
    assert_eq!(bench.sent(), []);
}

#[test]
fn an_ack_of_a_block_not_sent_yet_skips_nothing() {
    let mut bench = Bench::octet(5000, Granted::default());
    bench.sent();
    for number in [2, 5, 65535] {
        assert_eq!(
            bench.ack(number),
            Step::Ignored(Reason::StrayAck),
            "{number}"
        );
    }
    assert_eq!(bench.sent(), []);
    bench.ack(1);
    assert_eq!(bench.sent(), blocks([2]));
}

#[test]
fn the_next_window_begins_behind_the_ack() {
    let mut bench = Bench::octet(100_000, windowed(512, 4));
    bench.ack(0);
    bench.sent();
    bench.ack(4);
    assert_eq!(bench.sent(), blocks(5..=8));
    // Blocks 7 and 8 were lost: RFC 7440 section 4.
    assert!(matches!(bench.ack(6), Step::Sent(Sent { resent: 2, .. })));
    assert_eq!(bench.sent(), blocks(7..=10));
}

#[test]
fn an_ack_outside_the_window_is_ignored() {
    let mut bench = Bench::octet(100_000, windowed(512, 4));
    bench.ack(0);
    bench.ack(4);
    bench.sent();
    for number in [3, 2, 9, 4000] {
        assert_eq!(
            bench.ack(number),
            Step::Ignored(Reason::StrayAck),
            "{number}"
        );
    }
    assert_eq!(bench.sent(), []);
}

#[test]
fn a_timeout_resends_from_the_last_ack() {
    let mut bench = Bench::octet(100_000, windowed(512, 4));
    bench.ack(0);
    bench.ack(2);
    bench.sent();
    let (_, step) = bench.timeout();
    assert!(matches!(step, Step::Sent(Sent { resent: 4, .. })));
    assert_eq!(bench.sent(), blocks(3..=6));
}

#[test]
fn the_last_window_may_be_short() {
    let mut bench = Bench::octet(512 * 5 + 1, windowed(512, 4));
    bench.ack(0);
    bench.ack(4);
    bench.sent();
    assert_eq!(
        bench.ack(5),
        Step::Sent(Sent {
            blocks: 1,
            bytes: 1,
            resent: 1
        })
    );
    assert_eq!(bench.ack(6), Step::Ended(Reason::Complete));
}

#[test]
fn block_65535_is_followed_by_0() {
    let mut bench = Bench::octet(8 * 65_540, windowed(8, 0));
    bench.ack(0);
    for block in 1..=65_537_u32 {
        bench.sent();
        bench.ack(block as u16);
    }
    assert_eq!(bench.sent(), blocks([2]));
    let tail = bench.transfer.version().bytes.len() - 8 * 65_538;
    assert_eq!(tail, 16, "two full blocks and the empty one are left");
    for number in [2, 3, 4] {
        assert!(matches!(bench.ack(number), Step::Sent(_)));
    }
    assert_eq!(bench.ack(5), Step::Ended(Reason::Complete));
}

#[test]
fn a_window_may_stand_across_the_wrap() {
    let mut bench = Bench::octet(8 * 70_000, windowed(8, 4));
    bench.ack(0);
    for window in 1..=16_383_u32 {
        bench.ack((window * 4) as u16);
    }
    bench.sent();
    bench.ack(65534);
    assert_eq!(bench.sent(), blocks([65535, 0, 1, 2]));
    bench.ack(1);
    assert_eq!(bench.sent(), blocks([2, 3, 4, 5]));
}

#[test]
fn an_error_after_the_oack_is_a_probe() {
    let tsize = Granted {
        tsize: Some(5000),
        ..Granted::default()
    };
    let mut bench = Bench::octet(5000, tsize);
    assert_eq!(bench.transfer.on_error(), Reason::Probe);
    bench.ack(0);
    assert_eq!(bench.transfer.on_error(), Reason::ClientError);
}

#[test]
fn an_error_after_data_is_an_error() {
    let bench = Bench::octet(5000, Granted::default());
    assert_eq!(bench.transfer.on_error(), Reason::ClientError);
}

#[test]
fn before_the_first_ack_there_are_two_sends() {
    for granted in [Granted::default(), windowed(1024, 16)] {
        let mut bench = Bench::octet(100_000, granted);
        let (first, step) = bench.timeout();
        assert_eq!(first, 1000 * MS);
        assert!(matches!(step, Step::Sent(Sent { resent: 1, .. })));
        let (_, step) = bench.timeout();
        assert_eq!(step, Step::Ended(Reason::TimedOut));
        assert_eq!(bench.sent().len(), 2);
    }
}

#[test]
fn after_it_the_sends_are_bounded_and_two_seconds_apart_at_most() {
    let mut bench = Bench::octet(5000, Granted::default());
    bench.now += MS;
    bench.ack(1);
    bench.sent();
    let mut waits = Vec::new();
    while let (waited, Step::Sent(_)) = bench.timeout() {
        waits.push(waited.as_millis());
    }
    assert_eq!(waits[..4], [300, 600, 1200, 2000]);
    assert!(waits.iter().all(|&wait| wait <= 2000));
    assert_eq!(waits.len() + 1, Policy::default().max_sends as usize);
}

#[test]
fn a_round_trip_with_a_resend_in_it_is_not_measured() {
    let mut bench = Bench::octet(5000, Granted::default());
    bench.timeout();
    bench.now += MS;
    bench.ack(1);
    assert!(bench.transfer.deadline() - bench.now > 1000 * MS);
}

#[test]
fn the_timeout_option_is_the_timer() {
    let granted = Granted {
        timeout: 5,
        ..Granted::default()
    };
    let mut bench = Bench::octet(5000, granted);
    bench.now += MS;
    bench.ack(0);
    for _ in 0..3 {
        assert_eq!(bench.timeout().0, 5000 * MS);
    }
}

#[test]
fn a_long_timeout_option_does_not_hold_a_transfer_nobody_acknowledged() {
    let granted = Granted {
        timeout: 255,
        ..Granted::default()
    };
    let mut bench = Bench::octet(5000, granted);
    assert_eq!(bench.timeout().0, 10_000 * MS);
}

#[test]
fn a_minute_without_progress_ends_a_transfer_whatever_timeout_was_agreed() {
    for timeout in [7, 59, 255] {
        let granted = Granted {
            timeout,
            ..Granted::default()
        };
        let mut bench = Bench::octet(5000, granted);
        bench.ack(0);
        let mut silent = Duration::ZERO;
        let ended = loop {
            let (waited, step) = bench.timeout();
            silent += waited;
            if let Step::Ended(reason) = step {
                break reason;
            }
        };
        assert_eq!((ended, silent), (Reason::TimedOut, 60_000 * MS));
    }
}

#[test]
fn a_slow_client_that_goes_on_is_not_ended() {
    let granted = Granted {
        timeout: 255,
        ..Granted::default()
    };
    let mut bench = Bench::octet(5000, granted);
    for block in 0..9 {
        bench.now += 59_000 * MS;
        assert!(matches!(bench.ack(block), Step::Sent(_)));
    }
}

#[test]
fn a_lost_last_ack_is_told_from_a_failure() {
    let mut bench = Bench::octet(600, Granted::default());
    assert!(!bench.transfer.is_unconfirmed());
    bench.ack(1);
    while let (_, Step::Sent(_)) = bench.timeout() {}
    assert!(bench.transfer.is_unconfirmed());
}

#[test]
fn a_repeated_request_gets_the_same_first_packet() {
    for granted in [Granted::default(), windowed(1024, 16)] {
        let mut bench = Bench::octet(100_000, granted);
        bench.now += 7 * MS;
        assert!(matches!(
            bench.repeat(),
            Repeated::Answered(Sent { resent: 1, .. })
        ));
        assert_eq!(bench.out[0], bench.out[1]);
        // The timer still has its own repeat.
        assert!(matches!(bench.timeout().1, Step::Sent(_)));
    }
}

#[test]
fn a_repeated_request_is_late_while_acks_come_and_a_new_wish_after_that() {
    let mut bench = Bench::octet(100_000, Granted::default());
    bench.ack(1);
    bench.sent();
    bench.now += 900 * MS;
    assert_eq!(bench.repeat(), Repeated::Late);
    bench.now += 100 * MS;
    assert_eq!(bench.repeat(), Repeated::Anew);
    assert_eq!(bench.sent(), []);
}

#[test]
fn netascii_is_converted_and_resent_alike() {
    let text = b"line one\nline two\rline three\n\n\n".repeat(20);
    let mut bench = Bench::new(text, Mode::Netascii, windowed(16, 4));
    bench.out.clear();
    bench.ack(0);
    let first = std::mem::take(&mut bench.out);
    bench.timeout();
    assert_eq!(std::mem::take(&mut bench.out), first);
    bench.ack(2);
    assert_eq!(bench.out[..2], first[2..]);
}
