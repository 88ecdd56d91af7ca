//! What lies beneath the root, for those who check the files rather than serve them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tftp_ebpf::name::normalise;

use super::ContentError;
use super::root::{Denied, Fingerprint, Root};
use super::tree::{MAX_NAME, Tree};

/// A file as it was when it was looked at. Equal as long as nobody has written to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnDisk {
    /// Beneath the root, spelled as on disk.
    pub path: PathBuf,
    fingerprint: Fingerprint,
}

impl OnDisk {
    pub(super) const fn new(path: PathBuf, fingerprint: Fingerprint) -> Self {
        Self { path, fingerprint }
    }

    pub const fn len_bytes(&self) -> u64 {
        self.fingerprint.len
    }
}

/// The files beneath the root at one moment, by the names that phones can ask for.
pub struct Survey {
    root: Arc<Root>,
    files: HashMap<Arc<str>, OnDisk>,
    /// What is not in here may still be there: a folder could not be read.
    incomplete: bool,
}

impl Survey {
    /// Looks through a folder.
    pub fn of(root: &Path) -> Result<Self, ContentError> {
        let root = Arc::new(Root::open(root)?);
        let tree = Tree::scan(&root);
        let files = tree.found.into_iter().filter_map(|(name, found)| {
            let fingerprint = found.content.ok()?;
            Some((name, OnDisk::new(found.path, fingerprint)))
        });
        Ok(Self {
            files: files.collect(),
            incomplete: tree.incomplete,
            root,
        })
    }

    pub(super) const fn new(
        root: Arc<Root>,
        files: HashMap<Arc<str>, OnDisk>,
        incomplete: bool,
    ) -> Self {
        Self {
            root,
            files,
            incomplete,
        }
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub const fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// The file that a phone gets for a name, however it spells it.
    pub fn get(&self, name: &str) -> Option<&OnDisk> {
        let mut folded = [0; MAX_NAME];
        let folded = normalise(name.as_bytes(), &mut folded).ok()?;
        self.files.get(std::str::from_utf8(folded).ok()?)
    }

    /// Every file with its normalised name, in no order.
    pub fn files(&self) -> impl Iterator<Item = (&Arc<str>, &OnDisk)> {
        self.files.iter()
    }

    /// A file of that name in a folder, where a phone that asks for the bare name does not find it.
    pub fn astray(&self, name: &str) -> Option<&OnDisk> {
        let name = name.to_ascii_lowercase();
        let is_it = |other: &str| {
            let folder = other.strip_suffix(name.as_str());
            folder.is_some_and(|folder| folder.ends_with('/'))
        };
        let astray = self.files.iter().filter(|(other, _)| is_it(other));
        astray.min_by_key(|(other, _)| *other).map(|(_, file)| file)
    }

    /// The whole file, or why it cannot be read.
    pub fn read(&self, file: &OnDisk) -> Result<Bytes, String> {
        let read = self.root.read(&file.path);
        read.map(|(bytes, _)| bytes).map_err(why)
    }

    /// The whole file, piece by piece: it may be larger than the memory that is to be had.
    pub fn pieces(&self, file: &OnDisk, take: impl FnMut(&[u8])) -> Result<(), String> {
        self.root.pieces(&file.path, take).map_err(why)
    }

    /// The first bytes of a file, fewer if it has no more.
    pub fn head(&self, file: &OnDisk, len: usize) -> Result<Vec<u8>, String> {
        self.root.head(&file.path, len).map_err(why)
    }
}

fn why(denied: Denied) -> String {
    match denied {
        Denied::Absent => "it has just gone".into(),
        Denied::Refused(why) => why,
        Denied::Unstable => "it is being written, or the disk does not answer".into(),
    }
}
