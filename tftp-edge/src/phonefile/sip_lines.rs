//! `sipLines`: what each button of a SIP phone does.
//!
//! `button` counts all of them, `lineIndex` the lines alone. Source: the page on line keys at
//! usecallmanager.nz.

use std::borrow::Cow;

use super::Phone;
use super::xml::Xml;
use crate::inventory::{KeyAction, Line, LineKey, PhoneSettings, Section, Transport, feature_id};

/// Calls a line takes at once where the model has room for them.
const CALLS_A_LINE: u32 = 4;

/// Rings until answered, and a beep if there is a call already.
const RING_IDLE: u8 = 4;
const RING_ACTIVE: u8 = 5;

/// The lamp and a prompt.
const MWI_LAMP: u8 = 3;

const SPEED_DIAL: u16 = 2;
const LINE: u16 = 9;
const SERVICE: u16 = 20;
const BUSY_LAMP: u16 = 21;

pub(super) fn write(xml: &mut Xml<'_>, phone: Phone<'_>) {
    let mut lines = (1u16..).zip(phone.device.lines_on_buttons()).peekable();
    let mut keys = phone.device.keys.iter().peekable();
    // Both are in the order of their buttons.
    loop {
        let next_line = lines.peek().map(|(_, (button, _))| *button);
        let next_key = keys.peek().map(|(button, _)| **button);
        match (next_line, next_key) {
            (None, None) => return,
            (Some(line), key) if key.is_none_or(|key| line < key) => {
                if let Some((index, (button, line))) = lines.next() {
                    sip_line(xml, phone, button, index, line);
                }
            }
            _ => {
                if let Some((button, key)) = keys.next() {
                    line_key(xml, phone, *button, key);
                }
            }
        }
    }
}

fn sip_line(xml: &mut Xml<'_>, phone: Phone<'_>, button: u16, index: u16, line: &Line) {
    let (settings, options) = (phone.settings, &line.options);
    let calls = options.max_calls.unwrap_or_else(|| calls_a_line(phone));
    let (auth_name, secret) = credentials(&phone.device.lines, line);
    let attributes = [
        ("button", button.to_string()),
        ("lineIndex", index.to_string()),
    ];
    let attributes = attributes
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    xml.nest_with("line", &attributes, |xml| {
        xml.number("featureID", LINE);
        xml.text("featureLabel", line.label());
        xml.text("proxy", &settings.sip_proxy);
        xml.number("port", sip_port(settings));
        xml.text("name", &line.number);
        xml.text("displayName", line.display_name());
        xml.nest("autoAnswer", |xml| {
            // 1 and 2 mean opposite things to different series; 0 and 3 the same to all.
            let (enabled, mode) = match options.auto_answer {
                true => ("3", "Auto Answer with Speakerphone"),
                false => ("0", ""),
            };
            xml.text("autoAnswerEnabled", enabled);
            xml.text("autoAnswerMode", mode);
        });
        xml.section(Section::Line, |name| match name {
            "authName" => Cow::Borrowed(auth_name),
            "authPassword" => Cow::Borrowed(secret),
            "contact" => Cow::Borrowed(&line.number),
            "messageWaitingLampPolicy" => {
                Cow::Owned(options.mwi_lamp.unwrap_or(MWI_LAMP).to_string())
            }
            "messagesNumber" => Cow::Borrowed(&settings.voicemail),
            "ringSettingIdle" => Cow::Owned(options.ring_idle.unwrap_or(RING_IDLE).to_string()),
            "ringSettingActive" => {
                Cow::Owned(options.ring_active.unwrap_or(RING_ACTIVE).to_string())
            }
            _ => Cow::Borrowed(""),
        });
        xml.nest("forwardCallInfoDisplay", |xml| {
            xml.fixed_section(Section::ForwardCallInfo);
        });
        xml.number("maxNumCalls", calls);
        // One call less than the most: the last one is for calling out.
        let busy_trigger = calls.saturating_sub(1).max(1);
        xml.number("busyTrigger", options.busy_trigger.unwrap_or(busy_trigger));
        xml.settable("recordingOption", "disable");
    });
}

fn line_key(xml: &mut Xml<'_>, phone: Phone<'_>, button: u16, key: &LineKey) {
    let number_or = |number: &str| match key.label.as_str() {
        "" => number.to_owned(),
        label => label.to_owned(),
    };
    xml.nest_with(
        "line",
        &[("button", &button.to_string())],
        |xml| match &key.action {
            KeyAction::SpeedDial { number } => {
                xml.number("featureID", SPEED_DIAL);
                xml.text("featureLabel", &number_or(number));
                xml.text("speedDialNumber", number);
            }
            KeyAction::Blf { number } => {
                xml.number("featureID", BUSY_LAMP);
                xml.text("featureLabel", &number_or(number));
                xml.fixed_section(Section::BusyLamp);
                xml.text("speedDialNumber", number);
            }
            KeyAction::Service { name } => {
                xml.number("featureID", SERVICE);
                xml.text("featureLabel", &number_or(name));
                let service = phone.key_services.iter().find(|(known, _)| known == name);
                xml.text("serviceURI", service.map_or("", |(_, url)| url));
            }
            KeyAction::Feature { name } => {
                xml.number("featureID", feature_id(name).unwrap_or_default());
                xml.text("featureLabel", &number_or(name));
            }
        },
    );
}

/// The user and password of a line. Firmware differs: some logs every line in with the first one's,
/// whatever stands with the others, and some takes what stands there. So a line that has none of
/// its own repeats the first one's.
fn credentials<'l>(lines: &'l [Line], line: &'l Line) -> (&'l str, &'l str) {
    let first = lines.first().unwrap_or(line);
    match line.secret.is_empty() && line.auth_name.is_empty() && !first.secret.is_empty() {
        true => (first.auth_name(), &first.secret),
        false => (line.auth_name(), &line.secret),
    }
}

/// A model bounds its calls over all lines, not for each.
fn calls_a_line(phone: Phone<'_>) -> u32 {
    let lines = u32::try_from(phone.device.lines.len()).unwrap_or(u32::MAX);
    let share = |max_calls: u32| max_calls / lines.max(1);
    let share = phone
        .model
        .map_or(CALLS_A_LINE, |model| share(model.max_calls));
    share.clamp(1, CALLS_A_LINE)
}

/// The port of the preferred server; the transport decides which.
fn sip_port(settings: &PhoneSettings) -> u16 {
    let tls = settings.sip_transport == Transport::Tls;
    match settings.servers.first() {
        Some(server) if tls => server.sips_port,
        Some(server) => server.sip_port,
        None if tls => 5061,
        None => 5060,
    }
}
