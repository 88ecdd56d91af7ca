//! One packet of a trace, from whichever source.

use std::fmt;

use serde::{Deserialize, Serialize};
use tftp_ebpf::abi::trace::Mirrored;
use tftp_ebpf::classify::{self, Class};
use tftp_ebpf::verdict::{Reason, Rung, Verdict};

/// Which way a packet goes, seen from this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    In,
    Out,
}

/// Who told of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    Xdp,
    Tc,
    /// It went through the host's own stack.
    Host,
}

impl Via {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::Tc => "tc",
            Self::Host => "host",
        }
    }
}

/// What a rung did with a packet, in the words of the metrics' labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub rung: Via,
    /// `answered`, `passed` or `dropped`.
    pub action: String,
    pub reason: String,
    /// Of a registration packet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
}

impl Decision {
    /// What a record of the kernel program says; `None` if it is none.
    pub fn of(record: &Mirrored) -> Option<Self> {
        let reason = *Reason::ALL.get(usize::from(record.reason))?;
        let class = Class::from_index(record.class);
        let verdict = class.and_then(|_| classify::Decision::from_index(record.decision));
        let action = match (reason.verdict(), verdict) {
            (Verdict::Answer, _) => "answered",
            (Verdict::Drop, _) | (_, Some(classify::Decision::Drop)) => "dropped",
            (Verdict::Pass | Verdict::Classify, _) => "passed",
        };
        Some(Self {
            rung: match record.rung {
                rung if rung == Rung::Xdp as u8 => Via::Xdp,
                _ => Via::Tc,
            },
            action: action.to_owned(),
            reason: reason.as_str().to_owned(),
            class: class.map(|class| class.as_str().to_owned()),
            verdict: verdict.map(|verdict| verdict.as_str().to_owned()),
        })
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} {}: {}",
            self.rung.as_str(),
            self.action,
            self.reason
        )?;
        match (&self.class, &self.verdict) {
            (Some(class), Some(verdict)) => write!(formatter, " {class} ({verdict})"),
            _ => Ok(()),
        }
    }
}

/// A packet as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Nanoseconds since the epoch.
    pub time_ns: u64,
    pub ifindex: u32,
    pub direction: Direction,
    pub via: Via,
    /// Its beginning, with all tags.
    pub frame: Vec<u8>,
    /// Bytes of the whole frame.
    pub len: u32,
    pub decisions: Vec<Decision>,
}

impl Packet {
    /// What the kernel program told; `epoch_ns` is what CLOCK_MONOTONIC lacks to the epoch.
    pub fn of(record: &Mirrored, frame: &[u8], epoch_ns: u64) -> Option<Self> {
        let decision = Decision::of(record)?;
        let tag = (record.outer_tag != [0; 4]).then_some(record.outer_tag);
        Some(Self {
            time_ns: record.at_ns.wrapping_add(epoch_ns),
            ifindex: record.ifindex,
            direction: match record.is_answer {
                0 => Direction::In,
                _ => Direction::Out,
            },
            via: decision.rung,
            len: record.frame_len + if tag.is_some() { 4 } else { 0 },
            frame: tagged(frame, tag),
            decisions: vec![decision],
        })
    }
}

/// A frame with the tag that was taken out of it, behind the two addresses (IEEE 802.1Q).
pub fn tagged(frame: &[u8], tag: Option<[u8; 4]>) -> Vec<u8> {
    const ADDRESSES: usize = 12;
    match (tag, frame.split_at_checked(ADDRESSES)) {
        (Some(tag), Some((addresses, rest))) => [addresses, &tag, rest].concat(),
        _ => frame.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(reason: Reason) -> Mirrored {
        Mirrored {
            at_ns: 5,
            ifindex: 3,
            frame_len: 60,
            reason: reason as u8,
            rung: Rung::Tc as u8,
            ..Mirrored::EMPTY
        }
    }

    #[test]
    fn decisions_have_the_words_of_the_metrics() {
        let told = |record: &Mirrored| Decision::of(record).unwrap().to_string();
        assert_eq!(told(&record(Reason::FirstData)), "tc answered: first_data");
        assert_eq!(
            told(&record(Reason::UnknownName)),
            "tc passed: unknown_name"
        );
        let duplicate = Mirrored {
            rung: Rung::Xdp as u8,
            ..record(Reason::DuplicateAck)
        };
        assert_eq!(told(&duplicate), "xdp dropped: duplicate_ack");
        let mut syn = Mirrored {
            class: Class::Syn as u8,
            ..record(Reason::Registration)
        };
        assert_eq!(told(&syn), "tc passed: registration syn (pass)");
        syn.decision = classify::Decision::Drop as u8;
        assert_eq!(told(&syn), "tc dropped: registration syn (drop)");
        let unknown = Mirrored {
            reason: 255,
            ..record(Reason::Data)
        };
        assert_eq!(Decision::of(&unknown), None);
    }

    #[test]
    fn a_tag_goes_back_to_where_it_was() {
        let frame: Vec<u8> = (0..20).collect();
        let record = Mirrored {
            outer_tag: [0x81, 0, 0, 110],
            ..record(Reason::NotOurs)
        };
        let packet = Packet::of(&record, &frame, 100).unwrap();
        assert_eq!(packet.frame[..12], frame[..12]);
        assert_eq!(packet.frame[12..16], [0x81, 0, 0, 110]);
        assert_eq!(packet.frame[16..], frame[12..]);
        assert_eq!((packet.len, packet.time_ns), (64, 105));
        assert_eq!(packet.direction, Direction::In);
    }
}
