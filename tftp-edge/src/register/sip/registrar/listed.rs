//! The 200 to a REGISTER.
//!
//! Contacts of the request come back as the phone wrote them, since it finds its own by user and
//! host; `expires` of the contact is what it reads first, the Expires header second. It sets its
//! clock by Date.

use std::fmt;
use std::time::SystemTime;

use super::bindings::{Granted, seconds_left};
use super::contacts::{Contact, Wish};
use super::register::Done;
use crate::register::Binding;
use crate::register::sip::cisco::{NEW_REGISTRATION, RESPONSE_TYPE, SUPPORTED, Wishes};
use crate::register::sip::core::{Core, Exchange};
use crate::register::sip::message::{Answer, ascii};

impl Core {
    pub(super) fn listed(
        &self,
        exchange: &Exchange<'_, '_>,
        wish: &Wish<'_>,
        wishes: &Wishes,
        done: &Done,
    ) -> Vec<u8> {
        let mut answer = exchange.reply.begin(200, "OK");
        answer.header("Date", format_args!("{}", Date(exchange.wall)));
        let Done::Listed {
            bindings,
            is_change,
            is_new,
        } = done
        else {
            answer.header("Expires", format_args!("0"));
            answer.header("Supported", format_args!("{SUPPORTED}"));
            return answer.finish();
        };
        let shortest = bindings.iter().map(|it| seconds_left(it, exchange.steady));
        if let Some(shortest) = shortest.min() {
            answer.header("Expires", format_args!("{shortest}"));
        }
        for (at, binding) in bindings.iter().enumerate() {
            write_contact(&mut answer, exchange, wish, binding, *is_new && at == 0);
        }
        answer.header("Supported", format_args!("{SUPPORTED}"));
        match wishes.answer().filter(|_| *is_change) {
            Some(body) => answer.finish_with(RESPONSE_TYPE, body.as_bytes()),
            None => answer.finish(),
        }
    }
}

fn write_contact(
    answer: &mut Answer,
    exchange: &Exchange<'_, '_>,
    wish: &Wish<'_>,
    binding: &Binding,
    is_new: bool,
) {
    let is_of = |contact: &&Contact<'_>| {
        let written = ascii(contact.address.uri);
        written.is_some_and(|written| {
            let (uri, seconds) = (contact.uri, 0);
            Granted {
                uri,
                written,
                seconds,
            }
            .is_of(binding)
        })
    };
    let contact = wish.contacts().iter().find(is_of);
    answer.begin("Contact");
    match contact {
        Some(contact) if contact.address.before.ends_with(b">") => {
            answer.raw(contact.address.before);
        }
        _ => answer.text(format_args!("<{}>", binding.contact)),
    }
    let params = contact.map(|it| it.address.params).unwrap_or_default();
    for param in params.iter() {
        let is_ours = |name: &str| param.name.eq_ignore_ascii_case(name.as_bytes());
        if !is_ours("expires") && !is_ours(NEW_REGISTRATION) {
            answer.raw(b";");
            answer.raw(param.raw);
        }
    }
    let left = seconds_left(binding, exchange.steady);
    answer.text(format_args!(";expires={left}"));
    if is_new {
        answer.text(format_args!(";{NEW_REGISTRATION}"));
    }
    answer.end();
}

/// A date as RFC 3261 20.17 has it, which is that of HTTP.
pub struct Date(pub SystemTime);

impl fmt::Display for Date {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        httpdate::HttpDate::from(self.0).fmt(formatter)
    }
}
