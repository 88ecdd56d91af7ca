//! What became of a frame, and whether that is what a case asks for.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::cases::{Case, Expected, Told, ends_transfer, is_told};
use super::datagram::Datagram;
use super::site::{GENERATION, IFINDEX, Site, map};
use crate::abi::registration::{Gate, Sample};
use crate::abi::{Address, Budget, Event, Transfer, TransferKey, is_link_local};
use crate::classify::{Class, Decision};
use crate::plan::take_token;
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
    /// What the second program did with it, if it got there.
    pub classified: Option<Classified>,
}

/// What became of a registration packet.
#[derive(Clone, Debug)]
pub struct Classified {
    pub class: Class,
    pub decision: Decision,
    pub gate_before: Gate,
    pub gate: Gate,
    /// At most one.
    pub sample: Option<Sample>,
    pub skipped: u64,
}

impl Outcome {
    /// Whether the frame goes on as it is.
    pub fn is_passed(&self) -> bool {
        match &self.classified {
            Some(classified) => classified.decision != Decision::Drop,
            None => self.reason.verdict() == Verdict::Pass,
        }
    }
}

impl Case {
    /// Says what is wrong with an outcome; `transfers` and `budgets` are what was there before.
    pub fn check(
        &self,
        site: &Site,
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
                if outcome.reason == Reason::NotOurs && outcome.classified.is_some() {
                    return Err(format!("{:?}", outcome.classified));
                }
                if outcome.transfers != left {
                    return Err(format!("transfers {:?}", outcome.transfers));
                }
            }
            Expected::Classified { .. } => {
                self.check_untouched(outcome, budgets)?;
                if outcome.transfers != *transfers {
                    return Err(format!("transfers {:?}", outcome.transfers));
                }
                self.check_classified(site, outcome)?;
            }
        }
        self.check_events(&outcome.events)
    }

    fn check_classified(&self, site: &Site, outcome: &Outcome) -> Result<(), String> {
        let Expected::Classified {
            class,
            decision,
            charged,
            sample,
            ..
        } = &self.expected
        else {
            return Ok(());
        };
        let Some(found) = &outcome.classified else {
            return Err("it was not classified".to_owned());
        };
        if (found.class, found.decision) != (*class, *decision) {
            let (class, decision) = (found.class, found.decision);
            return Err(format!("{class:?}, {decision:?}"));
        }
        let registration = self.before.registration(site);
        let (interval, burst) = (registration.interval_ns, registration.burst_ns);
        let after = |now: &u64| match charged {
            true => take_token(found.gate_before.full_at_ns, *now, interval, burst),
            false => found.gate_before.full_at_ns,
        };
        let gates = after(outcome.ran_ns.start())..=after(outcome.ran_ns.end());
        if !gates.contains(&found.gate.full_at_ns) {
            let (before, after) = (found.gate_before, found.gate);
            return Err(format!("the gate is {after:?}, and was {before:?}"));
        }
        let told = found.sample.as_ref().map(|found| Told {
            device: String::from_utf8_lossy(&found.device)
                .trim_end_matches('\0')
                .to_owned(),
            head: found.head[..usize::from(found.head_len)].to_vec(),
            vlan: found.vlan,
        });
        if told != *sample {
            return Err(format!("told {told:?}"));
        }
        if found.skipped != u64::from(self.before.sampled_out && self.tells()) {
            return Err(format!("{} samples were skipped", found.skipped));
        }
        match &found.sample {
            Some(sample) => check_sample(sample, found, outcome, self.address),
            None => Ok(()),
        }
    }

    /// Whether its class or decision is one the daemon is told of.
    fn tells(&self) -> bool {
        match &self.expected {
            Expected::Classified {
                class, decision, ..
            } => class.is_told() || *decision != Decision::Pass,
            _ => false,
        }
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
        let is_of_version = |event: &Event| {
            let is_absent = event.reason == Reason::Absent as u8;
            event.generation == if is_absent { 0 } else { GENERATION }
        };
        if told == expected && events.iter().all(is_of_version) {
            Ok(())
        } else {
            Err(format!("events {events:?}"))
        }
    }
}

fn check_sample(
    sample: &Sample,
    classified: &Classified,
    outcome: &Outcome,
    source: Address,
) -> Result<(), String> {
    let is_right = sample.source == source
        && sample.class == classified.class as u8
        && sample.decision == classified.decision as u8
        && sample.rung == outcome.rung as u8
        && outcome.ran_ns.contains(&sample.at_ns)
        && matches!(sample.protocol, 6 | 17);
    if is_right {
        Ok(())
    } else {
        Err(format!("{sample:?}"))
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
