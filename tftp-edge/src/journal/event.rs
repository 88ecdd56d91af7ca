//! What the journal is told, by whoever saw it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tftp_ebpf::stage::Stage as FileStage;
use tftp_ebpf::verdict::Reason;

use crate::inventory::{DeviceName, Protocol};
use crate::register::{Departure, Order, Refusal, Transport, front};
use crate::stats::Path;

/// Something that happened to one phone.
#[derive(Clone, Debug)]
pub struct Event {
    pub at: SystemTime,
    /// None if only the address is known: then it is the device that was last known there.
    pub device: Option<DeviceName>,
    pub source: SocketAddr,
    pub what: Happening,
}

#[derive(Clone, Debug)]
pub enum Happening {
    /// A file was asked for, and its answer is under way.
    Requested(Request),
    /// That is over. May come without the request before it.
    Answered(Request, Answer),
    /// A phone that is registered gave a sign of life.
    Refreshed,
    Fact(Fact),
}

/// A request for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Normalised.
    pub name: Arc<str>,
    pub stage: FileStage,
    /// Who answers it.
    pub path: Path,
    /// Of the version that is served; none if there is none.
    pub generation: Option<u64>,
    pub len_bytes: u64,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub outcome: Outcome,
    /// From the request to its end.
    pub took: Duration,
    pub resends: u32,
}

impl Answer {
    pub fn took_ms(&self) -> u64 {
        u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX)
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is under way, or its end was never told.
    Pending,
    /// The phone has acknowledged the last byte.
    Complete,
    /// There is no such file: ERROR 1, or 404.
    Absent,
    /// The request cannot be granted: any other ERROR, or a 4xx or 5xx.
    Refused,
    /// Nothing at all came back to what we sent.
    Unheard,
    /// All of it was sent, and only the last acknowledgement never came: the phone most likely has
    /// it. Some never send that one.
    Unconfirmed,
    /// It stopped in the middle.
    TimedOut,
    /// The phone ended it in the middle.
    Aborted,
    /// The network said that the phone is not there.
    Unreachable,
    /// The phone asked for something else from the same port.
    Superseded,
    /// The phone only wanted to know the size.
    Probe,
    /// There was no room for it at the moment.
    Overload,
}

/// What had come back of a transfer before it was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    Nothing,
    Some,
    /// Everything but the last acknowledgement.
    AllButTheLast,
}

impl Outcome {
    /// How a TFTP request or transfer ended; None for what is no end.
    pub const fn of_tftp(reason: Reason, heard: Heard) -> Option<Self> {
        Some(match (reason, heard) {
            (Reason::Complete, _) => Self::Complete,
            (Reason::Absent, _) => Self::Absent,
            (Reason::Refused, _) => Self::Refused,
            (Reason::Probe, _) => Self::Probe,
            (Reason::ClientError, _) => Self::Aborted,
            (Reason::Superseded, _) => Self::Superseded,
            (Reason::Unreachable, _) => Self::Unreachable,
            (Reason::TimedOut, Heard::Nothing) => Self::Unheard,
            (Reason::TimedOut, Heard::Some) => Self::TimedOut,
            (Reason::TimedOut, Heard::AllButTheLast) => Self::Unconfirmed,
            _ => return None,
        })
    }

    /// The phone has all of it, as far as can be told.
    pub const fn has_arrived(self) -> bool {
        matches!(self, Self::Complete | Self::Unconfirmed)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Complete => "complete",
            Self::Absent => "absent",
            Self::Refused => "refused",
            Self::Unheard => "unheard",
            Self::Unconfirmed => "unconfirmed",
            Self::TimedOut => "timed_out",
            Self::Aborted => "aborted",
            Self::Unreachable => "unreachable",
            Self::Superseded => "superseded",
            Self::Probe => "probe",
            Self::Overload => "overload",
        }
    }
}

/// What is not about a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// It asks to be registered.
    Registering {
        protocol: Protocol,
        transport: Transport,
    },
    Refused {
        protocol: Protocol,
        refusal: Refusal,
        /// How long it was told to wait.
        wait_s: Option<u32>,
        /// What was wrong, where more is known: the model it says it is, the line it asked for.
        detail: Option<Box<str>>,
    },
    Registered {
        protocol: Protocol,
        transport: Transport,
        /// The firmware it says it runs.
        load: Option<Box<str>>,
    },
    Left(Departure),
    /// What the phone says about itself: an SCCP Alarm, or what SIP phones send as one.
    Alarm {
        /// By the numbers of SCCP's alarms and SIP's `cisco-alarm`.
        code: Option<u16>,
        text: Box<str>,
    },
    /// Which trust lists it holds: SHA-1 in lower-case hex, or none.
    TrustLists {
        ctl: Option<Box<str>>,
        itl: Option<Box<str>>,
    },
    /// It was told to restart.
    Ordered(Order),
    /// What its packets say, in front of a call manager.
    Seen(front::Stage),
}
