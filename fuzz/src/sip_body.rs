//! What phones say in bodies of XML and in their own headers: alarms, wishes, claims and reasons.
//!
//! Input: a length, so many bytes of a header (a content type, a contact or a reason), then a body.
//! What is taken is bounded, and what is answered is XML.

use tftp_edge::register::sip::cisco::{
    Alarm, Claims, Reason, Wishes, device_in_contact, device_in_reason,
};
use tftp_edge::register::sip::message::parts;

use crate::memory::within;
use crate::script::Script;

/// What the answer to any body may have: sixteen options with sixty-four characters each, escaped.
const ANSWER_BYTES: usize = 16 * (64 * 6 + 64) + 256;

pub fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let len = usize::from(script.word());
    let rest = script.rest();
    let (header, body) = rest.split_at(len.min(rest.len()));
    // Names of elements are kept as long as they are open, and each may be as long as the body.
    within(rest, 8, 16 << 10, || check_body(header, body));
    within(header, 8, 4 << 10, || check_header(header));
}

fn check_body(content_type: &[u8], body: &[u8]) {
    for part in parts(content_type, body) {
        assert!(part.bytes.len() <= body.len());
    }
    let wishes = Wishes::of(content_type, body);
    if let Some(answer) = wishes.answer() {
        assert!(answer.len() <= ANSWER_BYTES, "{} bytes", answer.len());
        let read = roxmltree::Document::parse(&answer);
        let read = read.unwrap_or_else(|error| panic!("{error} in {answer}"));
        assert_eq!(
            read.root_element().tag_name().name(),
            "x-cisco-remotecc-response"
        );
    }
    let Some(alarm) = Alarm::of(body) else {
        return;
    };
    for text in [&alarm.name, &alarm.device, &alarm.reason] {
        assert!(text.chars().count() <= 64, "{text:?}");
    }
    alarm.device();
    alarm.fact();
}

fn check_header(header: &[u8]) {
    let reason = Reason::of(header);
    reason.alarm();
    assert!(reason.load().is_none_or(|load| load.len() <= 64));
    assert_eq!(device_in_reason(header), reason.device());
    Claims::of_contacts(header);
    device_in_contact(header);
}
