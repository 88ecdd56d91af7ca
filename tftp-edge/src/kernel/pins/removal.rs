//! Taking off what is pinned, whoever pinned it and in whatever layout.

use std::fs;
use std::os::fd::AsFd as _;
use std::path::Path;

use super::object::Kind;
use super::reserved::{self, Kept, PORTS};
use super::{NAMESPACE, Pinned, interface_of};
use crate::kernel::ports::Ports;
use crate::kernel::sys;

/// What was taken off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Interfaces, each with the rung.
    pub links: Vec<(String, String)>,
    pub maps: usize,
    /// Ports that are not reserved any more.
    pub ports: Ports,
    /// What could not be removed, and why.
    pub failed: Vec<String>,
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
    for problem in &removed.failed {
        tracing::error!(
            event = "kernel.pin_left",
            problem,
            "a pin could not be removed"
        );
    }
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
/// whoever can.
pub(super) fn remove(path: &Path, removed: &mut Removed) {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return;
    };
    let done = if metadata.is_dir() {
        match reserved::give_back(path) {
            Ok(ports) if ports.is_empty() => {}
            Ok(ports) => removed.ports = removed.ports.with(&ports),
            Err(kept) => {
                removed.failed.push(kept.to_string());
                if matches!(kept, Kept::Failed(..)) {
                    return remove_of_running(path, removed);
                }
            }
        }
        let mut names = super::names_in(path);
        names.sort_by_key(|name| (name != super::LINKS, name.clone()));
        for name in names {
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
