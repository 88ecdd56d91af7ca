//! What became of a frame, and whether that is what a case asks for.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::cases::{Case, Expected, ends_transfer, is_told};
use super::datagram::Datagram;
use super::site::{IFINDEX, map};
use crate::abi::{Address, Budget, Event, Transfer, TransferKey, is_link_local};
use crate::verdict::{Reason, Rung, Verdict};

/// The elements of `TRANSFERS`.
pub type Transfers = HashMap<TransferKey, Transfer>;

/// All that the program did with one frame.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub rung: Rung,
    pub reason: Reason,
    /// When the program ran, at the earliest and at the latest.
    pub ran_ns: RangeInclusive<u64>,
    /// The frame as it left the program.
    pub frame: Vec<u8>,
    pub transfers: Transfers,
    pub budgets: HashMap<Address, Budget>,
    pub events: Vec<Event>,
}

impl Case {
    /// Says what is wrong with an outcome; `transfers` and `budgets` are what was there before.
    pub fn check(
        &self,
        outcome: &Outcome,
        transfers: &Transfers,
        budgets: &HashMap<Address, Budget>,
    ) -> Result<(), String> {
        let expected = self.expected.reason();
        if outcome.reason != expected {
            let reason = outcome.reason;
            return Err(format!("{reason:?} instead of {expected:?}"));
        }
        match &self.expected {
            Expected::Answer {
                reply, outstanding, ..
            } => {
                check_reply(&outcome.frame, reply)?;
                check_answered(outcome, transfers, reply, *outstanding)?;
            }
            Expected::Silence(_) => {
                if outcome.reason.verdict() == Verdict::Pass {
                    self.check_untouched(outcome, budgets)?;
                }
                let mut left = transfers.clone();
                if ends_transfer(outcome.reason) {
                    left.clear();
                }
                if outcome.transfers != left {
                    return Err(format!("transfers {:?}", outcome.transfers));
                }
            }
        }
        self.check_events(&outcome.events)
    }

    /// A packet that goes on left no trace: what it costs is the daemon's to charge.
    fn check_untouched(
        &self,
        outcome: &Outcome,
        budgets: &HashMap<Address, Budget>,
    ) -> Result<(), String> {
        if outcome.frame != self.frame {
            return Err(format!("the frame was changed: {:02x?}", outcome.frame));
        }
        if outcome.budgets != *budgets {
            return Err(format!("budgets {:?}", outcome.budgets));
        }
        Ok(())
    }

    fn check_events(&self, events: &[Event]) -> Result<(), String> {
        let reason = self.expected.reason();
        let told: Vec<_> = events.iter().map(|event| event.reason).collect();
        let expected: &[u8] = if is_told(reason) {
            &[reason as u8]
        } else {
            &[]
        };
        if told == expected {
            Ok(())
        } else {
            Err(format!("events {events:?}"))
        }
    }
}

/// Padding may hold what the request had there.
fn check_reply(frame: &[u8], reply: &Datagram) -> Result<(), String> {
    let expected = reply.frame();
    let len = reply.unpadded_len();
    if frame.len() == expected.len() && frame[..len] == expected[..len] {
        return Ok(());
    }
    let differs = frame
        .iter()
        .zip(&expected)
        .position(|(byte, expected)| byte != expected);
    Err(format!(
        "{} bytes instead of {}, first different at {differs:?}:\n  {frame:02x?}\ninstead of\n  {expected:02x?}",
        frame.len(),
        expected.len(),
    ))
}

/// The transfer that an answer belongs to.
pub fn key_of(reply: &Datagram) -> TransferKey {
    let client = map(reply.to.address);
    TransferKey {
        client,
        scope: if is_link_local(&client) { IFINDEX } else { 0 },
        client_port: reply.to.port.to_be_bytes(),
        our_port: reply.from.port.to_be_bytes(),
    }
}

fn check_answered(
    outcome: &Outcome,
    before: &Transfers,
    reply: &Datagram,
    outstanding: Option<u64>,
) -> Result<(), String> {
    let key = key_of(reply);
    let others = |transfers: &Transfers| {
        let mut others = transfers.clone();
        others.remove(&key);
        others
    };
    if others(before) != others(&outcome.transfers) {
        return Err(format!("other transfers: {:?}", outcome.transfers));
    }
    let transfer = outcome.transfers.get(&key);
    let Some(block) = outstanding else {
        return match transfer {
            None => Ok(()),
            Some(transfer) => Err(format!("a transfer began: {transfer:?}")),
        };
    };
    let Some(transfer) = transfer else {
        return Err(format!("no transfer under {key:?}"));
    };
    let mut tags = Vec::new();
    for (ethertype, control) in &reply.tags {
        tags.extend_from_slice(&ethertype.to_be_bytes());
        tags.extend_from_slice(&control.to_be_bytes());
    }
    let repeats = outcome.reason == Reason::Repeat;
    let goes_on = repeats || outcome.reason == Reason::Data;
    let resends = before
        .get(&key)
        .filter(|_| goes_on)
        .map_or(0, |transfer| transfer.resends);
    let is_right = transfer.block == block
        && transfer.resent == u8::from(repeats)
        && transfer.resends == resends + u32::from(repeats)
        && outcome.ran_ns.contains(&transfer.last_send_ns)
        && transfer.rung == outcome.rung as u8
        && transfer.ifindex == IFINDEX
        && transfer.server == map(reply.from.address)
        && transfer.client_mac == reply.to.mac
        && transfer.server_mac == reply.from.mac
        && transfer.tags[..usize::from(transfer.tags_len)] == tags
        && transfer.started_ns <= transfer.last_send_ns;
    if is_right {
        Ok(())
    } else {
        Err(format!("block {block} is outstanding in {transfer:?}"))
    }
}
