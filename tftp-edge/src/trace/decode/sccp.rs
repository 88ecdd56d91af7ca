//! SCCP: the messages of a segment, by the names the registrar has for them.

use tftp_ebpf::wire::Bytes as _;
use tftp_ebpf::wire::sccp::{DEVICE_AT, DEVICE_LEN, Header, message};

use super::text;
use crate::register::sccp::wire::{Incoming, Outgoing};

/// Messages of one segment that are named.
const NAMED_MAX: usize = 8;

/// Bytes that the length of a message does not count: itself and the version.
const UNCOUNTED: usize = 8;

/// What a segment says, if it begins with a message.
pub fn messages(mut payload: &[u8]) -> Option<String> {
    let mut names = Vec::new();
    let mut more = 0;
    while let Some(header) = header(payload) {
        match names.len() < NAMED_MAX {
            true => names.push(name(&header, payload)),
            false => more += 1,
        }
        let len = header.len() as usize + UNCOUNTED;
        payload = payload.get(len..).unwrap_or_default();
    }
    if more > 0 {
        names.push(format!("and {more} more"));
    }
    (!names.is_empty()).then(|| names.join(", "))
}

fn header(payload: &[u8]) -> Option<Header> {
    let bytes = payload.first_chunk::<{ Header::LEN }>()?;
    let mut header = Header::EMPTY;
    header.as_bytes_mut().copy_from_slice(bytes);
    header.is_plausible().then_some(header)
}

fn name(header: &Header, payload: &[u8]) -> String {
    let id = header.id();
    let known = Incoming::of_id(id).map(|it| format!("{it:?}"));
    let known = known.or_else(|| Outgoing::of_id(id).map(|it| format!("{it:?}")));
    let name = known.unwrap_or_else(|| format!("message {id:#06x}"));
    let has_device = matches!(id, message::REGISTER | message::REGISTER_TOKEN);
    match payload.get(DEVICE_AT..DEVICE_AT + DEVICE_LEN) {
        Some(device) if has_device => {
            let len = device.iter().position(|&byte| byte == 0);
            format!("{name} {}", text(&device[..len.unwrap_or(DEVICE_LEN)]))
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message_of(id: u32, body: &[u8]) -> Vec<u8> {
        let len = body.len() as u32 + 4;
        let words = [len, 0, id].map(u32::to_le_bytes);
        [&words.concat(), body].concat()
    }

    #[test]
    fn messages_have_the_names_of_the_registrar() {
        assert_eq!(messages(&message_of(0, &[])).unwrap(), "KeepAlive");
        let register = message_of(1, b"SEP001122334455\0more");
        assert_eq!(messages(&register).unwrap(), "Register SEP001122334455");
        let two = [message_of(0x81, &[0; 20]), message_of(0x9b, &[])].concat();
        assert_eq!(messages(&two).unwrap(), "RegisterAck, CapabilitiesReq");
        assert_eq!(
            messages(&message_of(0x1234, &[])).unwrap(),
            "message 0x1234"
        );
    }

    #[test]
    fn a_segment_of_many_messages_is_one_line() {
        let many = message_of(0, &[]).repeat(100);
        let said = messages(&many).unwrap();
        assert!(said.ends_with("KeepAlive, and 92 more"), "{said}");
    }

    #[test]
    fn the_middle_of_a_message_is_none() {
        assert_eq!(messages(b"0011223344550000"), None);
        assert_eq!(messages(&[4, 0, 0, 0]), None);
    }
}
