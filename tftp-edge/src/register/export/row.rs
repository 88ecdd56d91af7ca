//! One registration as others read it.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::clock::Reading;
use crate::inventory::{DEFAULT_SITE, Device, DeviceName, Protocol, Snapshot};
use crate::register::{Registration, Transport};

/// A registered phone; see the module for its JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub device: DeviceName,
    pub protocol: Protocol,
    pub transport: Transport,
    pub address: IpAddr,
    pub port: u16,
    pub lines: Vec<Line>,
    pub site: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<String>,
    /// Unix seconds.
    pub since: u64,
    pub expires: u64,
    pub connected: bool,
}

/// A line and what reaches it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub number: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
}

impl Row {
    /// With what the inventory knows of the phone.
    pub fn new(registration: &Registration, inventory: Option<&Snapshot>) -> Self {
        let device = inventory.and_then(|it| it.devices.get(&registration.device));
        let of_type = |id| inventory?.models.iter().find(|it| it.type_id == Some(id));
        // What the phone says of itself goes before what somebody wrote.
        let model = registration.type_id.and_then(of_type);
        let model = model.map(|it| it.name.to_string());
        let source = registration.source.ip().to_canonical();
        let site = match (device, inventory) {
            (Some(device), _) => device.site.as_str(),
            (None, Some(inventory)) => inventory.site_at(source),
            (None, None) => DEFAULT_SITE,
        };
        // As the clock of whoever reads it has it.
        let clocks = Reading::now();
        Self {
            device: registration.device,
            protocol: registration.protocol,
            transport: registration.transport,
            address: source,
            port: registration.source.port(),
            lines: lines(registration, device.map(AsRef::as_ref)),
            site: site.to_owned(),
            model: model.or_else(|| device.map(|it| it.model.clone())),
            load: registration.load.as_deref().map(str::to_owned),
            since: unix_seconds(clocks.to_wall(registration.since)),
            expires: unix_seconds(clocks.to_wall(registration.expires)),
            connected: registration.connection.is_some()
                || !registration.transport.has_connections(),
        }
    }
}

fn lines(registration: &Registration, device: Option<&Device>) -> Vec<Line> {
    let numbers = device.into_iter().flat_map(|it| &it.lines);
    let numbers = numbers.map(|line| line.number.as_str());
    if registration.protocol == Protocol::Sccp {
        let line = |number: &str| Line {
            number: number.to_owned(),
            contact: None,
        };
        return numbers.map(line).collect();
    }
    let line = |number: &str, contact: &str| Line {
        number: number.to_owned(),
        contact: Some(contact.to_owned()),
    };
    let bindings = &registration.bindings;
    let own = bindings.iter().map(|it| line(&it.line, &it.contact));
    let mut lines: Vec<_> = own.collect();
    if let Some(all) = bindings.iter().find(|it| it.all_lines) {
        for number in numbers {
            if !lines.iter().any(|it| it.number == number) {
                lines.push(line(number, &all.contact));
            }
        }
    }
    lines
}

pub(super) fn unix_seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
