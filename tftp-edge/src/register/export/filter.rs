//! Which registrations somebody wants to read of.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use super::Row;
use crate::inventory::{DeviceName, Protocol};

/// All of what is given has to fit; nothing given is everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// The number of one of the lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
}

/// Why a query is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    #[error("there is no filter {0:?}; use device, site, protocol or line")]
    Key(String),
    #[error("{key}: {value:?} is no {key}; use {example}")]
    Value {
        key: &'static str,
        value: String,
        example: &'static str,
    },
}

impl Filter {
    /// Of the query of a URI, such as `site=berlin&protocol=sip`.
    pub fn parse(query: &str) -> Result<Self, FilterError> {
        let mut filter = Self::default();
        for pair in query.split('&').filter(|it| !it.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value);
            let wrong = |key, example| FilterError::Value {
                key,
                value: value.clone().into_owned(),
                example,
            };
            match key {
                "device" => {
                    let device = value
                        .parse()
                        .map_err(|_| wrong("device", "SEP001122334455"))?;
                    filter.device = Some(device);
                }
                "protocol" => {
                    let protocol = value
                        .parse()
                        .map_err(|()| wrong("protocol", "sip or sccp"))?;
                    filter.protocol = Some(protocol);
                }
                "site" => filter.site = Some(value.into_owned()),
                "line" => filter.line = Some(value.into_owned()),
                other => return Err(FilterError::Key(other.to_owned())),
            }
        }
        Ok(filter)
    }

    pub fn takes(&self, row: &Row) -> bool {
        let has_line = |number: &String| row.lines.iter().any(|it| it.number == *number);
        self.device.is_none_or(|it| it == row.device)
            && self.site.as_ref().is_none_or(|it| *it == row.site)
            && self.protocol.is_none_or(|it| it == row.protocol)
            && self.line.as_ref().is_none_or(has_line)
    }
}

/// As forms have it: `+` is a space.
fn decoded(value: &str) -> Cow<'_, str> {
    let spaced = value.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8_lossy();
    Cow::Owned(decoded.into_owned())
}
