//! Looks through the tree, and takes over what is new or different in it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tftp_ebpf::stage::Stage;

use super::super::root::Denied;
use super::super::tree::{Found, NoContent, Tree};
use super::publish::rank;
use super::{Curator, DiskContent, DiskFile, LOOK_AGAIN, UNWATCHED};

/// A tree that is written to all the time is looked through a fifth of the time.
const SCAN_SHARE: u32 = 4;

impl Curator {
    pub(super) fn scan_within(&mut self, delay: Duration) {
        let (ended, took) = self.last_scan;
        let at = (Instant::now() + delay).max(ended + took * SCAN_SHARE);
        self.next_scan = Some(self.next_scan.map_or(at, |next| next.min(at)));
    }

    /// Brings the files on disk up to date, and publishes those that are different.
    pub(super) fn scan(&mut self) {
        self.next_scan = None;
        let began = Instant::now();
        if !self.is_rooted() {
            return;
        }
        let mut tree = Tree::scan(&self.root);
        self.unreachable = tree.unreachable;

        let gone: Vec<_> = self
            .disk
            .keys()
            .filter(|name| !tree.found.contains_key(*name))
            .cloned()
            .collect();
        let (hidden, gone): (Vec<_>, Vec<_>) =
            gone.into_iter().partition(|name| tree.is_hidden(name));
        let any_gone = !gone.is_empty();
        for name in gone {
            if let Some(file) = self.disk.remove(&name) {
                self.disk_bytes -= file.content.len();
                self.publish(&name);
            }
        }

        // The first in boot order get the memory.
        let mut found: Vec<_> = tree
            .found
            .drain()
            .filter(|(name, found)| self.is_different(name, found))
            .collect();
        found.sort_by_cached_key(|(name, found)| {
            let len = found.content.as_ref().map_or(0, |print| print.len);
            (rank(Stage::of_name(name.as_bytes())), len, name.clone())
        });
        let is_other = any_gone || !found.is_empty() || tree.incomplete != self.incomplete;
        for (name, found) in found {
            self.take(&name, found);
            self.publish(&name);
        }
        self.publish_exact();
        if is_other || !self.surveyed {
            self.survey(tree.incomplete);
        }

        self.last_scan = (Instant::now(), began.elapsed());
        self.tell_readable(&tree, hidden.len());
        self.incomplete = tree.incomplete;
        if tree.incomplete {
            self.scan_within(UNWATCHED);
        } else if self.disk.values().any(|file| file.look_again) {
            self.scan_within(LOOK_AGAIN);
        } else if self.watcher.is_none() {
            self.scan_within(UNWATCHED);
        }
    }

    fn is_different(&self, name: &str, found: &Found) -> bool {
        let Some(known) = self.disk.get(name) else {
            return true;
        };
        let same = match (&found.content, &known.content) {
            (Err(NoContent::Folder), DiskContent::Folder) => true,
            (Err(NoContent::Refused(_)), DiskContent::Refused) => known.fingerprint.is_none(),
            (Ok(fingerprint), _) => known.fingerprint == Some(*fingerprint),
            (Err(_), _) => false,
        };
        !same || known.look_again || known.path != found.path || known.others != found.others
    }

    /// Takes over a file that is new or different.
    fn take(&mut self, name: &Arc<str>, found: Found) {
        let before = self.disk.remove(name);
        self.disk_bytes -= before.as_ref().map_or(0, |file| file.content.len());
        if before
            .as_ref()
            .is_none_or(|file| file.others.len() != found.others.len())
            && !found.others.is_empty()
        {
            tracing::warn!(
                event = "content.case_clash", file = %found.path.display(), others = ?found.others,
                "names that differ only in case: each answers to its exact spelling, the first \
                 to any other"
            );
        }
        let fingerprint = found.content.as_ref().ok().copied();
        let mut file = DiskFile {
            path: found.path,
            fingerprint,
            look_again: false,
            content: DiskContent::Refused,
            others: found.others,
        };
        match found.content {
            Err(NoContent::Folder) => file.content = DiskContent::Folder,
            Err(NoContent::Refused(why)) => refuse(&mut file, &why),
            Ok(fingerprint) if self.is_small(fingerprint.len) => self.read(&mut file, before),
            Ok(_) => {
                let loaded = before.and_then(|before| before.content.bytes().cloned());
                if loaded.is_some() {
                    // Somebody uses it: the old one is served until the new one is there.
                    self.order(name, &file.path);
                }
                file.content = DiskContent::Large(loaded);
            }
        }
        self.disk_bytes += file.content.len();
        self.disk.insert(name.clone(), file);
    }

    /// Reads a small file. One that is being written keeps its old content until it is done.
    fn read(&self, file: &mut DiskFile, before: Option<DiskFile>) {
        match self.root.read(&file.path) {
            Ok((bytes, fingerprint)) => {
                file.content = DiskContent::Small(bytes);
                file.fingerprint = Some(fingerprint);
                file.look_again = fingerprint.is_fresh();
            }
            Err(Denied::Refused(why)) => refuse(file, &why),
            Err(Denied::Absent | Denied::Unstable) => {
                let old = before.and_then(|before| before.content.bytes().cloned());
                file.content = old.map_or(DiskContent::Large(None), DiskContent::Small);
                file.look_again = true;
            }
        }
    }
}

pub(super) fn refuse(file: &mut DiskFile, why: &str) {
    tracing::warn!(event = "content.not_served", file = %file.path.display(), reason = why, "not served");
    file.content = DiskContent::Refused;
}
