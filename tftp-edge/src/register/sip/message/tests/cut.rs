//! A message cut, or changed, at any place.

use super::super::*;
use super::{REGISTER, check};
use crate::register::sip::Glance;
use crate::register::sip::digest::Credentials;

/// Reads everything there is to read.
fn read_all(bytes: &[u8]) {
    let Ok(message) = Message::scan(bytes) else {
        return;
    };
    let _ = (message.start(), message.body(), Request::check(&message));
    let source = ([10, 0, 0, 9], 5060).into();
    if let Some(reply) = Reply::new(&message, source, 1) {
        reply.begin(400, "Bad Request").finish();
        reply.via().answer_to(source);
    }
    for name in [Name::Via, Name::Contact, Name::Reason, Name::Require] {
        for value in message.values(name) {
            let _ = (Via::parse(value), CSeq::parse(value), seconds(value));
            if let Some(address) = NameAddr::parse(value) {
                let _ = address.uri().map(|it| it.is_same(&it));
            }
        }
    }
    for value in message.all(Name::Authorization) {
        let _ = Credentials::parse(value);
    }
    for value in message.all(Name::ContentType) {
        parts(value, bytes).for_each(drop);
    }
    Glance::of(bytes);
}

#[test]
fn a_message_cut_at_any_byte_is_refused() {
    for end in 0..REGISTER.len() {
        let cut = &REGISTER.as_bytes()[..end];
        read_all(cut);
        assert!(check(cut).is_err(), "{end}");
    }
    assert_eq!(check(REGISTER.as_bytes()), Ok(()));
}

#[test]
fn a_message_with_any_byte_changed_is_read_without_harm() {
    let mut bytes = REGISTER.as_bytes().to_vec();
    for at in 0..bytes.len() {
        let before = bytes[at];
        for other in [
            0, b'"', b'<', b'>', b'\r', b'\n', b'\\', b',', b';', b':', b'%', 0xff,
        ] {
            bytes[at] = other;
            read_all(&bytes);
        }
        bytes[at] = before;
    }
}

#[test]
fn the_first_bytes_tell_the_device_and_the_call() {
    let glance = Glance::of(&REGISTER.as_bytes()[..700]).unwrap();
    assert_eq!(glance.method, Some(Method::Register));
    assert_eq!(glance.device, "SEPC80084AA8743".parse().ok());
    assert_eq!(glance.user, Some("2222"));
    assert_eq!(
        glance.call_id,
        Some("c80084aa-87430003-255b99f4-783a63d4@10.0.0.9")
    );
    let answer = "SIP/2.0 401 Unauthorized\r\nCall-ID: 1@2\r\nCSeq: 113 REGISTER\r\nTo: <sip:2";
    let glance = Glance::of(answer.as_bytes()).unwrap();
    assert_eq!(
        (glance.code, glance.method),
        (Some(401), Some(Method::Register))
    );
    assert_eq!((glance.call_id, glance.user), (Some("1@2"), None));
    assert_eq!(Glance::of(b"\x16\x03\x01"), None);
}

#[test]
fn a_glance_at_a_cut_message_never_tells_half_of_a_word() {
    let whole = Glance::of(REGISTER.as_bytes()).unwrap();
    for end in 0..REGISTER.len() {
        let Some(glance) = Glance::of(&REGISTER.as_bytes()[..end]) else {
            continue;
        };
        assert!(
            glance.device.is_none() || glance.device == whole.device,
            "{end}"
        );
        assert!(
            glance.call_id.is_none() || glance.call_id == whole.call_id,
            "{end}"
        );
        assert!(glance.user.is_none() || glance.user == whole.user, "{end}");
    }
}
