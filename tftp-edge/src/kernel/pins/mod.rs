//! What outlives the daemon: its maps, and the links by which its programs are attached, pinned in
//! a BPF file system.
//!
//! While no daemon is there the programs go on answering with what they have, until their lease is
//! over. The next daemon adopts what fits it, puts its own programs in the place of those that are
//! attached, and takes off the rest.
//!
//! ```text
//! PIN_PATH/              locked by the daemon that runs
//!   v5/                  the version of the layout of all maps
//!     netns/4026531840   the network namespace whose interfaces these are
//!     ports/57344-65535  ports that are reserved in it for transfers, and were not before
//!     maps/FILES …       every map of the object, by its name
//!     banks/0 …          the inner maps of SLABS: to open them by their id is root's alone
//!     links/eth0-xdp     and eth0-tc
//! ```
//!
//! A BPF file system has no files but pins, and refuses names with a dot in them: it keeps those for
//! itself. An interface's name has no colon, which stands for the dot here.

mod claim;
pub mod command;
mod fit;
mod links;
mod object;
mod removal;
mod reserved;

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tftp_ebpf::abi::ABI_VERSION;
use tftp_ebpf::verdict::Rung;

pub use claim::{Claim, ClaimError};
pub use fit::{Shape, fits};
pub use links::{Linked, adopt, attach_pinned};
use object::Pinned;
pub use removal::Removed;

use super::host;

/// Whether maps and programs outlive the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinsStatus {
    /// Where they are pinned; none if they are not to be.
    pub path: Option<PathBuf>,
    /// Whether those of the daemon before were adopted.
    pub adopted: bool,
    /// What is not pinned, why, and what to do.
    pub problem: Option<String>,
}

/// The pins, if there may be any.
#[derive(Clone, Debug, Default)]
pub struct Pinning {
    pub pins: Option<Arc<Pins>>,
    pub status: PinsStatus,
}

impl Pinning {
    /// Takes off what nobody can use any more: pins of other versions, and links whose interfaces are
    /// gone or have other names now.
    pub fn open(claim: Claim) -> Self {
        Self {
            status: claim.status(),
            pins: Pins::survey(claim).map(Arc::new),
        }
    }

    /// Takes everything off that a daemon before has left.
    pub fn clear(&self, why: &str) {
        if let Some(pins) = &self.pins
            && pins.are_there()
        {
            pins.take_off(why);
        }
    }

    /// Nothing is pinned after all.
    pub fn give_up(&mut self) {
        if let Some(pins) = self.pins.take() {
            pins.end();
            self.status.problem = pins.problem.lock().clone();
        }
    }

    pub fn status(&self) -> PinsStatus {
        match &self.pins {
            Some(pins) => PinsStatus {
                path: Some(pins.path.clone()),
                adopted: self.status.adopted,
                problem: pins.problem.lock().clone().or_else(|| pins.lack()),
            },
            None => self.status.clone(),
        }
    }
}

/// The pins of the daemon that holds the lock on their directory.
#[derive(Debug)]
pub struct Pins {
    /// The directory of this version.
    path: PathBuf,
    problem: Mutex<Option<String>>,
    /// Gives the lock back when it is dropped.
    _claim: Claim,
}

impl Pins {
    fn survey(claim: Claim) -> Option<Self> {
        let root = claim.directory()?.to_owned();
        let own = format!("v{ABI_VERSION}");
        for name in versions_in(&root) {
            if name != own {
                removal::take_off(&root.join(name), "of another version");
            }
        }
        let pins = Self {
            path: root.join(own),
            problem: Mutex::default(),
            _claim: claim,
        };
        // Now, since an interface has room for one XDP program: under its other name it may be one
        // that is to be served.
        pins.take_off_links("its interface is gone, or has another name now", |name| {
            let pinned = Pinned::open(&pins.path.join(LINKS).join(name)).ok();
            let at = pinned.and_then(|it| host::name_of(it.ifindex()?));
            at != interface_of(name).map(|(interface, _)| interface)
        });
        Some(pins)
    }

    /// Takes off the links that are not among these: of interfaces that the configuration does not
    /// have any more, of former members of bonds, and of rungs that are not climbed now. The programs
    /// are where they belong by then: nothing that is served on is interrupted.
    pub fn keep_only(&self, held: impl Iterator<Item = (String, Rung)>) {
        let held: HashSet<String> = held.map(|(name, rung)| file_of(&name, rung)).collect();
        self.take_off_links("of an interface or a rung that is not wanted now", |name| {
            !held.contains(name)
        });
    }

    fn take_off_links(&self, why: &str, is_meant: impl Fn(&str) -> bool) {
        let links = self.path.join(LINKS);
        for name in names_in(&links) {
            if is_meant(&name) {
                removal::take_off(&links.join(name), why);
            }
        }
    }

    /// The pins in a folder that is no BPF file system.
    #[cfg(test)]
    pub fn in_folder(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            problem: Mutex::default(),
            _claim: Claim::default(),
        }
    }

    /// Whether a daemon before has left anything.
    pub fn are_there(&self) -> bool {
        self.path.exists()
    }

    /// Makes the directories for pins of this network namespace.
    pub fn create(&self) -> io::Result<()> {
        for directory in [MAPS, BANKS, LINKS, NAMESPACE] {
            fs::create_dir_all(self.path.join(directory))?;
        }
        fs::create_dir_all(self.path.join(NAMESPACE).join(namespace()?))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn maps(&self) -> PathBuf {
        self.path.join(MAPS)
    }

    pub fn banks(&self) -> PathBuf {
        self.path.join(BANKS)
    }

    fn link(&self, interface: &str, rung: Rung) -> PathBuf {
        self.path.join(LINKS).join(file_of(interface, rung))
    }

    /// Takes everything off.
    pub fn take_off(&self, why: &str) -> Removed {
        removal::take_off(&self.path, why)
    }

    /// The link that is pinned for an interface.
    pub fn open_link(&self, interface: &str, rung: Rung) -> Option<OwnedFd> {
        let pinned = Pinned::open(&self.link(interface, rung)).ok()?;
        Some(pinned.descriptor)
    }

    /// Whether there is anything for the daemon that comes next.
    pub fn are_whole(&self) -> bool {
        self.maps().exists()
    }

    /// Somebody has removed what this daemon had pinned.
    fn lack(&self) -> Option<String> {
        (!self.are_whole()).then(|| {
            "the pins were removed, as `tftp-edge detach --force` does: the kernel path ends with the \
             daemon; restart it to have them again"
                .to_owned()
        })
    }

    /// Takes the program off an interface, if there is a pin of it.
    pub fn take_off_link(&self, interface: &str, rung: Rung, why: &str) {
        let path = self.link(interface, rung);
        if path.exists() {
            removal::take_off(&path, why);
        }
    }

    /// Takes the program off an interface in the ordinary course of things.
    pub fn end_link(&self, interface: &str, rung: Rung) {
        removal::remove(&self.link(interface, rung), &mut Removed::default());
    }

    /// Takes the maps off when no link is left, in the ordinary course of things.
    pub fn end(&self) {
        let mut removed = Removed::default();
        removal::remove(&self.path, &mut removed);
        removed.log_left();
    }

    /// Something could not be pinned. It is said once.
    pub fn failed(&self, what: &str, problem: &str) {
        let mut first = self.problem.lock();
        if first.is_none() {
            let problem = format!(
                "{what} could not be pinned: {problem}; a restart of the daemon interrupts what \
                 the kernel serves"
            );
            tracing::warn!(event = "kernel.unpinned", %problem, "the kernel path ends with the daemon");
            *first = Some(problem);
        }
    }
}

const MAPS: &str = "maps";
const BANKS: &str = "banks";
const LINKS: &str = "links";
const NAMESPACE: &str = "netns";

/// The name of a link's pin.
fn file_of(interface: &str, rung: Rung) -> String {
    format!("{}-{}", interface.replace('.', ":"), rung.as_str())
}

/// The interface of a link's pin, and the rung, by its name.
fn interface_of(file: &str) -> Option<(String, &str)> {
    let (interface, rung) = file.rsplit_once('-')?;
    Some((interface.replace(':', "."), rung))
}

/// What identifies the network namespace that this thread is in.
fn namespace() -> io::Result<String> {
    Ok(fs::metadata("/proc/thread-self/ns/net")?.ino().to_string())
}

/// The names in a directory; none if it is not there.
fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

/// The directories of all versions. What else is there is somebody else's: the path may be one that
/// others pin under, too.
fn versions_in(root: &Path) -> Vec<String> {
    let is_version = |name: &String| {
        let number = name.strip_prefix('v');
        // A number that is parsed may have a sign.
        let is_number = |it: &str| it.bytes().all(|it| it.is_ascii_digit());
        number.is_some_and(|it| is_number(it) && it.parse::<u32>().is_ok())
    };
    let mut names = names_in(root);
    names.retain(is_version);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_have_beside_the_versions_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["v4", "v12", "vlan", "v", "xdp", "v4x", "v+5", "tftp-edge"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        assert_eq!(versions_in(folder.path()), ["v12", "v4"]);
        assert!(versions_in(&folder.path().join("nowhere")).is_empty());
    }

    #[test]
    fn the_name_of_a_links_pin_has_no_dot_and_tells_the_interface() {
        for interface in ["eth0", "eth0.110", "br-lan", "a-b.c"] {
            for rung in [Rung::Xdp, Rung::Tc] {
                let file = file_of(interface, rung);
                assert!(!file.contains('.'), "{file}");
                assert_eq!(
                    interface_of(&file),
                    Some((interface.to_owned(), rung.as_str()))
                );
            }
        }
        assert_eq!(interface_of("eth0"), None);
    }
}
