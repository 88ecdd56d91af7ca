//! The table: each case is a rule, a frame that was built, and what must become of it.

mod absent;
mod pass;
mod refuse;
mod register;
mod request;
mod reserve;
mod transfer;

use std::time::Duration;

use super::datagram::Datagram;
use super::site::{IFINDEX, Site, Standing, map};
use crate::abi::registration::{Gate, Registration, Sampling};
use crate::abi::{Address, Budget, Interface, Lease, Policy, Source};
use crate::classify::{Class, Decision};
use crate::frame::Bucket;
use crate::plan;
use crate::verdict::Reason;

/// Long enough ago for every resend and restart.
pub(super) const LATE: Duration = Duration::from_secs(10);
pub(super) const JUST_NOW: Duration = Duration::ZERO;

/// Longer than any test takes.
const LONG_NS: u64 = 1_000_000_000_000;

/// One rule.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: &'static str,
    pub frame: Vec<u8>,
    /// Whose budget it draws on, and from which address.
    pub source: Source,
    pub address: Address,
    pub before: Before,
    pub expected: Expected,
}

/// What is different from a [`Site`] at rest when the frame comes in.
#[derive(Clone, Debug, Default)]
pub struct Before {
    pub standing: Option<Standing>,
    /// This bucket of the sender is empty.
    pub spent: Option<Bucket>,
    /// The sender acknowledged a block a moment ago.
    pub known: bool,
    /// The daemon has not finished publishing.
    pub disabled: bool,
    /// No daemon is there, for too long.
    pub deserted: bool,
    /// The daemon has names that found no room in the directory.
    pub partial: bool,
    pub interface: InterfaceState,
    /// The frame cannot be made longer.
    pub stuck: bool,
    /// A phone is registered from the sender's address.
    pub registered: bool,
    /// What is left of the budget of newcomers.
    pub gate: GateState,
    /// The budget of newcomers is only observed.
    pub observed: bool,
    /// Registrations are not looked at.
    pub unclassified: bool,
    /// As many samples were written as may be.
    pub sampled_out: bool,
}

/// What is left of the budget of newcomers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GateState {
    /// Nothing was ever taken.
    #[default]
    Full,
    /// Only the reserve.
    Reserve,
    /// Nothing.
    Empty,
    /// There is no budget.
    Open,
}

/// What the daemon has told of the interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InterfaceState {
    /// As the site has it.
    #[default]
    Ready,
    /// It takes frames of 9,000 bytes.
    Jumbo,
    /// That it is not in use: the member of a bond in reserve.
    Off,
    /// That the other rung classifies registrations.
    Elsewhere,
    /// Nothing.
    Unknown,
}

impl Before {
    pub fn policy(&self, site: &Site) -> Policy {
        Policy {
            enabled: (!self.disabled).into(),
            is_partial: self.partial.into(),
            registration_ports: if self.unclassified {
                0
            } else {
                site.policy.registration_ports
            },
            ..site.policy
        }
    }

    pub fn lease(&self, now_ns: u64) -> Lease {
        let left_ns = if self.deserted { 0 } else { LONG_NS };
        Lease {
            until_ns: now_ns + left_ns,
            ..Lease::default()
        }
    }

    pub fn interface(&self, site: &Site) -> Option<Interface> {
        let ready = *site.interfaces.get(&IFINDEX)?;
        match self.interface {
            InterfaceState::Ready => Some(ready),
            InterfaceState::Jumbo => Some(Interface {
                max_blksize_v4: 8968,
                max_blksize_v6: 8948,
                ..ready
            }),
            InterfaceState::Off => Some(Interface {
                enabled: 0,
                ..ready
            }),
            InterfaceState::Elsewhere => Some(Interface {
                classifies: 1 - ready.classifies,
                ..ready
            }),
            InterfaceState::Unknown => None,
        }
    }

    pub fn registration(&self, site: &Site) -> Registration {
        let burst_ns = match self.gate {
            GateState::Open => 0,
            _ => site.registration.burst_ns,
        };
        Registration {
            burst_ns,
            is_strict: (!self.observed).into(),
            ..site.registration
        }
    }

    /// Half a token is too little to come back during a test, and too little to come in.
    pub fn gate(&self, site: &Site, now_ns: u64) -> Gate {
        let registration = &site.registration;
        let left_ns = match self.gate {
            GateState::Full | GateState::Open => return Gate::default(),
            GateState::Reserve => registration.reserve_ns + registration.interval_ns / 2,
            GateState::Empty => registration.interval_ns / 2,
        };
        Gate {
            full_at_ns: now_ns + registration.burst_ns - left_ns,
        }
    }

    pub fn sampling(&self, now_ns: u64) -> Sampling {
        let full_at_ns = if self.sampled_out {
            now_ns + LONG_NS
        } else {
            0
        };
        Sampling {
            full_at_ns,
            ..Sampling::default()
        }
    }

    /// The sender's budget: an empty bucket stays empty for longer than a test takes.
    pub fn budget(&self, site: &Site, now_ns: u64) -> Option<Budget> {
        let policy = &site.policy;
        self.spent.map(|bucket| match bucket {
            Bucket::First => Budget {
                first_ns: now_ns + policy.first_burst_ns + LONG_NS,
                ..Budget::default()
            },
            Bucket::Miss => Budget {
                miss_ns: now_ns + policy.miss_burst_ns + LONG_NS,
                ..Budget::default()
            },
            Bucket::Unknown => Budget {
                unknown_ns: now_ns + policy.unknown_burst_ns + LONG_NS,
                ..Budget::default()
            },
        })
    }
}

/// What must become of a frame.
#[derive(Clone, Debug)]
pub enum Expected {
    /// The answer, and the block that is outstanding afterwards: `None` if no transfer is.
    Answer {
        reason: Reason,
        reply: Box<Datagram>,
        outstanding: Option<u64>,
    },
    /// No answer. A frame that is passed on, and all state, stay as they were; only the end of a
    /// transfer removes it.
    Silence(Reason),
    /// It is of a registration, and goes on as it came or is dropped.
    Classified {
        /// [`Reason::Registration`], or what it is besides.
        reason: Reason,
        class: Class,
        decision: Decision,
        /// Whether it took a token of the newcomers'.
        charged: bool,
        sample: Option<Told>,
    },
}

/// What the daemon is told of a registration packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub device: String,
    pub head: Vec<u8>,
    pub vlan: u16,
}

impl Expected {
    pub fn reason(&self) -> Reason {
        match self {
            Self::Answer { reason, .. }
            | Self::Silence(reason)
            | Self::Classified { reason, .. } => *reason,
        }
    }
}

impl Case {
    fn new(name: &'static str, frame: Vec<u8>, expected: Expected) -> Self {
        Self {
            name,
            frame,
            source: [0; 4],
            address: [0; 4],
            before: Before::default(),
            expected,
        }
    }

    fn of(name: &'static str, request: &Datagram, expected: Expected) -> Self {
        let from = request.from.address;
        Self {
            source: plan::source(&map(from), from.is_ipv6()),
            address: map(from),
            ..Self::new(name, request.frame(), expected)
        }
    }

    fn silence(name: &'static str, request: &Datagram, reason: Reason) -> Self {
        Self::of(name, request, Expected::Silence(reason))
    }

    fn answer(
        name: &'static str,
        request: &Datagram,
        reason: Reason,
        reply: Datagram,
        outstanding: Option<u64>,
    ) -> Self {
        let reply = Box::new(reply);
        Self::of(
            name,
            request,
            Expected::Answer {
                reason,
                reply,
                outstanding,
            },
        )
    }

    fn with(mut self, before: Before) -> Self {
        self.before = before;
        self
    }

    fn during(self, standing: Standing) -> Self {
        self.with(Before {
            standing: Some(standing),
            ..Before::default()
        })
    }
}

/// Whether a transfer is over with this reason.
pub const fn ends_transfer(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Complete | Reason::Probe | Reason::ClientError
    )
}

/// Whether the daemon is told of a packet with this reason.
pub const fn is_told(reason: Reason) -> bool {
    ends_transfer(reason) || matches!(reason, Reason::FirstData | Reason::Oack | Reason::Absent)
}

/// Reasons that only the daemon gives.
pub const NEVER_GIVEN: [Reason; 6] = [
    Reason::Refused,
    Reason::UnknownTid,
    Reason::TimedOut,
    Reason::Unreachable,
    Reason::Superseded,
    Reason::Shed,
];

/// Every case of the table, for a site as [`Site::new`] makes it.
pub fn table(site: &Site) -> Vec<Case> {
    [
        request::cases(site),
        transfer::cases(site),
        refuse::cases(site),
        pass::cases(site),
        register::cases(),
        reserve::cases(site),
    ]
    .concat()
}
