//! Who there is: the inventory as registrars ask it.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::content::{Change, Listener};
use crate::inventory::{Device, DeviceName, Line, Snapshot};

/// Follows the inventory. Cheap to ask, from any thread.
#[derive(Debug, Default)]
pub struct Directory {
    known: ArcSwap<Known>,
}

#[derive(Debug, Default)]
struct Known {
    snapshot: Option<Arc<Snapshot>>,
    /// Devices and the place of the line in them, by number and by the name a line authenticates
    /// with.
    lines: HashMap<Box<str>, Vec<(DeviceName, usize)>>,
}

/// A line with the device it is on.
#[derive(Clone, Debug)]
pub struct OwnLine {
    pub device: Arc<Device>,
    /// Counted from 0.
    pub at: usize,
}

impl OwnLine {
    pub fn line(&self) -> &Line {
        &self.device.lines[self.at]
    }
}

impl Directory {
    /// Takes over a new state of the inventory.
    pub fn update(&self, snapshot: Arc<Snapshot>) {
        let mut lines: HashMap<Box<str>, Vec<_>> = HashMap::new();
        for device in snapshot.devices.values() {
            for (at, line) in device.lines.iter().enumerate() {
                let place = (device.name, at);
                lines
                    .entry(line.number.as_str().into())
                    .or_default()
                    .push(place);
                if line.auth_name() != line.number {
                    lines
                        .entry(line.auth_name().into())
                        .or_default()
                        .push(place);
                }
            }
        }
        self.known.store(Arc::new(Known {
            snapshot: Some(snapshot),
            lines,
        }));
    }

    pub fn device(&self, name: &DeviceName) -> Option<Arc<Device>> {
        let known = self.known.load();
        known.snapshot.as_ref()?.devices.get(name).cloned()
    }

    /// The lines with this number, or that authenticate by this name, of all devices.
    pub fn lines(&self, user: &str) -> Vec<OwnLine> {
        let known = self.known.load();
        let Some(snapshot) = &known.snapshot else {
            return Vec::new();
        };
        let places = known.lines.get(user).into_iter().flatten();
        let found = places.filter_map(|&(name, at)| {
            let device = snapshot.devices.get(&name)?.clone();
            Some(OwnLine { device, at })
        });
        found.collect()
    }

    /// The whole inventory as of now; none before it was read.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.known.load().snapshot.clone()
    }
}

impl Listener for Directory {
    fn changed(&self, _changes: &[Change]) {}

    fn inventory_changed(&self, snapshot: &Arc<Snapshot>) {
        self.update(Arc::clone(snapshot));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Contents, Site, parse_csv};

    #[test]
    fn lines_are_found_by_number_and_by_the_name_they_authenticate_with() {
        let file = "name,model,protocol,lines\n\
                    SEP000000000001,8851,sip,1001;1002\n\
                    SEP000000000002,8851,sip,1002\n";
        let mut devices = parse_csv(file.as_bytes()).unwrap();
        devices[0].lines[0].auth_name = "anna".into();
        let contents = Contents {
            devices,
            ..Contents::default()
        };
        let directory = Directory::default();
        assert!(directory.lines("1001").is_empty());
        directory.update(Arc::new(Snapshot::new(contents, &Site::default())));
        let found = |user| -> Vec<_> {
            let lines = directory.lines(user).into_iter();
            lines
                .map(|it| (it.device.name.to_string(), it.at))
                .collect()
        };
        let first = ("SEP000000000001".to_owned(), 0);
        assert_eq!(found("1001"), std::slice::from_ref(&first));
        assert_eq!(found("anna"), [first]);
        assert_eq!(found("1002").len(), 2);
        assert!(found("1003").is_empty());
    }
}
