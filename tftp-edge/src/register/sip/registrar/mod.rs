//! REGISTER: RFC 3261 section 10.3, and what Cisco's phones make of it.
//!
//! What is cheap and refuses most comes first: form, who it is, whether there is room in a storm.
//! Only then is a password hashed, and the table asked last. A datagram is challenged before all of
//! that: until a nonce comes back its address may be forged, and a forged one must neither get a
//! place in the queue of a storm nor a number of its site.

mod authenticate;
mod bindings;
mod contacts;
mod grant;
mod listed;
mod refuse;
mod register;
mod told;
mod update;
mod ways;
mod who;

use std::time::{Duration, Instant};

use parking_lot::Mutex;

pub use self::refuse::No;
use self::ways::Ways;
pub use self::who::{Known, Who};
use super::Settings;
use super::digest::Digest;
use crate::inventory::DeviceName;
use crate::live::Live;
use crate::register::{ConnectionId, Departure, Desk, Edit};

/// Between two lines of the log about the same kind of trouble.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// What the registrar keeps next to the table.
#[derive(Debug)]
pub struct Registrar {
    pub digest: Digest,
    pub ways: Ways,
    pub(super) settings: Live<Settings>,
    /// When it was last said that a line has no password.
    said_no_secret: Mutex<Option<Instant>>,
}

impl Registrar {
    pub fn new(settings: Live<Settings>, digest: Digest) -> Self {
        Self {
            digest,
            ways: Ways::default(),
            settings,
            said_no_secret: Mutex::default(),
        }
    }

    pub fn min_expires_s(&self) -> u32 {
        self.settings.get().expires.min_s
    }

    /// Phones that registered over this connection have left, unless they have come back over
    /// another one. At once: what is not reachable must not be told to a PBX, and a phone whose
    /// connection is lost registers anew.
    pub fn closed(
        &self,
        desk: &Desk,
        connection: ConnectionId,
        ordered: impl Fn(&DeviceName) -> Option<Departure>,
    ) {
        for device in self.ways.closed(connection) {
            let why = ordered(&device).unwrap_or(Departure::Connectivity);
            desk.table.edit(&device, |before| {
                let is_over_it = before.is_some_and(|it| it.connection == Some(connection));
                let edit = match is_over_it {
                    true => Edit::Remove(why),
                    false => Edit::Keep,
                };
                ((), edit)
            });
        }
    }

    fn say_no_secret(&self, known: &Known, now: Instant) {
        let mut said = self.said_no_secret.lock();
        let is_due = said.is_none_or(|at| now.saturating_duration_since(at) >= LOG_EVERY);
        if is_due {
            *said = Some(now);
            tracing::warn!(
                event = "sip.no_password", device = %known.device.name,
                line = known.line().number,
                "a line without a password cannot register over SIP: give it one with `tftp-edge \
                 inventory`, or set register.sip.digest.require to \"lines_with_secret\""
            );
        }
    }
}
