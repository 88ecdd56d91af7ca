//! A phone as the inventory knows it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{DeviceName, LineKey};

/// What a phone registers with; decides the shape of its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Sip,
    Sccp,
}

impl Protocol {
    pub const ALL: [Self; 2] = [Self::Sip, Self::Sccp];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sip => "sip",
            Self::Sccp => "sccp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Protocol {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|protocol| text.eq_ignore_ascii_case(protocol.as_str()))
            .ok_or(())
    }
}

/// One directory number on a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Line {
    pub number: String,
    /// Shown beside the line key; the number if empty.
    pub label: String,
    /// The caller's name shown to the other side; the label if empty.
    pub display_name: String,
    /// Digest user of a SIP line; the number if empty.
    pub auth_name: String,
    /// Digest password of a SIP line.
    #[serde(skip)]
    pub secret: String,
    pub options: LineOptions,
}

/// What a line does differently from the others; nothing set is what phones do by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LineOptions {
    /// The most calls at one time.
    pub max_calls: Option<u32>,
    /// Calls from which on a further one hears the busy tone.
    pub busy_trigger: Option<u32>,
    pub auto_answer: bool,
    /// Rings when idle: 0 to 4, as `ringSettingIdle`.
    pub ring_idle: Option<u8>,
    /// Rings in a call: 0 to 5, as `ringSettingActive`.
    pub ring_active: Option<u8>,
    /// The lamp of the handset for a waiting message: 0 to 6, as `messageWaitingLampPolicy`.
    pub mwi_lamp: Option<u8>,
}

impl Line {
    pub fn label(&self) -> &str {
        first_set(&[&self.label, &self.number])
    }

    pub fn display_name(&self) -> &str {
        first_set(&[&self.display_name, &self.label, &self.number])
    }

    pub fn auth_name(&self) -> &str {
        first_set(&[&self.auth_name, &self.number])
    }
}

fn first_set<'t>(texts: &[&'t String]) -> &'t str {
    let set = texts.iter().find(|text| !text.is_empty());
    set.map_or("", |text| text.as_str())
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    pub name: DeviceName,
    /// The name of a [`super::Model`], such as `7941`.
    pub model: String,
    pub protocol: Protocol,
    /// The site whose settings go into the configuration.
    pub site: String,
    /// The profile laid over them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Firmware for this device alone, without `.loads`; else the model's.
    pub load: Option<String>,
    pub description: String,
    /// The user the phone belongs to.
    pub owner: String,
    /// They take the buttons from the first on that `keys` leaves free.
    pub lines: Vec<Line>,
    /// What the other buttons do, by number from 1; those of add-on modules go on counting.
    pub keys: BTreeMap<u16, LineKey>,
    /// Add-on modules in their order, by the name of their model.
    pub modules: Vec<String>,
    /// Settings of this device alone, laid over the profile's.
    #[serde(serialize_with = "super::settings::without_secrets")]
    pub settings: BTreeMap<String, String>,
}

impl Device {
    /// A device without lines, in the site `default`.
    pub fn new(name: DeviceName, model: impl Into<String>, protocol: Protocol) -> Self {
        Self {
            name,
            model: model.into(),
            protocol,
            site: super::DEFAULT_SITE.into(),
            profile: None,
            load: None,
            description: String::new(),
            owner: String::new(),
            lines: Vec::new(),
            keys: BTreeMap::new(),
            modules: Vec::new(),
            settings: BTreeMap::new(),
        }
    }

    /// Each line with the button it is on.
    pub fn lines_on_buttons(&self) -> impl Iterator<Item = (u16, &Line)> {
        let free = (1..).filter(|button| !self.keys.contains_key(button));
        free.zip(&self.lines)
    }
}
