//! What of a response says which request it answers (RFC 3261 17.1.3).

use crate::register::sip::message::{CSeq, Message, Method, Name, StartLine, Via};

/// A response, as far as it belongs to one of our requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'m> {
    pub status: u16,
    /// Of the topmost `Via`.
    pub branch: &'m str,
    /// Of `CSeq`.
    pub method: Method,
}

impl<'m> Answer<'m> {
    /// Reads a whole message; none if it is no response, or lacks one of the three.
    pub fn of(message: &'m [u8]) -> Option<Self> {
        let message = Message::scan(message).ok()?;
        let Ok(StartLine::Response { code, .. }) = message.start() else {
            return None;
        };
        let via = message.values(Name::Via).next().and_then(Via::parse)?;
        let cseq = message.first(Name::CSeq).and_then(CSeq::parse)?;
        Some(Self {
            status: code,
            branch: std::str::from_utf8(via.branch()?).ok()?,
            method: Method::of(cseq.method),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_from_its_topmost_via_and_its_cseq() {
        let response = b"SIP/2.0 200 OK\r\n\
            v: SIP/2.0/UDP 10.0.0.1;rport=5060 ; Branch = z9hG4bKours;received=10.0.0.1, \
            SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKtheirs\r\n\
            Via: SIP/2.0/UDP 10.0.0.8;branch=z9hG4bKother\r\n\
            CSeq: 102   NOTIFY\r\n\r\n";
        let answer = Answer::of(response).unwrap();
        assert_eq!(
            (answer.status, answer.branch, answer.method),
            (200, "z9hG4bKours", Method::Notify)
        );
    }

    #[test]
    fn what_lacks_a_branch_or_is_a_request_answers_nothing() {
        for message in [
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.1\r\nCSeq: 1 NOTIFY\r\n\r\n",
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=x\r\n\r\n",
            "NOTIFY sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=x\r\nCSeq: 1 NOTIFY\r\n\r\n",
        ] {
            assert_eq!(Answer::of(message.as_bytes()), None, "{message}");
        }
    }
}
