//! What a 200 to REGISTER grants, and what a phone does not take (RFC 3261 10.2.4).

use std::time::{Duration, SystemTime};

use super::super::{Fault, SipTimers};
use super::message::{Message, parameter};

/// A phone takes no registration whose refresh is due earlier than this. Source: Cisco's own stack.
const MIN_REGISTRATION_S: u32 = 60;

/// What the server's clock may be off by.
const CLOCK_OFF_MAX: Duration = Duration::from_secs(24 * 3600);

/// How long after the answer a refresh is due; user and host are those of our contact.
pub(super) fn refresh_after(
    answer: &Message,
    (user, host): &(String, String),
    timers: SipTimers,
) -> Result<Duration, Fault> {
    if !answer.expect("to")?.contains("tag=") {
        return Err(Fault::new("a final answer without a tag"));
    }
    check_clock(answer)?;
    let ours = format!("sip:{user}@{host}");
    let mut contacts = answer.all("contact").flat_map(|value| value.split(",<"));
    let contact =
        contacts.find(|contact| contact.trim_start_matches(['<', ' ']).starts_with(&ours));
    let contact = contact.ok_or_else(|| Fault::new(format!("200 OK without {ours}")))?;
    let own = parameter(contact, "expires").and_then(|it| it.parse().ok());
    let granted_s = own.or_else(|| answer.seconds("expires"));
    let granted_s: u32 = granted_s.ok_or_else(|| Fault::new("200 OK says no expiry"))?;
    // More than it asked for is not taken.
    let expires_s = granted_s.min(timers.register_expires_s);
    let refresh_s = expires_s.saturating_sub(timers.register_delta_s);
    match refresh_s >= MIN_REGISTRATION_S {
        true => Ok(Duration::from_secs(refresh_s.into())),
        false => Err(Fault::new(format!(
            "{granted_s} s are too short a registration"
        ))),
    }
}

/// Phones set their clock by it.
fn check_clock(answer: &Message) -> Result<(), Fault> {
    let date = httpdate::parse_http_date(answer.expect("date")?);
    let date = date.map_err(|error| Fault::new(format!("Date: {error}")))?;
    let clock = SystemTime::now();
    let off = clock
        .duration_since(date)
        .or_else(|_| date.duration_since(clock));
    match off {
        Ok(off) if off <= CLOCK_OFF_MAX => Ok(()),
        _ => Err(Fault::new("the server's clock is off by more than a day")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMERS: SipTimers = SipTimers {
        register_expires_s: 3600,
        register_delta_s: 5,
        t1_ms: 500,
        t2_ms: 4000,
    };

    fn refresh_s(contact: &str, more: &str) -> Option<u64> {
        let date = httpdate::fmt_http_date(SystemTime::now());
        let text = format!(
            "SIP/2.0 200 OK\r\nTo: <sip:1@s>;tag=x\r\nDate: {date}\r\nContact: {contact}\r\n\
             {more}Content-Length: 0\r\n\r\n"
        );
        let answer = Message::datagram(text.as_bytes()).expect("well formed");
        let ours = ("1".to_owned(), "10.0.0.9:5060".to_owned());
        let after = refresh_after(&answer, &ours, TIMERS);
        after.ok().map(|after| after.as_secs())
    }

    #[test]
    fn the_time_of_our_contact_goes_before_that_of_all() {
        let ours = "<sip:1@10.0.0.9:5060;transport=udp>";
        for (contact, expected) in [
            (format!("{ours};expires=120"), Some(115)),
            (
                format!("<sip:1@10.0.0.8:5060>;expires=90,{ours};expires=120"),
                Some(115),
            ),
            (format!("{ours};x-cisco-newreg"), Some(235)),
            ("<sip:1@10.0.0.8:5060>;expires=120".to_owned(), None),
            // 64 - 5 is less than a minute.
            (format!("{ours};expires=64"), None),
            // More than asked for.
            (format!("{ours};expires=9000"), Some(3595)),
        ] {
            assert_eq!(
                refresh_s(&contact, "Expires: 240\r\n"),
                expected,
                "{contact}"
            );
        }
        assert_eq!(refresh_s(ours, ""), None);
    }
}
