//! A phone as the inventory knows it.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::DeviceName;

/// What a phone registers with; decides the shape of its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Sip,
    Sccp,
}

impl Protocol {
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
        [Self::Sip, Self::Sccp]
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
    /// Digest user of a SIP line; the number if empty.
    pub auth_name: String,
    /// Digest password of a SIP line.
    #[serde(skip)]
    pub secret: String,
}

impl Line {
    pub fn label(&self) -> &str {
        if self.label.is_empty() {
            &self.number
        } else {
            &self.label
        }
    }

    pub fn auth_name(&self) -> &str {
        if self.auth_name.is_empty() {
            &self.number
        } else {
            &self.auth_name
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    #[serde(serialize_with = "as_text")]
    pub name: DeviceName,
    /// A name of [`super::MODELS`], such as `7941`.
    pub model: String,
    pub protocol: Protocol,
    /// The site whose settings go into the configuration.
    pub site: String,
    /// Firmware for this device alone, without `.loads`; else the model's.
    pub load: Option<String>,
    pub description: String,
    pub lines: Vec<Line>,
}

fn as_text<S: serde::Serializer>(name: &DeviceName, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(name)
}
