//! The text files of a 7940 or 7960 with SIP firmware: `SIPDefault.cnf` for all of them,
//! `SIP<MAC>.cnf` for one, and `OS79XX.TXT` with the name of the firmware.
//!
//! One parameter a line, `name: "value"`; what the second file says goes before the first. So that
//! phones of different sites get what is theirs, everything stands in the second, and the first
//! serves phones that are not in the inventory.
//!
//! Sources: the files that Cisco's call manager express prints, and Cisco's administrator guide of
//! the SIP 7960 for the rules of daylight saving time.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::legacy_clock::Clock;
use super::{Files, Phone};
use crate::inventory::{KeyAction, Line, PhoneSettings, Section, Value};

/// Lines and proxies that the format has names for.
const MAX_LINES: usize = 6;

/// Speed dials that the format has names for.
const MAX_SPEED_DIALS: usize = 5;

/// What a line says that is not to be used.
const NO_LINE: &str = "UNPROVISIONED";

/// `SIPDefault.cnf`.
pub(super) fn default_file(buffer: &mut Vec<u8>, settings: &PhoneSettings, load: Option<&str>) {
    let mut text = Text::new(buffer);
    // What a dial plan is called by itself.
    let files = Files {
        dial_template: "dialplan.xml",
        ..Files::default()
    };
    shared(&mut text, settings, load, files);
}

/// `SIP<MAC>.cnf`.
pub(super) fn device_file(buffer: &mut Vec<u8>, phone: Phone<'_>) {
    let mut text = Text::new(buffer);
    shared(&mut text, phone.settings, phone.load, phone.files);
    text.line("phone_label", &phone.device.description);
    let lines = &phone.device.lines;
    let places = phone
        .model
        .map_or(lines.len(), |model| usize::from(model.lines));
    for place in 0..places.min(MAX_LINES) {
        line(&mut text, place + 1, lines.get(place));
    }
    let speed_dials = phone
        .device
        .keys
        .values()
        .filter_map(|key| match &key.action {
            KeyAction::SpeedDial { number } | KeyAction::Blf { number } => {
                Some((number, &key.label))
            }
            KeyAction::Service { .. } | KeyAction::Feature { .. } => None,
        });
    for (index, (number, label)) in speed_dials.take(MAX_SPEED_DIALS).enumerate() {
        text.line(&format!("speed_line{}", index + 1), number);
        text.line(&format!("speed_label{}", index + 1), label);
    }
}

/// `OS79XX.TXT`: one line, the image a phone is to run.
///
/// From release 5 on images are signed, and a phone with an older one takes the application under
/// its unsigned name first: `P003…` in place of `P0S3…`. Loads before that have no dashes.
pub(super) fn image_name(buffer: &mut Vec<u8>, load: &str) {
    buffer.clear();
    let name = match load.strip_prefix("P0S3-") {
        Some(release) => format!("P003-{release}"),
        None => load.to_owned(),
    };
    buffer.extend_from_slice(name.as_bytes());
    buffer.push(b'\n');
}

fn shared(text: &mut Text<'_>, settings: &PhoneSettings, load: Option<&str>, files: Files<'_>) {
    if let Some(load) = load {
        text.line("image_version", load);
    }
    proxies(text, settings);
    if !settings.phone_password.is_empty() {
        text.line("phone_password", &settings.phone_password);
    }
    let template = files.dial_template;
    if !template.is_empty() {
        // It is named without its suffix.
        let name = template.rsplit_once('.').map_or(template, |(name, _)| name);
        text.line("dial_template", name);
    }
    let clock = Clock::of(settings);
    text.section(Section::LegacySip, &settings.elements, |name| {
        Some(match name {
            "timer_register_expires" => Cow::Owned(settings.register_expires_s.to_string()),
            "messages_uri" => Cow::Borrowed(&*settings.voicemail),
            "services_url" => Cow::Borrowed(&*settings.services_url),
            "directory_url" => Cow::Borrowed(&*settings.directory_url),
            name => Cow::Borrowed(clock.get(name)?),
        })
    });
}

/// Every line uses the first proxy unless one is named for it.
fn proxies(text: &mut Text<'_>, settings: &PhoneSettings) {
    let by_name = (settings.sip_proxy != "USECALLMANAGER").then_some(&settings.sip_proxy);
    let first = settings.servers.first();
    let address = by_name.or(first.map(|server| &server.host));
    text.line("proxy1_address", address.map_or("", String::as_str));
    text.line(
        "proxy1_port",
        &first.map_or(5060, |server| server.sip_port).to_string(),
    );
    for (name, server) in [
        ("proxy_backup", settings.servers.get(1)),
        ("proxy_emergency", settings.srst.first()),
    ] {
        text.line(name, server.map_or("", |server| &server.host));
        let port = server.map_or(5060, |server| server.sip_port);
        text.line(&format!("{name}_port"), &port.to_string());
    }
}

fn line(text: &mut Text<'_>, index: usize, line: Option<&Line>) {
    let of = |value: fn(&Line) -> &str, none| line.map_or(none, value);
    for (name, value) in [
        ("name", of(|line| &line.number, "")),
        ("shortname", of(Line::label, "")),
        ("displayname", of(Line::display_name, "")),
        ("authname", of(Line::auth_name, NO_LINE)),
        ("password", of(|line| &line.secret, NO_LINE)),
    ] {
        text.line(&format!("line{index}_{name}"), value);
    }
}

/// A file written line by line.
struct Text<'b> {
    buffer: &'b mut Vec<u8>,
}

impl<'b> Text<'b> {
    fn new(buffer: &'b mut Vec<u8>) -> Self {
        buffer.clear();
        Self { buffer }
    }

    fn line(&mut self, name: &str, value: &str) {
        self.buffer.extend_from_slice(name.as_bytes());
        self.buffer.extend_from_slice(b": \"");
        self.buffer.extend_from_slice(quotable(value).as_bytes());
        self.buffer.extend_from_slice(b"\"\n");
    }

    /// The parameters of a section; one that is derived and has no value is left to the phone.
    fn section<'v>(
        &mut self,
        section: Section,
        set: &BTreeMap<String, String>,
        derived: impl Fn(&str) -> Option<Cow<'v, str>>,
    ) {
        for parameter in section.elements() {
            match (set.get(parameter.name), parameter.value) {
                (Some(set), _) => self.line(parameter.name, set),
                (None, Value::Text(text)) => self.line(parameter.name, text),
                (None, Value::Derived | Value::Key(_)) => {
                    if let Some(value) = derived(parameter.name) {
                        self.line(parameter.name, &value);
                    }
                }
                (None, Value::LeftOut) => {}
            }
        }
    }
}

/// The format has no way to write a quote or the end of a line inside of a value.
pub(super) fn quotable(value: &str) -> Cow<'_, str> {
    let fits = |c: char| c != '"' && !c.is_control();
    match value.chars().all(fits) {
        true => Cow::Borrowed(value),
        false => Cow::Owned(
            value
                .chars()
                .filter(|c| !c.is_control())
                .map(|c| if c == '"' { '\'' } else { c })
                .collect(),
        ),
    }
}
