//! Taking off what is pinned, whoever pinned it and in whatever layout.

use std::fs;
use std::os::fd::AsFd as _;
use std::path::Path;

use super::object::Kind;
use super::reserved::{self, Kept, PORTS};
use super::{LINKS, NAMESPACE, Pinned, interface_of};
use crate::kernel::ports::{Ports, RESERVED};
use crate::kernel::sys;

/// What was taken off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Interfaces, each with the rung.
    pub links: Vec<(String, String)>,
    pub maps: usize,
    /// Ports that are not reserved any more.
    pub ports: Ports,
    /// Ports that stay reserved.
    pub kept: Vec<Kept>,
    /// Pins that could not be removed, and why.
    pub failed: Vec<String>,
}

impl Removed {
    /// Says in the log what is still there.
    pub(super) fn log_left(&self) {
        for Kept { ports, error, .. } in &self.kept {
            tracing::warn!(
                event = "kernel.ports_kept", range = %ports, error, file = RESERVED,
                "the ports stay reserved"
            );
        }
        for problem in &self.failed {
            tracing::error!(
                event = "kernel.pin_left",
                problem,
                "a pin could not be removed"
            );
        }
    }
}

/// Removes a pin or a directory of them, and says so in the log.
pub(super) fn take_off(path: &Path, why: &str) -> Removed {
    let mut removed = Removed::default();
    remove(path, &mut removed);
    let interfaces: Vec<_> = removed
        .links
        .iter()
        .map(|(interface, rung)| format!("{interface} {rung}"))
        .collect();
    tracing::warn!(
        event = "kernel.pins_removed", file = %path.display(), problem = why,
        interfaces = interfaces.join(", "), maps = removed.maps, ports = %removed.ports,
        "took off what a daemon before had left"
    );
    removed.log_left();
    removed
}

/// Removes what a daemon needs that serves, and leaves it the ports that it has reserved.
pub(super) fn remove_of_running(version: &Path, removed: &mut Removed) {
    for name in super::names_in(version) {
        if name != PORTS && name != NAMESPACE {
            remove(&version.join(name), removed);
        }
    }
}

/// Removes a pin or a directory of them. Links first: what they are attached to refers to the maps.
/// Ports that are recorded in it are given back; if that is not possible, their record stays for
/// whoever can. That of another network namespace makes room for the pins of this one.
pub(super) fn remove(path: &Path, removed: &mut Removed) {
    remove_pins(path, removed, |kept| !kept.is_elsewhere);
}

/// The same for a version that no daemon takes the place of: its record stays in any case.
pub(super) fn remove_by_hand(version: &Path, removed: &mut Removed) {
    remove_pins(version, removed, |_| true);
}

fn remove_pins(path: &Path, removed: &mut Removed, stays: fn(&Kept) -> bool) {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return;
    };
    let done = if metadata.is_dir() {
        remove(&path.join(LINKS), removed);
        // Not before: the programs answer from these ports as long as they are attached.
        match reserved::give_back(path) {
            Ok(ports) if ports.is_empty() => {}
            Ok(ports) => removed.ports = removed.ports.with(&ports),
            Err(kept) => {
                let stays = stays(&kept);
                removed.kept.push(kept);
                if stays {
                    return remove_of_running(path, removed);
                }
            }
        }
        for name in super::names_in(path) {
            remove(&path.join(name), removed);
        }
        fs::remove_dir(path)
    } else {
        detach(path, removed);
        fs::remove_file(path)
    };
    if let Err(error) = done {
        removed.failed.push(format!("{}: {error}", path.display()));
    }
}

/// A link that loses its last reference lets go of its interface some time later: this does it now,
/// so that another can be attached there.
fn detach(path: &Path, removed: &mut Removed) {
    let Ok(pinned) = Pinned::open(path) else {
        return;
    };
    match pinned.kind {
        Kind::Map => removed.maps += 1,
        Kind::Other => {}
        Kind::Link => {
            let named = path.file_name().and_then(|it| interface_of(it.to_str()?));
            let (name, rung) = match named {
                Some((name, rung)) => (Some(name), rung.to_owned()),
                None => (None, "program".to_owned()),
            };
            // The interface may have another name now; one that is gone took its link along.
            let at = pinned.ifindex().and_then(crate::kernel::host::name_of);
            let interface = at.or(name).unwrap_or_else(|| "?".to_owned());
            let _ = sys::detach_link(pinned.descriptor.as_fd());
            removed.links.push((interface, rung));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The directory of a version whose ports are of a network namespace that is not this one.
    fn elsewhere() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let version = folder.path().join("v5");
        for pin in ["links", "maps", "netns/1", "ports/40000-40100"] {
            fs::create_dir_all(version.join(pin)).unwrap();
        }
        (folder, version)
    }

    #[test]
    fn by_hand_the_record_of_ports_of_another_namespace_stays() {
        let (_folder, version) = elsewhere();
        let mut removed = Removed::default();
        remove_by_hand(&version, &mut removed);
        assert!(removed.failed.is_empty(), "{removed:?}");
        let text = removed.kept[0].to_string();
        assert!(text.contains("40000-40100 stay reserved"), "{text}");
        assert_eq!(super::super::names_in(&version), [NAMESPACE, PORTS]);
    }

    #[test]
    fn a_daemon_takes_the_place_of_one_of_another_namespace() {
        let (_folder, version) = elsewhere();
        let mut removed = Removed::default();
        remove(&version, &mut removed);
        assert!(removed.failed.is_empty() && removed.ports.is_empty());
        assert!(removed.kept[0].is_elsewhere);
        assert!(!version.exists());
    }
}
