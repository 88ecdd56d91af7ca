//! Messages of SCCP, whole and cut.

use super::{DEVICE, TIMESTAMPS, over_tcp, tagged, v6};
use crate::classify::Class;
use crate::testing::cases::Case;
use crate::testing::segment::Segment;

/// A message of SCCP: the length counts from the id.
pub(super) fn message(id: u32, version: u32, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    message.extend_from_slice(&(4 + body.len() as u32).to_le_bytes());
    message.extend_from_slice(&version.to_le_bytes());
    message.extend_from_slice(&id.to_le_bytes());
    message.extend_from_slice(body);
    message
}

/// A body that begins with a device's name.
pub(super) fn named(name: &str, len: usize) -> Vec<u8> {
    let mut body = name.as_bytes().to_vec();
    body.resize(len, 0);
    body
}

pub(super) fn cases() -> Vec<Case> {
    let phone = |payload: &[u8]| Segment::default().with(payload);
    let server = |payload: &[u8]| Segment::default().back().with(payload);
    let register = message(1, 0, &named(DEVICE, 120));
    let with_options = Segment {
        options: TIMESTAMPS.to_vec(),
        ..phone(&register)
    };
    let xml = message(0x15a, 22, &[b'x'; 1400]);
    let mut cases = vec![
        over_tcp("Register", &phone(&register), Class::SccpRegister).of_device(DEVICE),
        over_tcp(
            "Register behind TCP options",
            &with_options,
            Class::SccpRegister,
        )
        .of_device(DEVICE),
        over_tcp(
            "Register over IPv6",
            &v6(with_options.clone()),
            Class::SccpRegister,
        )
        .of_device(DEVICE),
        over_tcp(
            "Register behind two tags",
            &tagged(phone(&register), &[(0x88a8, 200), (0x8100, 110)]),
            Class::SccpRegister,
        )
        .of_device(DEVICE)
        .in_vlan(200),
        over_tcp(
            "Register cut behind its header",
            &phone(&register[..12]),
            Class::SccpRegister,
        ),
        over_tcp(
            "Register cut in the name",
            &phone(&register[..27]),
            Class::SccpRegister,
        ),
        over_tcp(
            "Register cut behind the name",
            &phone(&register[..28]),
            Class::SccpRegister,
        )
        .of_device(DEVICE),
        over_tcp(
            "RegisterTokenReq",
            &phone(&message(0x29, 0, &named(DEVICE, 52))),
            Class::SccpToken,
        )
        .of_device(DEVICE),
        over_tcp(
            "RegisterTokenReq of SPCP",
            &phone(&message(0x8000, 0, &named("SEP00AABBCCDDEE", 32))),
            Class::SccpToken,
        )
        .of_device("SEP00AABBCCDDEE"),
        over_tcp(
            "KeepAlive with a message behind it",
            &phone(&[message(0, 0, &[]), register.clone()].concat()),
            Class::SccpKeepalive,
        ),
        over_tcp("XMLAlarm", &phone(&xml), Class::SccpAlarm),
    ];
    let plain: [(&str, Segment, Class); 19] = [
        (
            "KeepAlive",
            phone(&message(0, 0, &[])),
            Class::SccpKeepalive,
        ),
        (
            "Unregister",
            phone(&message(0x27, 17, &[0; 4])),
            Class::SccpUnregister,
        ),
        (
            "Alarm",
            phone(&message(0x20, 0, &[b' '; 92])),
            Class::SccpAlarm,
        ),
        (
            "CapabilitiesRes",
            phone(&message(0x10, 17, &[0; 20])),
            Class::SccpOther,
        ),
        (
            "RegisterAck",
            server(&message(0x81, 0, &[0; 20])),
            Class::SccpRegisterAck,
        ),
        (
            "RegisterReject",
            server(&message(0x9d, 17, &[0; 32])),
            Class::SccpRegisterReject,
        ),
        (
            "RegisterTokenAck",
            server(&message(0x11a, 0, &[])),
            Class::SccpTokenAck,
        ),
        (
            "RegisterTokenReject",
            server(&message(0x11b, 0, &[60, 0, 0, 0])),
            Class::SccpTokenReject,
        ),
        (
            "RegisterTokenAck of SPCP",
            server(&message(0x8100, 0, &[0; 4])),
            Class::SccpTokenAck,
        ),
        (
            "RegisterTokenReject of SPCP",
            server(&message(0x8101, 0, &[0; 4])),
            Class::SccpTokenReject,
        ),
        (
            "KeepAliveAck",
            server(&message(0x100, 0, &[])),
            Class::SccpKeepaliveAck,
        ),
        (
            "Reset",
            server(&message(0x9f, 17, &[1, 0, 0, 0])),
            Class::SccpReset,
        ),
        (
            "CapabilitiesReq",
            server(&message(0x9b, 17, &[])),
            Class::SccpOther,
        ),
        // An id means what it does in its direction.
        (
            "RegisterAck of a phone",
            phone(&message(0x81, 0, &[0; 20])),
            Class::SccpOther,
        ),
        ("Register of a server", server(&register), Class::SccpOther),
        (
            "half a header",
            phone(&register[..11]),
            Class::SccpContinuation,
        ),
        (
            "the middle of Register",
            phone(&register[12..]),
            Class::SccpContinuation,
        ),
        ("zeros", phone(&[0; 40]), Class::SccpContinuation),
        ("noise", phone(&[0xa5; 90]), Class::SccpContinuation),
    ];
    cases.extend(plain.map(|(name, segment, class)| over_tcp(name, &segment, class)));
    cases
}
