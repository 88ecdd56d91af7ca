//! Phones that register: SCCP and SIP as the phone's side of it, written independently of the daemon
//! whose registrars it tests.
//!
//! [`Registrant`] is sans-IO. A fleet gives it what comes over its one connection or socket, and
//! does the [`Step`]s it asks for, in their order. It reads where and as whom to register in the
//! configuration it fetched ([`Account`]), does what phones of its family do in their order,
//! checks what it is told, waits as phones wait, and obeys what it is ordered.

mod account;
mod backoff;
mod sccp;
mod seen;
mod sip;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use account::{Account, SccpAccount, SipAccount, SipLine, SipTimers, Transport, Unusable};
pub use backoff::Backoff;
pub use sccp::AFTER_REJECT;
pub use seen::{Event, Fault, Seen, Setback};
pub use sip::{Answer, Challenge};

use super::{Family, PhoneSpec};

/// What a fleet does for a phone, in the order it is asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Open a connection, or take a socket. What was open before is closed.
    Open(Transport, SocketAddr),
    /// Send over what is open.
    Send(Vec<u8>),
    Close,
    /// Boot: what is open is closed. All files again, or the configuration alone.
    Boot(Boot),
    /// It is told once, for whoever counts.
    Tell(Event),
}

/// What a phone fetches before it registers again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// A reset: everything, as after a power cut.
    Hard,
    /// A restart: the configuration alone.
    Soft,
}

/// How a connection ended, or failed to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The server says there is nobody: RST to a SYN, or ICMP.
    Refused,
    /// No answer, after all of TCP's own attempts.
    TimedOut,
    /// The server ended one that was made.
    Closed,
}

/// What a phone's buttons must turn out to be, as the inventory has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buttons {
    /// Directory numbers.
    pub lines: Vec<Box<str>>,
    /// What the speed dials dial.
    pub speed_dials: Vec<Box<str>>,
}

/// What tests may want to be otherwise than phones have it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Habits {
    /// Keepalives and refreshes go out so long after the last at the latest: phones wait for half a
    /// minute and for an hour.
    pub hurry: Option<Duration>,
    /// How long a phone waits after RegisterReject, which says no time.
    pub after_reject: Option<Duration>,
}

/// A phone that registers and stays registered.
pub struct Registrant<'site> {
    phone: Kind<'site>,
}

enum Kind<'site> {
    Sccp(Box<sccp::Phone<'site>>),
    Sip(Box<sip::Phone<'site>>),
}

impl<'site> Registrant<'site> {
    /// `last` is the reason phones give for their last restart, as alarms number it: 25 after
    /// power-on. `buttons` is what it must be told over SCCP.
    pub fn new(
        spec: &'site PhoneSpec,
        account: &Arc<Account>,
        buttons: Option<&'site Buttons>,
        habits: Habits,
        last: u8,
    ) -> Result<Self, Fault> {
        let phone = match (&**account, sccp::Model::of(spec.family)) {
            (Account::Sccp(sccp), Some(model)) => {
                let server = (sccp.server, &*sccp.stamp);
                let phone = sccp::Phone::new(spec, model, server, buttons, habits, last);
                Kind::Sccp(Box::new(phone))
            }
            (Account::Sip(_), None) => {
                Kind::Sip(Box::new(sip::Phone::new(spec, account, habits, last)))
            }
            _ => {
                return Err(Fault::new(
                    "was given the configuration of another protocol",
                ));
            }
        };
        Ok(Self { phone })
    }

    pub fn start(&mut self, now: Instant) {
        match &mut self.phone {
            Kind::Sccp(phone) => phone.start(now),
            Kind::Sip(phone) => phone.start(now),
        }
    }

    /// The next thing to be done.
    pub fn step(&mut self) -> Option<Step> {
        match &mut self.phone {
            Kind::Sccp(phone) => phone.step(),
            Kind::Sip(phone) => phone.step(),
        }
    }

    /// What was to be opened is open, from this address of ours.
    pub fn on_open(&mut self, now: Instant, local: SocketAddr) {
        match &mut self.phone {
            Kind::Sccp(phone) => phone.on_open(now, local),
            Kind::Sip(phone) => phone.on_open(now, local),
        }
    }

    /// Bytes of a stream, or one datagram.
    pub fn on_bytes(&mut self, now: Instant, bytes: &[u8]) -> Result<(), Fault> {
        match &mut self.phone {
            Kind::Sccp(phone) => phone.on_bytes(now, bytes),
            Kind::Sip(phone) => phone.on_bytes(now, bytes),
        }
    }

    pub fn on_end(&mut self, now: Instant, ending: Ending) {
        match &mut self.phone {
            Kind::Sccp(phone) => phone.on_end(now, ending),
            Kind::Sip(phone) => phone.on_end(now, ending),
        }
    }

    /// When it wants [`Registrant::on_deadline`] to be called.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.phone {
            Kind::Sccp(phone) => phone.deadline(),
            Kind::Sip(phone) => phone.deadline(),
        }
    }

    pub fn on_deadline(&mut self, now: Instant) -> Result<(), Fault> {
        match &mut self.phone {
            Kind::Sccp(phone) => phone.on_deadline(now),
            Kind::Sip(phone) => phone.on_deadline(now),
        }
    }

    /// Unregisters in order; [`Event::Left`] tells when it is done.
    pub fn leave(&mut self, now: Instant) {
        match &mut self.phone {
            Kind::Sccp(phone) => phone.leave(now),
            Kind::Sip(phone) => phone.leave(now),
        }
    }

    pub fn is_registered(&self) -> bool {
        match &self.phone {
            Kind::Sccp(phone) => phone.is_registered(),
            Kind::Sip(phone) => phone.is_registered(),
        }
    }

    /// What it does at the moment, for whoever asks why it is not registered.
    pub fn doing(&self) -> &'static str {
        match &self.phone {
            Kind::Sccp(phone) => phone.doing(),
            Kind::Sip(phone) => phone.doing(),
        }
    }
}

/// The `+u.sip!model` and the device type of Register.
pub(super) const fn type_id(family: Family) -> u32 {
    match family {
        Family::Sccp7960Old => 7,
        Family::Sccp7940 => 8,
        Family::Sccp7941 => 115,
        Family::Sccp7965 => 436,
        Family::Sccp6911 => 548,
        Family::Sip7961 => 30018,
        Family::Sip8851 => 684,
    }
}
