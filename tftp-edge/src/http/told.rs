//! What the journal is told of requests over HTTP.
//!
//! What another edge asks for a client of its own is told there, by the edge that knows the client.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::http::{Method, StatusCode};
use tftp_ebpf::name::normalise;
use tftp_ebpf::stage::Stage;

use super::link::Link;
use crate::content::Version;
use crate::journal::{Answer, Event, Happening, Outcome, Request};

/// Longest name that is normalised, as over TFTP.
const NAME_MAX: usize = 255;

pub(super) fn normalised<'n>(raw: &'n [u8], buffer: &'n mut [u8; NAME_MAX]) -> &'n [u8] {
    normalise(raw, buffer).unwrap_or(raw)
}

pub(super) fn stage_of(raw: &[u8]) -> Stage {
    Stage::of_name(normalised(raw, &mut [0; NAME_MAX]))
}

/// What becomes of a file when all that is sent of it has gone out.
pub(super) fn outcome(method: &Method, status: StatusCode) -> Outcome {
    if status.is_client_error() {
        Outcome::Refused
    } else if *method == Method::HEAD {
        Outcome::Probe
    } else {
        // With 304, the phone has it already.
        Outcome::Complete
    }
}

impl Link {
    pub(super) fn request(&self, version: &Version) -> Request {
        Request {
            name: Arc::clone(&version.name),
            stage: version.stage,
            path: self.scheme.path(),
            generation: Some(version.generation),
            len_bytes: version.bytes.len() as u64,
        }
    }

    /// What became of a name without any file being sent.
    pub(super) fn tell_name(&self, raw: &[u8], outcome: Outcome) {
        let mut buffer = [0; NAME_MAX];
        let name = normalised(raw, &mut buffer);
        // Longer ones are no files of phones.
        let name = &name[..name.len().min(NAME_MAX)];
        let request = Request {
            name: String::from_utf8_lossy(name).into(),
            stage: Stage::of_name(name),
            path: self.scheme.path(),
            generation: None,
            len_bytes: 0,
        };
        self.tell_answered(request, outcome, Duration::ZERO);
    }

    pub(super) fn tell_answered(&self, request: Request, outcome: Outcome, took: Duration) {
        let answer = Answer {
            outcome,
            took,
            resends: 0,
        };
        self.tell(Happening::Answered(request, answer));
    }

    pub(super) fn tell(&self, what: Happening) {
        self.site.journal.tell(&Event {
            at: SystemTime::now(),
            device: None,
            source: self.peer,
            what,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_phone_has_already_is_complete_and_what_it_measures_a_probe() {
        for (method, status, expected) in [
            (Method::GET, StatusCode::OK, Outcome::Complete),
            (Method::GET, StatusCode::PARTIAL_CONTENT, Outcome::Complete),
            (Method::GET, StatusCode::NOT_MODIFIED, Outcome::Complete),
            (Method::HEAD, StatusCode::OK, Outcome::Probe),
            (
                Method::GET,
                StatusCode::RANGE_NOT_SATISFIABLE,
                Outcome::Refused,
            ),
            (
                Method::HEAD,
                StatusCode::PRECONDITION_FAILED,
                Outcome::Refused,
            ),
        ] {
            assert_eq!(outcome(&method, status), expected, "{method} {status}");
        }
    }
}
