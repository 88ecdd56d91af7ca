//! What a REGISTER makes of a registration (RFC 3261 10.3, steps 6 to 8): no table and no message in
//! here, what there was and what is wanted in, what there is now out.
//!
//! An address of record is a line *of one device*: a line on two phones has the bindings of each in
//! that phone's registration, as call managers keep them, and a 200 lists those of the phone that
//! asks. A phone that says its own name has one contact for each line, and a new one replaces the
//! old; of others a line has up to [`MAX_CONTACTS`].

use std::time::{Duration, SystemTime};

use super::contacts::MAX_CONTACTS;
use crate::register::sip::message::Uri;
use crate::register::{Binding, Departure, Refusal, Registration};

/// For so long after its time a binding stands: a refresh that was lost is repeated by then.
pub const GRACE: Duration = Duration::from_secs(15);

/// A REGISTER repeated for longer than timer F is none: so one with the sequence number of the
/// registration's beginning is that very REGISTER.
const REPEATED_FOR: Duration = Duration::from_secs(32);

/// A contact, and what was granted.
#[derive(Clone, Copy, Debug)]
pub struct Granted<'m> {
    pub uri: Uri<'m>,
    /// As the phone wrote it.
    pub written: &'m str,
    /// 0 removes it.
    pub seconds: u32,
}

/// What a REGISTER says of one line of one device.
#[derive(Clone, Copy, Debug)]
pub struct Update<'u, 'm> {
    pub line: &'u str,
    pub contacts: &'u [Granted<'m>],
    /// `*`.
    pub removes_all: bool,
    pub call_id: &'u str,
    pub cseq: u32,
    pub all_lines: bool,
    /// The phone says its own name.
    pub replaces: bool,
    /// The line is the first of its device, or stands for all of them.
    pub is_primary: bool,
    pub steady: SystemTime,
}

/// How a registration changes.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It stands, or begins, with these bindings. `since` is its beginning.
    Stands {
        bindings: Vec<Binding>,
        since: SystemTime,
        kind: Kind,
    },
    /// Nothing is left of it.
    Ends,
    /// There was nothing to begin with.
    Nothing,
}

/// What it means for the phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A new registration, also one of a phone that was registered and has begun anew.
    New,
    /// A further line or contact.
    Added,
    Refreshed,
    /// Some of its bindings are removed.
    Removed,
}

impl Update<'_, '_> {
    /// Applies it to what there is. Bindings whose time is over do not count any more.
    pub fn apply(&self, before: Option<&Registration>) -> Result<Outcome, Refusal> {
        let is_live = |it: &&Binding| it.expires > self.steady;
        let live = before
            .into_iter()
            .flat_map(|it| &it.bindings)
            .filter(is_live);
        let mut bindings: Vec<Binding> = live.cloned().collect();
        let had_any = !bindings.is_empty();
        if self.is_late(&bindings) {
            return Err(Refusal::Sequence);
        }
        let of_call = |it: &Binding| *it.line == *self.line && *it.call_id == *self.call_id;
        let in_call = bindings.iter().find(|it| of_call(it)).map(|it| it.cseq);
        let is_repeated = in_call == Some(self.cseq);
        let adds = self.contacts.iter().any(|it| it.seconds > 0);
        let mut kind = if !adds {
            Kind::Removed
        } else if in_call.is_some() {
            Kind::Refreshed
        } else {
            Kind::Added
        };
        if self.removes_all || adds && self.replaces && in_call.is_none() {
            bindings.retain(|it| *it.line != *self.line);
        }
        for contact in self.contacts {
            self.apply_contact(contact, &mut bindings);
        }
        let of_line = bindings.iter().filter(|it| *it.line == *self.line).count();
        if of_line > MAX_CONTACTS {
            return Err(Refusal::Capacity);
        }
        if bindings.is_empty() {
            return Ok(if had_any {
                Outcome::Ends
            } else {
                Outcome::Nothing
            });
        }
        let mut since = before.map_or(self.steady, |it| it.since);
        let begins = !had_any || kind == Kind::Added && self.is_primary && self.replaces;
        if adds && begins {
            (kind, since) = (Kind::New, self.steady);
            bindings.retain(|it| *it.line == *self.line || self.is_at_same_place(it));
        } else if is_repeated && self.is_primary && self.is_within(since, REPEATED_FOR) {
            kind = Kind::New;
        }
        Ok(Outcome::Stands {
            bindings,
            since,
            kind,
        })
    }

    /// Whether a binding of the same call has a higher number already, or the same with something
    /// else (RFC 3261 10.3, step 7). The same with the same is a REGISTER that was repeated.
    fn is_late(&self, bindings: &[Binding]) -> bool {
        let mut in_call = bindings
            .iter()
            .filter(|it| *it.line == *self.line && *it.call_id == *self.call_id);
        let is_there = |contact: &Granted<'_>| {
            contact.seconds == 0 || bindings.iter().any(|it| contact.is_of(it))
        };
        in_call.any(|it| {
            it.cseq > self.cseq
                || it.cseq == self.cseq && (self.removes_all || !self.contacts.iter().all(is_there))
        })
    }

    /// Whether a binding of another line is where this one is. A phone that begins anew has another
    /// port or address: what it had there is gone.
    fn is_at_same_place(&self, binding: &Binding) -> bool {
        let Some(uri) = Uri::parse(binding.contact.as_bytes()) else {
            return false;
        };
        let mut contacts = self.contacts.iter();
        contacts.any(|it| it.uri.host == uri.host && it.uri.port == uri.port)
    }

    fn apply_contact(&self, contact: &Granted<'_>, bindings: &mut Vec<Binding>) {
        let place = bindings
            .iter()
            .position(|it| *it.line == *self.line && contact.is_of(it));
        if contact.seconds == 0 {
            if let Some(place) = place {
                bindings.remove(place);
            }
            return;
        }
        let expires = self.steady + Duration::from_secs(contact.seconds.into()) + GRACE;
        match place {
            Some(place) => {
                let binding = &mut bindings[place];
                if *binding.contact != *contact.written {
                    binding.contact = contact.written.into();
                }
                if *binding.call_id != *self.call_id {
                    binding.call_id = self.call_id.into();
                    binding.all_lines = self.all_lines;
                }
                // A refresh has no body: it is for the lines it was for.
                binding.all_lines |= self.all_lines;
                binding.cseq = self.cseq;
                binding.expires = expires;
            }
            None => bindings.push(Binding {
                line: self.line.into(),
                contact: contact.written.into(),
                call_id: self.call_id.into(),
                cseq: self.cseq,
                expires,
                all_lines: self.all_lines,
            }),
        }
    }

    fn is_within(&self, since: SystemTime, time: Duration) -> bool {
        self.steady
            .duration_since(since)
            .is_ok_and(|passed| passed <= time)
    }
}

impl Granted<'_> {
    /// Whether a binding is of this contact.
    pub fn is_of(&self, binding: &Binding) -> bool {
        *binding.contact == *self.written
            || Uri::parse(binding.contact.as_bytes()).is_some_and(|it| it.is_same(&self.uri))
    }
}

/// What is left of a binding's time, in seconds, as the phone knows it.
pub fn seconds_left(binding: &Binding, steady: SystemTime) -> u64 {
    let left = binding.expires.duration_since(steady).unwrap_or_default();
    left.saturating_sub(GRACE).as_secs()
}

/// Why a phone leaves that unregisters.
pub fn departure(has_reason: bool, ordered: Option<Departure>) -> Departure {
    match (ordered, has_reason) {
        (Some(ordered), _) => ordered,
        (None, true) => Departure::DeviceReset,
        (None, false) => Departure::Unregistered,
    }
}
