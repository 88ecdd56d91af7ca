//! Answers: what of a request comes back in its response (RFC 3261 8.2.6).

use std::net::SocketAddr;

use super::{Message, Name, NameAddr, Values, Via, Writer};

/// How a request can be answered. There is none for one whose way back is not known.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a, 'm> {
    message: &'a Message<'m>,
    via: Via<'m>,
    source: SocketAddr,
    /// For a To that has no tag. The same for a request that comes again.
    tag: u64,
}

/// An answer that is being written.
pub type Answer = Writer;

impl<'a, 'm> Reply<'a, 'm> {
    /// None if the message does not say how it came.
    pub fn new(message: &'a Message<'m>, source: SocketAddr, tag: u64) -> Option<Self> {
        let via = Via::parse(message.values(Name::Via).next()?)?;
        Some(Self {
            message,
            via,
            source,
            tag,
        })
    }

    pub fn via(&self) -> &Via<'m> {
        &self.via
    }

    /// Begins an answer: Via, From, To, Call-ID and CSeq are those of the request. A tag is added to
    /// the To of all but a 100 (8.2.6.2).
    pub fn begin(&self, code: u16, reason: &str) -> Answer {
        let mut answer = Writer::new(format_args!("SIP/2.0 {code} {reason}"));
        self.write_vias(&mut answer);
        if let Some(from) = self.message.first(Name::From) {
            answer.raw_header("From", from);
        }
        if let Some(to) = self.message.first(Name::To) {
            answer.begin("To");
            answer.raw(to);
            let has_tag = NameAddr::parse(to).is_some_and(|it| it.tag().is_some());
            if !has_tag && code != 100 {
                answer.text(format_args!(";tag={:016x}", self.tag));
            }
            answer.end();
        }
        if let Some(call_id) = self.message.first(Name::CallId) {
            answer.raw_header("Call-ID", call_id);
        }
        if let Some(cseq) = self.message.first(Name::CSeq) {
            answer.raw_header("CSeq", cseq);
        }
        answer
    }

    /// All of them in their order; to the first is added where it really came from (18.2.1, RFC 3581
    /// section 4).
    fn write_vias(&self, answer: &mut Answer) {
        for (line, value) in self.message.all(Name::Via).enumerate() {
            answer.begin("Via");
            if line == 0 {
                self.write_first(answer, value);
            } else {
                answer.raw(value);
            }
            answer.end();
        }
    }

    fn write_first(&self, answer: &mut Answer, value: &[u8]) {
        answer.raw(self.via.before);
        for param in self.via.params.iter() {
            let is_ours = |name: &str| param.name.eq_ignore_ascii_case(name.as_bytes());
            if !is_ours("received") && !is_ours("rport") {
                answer.raw(b";");
                answer.raw(param.raw);
            }
        }
        let ip = self.source.ip().to_canonical();
        let wants_rport = self.via.wants_rport();
        if wants_rport || !self.via.is_from(ip) {
            answer.text(format_args!(";received={ip}"));
        }
        if wants_rport {
            answer.text(format_args!(";rport={}", self.source.port()));
        }
        for further in Values::of(value).skip(1) {
            answer.raw(b", ");
            answer.raw(further);
        }
    }
}
