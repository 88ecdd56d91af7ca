//! The bound on what is kept in memory: large files come in when they are asked for, and go when the
//! room is needed.

use std::path::Path;
use std::sync::Arc;

use super::super::loader::{Loaded, Order};
use super::super::root::Denied;
use super::super::table::Entry;
use super::scan::refuse;
use super::{Curator, DISK_SETTLES, DiskContent, DiskFile, LOOK_AGAIN};

impl Curator {
    pub(super) fn is_small(&self, len: u64) -> bool {
        let settings = self.settings.get();
        len <= settings.preload_limit.0 && self.bytes() + len <= settings.memory_limit.0
    }

    pub(super) fn bytes(&self) -> u64 {
        self.disk_bytes + self.generated.bytes + self.media.len_bytes()
    }

    /// A large file was asked for that is not in memory.
    pub(super) fn want(&mut self, name: Arc<str>) {
        match self.disk.get(&name) {
            Some(file) if matches!(file.content, DiskContent::Large(None)) => {
                let path = file.path.clone();
                let len = file.fingerprint.map_or(0, |print| print.len);
                if len <= self.settings.get().memory_limit.0 && !self.could_fit(len) {
                    // Not worth reading.
                    self.tell_no_room(&path);
                    return self.wake(&name);
                }
                self.loader.order(Order { name, path });
            }
            // It has come, or has gone, meanwhile.
            _ => self.wake(&name),
        }
    }

    pub(super) fn order(&self, name: &Arc<str>, path: &Path) {
        self.shared.loading.lock().insert(name.clone());
        self.loader.order(Order {
            name: name.clone(),
            path: path.into(),
        });
    }

    pub(super) fn loaded(&mut self, order: Order, loaded: Loaded) {
        let Order { name, path } = order;
        let is_wanted =
            |file: &DiskFile| file.path == path && matches!(file.content, DiskContent::Large(_));
        if self.disk.get(&name).is_some_and(is_wanted) {
            self.store_loaded(&name, loaded);
            self.publish(&name);
            self.hand_out();
            self.count();
        }
        self.wake(&name);
    }

    fn store_loaded(&mut self, name: &Arc<str>, loaded: Loaded) {
        let Some(mut file) = self.disk.remove(name) else {
            return;
        };
        self.disk_bytes -= file.content.len();
        match loaded {
            Ok((bytes, fingerprint)) => {
                file.fingerprint = Some(fingerprint);
                if self.make_room(bytes.len() as u64) {
                    self.told_no_room = false;
                    file.content = DiskContent::Large(Some(bytes));
                    file.look_again = fingerprint.is_fresh();
                } else if bytes.len() as u64 > self.settings.get().memory_limit.0 {
                    refuse(&mut file, "it does not fit content.memory_limit");
                } else {
                    // Others have the memory now; it is tried again when it is asked for again.
                    self.tell_no_room(&file.path);
                    file.content = DiskContent::Large(None);
                }
            }
            Err(Denied::Refused(why)) => refuse(&mut file, &why),
            // What was in memory stays until the file holds still.
            Err(Denied::Unstable) => file.look_again = true,
            Err(Denied::Absent) => return self.scan_within(DISK_SETTLES),
        }
        if file.look_again {
            self.scan_within(LOOK_AGAIN);
        }
        self.disk_bytes += file.content.len();
        self.disk.insert(name.clone(), file);
    }

    /// Whether there is room for a large file once all others are dropped.
    fn could_fit(&self, len: u64) -> bool {
        let limit = self.settings.get().memory_limit.0;
        let large = |file: &DiskFile| match &file.content {
            DiskContent::Large(Some(bytes)) => bytes.len() as u64,
            _ => 0,
        };
        self.bytes() + len <= limit
            || self.bytes() - self.disk.values().map(large).sum::<u64>() + len <= limit
    }

    /// Told once until a large file fits again, not with every request.
    fn tell_no_room(&mut self, path: &Path) {
        if !std::mem::replace(&mut self.told_no_room, true) {
            tracing::warn!(
                event = "content.memory_full", file = %path.display(),
                "there is no room for it at the moment and its readers are kept waiting; raise \
                 content.memory_limit"
            );
        }
    }

    /// Drops large files, the longest unused first, until there is room; false if there is none.
    pub(super) fn make_room(&mut self, len: u64) -> bool {
        let limit = self.settings.get().memory_limit.0;
        if self.bytes() + len <= limit {
            return true;
        }
        let mut cached: Vec<_> = self
            .disk
            .iter()
            .filter(|(_, file)| matches!(file.content, DiskContent::Large(Some(_))))
            .map(|(name, file)| {
                let used_ms = match self.shared.table.peek(name) {
                    Some(Entry::Cached(cached)) => cached.used_ms(),
                    _ => 0,
                };
                (used_ms, name.clone(), file.content.len())
            })
            .collect();
        let all: u64 = cached.iter().map(|(_, _, len)| len).sum();
        if self.bytes() - all + len > limit {
            return false;
        }
        cached.sort_unstable();
        // A little more than needed, so that the next small file does not go through all again.
        let enough = limit - limit / 16;
        for (_, name, _) in cached {
            if self.bytes() + len <= enough.max(len) {
                break;
            }
            if let Some(file) = self.disk.get_mut(&name) {
                self.disk_bytes -= file.content.len();
                file.content = DiskContent::Large(None);
                self.evicted += 1;
                tracing::debug!(file = %name, "dropped from memory to make room");
                self.publish(&name);
            }
        }
        true
    }

    /// Lets those go on that wait for a file.
    pub(super) fn wake(&self, name: &Arc<str>) {
        self.shared.loading.lock().remove(name);
        let wakes = self.shared.waiting.lock().remove(name);
        wakes.into_iter().flatten().for_each(|wake| wake());
    }
}
