//! The devices of which everything is logged, whatever the level.
//!
//! An event is about a device if its field `device` says so, if its field `file` has the device's
//! name in it, as in `SEP001122334455.cnf.xml`, or if its field `peer` is an address the device is
//! known at: the one it is registered from, and those that events about it have named.

use std::fmt::{self, Write};
use std::net::{IpAddr, SocketAddr};

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata};

use crate::inventory::DeviceName;

/// Devices that can be followed at once.
pub const DEVICES_MAX: usize = 16;
/// Addresses of each that are known at once; the oldest makes room.
const ADDRESSES_MAX: usize = 4;
/// The fields that tell whom an event is about. `contrib/logging.md` has them, too.
const TELLING: [&str; 3] = ["device", "file", "peer"];
/// As much of a value as is looked at.
const VALUE_MAX: usize = 256;

/// A device that is followed, and where it is known to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traced {
    pub device: DeviceName,
    pub addresses: Vec<IpAddr>,
}

#[derive(Debug, Default)]
pub(super) struct TracedSet {
    devices: RwLock<Vec<Traced>>,
}

impl TracedSet {
    pub(super) fn new(devices: impl IntoIterator<Item = DeviceName>) -> Self {
        let traced = |device| Traced {
            device,
            addresses: Vec::new(),
        };
        let devices = devices.into_iter().take(DEVICES_MAX).map(traced).collect();
        Self {
            devices: RwLock::new(devices),
        }
    }

    pub(super) fn list(&self) -> Vec<Traced> {
        self.devices.read().clone()
    }

    /// Looks up where each of them is now.
    pub(super) fn locate(&self, mut address_of: impl FnMut(&DeviceName) -> Option<IpAddr>) {
        for traced in &mut *self.devices.write() {
            if let Some(address) = address_of(&traced.device) {
                traced.learn(address);
            }
        }
    }

    /// Whether a callsite has a field that could tell.
    pub(super) fn may_tell(metadata: &Metadata<'_>) -> bool {
        let fields = metadata.fields();
        metadata.target().starts_with("tftp_edge")
            && TELLING.iter().any(|field| fields.field(field).is_some())
    }

    pub(super) fn takes(&self, event: &Event<'_>) -> bool {
        let mut told = Told::default();
        event.record(&mut told);
        let devices = self.devices.read();
        let is_named = |traced: &Traced| told.names(traced.device.as_str());
        let Some(at) = devices.iter().position(is_named) else {
            // Several phones may share an address, as behind NAT.
            return !told.names_somebody()
                && told.peer.is_some_and(|peer| {
                    let mut all = devices.iter().flat_map(|traced| &traced.addresses);
                    all.any(|address| *address == peer)
                });
        };
        // It is asked from there: what else comes from there is about it, too.
        if let Some(peer) = told.peer
            && !devices[at].addresses.contains(&peer)
        {
            drop(devices);
            if let Some(traced) = self.devices.write().get_mut(at) {
                traced.learn(peer);
            }
        }
        true
    }
}

impl Traced {
    fn learn(&mut self, address: IpAddr) {
        let address = address.to_canonical();
        if self.addresses.contains(&address) {
            return;
        }
        if self.addresses.len() == ADDRESSES_MAX {
            self.addresses.remove(0);
        }
        self.addresses.push(address);
    }
}

/// What an event says of whom it is about.
#[derive(Default)]
struct Told {
    device: Value,
    file: Value,
    peer: Option<IpAddr>,
}

impl Told {
    /// Phones, and the catalog, write names of files in any case.
    fn names(&self, device: &str) -> bool {
        let device = device.to_ascii_uppercase();
        self.device.0.contains(&device) || self.file.0.contains(&device)
    }

    fn names_somebody(&self) -> bool {
        !self.device.0.is_empty()
            || DeviceName::of_file(&self.file.0.to_ascii_lowercase()).is_some()
    }

    fn take(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let mut text = Value::default();
        // Stops at the bound.
        let _ = text.write_fmt(value);
        text.0.make_ascii_uppercase();
        match field.name() {
            "device" => self.device = text,
            "file" => self.file = text,
            "peer" => self.peer = address(&text.0),
            _ => {}
        }
    }
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        if TELLING.contains(&field.name()) {
            self.take(field, format_args!("{value}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if TELLING.contains(&field.name()) {
            self.take(field, format_args!("{value:?}"));
        }
    }
}

/// A text with a bound.
#[derive(Default)]
struct Value(String);

impl Write for Value {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > VALUE_MAX {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

/// With or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = text.parse().map(|it: SocketAddr| it.ip());
    let address = with_port.or_else(|_| text.parse()).ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_a_device_are_few_and_the_newest() {
        let name: DeviceName = "SEP001122334455".parse().unwrap();
        let set = TracedSet::new([name]);
        for last in 0..10 {
            set.locate(|_| Some(IpAddr::from([10, 0, 0, last])));
            set.locate(|_| Some(IpAddr::from([10, 0, 0, last])));
        }
        let addresses: Vec<_> = (6..10).map(|last| IpAddr::from([10, 0, 0, last])).collect();
        assert_eq!(set.list()[0].addresses, addresses);
    }

    #[test]
    fn an_address_counts_however_it_is_written() {
        let address_of = |text| address(text).map(|it| it.to_string());
        for text in ["10.0.0.1", "10.0.0.1:69", "[::ffff:10.0.0.1]:5060"] {
            assert_eq!(address_of(text).as_deref(), Some("10.0.0.1"), "{text}");
        }
        assert_eq!(
            address_of("[2001:db8::1]:69").as_deref(),
            Some("2001:db8::1")
        );
        assert_eq!(address_of("?"), None);
    }

    #[test]
    fn a_value_without_end_is_looked_at_to_the_bound() {
        let mut value = Value::default();
        assert!((0..1_000).any(|_| value.write_str("0123456789").is_err()));
        assert!(value.0.len() <= VALUE_MAX);
    }
}
