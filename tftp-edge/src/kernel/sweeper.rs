//! Which of the kernel's transfers need something sent again, and which have ended.
//!
//! The kernel program has no timers: a transfer whose packet was lost stands still until the
//! client repeats itself or this does. No socket and no clock in here: the sweep's time and the
//! transfers it found come in, decisions go out.

use std::collections::HashMap;
use std::time::Duration;

use tftp_ebpf::abi::{Transfer, TransferKey};

/// Sends of one packet before its transfer is given up; RFC 1123 4.2.3.2 leaves the number open.
const MAX_SENDS: u32 = 7;
/// The first packet goes to an address nobody has proved: it is sent twice at most, and the
/// phone's own repeats do the rest.
const MAX_FIRST_SENDS: u32 = 2;
/// Before there is a round-trip time.
const INITIAL: Duration = Duration::from_secs(1);
const FLOOR: Duration = Duration::from_millis(200);
const CEILING: Duration = Duration::from_secs(2);
/// How long a transfer nobody acknowledged is kept, so that a repeated request can join it.
const LINGER: Duration = Duration::from_secs(5);

/// What a stalled transfer needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send the outstanding packet again.
    Resend,
    /// Forget the transfer. `confirmed` is false when only the last ACK is missing: the client has
    /// most likely got everything.
    GiveUp { unconfirmed: bool },
}

/// One outstanding packet that was looked at before.
#[derive(Clone, Copy, Debug)]
struct Watch {
    block: u64,
    /// When the kernel sent it last; a change means that it moved on.
    kernel_send_ns: u64,
    sends: u32,
    due_ns: u64,
    swept: u64,
}

/// Memory of the sweeps before.
#[derive(Debug, Default)]
pub struct Sweeper {
    watches: HashMap<TransferKey, Watch>,
    sweep: u64,
}

impl Sweeper {
    /// Begins a sweep; afterwards every transfer is [`looked at`](Sweeper::look).
    pub fn begin(&mut self) {
        self.sweep += 1;
    }

    /// Looks at one transfer. `jitter` in 0..1 spreads the resends of a lost burst over a quarter
    /// of their delay.
    pub fn look(
        &mut self,
        key: &TransferKey,
        transfer: &Transfer,
        now_ns: u64,
        jitter: f64,
    ) -> Option<Action> {
        let age = now_ns.saturating_sub(transfer.last_send_ns);
        if age < nanos(FLOOR) {
            // It moves: the common case, and not worth remembering.
            return None;
        }
        let sweep = self.sweep;
        let watch = self
            .watches
            .entry(*key)
            .or_insert_with(|| Watch::new(transfer, sweep, jitter));
        if watch.block != transfer.block || watch.kernel_send_ns != transfer.last_send_ns {
            *watch = Watch::new(transfer, sweep, jitter);
        }
        watch.swept = sweep;
        if now_ns < watch.due_ns {
            return None;
        }
        let limit = if transfer.is_fresh() {
            MAX_FIRST_SENDS
        } else {
            MAX_SENDS
        };
        if watch.sends >= limit {
            self.watches.remove(key);
            let unconfirmed = transfer.block == transfer.last_block();
            return Some(Action::GiveUp { unconfirmed });
        }
        watch.sends += 1;
        let wait = if watch.sends >= limit {
            LINGER
        } else {
            (timeout(transfer) * 2_u32.pow(watch.sends - 1)).min(ceiling(transfer))
        };
        watch.due_ns = now_ns + jittered(wait, jitter);
        Some(Action::Resend)
    }

    /// Ends a sweep: what was not seen is gone, or moves again.
    pub fn finish(&mut self) {
        let sweep = self.sweep;
        self.watches.retain(|_, watch| watch.swept == sweep);
    }
}

impl Watch {
    fn new(transfer: &Transfer, swept: u64, jitter: f64) -> Self {
        Self {
            block: transfer.block,
            kernel_send_ns: transfer.last_send_ns,
            sends: 1,
            due_ns: transfer.last_send_ns + jittered(timeout(transfer), jitter),
            swept,
        }
    }
}

/// The time until the first resend: what the client asked for (RFC 2349), else four round trips.
fn timeout(transfer: &Transfer) -> Duration {
    if transfer.granted_timeout > 0 {
        return Duration::from_secs(u64::from(transfer.granted_timeout));
    }
    if transfer.srtt_us == 0 {
        return INITIAL;
    }
    Duration::from_micros(u64::from(transfer.srtt_us) * 4).clamp(FLOOR, CEILING)
}

fn ceiling(transfer: &Transfer) -> Duration {
    CEILING.max(Duration::from_secs(u64::from(transfer.granted_timeout)))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn jittered(duration: Duration, jitter: f64) -> u64 {
    nanos(duration.mul_f64(1.0 + jitter / 4.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn key() -> TransferKey {
        TransferKey::default()
    }

    fn transfer(block: u64) -> Transfer {
        Transfer {
            length: 10_000,
            block,
            last_send_ns: 1_000 * MS,
            srtt_us: 100_000,
            ..Transfer::EMPTY
        }
    }

    /// Runs sweeps every 100 ms over a transfer that never moves; returns when what was decided,
    /// in milliseconds after its last send.
    fn play(transfer: &Transfer, seconds: u64) -> Vec<(u64, Action)> {
        let mut sweeper = Sweeper::default();
        let mut actions = Vec::new();
        for tick in 0..seconds * 10 {
            sweeper.begin();
            let now = transfer.last_send_ns + tick * 100 * MS;
            if let Some(action) = sweeper.look(&key(), transfer, now, 0.0) {
                actions.push((tick * 100, action));
                if matches!(action, Action::GiveUp { .. }) {
                    break;
                }
            }
            sweeper.finish();
        }
        actions
    }

    #[test]
    fn a_stalled_block_is_sent_again_with_growing_waits_of_two_seconds_at_most() {
        let actions = play(&transfer(3), 60);
        let times: Vec<_> = actions.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [400, 1200, 2800, 4800, 6800, 8800, 13_800]);
        assert_eq!(
            actions.last().unwrap().1,
            Action::GiveUp { unconfirmed: false }
        );
    }

    #[test]
    fn the_first_packet_is_sent_twice_at_most() {
        let first = Transfer {
            srtt_us: 0,
            ..transfer(1)
        };
        let actions = play(&first, 60);
        assert_eq!(
            actions,
            [
                (1000, Action::Resend),
                (6000, Action::GiveUp { unconfirmed: false }),
            ]
        );
    }

    #[test]
    fn the_last_block_without_its_ack_is_most_likely_there() {
        let last = transfer(10_000 / 512 + 1);
        assert_eq!(
            play(&last, 60).last().unwrap().1,
            Action::GiveUp { unconfirmed: true }
        );
    }

    #[test]
    fn the_clients_own_timeout_is_kept() {
        let slow = Transfer {
            granted_timeout: 5,
            ..transfer(3)
        };
        assert_eq!(play(&slow, 6)[0], (5000, Action::Resend));
    }

    #[test]
    fn a_transfer_that_moves_is_left_alone() {
        let mut sweeper = Sweeper::default();
        for step in 0..100 {
            sweeper.begin();
            let moving = Transfer {
                block: step + 1,
                last_send_ns: (1_000 + step * 100) * MS,
                ..transfer(1)
            };
            assert_eq!(
                sweeper.look(&key(), &moving, moving.last_send_ns + 100 * MS, 0.0),
                None
            );
            sweeper.finish();
        }
        assert!(sweeper.watches.is_empty());
    }

    #[test]
    fn a_block_that_moved_begins_its_count_anew() {
        let mut sweeper = Sweeper::default();
        sweeper.begin();
        let stalled = transfer(3);
        let at = stalled.last_send_ns + 400 * MS;
        assert_eq!(
            sweeper.look(&key(), &stalled, at, 0.0),
            Some(Action::Resend)
        );
        let moved = Transfer {
            block: 4,
            last_send_ns: at + 50 * MS,
            ..stalled
        };
        assert_eq!(sweeper.look(&key(), &moved, at + 300 * MS, 0.0), None);
        assert_eq!(
            sweeper.look(&key(), &moved, at + 450 * MS, 0.0),
            Some(Action::Resend)
        );
    }
}
