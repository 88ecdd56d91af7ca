//! What is done with each method.
//!
//! | request | answer |
//! |---|---|
//! | REGISTER | the registrar's |
//! | OPTIONS to us | 200 with what is allowed |
//! | REFER with an alarm, or for a token | 202; the token 503 with a wait in a storm |
//! | PUBLISH of a registered phone | 200; what it publishes is of no use here |
//! | anything else, with a PBX | handed to it, 483 if it may go no further |
//! | … of a dialog or transaction | 481: there is none here |
//! | … ACK | none |
//! | … of a method we know | 405 with what is allowed |
//! | … of another | 501 |
//!
//! Phones authenticate REFER and PUBLISH unreliably: they are taken over a connection, where phones
//! send them before they register, and by datagram from where the device is registered.

use std::hash::BuildHasher as _;

use super::cisco::{ALARM_TYPE, Alarm, Claims, RESPONSE_TYPE, TOKEN_URN};
use super::core::{Core, Exchange, Outgoing, Received, answer_to};
use super::counts::Event;
use super::message::{Answer, Method, Name, ascii, seconds};
use super::orders::{Host, canonical};
use super::registrar::{No, Who};
use crate::inventory::{DeviceName, Mac};
use crate::register::Refusal;

const ALLOW: &str = "REGISTER, OPTIONS, REFER, PUBLISH";

/// Bodies that are read.
const ACCEPT: &str = "application/x-cisco-remotecc-request+xml, application/x-cisco-alarm+xml, \
                      multipart/mixed";

/// Extensions that may be required of us.
const EXTENSIONS: [&str; 1] = ["norefersub"];

/// Longest time that is said to be kept of what a phone publishes.
const PUBLISHED_S: u32 = 3600;

impl Core {
    pub(super) fn dispatch(
        &self,
        exchange: &Exchange<'_, '_>,
        out: &mut Vec<Outgoing>,
    ) -> Received {
        tracing::trace!(
            peer = %exchange.incoming.source,
            request = exchange.request.method.as_str(),
            "over SIP"
        );
        let answer = match exchange.request.method {
            Method::Register => self.checked(exchange, |it| {
                if self.registrar.settings.get().trying {
                    let bytes = exchange.reply.begin(100, "Trying").finish();
                    out.push(answer_to(exchange.incoming, exchange.reply, bytes));
                }
                self.register(it)
            }),
            Method::Options if !self.is_relaying() || exchange.request.uri.user.is_none() => {
                self.checked(exchange, |it| Some(self.options(it)))
            }
            Method::Refer if self.is_of_phone(exchange) => {
                self.checked(exchange, |it| self.refer(it))
            }
            Method::Publish if !self.is_relaying() => {
                self.checked(exchange, |it| Some(self.publish(it)))
            }
            _ => match self.not_ours(exchange) {
                Some(answer) => answer,
                None => {
                    self.tally.event(Event::Relayed);
                    return Received::Relay;
                }
            },
        };
        if let Some(bytes) = answer {
            out.push(answer_to(exchange.incoming, exchange.reply, bytes));
        }
        Received::Done
    }

    /// What every request of ours must fulfil (RFC 3261 8.2.2).
    fn checked(
        &self,
        exchange: &Exchange<'_, '_>,
        serve: impl FnOnce(&Exchange<'_, '_>) -> Option<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        if !exchange.request.uri.is_sip() {
            return self.refuse(exchange, No::Malformed(super::message::Defect::Scheme));
        }
        let message = exchange.request.message;
        let is_known = |tag: &&[u8]| {
            let mut known = EXTENSIONS.iter();
            known.any(|it| it.as_bytes().eq_ignore_ascii_case(tag))
        };
        let required = message.values(Name::Require);
        let required = required.chain(message.values(Name::ProxyRequire));
        let mut unknown = required.filter(|it| !is_known(it)).peekable();
        if unknown.peek().is_none() {
            return serve(exchange);
        }
        self.tally.event(Event::BadExtension);
        let mut answer = exchange.reply.begin(420, "Bad Extension");
        // In one line: with a header each, the answer to a forged request would be many times as long.
        answer.begin("Unsupported");
        for (at, tag) in unknown.enumerate() {
            answer.raw(if at > 0 { b"," } else { b"" });
            answer.raw(tag);
        }
        answer.end();
        Some(answer.finish())
    }

    fn options(&self, exchange: &Exchange<'_, '_>) -> Vec<u8> {
        self.tally.event(Event::Options);
        let mut answer = exchange.reply.begin(200, "OK");
        answer.header("Allow", format_args!("{ALLOW}"));
        answer.header("Accept", format_args!("{ACCEPT}"));
        answer.header("Supported", format_args!("{}", EXTENSIONS.join(", ")));
        answer.finish()
    }

    /// Answers what is nobody's here. None: it is the PBX's.
    fn not_ours(&self, exchange: &Exchange<'_, '_>) -> Option<Option<Vec<u8>>> {
        let request = exchange.request;
        let is_ack = request.method == Method::Ack;
        let may_go_on = request.max_forwards != Some(0);
        if self.is_relaying() && (may_go_on || is_ack) {
            return None;
        }
        if is_ack {
            self.tally.event(Event::Ignored);
            return Some(None);
        }
        self.tally.event(Event::Other);
        let reply = exchange.reply;
        let in_dialog = request.to.tag().is_some();
        let mut answer = match request.method {
            _ if !may_go_on => reply.begin(483, "Too Many Hops"),
            _ if !request.uri.is_sip() => reply.begin(416, "Unsupported URI Scheme"),
            Method::Unknown => reply.begin(501, "Not Implemented"),
            Method::Bye | Method::Cancel | Method::Info | Method::Prack | Method::Update => {
                reply.begin(481, "Call/Transaction Does Not Exist")
            }
            Method::Notify => reply.begin(481, "Subscription Does Not Exist"),
            _ if in_dialog => reply.begin(481, "Call/Transaction Does Not Exist"),
            _ => reply.begin(405, "Method Not Allowed"),
        };
        answer.header("Allow", format_args!("{ALLOW}"));
        Some(Some(answer.finish()))
    }

    /// Whether a REFER is one of those that phones send to their registrar.
    fn is_of_phone(&self, exchange: &Exchange<'_, '_>) -> bool {
        let is_type = |named: &str| {
            let kind = content_type(exchange);
            kind.is_some_and(|it| it.eq_ignore_ascii_case(named.as_bytes()))
        };
        is_type(ALARM_TYPE) || is_type(RESPONSE_TYPE) || asks_for_token(exchange)
    }

    fn refer(&self, exchange: &Exchange<'_, '_>) -> Option<Vec<u8>> {
        let who = self.referring(exchange);
        if !self.is_acquainted(exchange, who.as_ref()) {
            return self.refuse(exchange, No::Refused(Refusal::Authentication));
        }
        if asks_for_token(exchange) {
            return self.token(exchange, who.as_ref());
        }
        if let Some(alarm) = Alarm::of(exchange.request.body) {
            self.tally.event(Event::Alarm);
            let Alarm {
                name,
                device,
                reason,
                ..
            } = &alarm;
            let source = exchange.incoming.source;
            tracing::debug!(alarm = name, device, reason, peer = %source, "a phone's alarm");
            if let Some(fact) = alarm.fact() {
                let device = who.or_else(|| alarm.device());
                self.desk.tell(exchange.wall, device, source, fact);
            }
        } else {
            self.tally.event(Event::Other);
        }
        Some(accepted(exchange))
    }

    /// A phone that has found its server again asks whether it may come back.
    fn token(&self, exchange: &Exchange<'_, '_>, who: Option<&DeviceName>) -> Option<Vec<u8>> {
        if let Some(device) = who {
            let applicant = self.applicant(exchange, device);
            let is_known = self.desk.directory.device(device).is_some();
            if let Err(no) = self.admit(exchange, &applicant, is_known) {
                return self.refuse(exchange, no);
            }
        }
        self.tally.event(Event::TokenGranted);
        Some(accepted(exchange))
    }

    /// The device: as its contact says, or the user it sends from, which may be its MAC address.
    fn referring(&self, exchange: &Exchange<'_, '_>) -> Option<DeviceName> {
        let contact = exchange.request.message.first(Name::Contact);
        let claims = contact.map(Claims::of_contacts).unwrap_or_default();
        let user = exchange.request.from.uri().and_then(|it| it.user_text());
        let user = user.unwrap_or_default();
        let of_mac = || user.parse::<Mac>().ok().map(DeviceName::sep);
        Who::find(&self.desk.directory, &user, &claims, None)
            .name
            .or_else(of_mac)
    }

    /// Whether what it says may be believed without a password.
    fn is_acquainted(&self, exchange: &Exchange<'_, '_>, who: Option<&DeviceName>) -> bool {
        let incoming = exchange.incoming;
        if incoming.connection.is_some() {
            return true;
        }
        let registered = who.and_then(|it| self.desk.table.get(it));
        let source = incoming.source.ip().to_canonical();
        registered.is_some_and(|it| it.source.ip().to_canonical() == source)
    }

    fn publish(&self, exchange: &Exchange<'_, '_>) -> Vec<u8> {
        let who = self.referring(exchange);
        if !self.is_acquainted(exchange, who.as_ref()) {
            self.tally.refusal(Refusal::Authentication);
            return exchange.reply.begin(403, "Forbidden").finish();
        }
        self.tally.event(Event::Other);
        let message = exchange.request.message;
        let wished = message.first(Name::Expires).and_then(seconds);
        let expires = wished.unwrap_or(PUBLISHED_S).min(PUBLISHED_S);
        let tag = self
            .hasher
            .hash_one((exchange.request.call_id, exchange.request.cseq.number));
        let mut answer = exchange.reply.begin(200, "OK");
        answer.header("SIP-ETag", format_args!("{tag:016x}"));
        answer.header("Expires", format_args!("{expires}"));
        answer.finish()
    }
}

fn content_type<'m>(exchange: &Exchange<'_, 'm>) -> Option<&'m [u8]> {
    let value = exchange.request.message.first(Name::ContentType)?;
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    Some(value[..end].trim_ascii())
}

fn asks_for_token(exchange: &Exchange<'_, '_>) -> bool {
    let refer_to = exchange.request.message.first(Name::ReferTo);
    let text = refer_to.and_then(ascii).unwrap_or_default();
    let uri = text.trim_start_matches('<').trim_end_matches('>');
    uri.eq_ignore_ascii_case(TOKEN_URN)
}

/// 202, with where we are (RFC 3515 2.2), and that no subscription came of it where none was wanted
/// (RFC 4488 4).
fn accepted(exchange: &Exchange<'_, '_>) -> Vec<u8> {
    let incoming = exchange.incoming;
    let (local, transport) = (canonical(incoming.local), incoming.transport);
    let mut answer: Answer = exchange.reply.begin(202, "Accepted");
    answer.header(
        "Contact",
        format_args!(
            "<sip:{}:{};transport={transport}>",
            Host(local.ip()),
            local.port()
        ),
    );
    let refer_sub = exchange.request.message.first(Name::ReferSub);
    if refer_sub.is_some_and(|it| it.eq_ignore_ascii_case(b"false")) {
        answer.header("Refer-Sub", format_args!("false"));
    }
    answer.finish()
}
