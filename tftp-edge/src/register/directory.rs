//! Who there is: the inventory as registrars ask it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use super::by_user::ByUser;
use crate::content::{Change, Listener};
use crate::inventory::{Device, DeviceName, Line, Snapshot};

/// Follows the inventory. Cheap to ask, from any thread.
///
/// A change costs what it changes: devices that two snapshots share are not looked at further. The
/// index of lines is changed in place, and in an order in which a line that is in both snapshots is
/// always found: what is new goes in before the snapshot, what is gone goes out after it. It says
/// only which devices to look at; what is on them is read from the snapshot.
#[derive(Debug, Default)]
pub struct Directory {
    snapshot: ArcSwapOption<Snapshot>,
    /// Devices by the numbers of their lines, and by the names these authenticate with.
    by_user: ByUser,
    /// One update at a time: none may overtake another.
    updating: Mutex<()>,
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

type Devices = BTreeMap<DeviceName, Arc<Device>>;

/// The devices of one that the other does not have in the same version, each with that one.
fn differing<'d>(
    of: &'d Devices,
    other: &'d Devices,
) -> impl Iterator<Item = (&'d Arc<Device>, Option<&'d Arc<Device>>)> {
    // Both are in the order of names: one walk brings them together.
    let mut others = other.iter().peekable();
    of.iter().filter_map(move |(name, device)| {
        while others.next_if(|(it, _)| *it < name).is_some() {}
        let same = others.next_if(|(it, _)| *it == name).map(|(_, it)| it);
        match same {
            Some(same) if Arc::ptr_eq(same, device) => None,
            same => Some((device, same)),
        }
    })
}

fn users(device: &Device) -> impl Iterator<Item = &str> {
    device.lines.iter().flat_map(|line| {
        let number = line.number.as_str();
        let name = Some(line.auth_name()).filter(|name| *name != number);
        [number].into_iter().chain(name)
    })
}

fn has_user(device: &Device, user: &str) -> bool {
    users(device).any(|it| it == user)
}

impl Directory {
    /// Takes over a new state of the inventory.
    pub fn update(&self, snapshot: Arc<Snapshot>) {
        let _alone = self.updating.lock();
        let before = self.snapshot.load_full();
        let nobody = Devices::new();
        let old = before.as_ref().map_or(&nobody, |it| &it.devices);
        let new = Arc::clone(&snapshot);
        for (device, was) in differing(&new.devices, old) {
            for user in users(device) {
                if !was.is_some_and(|was| has_user(was, user)) {
                    self.by_user.add(user, device.name);
                }
            }
        }
        self.snapshot.store(Some(snapshot));
        for (device, is) in differing(old, &new.devices) {
            for user in users(device) {
                if !is.is_some_and(|is| has_user(is, user)) {
                    self.by_user.remove(user, device.name);
                }
            }
        }
    }

    pub fn device(&self, name: &DeviceName) -> Option<Arc<Device>> {
        let snapshot = self.snapshot.load();
        snapshot.as_ref()?.devices.get(name).cloned()
    }

    /// The lines with this number, or that authenticate by this name, of all devices.
    pub fn lines(&self, user: &str) -> Vec<OwnLine> {
        let devices = self.by_user.devices(user);
        let devices = devices.iter().filter_map(|name| self.device(name));
        let lines = devices.flat_map(|device| {
            let is_it = |line: &Line| line.number == user || line.auth_name() == user;
            let found = device.lines.iter().enumerate();
            let found = found.filter(|(_, line)| is_it(line)).map(|(at, _)| at);
            let places: Vec<_> = found.collect();
            places.into_iter().map(move |at| OwnLine {
                device: Arc::clone(&device),
                at,
            })
        });
        lines.collect()
    }

    /// The whole inventory as of now; none before it was read.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.load_full()
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

    fn snapshot(rows: &str, name_of_first: &str) -> Arc<Snapshot> {
        let file = format!("name,model,protocol,lines\n{rows}");
        let mut devices = parse_csv(file.as_bytes()).unwrap();
        if let Some(first) = devices.first_mut() {
            first.lines[0].auth_name = name_of_first.into();
        }
        let contents = Contents {
            devices,
            ..Contents::default()
        };
        Arc::new(Snapshot::new(contents, &Site::default()))
    }

    fn found(directory: &Directory, user: &str) -> Vec<(String, usize)> {
        let mut found: Vec<_> = directory
            .lines(user)
            .into_iter()
            .map(|it| (it.device.name.to_string(), it.at))
            .collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn lines_are_found_by_number_and_by_the_name_they_authenticate_with() {
        let rows = "SEP000000000001,8851,sip,1001;1002\nSEP000000000002,8851,sip,1002\n";
        let directory = Directory::default();
        assert!(directory.lines("1001").is_empty());
        directory.update(snapshot(rows, "anna"));
        let first = ("SEP000000000001".to_owned(), 0);
        assert_eq!(found(&directory, "1001"), std::slice::from_ref(&first));
        assert_eq!(found(&directory, "anna"), [first]);
        assert_eq!(found(&directory, "1002").len(), 2);
        assert!(found(&directory, "1003").is_empty());
    }

    #[test]
    fn the_index_follows_lines_that_move_between_devices_and_places() {
        let directory = Directory::default();
        let one = |at| ("SEP000000000001".to_owned(), at);
        let two = |at| ("SEP000000000002".to_owned(), at);
        directory.update(snapshot("SEP000000000001,8851,sip,1001;1002\n", ""));
        assert_eq!(found(&directory, "1002"), [one(1)]);
        let rows = "SEP000000000001,8851,sip,1002;1003\nSEP000000000002,8851,sip,1001\n";
        directory.update(snapshot(rows, "anna"));
        assert_eq!(found(&directory, "1001"), [two(0)]);
        assert_eq!(found(&directory, "1002"), [one(0)]);
        assert_eq!(found(&directory, "anna"), [one(0)]);
        directory.update(snapshot("SEP000000000002,8851,sip,1002\n", ""));
        assert_eq!(found(&directory, "1002"), [two(0)]);
        for gone in ["1001", "1003", "anna"] {
            assert!(found(&directory, gone).is_empty());
        }
        directory.update(snapshot("", ""));
        assert_eq!(directory.by_user.len(), 0, "nothing is left over");
    }
}
