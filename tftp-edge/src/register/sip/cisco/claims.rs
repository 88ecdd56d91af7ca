//! Who a phone says it is.

use super::Reason;
use crate::inventory::{DeviceName, Mac};
use crate::register::sip::message::{NameAddr, Params, Values, ascii, decimal, unquoted};

const DEVICE_NAME: &str = "+u.sip!devicename.ccm.cisco.com";
const MODEL: &str = "+u.sip!model.ccm.cisco.com";
const INSTANCE: &str = "+sip.instance";

/// What a REGISTER or REFER says of the device, unproved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    pub device: Option<DeviceName>,
    /// The end of the instance's UUID: the name's prefix is not in it.
    pub mac: Option<Mac>,
    pub type_id: Option<u32>,
}

impl Claims {
    pub fn of_contact(params: Params<'_>) -> Self {
        let [device, instance, model] = first_of(params, [DEVICE_NAME, INSTANCE, MODEL]);
        let text = |value: Option<_>| value.map(unquoted);
        let device = text(device).and_then(|it| ascii(&it)?.parse().ok());
        let mac = text(instance).and_then(|it| mac_of_instance(ascii(&it)?));
        let type_id = text(model).and_then(|it| decimal(&it));
        Self {
            device,
            mac,
            type_id,
        }
    }
}

/// The values of the first parameters of these names, found in one pass: every REGISTER is asked.
fn first_of<'m, const N: usize>(params: Params<'m>, names: [&str; N]) -> [Option<&'m [u8]>; N] {
    let mut found = [None; N];
    for param in params.iter() {
        let named = |name: &&str| param.name.eq_ignore_ascii_case(name.as_bytes());
        if let Some(at) = names.iter().position(named) {
            found[at].get_or_insert(param.value);
        }
    }
    found.map(Option::flatten)
}

/// `<urn:uuid:00000000-0000-0000-0000-001122334455>`: the node of the UUID is the MAC address, and
/// the rest is zero. Other UUIDs name no device.
fn mac_of_instance(instance: &str) -> Option<Mac> {
    let urn = instance.strip_prefix('<').unwrap_or(instance);
    let urn = urn.strip_suffix('>').unwrap_or(urn);
    let (scheme, uuid) = urn.split_at_checked(9)?;
    if !scheme.eq_ignore_ascii_case("urn:uuid:") {
        return None;
    }
    let mac = uuid.strip_prefix("00000000-0000-0000-0000-")?;
    mac.parse().ok()
}

/// The device in a Contact header that may be cut: the parameter is looked for without reading the
/// header.
pub fn device_in_contact(value: &[u8]) -> Option<DeviceName> {
    let at = memchr::memmem::find(value, DEVICE_NAME.as_bytes())?;
    let rest = value[at + DEVICE_NAME.len()..].strip_prefix(b"=\"")?;
    let end = memchr::memchr(b'"', rest)?;
    ascii(&rest[..end])?.parse().ok()
}

pub fn device_in_reason(value: &[u8]) -> Option<DeviceName> {
    Reason::of(value).device()
}

impl Claims {
    /// Of the first contact that says anything of it.
    pub fn of_contacts(value: &[u8]) -> Self {
        let mut contacts = Values::of(value).filter_map(NameAddr::parse);
        let first = contacts.next();
        first.map_or_else(Self::default, |it| Self::of_contact(it.params))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTACT: &[u8] =
        b"<sip:04984998-fe29-08c0-6d47-5593bf4ce606@10.0.0.9:51778;transport=tcp>\
        ;+sip.instance=\"<urn:uuid:00000000-0000-0000-0000-0011223344ff>\"\
        ;+u.sip!devicename.ccm.cisco.com=\"SEP0011223344FF\";+u.sip!model.ccm.cisco.com=\"621\"";

    #[test]
    fn a_contact_tells_device_instance_and_model() {
        let claims = Claims::of_contacts(CONTACT);
        assert_eq!(claims.device, "SEP0011223344FF".parse().ok());
        assert_eq!(claims.mac, "0011223344FF".parse().ok());
        assert_eq!(claims.type_id, Some(621));
        let end = memchr::memmem::find(CONTACT, b"\";+u.sip!model").unwrap();
        assert_eq!(device_in_contact(&CONTACT[..end]), None);
        assert_eq!(device_in_contact(&CONTACT[..=end]), claims.device);
    }

    #[test]
    fn instances_and_names_of_others_tell_nothing() {
        let of = |params: &str| Claims::of_contacts(format!("<sip:a@b>{params}").as_bytes());
        let none = Claims::default();
        let uuid = "<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>";
        assert_eq!(of(&format!(";+sip.instance=\"{uuid}\"")), none);
        assert_eq!(of(";+u.sip!devicename.ccm.cisco.com=\"SEP1\""), none);
        assert_eq!(of(";+u.sip!model.ccm.cisco.com=\"x\""), none);
        assert_eq!(of(""), none);
    }
}
