//! Which device and line a REGISTER is from.
//!
//! A phone says it itself, in this order: by the parameter `+u.sip!devicename` of its contact, by
//! the MAC address in its `+sip.instance`, by `Name=` in the Reason. One that says nothing (7940,
//! 7960, phones of other makers) is the device that has the line, if there is only one.

use std::sync::Arc;

use crate::inventory::{Device, DeviceName, Line, Mac, Protocol};
use crate::register::sip::cisco::{Claims, Reason};
use crate::register::{Directory, Refusal};

/// A device of the inventory and the place of the line in it.
#[derive(Clone, Debug)]
pub struct Known {
    pub device: Arc<Device>,
    pub at: usize,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Who {
    /// As the phone says, or as its line says.
    pub name: Option<DeviceName>,
    /// It names itself: there is one phone of that name.
    pub says_name: bool,
    pub type_id: Option<u32>,
    pub known: Result<Known, Refusal>,
}

impl Who {
    /// By what the phone says of itself, and the user of its address of record.
    pub fn find(
        directory: &Directory,
        user: &str,
        claims: &Claims,
        reason: Option<&Reason<'_>>,
    ) -> Self {
        let of_mac = || claims.mac.map(|mac| device_with(directory, mac));
        let of_reason = || reason.and_then(Reason::device);
        let said = claims.device.or_else(of_mac).or_else(of_reason);
        let device = match said {
            Some(name) => directory.device(&name),
            None => only_device_with(directory, user),
        };
        let known = match device {
            None => Err(Refusal::UnknownDevice),
            Some(device) if device.protocol != Protocol::Sip => Err(Refusal::ProtocolMismatch),
            Some(device) => match place_of(&device.lines, user) {
                Some(at) => Ok(Known { device, at }),
                None => Err(Refusal::LineMismatch),
            },
        };
        Self {
            name: said.or_else(|| known.as_ref().ok().map(|it| it.device.name)),
            says_name: said.is_some(),
            type_id: claims.type_id,
            known,
        }
    }
}

impl Known {
    pub fn line(&self) -> &Line {
        &self.device.lines[self.at]
    }

    /// The password of a user of this line: its own, or the first line's. Some firmware logs every
    /// line in with the first one's, and a line that has none is configured with them.
    pub fn secret(&self, username: &[u8]) -> Option<&str> {
        let first = self.device.lines.first();
        let mut lines = [Some(self.line()), first].into_iter().flatten();
        let line =
            lines.find(|it| !it.secret.is_empty() && it.auth_name().as_bytes() == username)?;
        Some(&line.secret)
    }

    pub fn has_secret(&self) -> bool {
        let first = self.device.lines.first();
        !self.line().secret.is_empty() || first.is_some_and(|it| !it.secret.is_empty())
    }
}

/// The device with an address; the name of a desk phone, if there is none.
fn device_with(directory: &Directory, mac: Mac) -> DeviceName {
    let sep = DeviceName::sep(mac);
    let of_prefix = |prefix: &str| format!("{prefix}{mac}").parse().ok();
    let others = ["SIP", "ATA"].into_iter().filter_map(of_prefix);
    let mut names = std::iter::once(sep).chain(others);
    names
        .find(|name| directory.device(name).is_some())
        .unwrap_or(sep)
}

/// Of a line on several devices nobody can tell which one asks.
fn only_device_with(directory: &Directory, user: &str) -> Option<Arc<Device>> {
    let mut lines = directory.lines(user);
    let line = lines.pop()?;
    lines
        .iter()
        .all(|it| it.device.name == line.device.name)
        .then_some(line.device)
}

/// A line by its number, or by the name it authenticates with.
fn place_of(lines: &[Line], user: &str) -> Option<usize> {
    let by_number = lines.iter().position(|it| it.number == user);
    by_number.or_else(|| lines.iter().position(|it| it.auth_name() == user))
}
