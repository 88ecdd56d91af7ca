//! What the journal is told of requests that the sockets answer.
//!
//! A request is told with its first answer, so that repeats are one; its end when the transfer ends.
//! Of silence, the journal has what keeps a phone waiting: that there was no room. What another edge
//! asks for a client of its own is told there, by the edge that knows the client.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tftp_ebpf::name::normalise;
use tftp_ebpf::stage::Stage;
use tftp_ebpf::verdict::{Reason, Rung};

use super::engine::{Engine, Session};
use super::request::NAME_MAX;
use crate::content::Version;
use crate::journal::{Answer, Event, Happening, Heard, Outcome, Request};
use crate::stats::Path;
use crate::udp::Client;

const PATH: Path = Path::Rung(Rung::Socket);

impl Engine {
    pub(super) fn tell_began(&self, client: Client, version: &Version) {
        self.tell(client, Happening::Requested(of_version(version)));
    }

    pub(super) fn tell_ended(
        &self,
        client: Client,
        session: &Session,
        reason: Reason,
        now: Instant,
    ) {
        let transfer = &session.transfer;
        let heard = match (transfer.is_proved(), transfer.is_unconfirmed()) {
            (false, _) => Heard::Nothing,
            (true, true) => Heard::AllButTheLast,
            (true, false) => Heard::Some,
        };
        let Some(outcome) = Outcome::of_tftp(reason, heard) else {
            return;
        };
        let answer = Answer {
            outcome,
            took: transfer.age(now),
            resends: transfer.resends(),
        };
        let request = of_version(transfer.version());
        self.tell(client, Happening::Answered(request, answer));
    }

    /// A file is there, and there is no room to send it at the moment.
    pub(super) fn tell_no_room(&self, client: Client, version: &Version) {
        let answer = at_once(Outcome::Overload);
        self.tell(client, Happening::Answered(of_version(version), answer));
    }

    /// What became of a name without any file being sent.
    pub(super) fn tell_name(&self, client: Client, raw: &[u8], outcome: Outcome) {
        let mut buffer = [0; NAME_MAX];
        let name = normalise(raw, &mut buffer).unwrap_or(raw);
        let request = Request {
            name: String::from_utf8_lossy(name).into(),
            stage: Stage::of_name(name),
            path: PATH,
            generation: None,
            len_bytes: 0,
        };
        self.tell(client, Happening::Answered(request, at_once(outcome)));
    }

    fn tell(&self, client: Client, what: Happening) {
        self.shared.journal.tell(&Event {
            at: SystemTime::now(),
            device: None,
            source: client.into(),
            what,
        });
    }
}

fn of_version(version: &Version) -> Request {
    Request {
        name: Arc::clone(&version.name),
        stage: version.stage,
        path: PATH,
        generation: Some(version.generation),
        len_bytes: version.bytes.len() as u64,
    }
}

fn at_once(outcome: Outcome) -> Answer {
    Answer {
        outcome,
        took: Duration::ZERO,
        resends: 0,
    }
}
