//! What lies in the root, by normalised name.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use tftp_ebpf::name::normalise;

use super::root::{Denied, Fingerprint, Kind, Root};

/// Longest name a request can carry in a packet of 512 bytes.
pub(super) const MAX_NAME: usize = 512;

/// How deep folders may lie in one another.
const MAX_DEPTH: usize = 16;

/// Why a name on disk has no content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoContent {
    Folder,
    Refused(String),
}

/// What a name stands for on disk.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Relative to the root, spelled as on disk.
    pub(super) path: PathBuf,
    pub(super) content: Result<Fingerprint, NoContent>,
    /// Other files whose names differ only in case, in byte order.
    pub(super) others: Vec<PathBuf>,
}

#[derive(Default)]
pub(super) struct Tree {
    pub(super) found: HashMap<Arc<str>, Found>,
    /// Names that no request can ask for: hidden, not ASCII, or too long.
    pub(super) unreachable: u64,
    /// Something could not be looked at: what is not found may still be there.
    pub(super) incomplete: bool,
    /// Folders that we may not list, by their names: the same holds for what is in them.
    pub(super) unlisted: Vec<Arc<str>>,
}

/// A folder on the way down, and the ones above it: a link to one of them is a loop.
struct Above {
    identity: (u64, u64),
    above: Option<Rc<Above>>,
}

impl Above {
    fn holds(above: Option<&Rc<Self>>, identity: (u64, u64)) -> bool {
        let mut next = above;
        while let Some(folder) = next {
            if folder.identity == identity {
                return true;
            }
            next = folder.above.as_ref();
        }
        false
    }
}

impl Tree {
    /// Whether a name is in a folder that could not be listed.
    pub(super) fn is_hidden(&self, name: &str) -> bool {
        let is_within = |folder: &Arc<str>| {
            let rest = name.strip_prefix(&**folder);
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        self.incomplete || self.unlisted.iter().any(is_within)
    }

    pub(super) fn scan(root: &Root) -> Self {
        let mut tree = Self::default();
        let mut folders = vec![(PathBuf::new(), 0, None)];
        while let Some((folder, depth, above)) = folders.pop() {
            let entries = match fs::read_dir(root.path().join(&folder)) {
                Ok(entries) => entries,
                Err(error) => {
                    tracing::debug!(folder = %folder.display(), %error, "a folder cannot be listed");
                    let is_root = depth == 0;
                    tree.incomplete |= is_root || Denied::of_io(&error) == Denied::Unstable;
                    if error.kind() == io::ErrorKind::PermissionDenied {
                        tree.unlisted.extend(name_of(&folder));
                    }
                    continue;
                }
            };
            for entry in entries {
                let Ok(entry) = entry else {
                    tree.incomplete = true;
                    break;
                };
                let path = folder.join(entry.file_name());
                let Some(name) = name_of(&path) else {
                    tree.unreachable += 1;
                    continue;
                };
                match root.look(&path) {
                    Ok((Kind::File, fingerprint)) => tree.add(name, path, Ok(fingerprint)),
                    Ok((Kind::Directory, fingerprint)) => {
                        let identity = fingerprint.identity();
                        if depth < MAX_DEPTH && !Above::holds(above.as_ref(), identity) {
                            let here = Rc::new(Above {
                                identity,
                                above: above.clone(),
                            });
                            folders.push((path.clone(), depth + 1, Some(here)));
                        }
                        tree.add(name, path, Err(NoContent::Folder));
                    }
                    Ok((Kind::Special, _)) => {
                        let why = NoContent::Refused("it is no regular file".into());
                        tree.add(name, path, Err(why));
                    }
                    Err(Denied::Refused(why)) => {
                        tree.add(name, path, Err(NoContent::Refused(why)));
                    }
                    Err(Denied::Absent) => {}
                    Err(Denied::Unstable) => tree.incomplete = true,
                }
            }
        }
        for found in tree.found.values_mut() {
            found.others.sort_unstable();
        }
        tree
    }

    /// A file goes before what is none, then the first spelling in byte order.
    fn add(&mut self, name: Arc<str>, path: PathBuf, content: Result<Fingerprint, NoContent>) {
        let mut new = Found {
            path,
            content,
            others: Vec::new(),
        };
        match self.found.entry(name) {
            Entry::Vacant(vacant) => {
                vacant.insert(new);
            }
            Entry::Occupied(mut occupied) => {
                let old = occupied.get_mut();
                let rank = |found: &Found| (found.content.is_err(), bytes_of(&found.path));
                if rank(&new) < rank(old) {
                    std::mem::swap(old, &mut new);
                    old.others = std::mem::take(&mut new.others);
                }
                if new.content.is_ok() {
                    old.others.push(new.path);
                }
            }
        }
    }
}

fn bytes_of(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

/// The normalised name of a path, if a request for it can be written: one that folds to itself, so
/// that what looks like a drive letter or a `\` on disk stands for nothing else. Only the folder
/// `Communicator` is no part of a name on disk either.
fn name_of(path: &Path) -> Option<Arc<str>> {
    let raw = OsStr::as_bytes(path.as_os_str());
    let (mut folded, mut again) = ([0; MAX_NAME], [0; MAX_NAME]);
    let name = normalise(raw, &mut folded).ok()?;
    let (folders, rest) = raw.split_at_checked(raw.len().checked_sub(name.len())?)?;
    let is_plain = rest.eq_ignore_ascii_case(name)
        && !folders.contains(&b'\\')
        && !folders.contains(&b':')
        && normalise(name, &mut again) == Ok(name);
    if !is_plain {
        return None;
    }
    std::str::from_utf8(name).ok().map(Arc::from)
}
