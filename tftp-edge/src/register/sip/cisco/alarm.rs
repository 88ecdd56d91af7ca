//! What a phone reports of its last loss of service, before it registers.
//!
//! ```xml
//! <x-cisco-alarm><Alarm Name="LastOutOfServiceInformation"><ParameterList>
//!   <String name="DeviceName">SEP0011223344FF</String>
//!   <Enum name="ReasonForOutOfService">25</Enum> …
//! ```

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::inventory::DeviceName;
use crate::journal::Fact;

/// Most parts of the XML that are looked at.
const MAX_EVENTS: usize = 500;

/// The alarm that says which trust lists a phone holds.
const TRUST_LISTS: &str = "DeviceTLInfo";

const SHA1_DIGITS: usize = 40;

/// Longest text that is kept of one value.
const MAX_TEXT: usize = 64;

/// One alarm, as far as it is told on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alarm {
    /// `DeviceTLInfo`, `LastOutOfServiceInformation`, …
    pub name: String,
    pub device: String,
    /// What it gives as the reason: `ReasonForOutOfService` or `StatusCode`.
    pub reason: String,
    /// Of `DeviceTLInfo`: the signatures of its trust lists, as they are written.
    ctl: Option<String>,
    itl: Option<String>,
}

impl Alarm {
    /// None if the body names no alarm.
    pub fn of(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::from_str(std::str::from_utf8(body).ok()?);
        let mut alarm = Self::default();
        let mut inside = String::new();
        for _ in 0..MAX_EVENTS {
            match reader.read_event() {
                Ok(Event::Start(element)) => {
                    let named = name(&element).unwrap_or_default();
                    if element.name().as_ref() == "Alarm" && alarm.name.is_empty() {
                        alarm.name = short(&named);
                    }
                    inside = named;
                }
                Ok(Event::Text(text)) => {
                    let text = text.trim();
                    match inside.as_str() {
                        "DeviceName" => alarm.device = short(text),
                        "ReasonForOutOfService" | "StatusCode" => alarm.reason = short(text),
                        "CTL_Signature" => alarm.ctl = Some(short(text)),
                        "ITL_Signature" => alarm.itl = Some(short(text)),
                        _ => {}
                    }
                }
                Ok(Event::End(_)) => inside.clear(),
                Ok(Event::Eof) | Err(_) => break,
                Ok(_) => {}
            }
        }
        (!alarm.name.is_empty()).then_some(alarm)
    }

    /// Who it says it is about.
    pub fn device(&self) -> Option<DeviceName> {
        self.device.parse().ok()
    }

    /// What the journal has of it; none if it tells of trust lists that cannot be read.
    pub fn fact(&self) -> Option<Fact> {
        if self.name == TRUST_LISTS {
            let (ctl, itl) = (
                signature(self.ctl.as_deref())?,
                signature(self.itl.as_deref())?,
            );
            return Some(Fact::TrustLists { ctl, itl });
        }
        let text = match self.reason.is_empty() {
            true => self.name.clone(),
            false => format!("{} {}", self.name, self.reason),
        };
        Some(Fact::Alarm {
            code: self.reason.parse().ok(),
            text: text.into(),
        })
    }
}

/// The SHA-1 of a trust list in lower-case hex, whatever stands between its digits; `Some(None)` if
/// the phone has no list, and nothing if it is no SHA-1.
fn signature(written: Option<&str>) -> Option<Option<Box<str>>> {
    let digits = written.unwrap_or_default().chars();
    let digits: String = digits
        .filter(|it| !matches!(it, ' ' | ':' | '-'))
        .map(|it| it.to_ascii_lowercase())
        .collect();
    let is_hex = digits.len() == SHA1_DIGITS && digits.bytes().all(|it| it.is_ascii_hexdigit());
    match digits.bytes().all(|it| it == b'0') {
        true => Some(None),
        false => is_hex.then(|| Some(digits.into())),
    }
}

/// Its `Name` or `name`.
fn name(element: &BytesStart<'_>) -> Option<String> {
    let mut attributes = element.attributes().filter_map(Result::ok);
    let named = attributes.find(|it| it.key.as_ref().eq_ignore_ascii_case("name"))?;
    Some(named.value.into_owned())
}

/// The beginning of a text, without what could disturb a log.
fn short(text: &str) -> String {
    let clean = text.chars().filter(|it| !it.is_control());
    clean.take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_tells_its_name_device_and_reason() {
        let body = "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<x-cisco-alarm>\n\
            <Alarm Name=\"LastOutOfServiceInformation\">\n<ParameterList>\n\
            <String name=\"DeviceName\">SEP0011223344FF</String>\n\
            <String name=\"DeviceIPv4Address\">10.0.0.9/24</String>\n\
            <Enum name=\"ReasonForOutOfService\">25</Enum>\n</ParameterList></Alarm>\
            </x-cisco-alarm>";
        let expected = Alarm {
            name: "LastOutOfServiceInformation".into(),
            device: "SEP0011223344FF".into(),
            reason: "25".into(),
            ..Alarm::default()
        };
        let fact = Fact::Alarm {
            code: Some(25),
            text: "LastOutOfServiceInformation 25".into(),
        };
        assert_eq!(expected.fact(), Some(fact));
        assert_eq!(expected.device(), "SEP0011223344FF".parse().ok());
        assert_eq!(Alarm::of(body.as_bytes()), Some(expected));
        for end in 0..body.len() {
            Alarm::of(&body.as_bytes()[..end]);
        }
    }

    #[test]
    fn trust_lists_are_told_by_their_hash_and_not_at_all_if_it_is_none() {
        let sha1 = "00112233445566778899aabbccddeeff00112233";
        let spaced = "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33";
        let has = |list: &str| Some(Some(Box::from(list)));
        for (written, expected) in [
            (sha1, has(sha1)),
            (spaced, has(sha1)),
            ("", Some(None)),
            ("0000000000000000000000000000000000000000", Some(None)),
            ("AAECAwQFBgcICQoLDA0ODxAREhM=", None),
            ("0011", None),
        ] {
            let body = format!(
                "<x-cisco-alarm><Alarm Name=\"DeviceTLInfo\"><ParameterList>\
                 <String name=\"CTL_Signature\"></String>\
                 <String name=\"ITL_Signature\">{written}</String></ParameterList></Alarm>\
                 </x-cisco-alarm>"
            );
            let fact = Alarm::of(body.as_bytes()).unwrap().fact();
            let expected = expected.map(|itl| Fact::TrustLists { ctl: None, itl });
            assert_eq!(fact, expected, "{written}");
        }
    }

    #[test]
    fn what_names_no_alarm_is_none() {
        for body in ["", "<a/>", "text", "<Alarm/>", "<Alarm Name=\"\"/>"] {
            assert_eq!(Alarm::of(body.as_bytes()), None, "{body}");
        }
    }
}
