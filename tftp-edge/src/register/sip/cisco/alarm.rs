//! What a phone reports of its last loss of service, before it registers.
//!
//! ```xml
//! <x-cisco-alarm><Alarm Name="LastOutOfServiceInformation"><ParameterList>
//!   <String name="DeviceName">SEP0011223344FF</String>
//!   <Enum name="ReasonForOutOfService">25</Enum> …
//! ```

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// Most parts of the XML that are looked at.
const MAX_EVENTS: usize = 500;

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
        };
        assert_eq!(Alarm::of(body.as_bytes()), Some(expected));
        for end in 0..body.len() {
            Alarm::of(&body.as_bytes()[..end]);
        }
    }

    #[test]
    fn what_names_no_alarm_is_none() {
        for body in ["", "<a/>", "text", "<Alarm/>", "<Alarm Name=\"\"/>"] {
            assert_eq!(Alarm::of(body.as_bytes()), None, "{body}");
        }
    }
}
