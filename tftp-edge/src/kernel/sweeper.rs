//! Which of the kernel's transfers need something sent again, and which have ended.
//!
//! The kernel program has no timers: a transfer whose packet was lost stands still until the
//! client repeats itself or this does. No socket and no clock in here: the sweep's time and the
//! transfers it found come in, decisions go out.

use std::collections::HashMap;
use std::time::Duration;

use tftp_ebpf::abi::{Transfer, TransferKey};

use crate::live::Live;
use crate::tftp::resend::Policy;

/// The first packet goes to an address nobody has proved: it is sent twice at most, and the
/// phone's own repeats do the rest.
const MAX_FIRST_SENDS: u32 = 2;
/// The longest wait before there was any ACK, whatever timeout the request asked for: a forged
/// request must not hold a transfer, and the version it reads, for minutes.
const UNPROVED_WAIT: Duration = Duration::from_secs(10);
/// A transfer that has not moved for this long is over, whatever timeout was agreed.
const MAX_STALL: Duration = Duration::from_secs(60);
/// Younger packets are not looked at.
const FLOOR: Duration = Duration::from_millis(200);
/// How long a transfer nobody acknowledged is kept, so that a repeated request can join it.
const LINGER: Duration = Duration::from_secs(5);

/// What a stalled transfer needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send the outstanding packet again.
    Resend,
    /// Forget the transfer. `unconfirmed` when only the last ACK is missing: the client has most
    /// likely got everything.
    GiveUp { unconfirmed: bool },
    /// Forget the transfer: the client has asked for something else from the same port since.
    Supersede,
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
#[derive(Debug)]
pub struct Sweeper {
    policy: Live<Policy>,
    watches: HashMap<TransferKey, Watch>,
    sweep: u64,
}

impl Sweeper {
    pub fn new(policy: impl Into<Live<Policy>>) -> Self {
        Self {
            policy: policy.into(),
            watches: HashMap::new(),
            sweep: 0,
        }
    }

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
        let (sweep, policy) = (self.sweep, **self.policy.get());
        let age = now_ns.saturating_sub(transfer.last_send_ns);
        if age < nanos(FLOOR) {
            // It moves: the common case, and not worth remembering. Only what was sent to an
            // address nobody has proved is remembered through a repeated request.
            if transfer.is_fresh()
                && let Some(watch) = self.watches.get_mut(key)
            {
                watch.swept = sweep;
            }
            return None;
        }
        let limit = if transfer.is_fresh() {
            MAX_FIRST_SENDS
        } else {
            policy.max_sends
        };
        let watch = self
            .watches
            .entry(*key)
            .or_insert_with(|| Watch::new(transfer, timeout(transfer, &policy), 1, jitter));
        if watch.block != transfer.block || watch.kernel_send_ns != transfer.last_send_ns {
            // A request that is repeated gets its answer from the kernel, and no more from us.
            let sends = if transfer.is_fresh() { watch.sends } else { 1 };
            let wait = if sends < limit {
                timeout(transfer, &policy)
            } else {
                LINGER
            };
            *watch = Watch::new(transfer, wait, sends, jitter);
        }
        watch.swept = sweep;
        let stalled = age >= nanos(MAX_STALL);
        if now_ns < watch.due_ns && !stalled {
            return None;
        }
        if watch.sends >= limit || stalled {
            self.watches.remove(key);
            let unconfirmed = !transfer.is_fresh() && transfer.block == transfer.last_block();
            return Some(Action::GiveUp { unconfirmed });
        }
        watch.sends += 1;
        let wait = if watch.sends >= limit {
            LINGER
        } else {
            let doubled = 1_u32 << (watch.sends - 1).min(6);
            (timeout(transfer, &policy) * doubled).min(ceiling(transfer, &policy))
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
    /// A packet the kernel has just sent, to be looked at again after `wait`.
    fn new(transfer: &Transfer, wait: Duration, sends: u32, jitter: f64) -> Self {
        Self {
            block: transfer.block,
            kernel_send_ns: transfer.last_send_ns,
            sends,
            due_ns: transfer.last_send_ns + jittered(wait, jitter),
            swept: 0,
        }
    }
}

/// The time until the first resend: what the client asked for (RFC 2349), else four round trips.
fn timeout(transfer: &Transfer, policy: &Policy) -> Duration {
    if transfer.granted_timeout > 0 {
        let asked = Duration::from_secs(u64::from(transfer.granted_timeout));
        return if transfer.is_fresh() {
            asked.min(UNPROVED_WAIT)
        } else {
            asked
        };
    }
    if transfer.srtt_us == 0 {
        return policy.first;
    }
    Duration::from_micros(u64::from(transfer.srtt_us) * 4).clamp(policy.min, policy.max)
}

fn ceiling(transfer: &Transfer, policy: &Policy) -> Duration {
    policy.max.max(timeout(transfer, policy))
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
        let mut sweeper = Sweeper::new(Policy::default());
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
        assert_eq!(times[..6], [400, 1200, 2800, 4800, 6800, 8800]);
        assert_eq!(times.len(), 16);
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
    fn a_forged_request_does_not_hold_a_transfer_for_minutes() {
        let forged = Transfer {
            granted_timeout: 255,
            srtt_us: 0,
            ..transfer(1)
        };
        let actions = play(&forged, 60);
        assert_eq!(actions[0], (10_000, Action::Resend));
        assert_eq!(actions[1].0, 15_000);
    }

    #[test]
    fn a_client_that_agreed_on_minutes_is_given_up_after_one() {
        let slow = Transfer {
            granted_timeout: 255,
            ..transfer(3)
        };
        assert_eq!(
            play(&slow, 90),
            [(60_000, Action::GiveUp { unconfirmed: false })]
        );
    }

    #[test]
    fn a_request_repeated_earns_no_further_resend() {
        let mut sweeper = Sweeper::new(Policy::default());
        let first = Transfer {
            srtt_us: 0,
            ..transfer(1)
        };
        let mut resends = 0;
        for tick in 0..80 {
            // The phone repeats its request after 1.5 s each; the kernel answers each.
            let now = first.last_send_ns + tick * 100 * MS;
            let asked = Transfer {
                last_send_ns: first.last_send_ns + tick / 15 * 1500 * MS,
                ..first
            };
            sweeper.begin();
            resends += u32::from(sweeper.look(&key(), &asked, now, 0.0) == Some(Action::Resend));
            sweeper.finish();
        }
        assert_eq!(resends, 1);
    }

    #[test]
    fn a_transfer_that_moves_is_left_alone() {
        let mut sweeper = Sweeper::new(Policy::default());
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
        let mut sweeper = Sweeper::new(Policy::default());
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
