//! Turns what is known into what requests and listeners get.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use bytes::Bytes;
use tftp_ebpf::name::{has_pattern, respell};
use tftp_ebpf::stage::Stage;

use super::super::by_site::BySite;
use super::super::generated::Generated;
use super::super::library::Counts;
use super::super::table::Entry;
use super::super::tree::MAX_NAME;
use super::super::{Change, State, Version};
use super::{Curator, DiskContent};
use crate::inventory::Protocol;

/// The most changes a listener gets at once.
const BATCH: usize = 1024;

impl Curator {
    /// Puts what a name stands for now in the table, and notes the change if it is one.
    pub(super) fn publish(&mut self, name: &Arc<str>) {
        self.beat.pass();
        enum Now {
            Content(Bytes, bool),
            BySite(Arc<BySite<Bytes>>),
            Other(Option<Entry>),
            /// Not here.
            Elsewhere {
                is_optional: bool,
            },
        }
        let is_hidden = self.gate.hides(name);
        let file = self.disk.get(name).filter(|_| !is_hidden);
        let media = self.media.get(name).cloned().map(Generated::Content);
        let generated = media.as_ref().or_else(|| self.generated.get(name));
        let generated = generated.filter(|_| !is_hidden);
        let has_others = file.is_some_and(|file| !file.others.is_empty());
        let has_pattern = has_pattern(name.as_bytes());
        let now = match (file.map(|file| &file.content), generated) {
            (Some(DiskContent::Small(bytes)), _) => Now::Content(bytes.clone(), true),
            (Some(DiskContent::Large(Some(bytes))), _) => Now::Content(bytes.clone(), false),
            (Some(DiskContent::Large(None)), _) => Now::Other(Some(Entry::OnDisk)),
            // What cannot be served must not hide what can.
            (_, Some(Generated::Content(bytes))) => Now::Content(bytes.clone(), true),
            (_, Some(Generated::BySite(contents))) => Now::BySite(contents.clone()),
            (Some(DiskContent::Refused | DiskContent::Folder), _) => {
                Now::Other(Some(Entry::Refused))
            }
            (None, generated) => Now::Elsewhere {
                is_optional: generated.is_some() || has_pattern,
            },
        };
        let was_ambiguous = match has_others {
            true => !self.ambiguous.insert(name.clone()),
            false => self.ambiguous.remove(name),
        };
        let before = self.shared.table.peek(name);
        let stage = Stage::of_name(name.as_bytes());
        let (entry, state) = match now {
            Now::Elsewhere { is_optional } => {
                match self.elsewhere(name, stage, is_optional, before.as_ref()) {
                    Some(now) => now,
                    None => return,
                }
            }
            Now::Content(bytes, pinned) => {
                let same = before.as_ref().and_then(Entry::version).cloned();
                let same = same.filter(|version| version.bytes == bytes);
                if same.is_some() && has_others == was_ambiguous {
                    return;
                }
                let version = same.unwrap_or_else(|| self.version(name, stage, bytes));
                let entry = match pinned {
                    true => Entry::Pinned(version.clone()),
                    false => self.shared.table.cached(version.clone()),
                };
                // Which of several files is meant only the daemon can tell.
                let state = match has_others {
                    true => State::OnDisk,
                    false => State::Published(version),
                };
                (Some(entry), state)
            }
            Now::BySite(contents) => {
                let before = match &before {
                    Some(Entry::BySite(before)) => Some(before),
                    _ => None,
                };
                let new = |bytes| self.version(name, stage, bytes);
                let versions = BySite::of_contents(&contents, before.map(AsRef::as_ref), new);
                if before.is_some_and(|before| before.is_same(&versions)) {
                    return;
                }
                let state = match versions.is_empty() {
                    true => State::Absent,
                    // Which of them is meant only the daemon can tell.
                    false => State::OnDisk,
                };
                (Some(Entry::BySite(Arc::new(versions))), state)
            }
            Now::Other(entry) => {
                let state = match (&before, &entry) {
                    (Some(Entry::OnDisk), Some(Entry::OnDisk))
                    | (Some(Entry::Refused), Some(Entry::Refused)) => return,
                    (_, Some(Entry::OnDisk)) => State::OnDisk,
                    // Listeners answer by a pattern for what they do not know.
                    (_, Some(Entry::Refused)) if has_pattern => State::OnDisk,
                    _ => State::Forgotten,
                };
                (entry, state)
            }
        };
        let was_told = match &before {
            None => false,
            Some(Entry::Refused) => has_pattern,
            Some(Entry::Proxied(proxied)) => proxied.is_told,
            Some(Entry::Missed(missed)) => missed.is_told,
            Some(_) => true,
        };
        self.shared.table.set(name, entry);
        if was_told || !matches!(state, State::Forgotten) {
            self.changes.push(Change {
                name: name.clone(),
                stage,
                state,
            });
        }
    }

    pub(super) fn version(&mut self, name: &Arc<str>, stage: Stage, bytes: Bytes) -> Arc<Version> {
        self.generation += 1;
        Arc::new(Version {
            name: name.clone(),
            stage,
            generation: self.generation,
            published: SystemTime::now(),
            bytes,
        })
    }

    /// Where several files differ only in case, each answers to its own spelling. They are few
    /// and small: large ones answer by their first spelling alone.
    pub(super) fn publish_exact(&mut self) {
        // Stays in use until the new one is whole.
        let before = self.shared.exact.read().clone();
        let mut exact = HashMap::new();
        let clashes: Vec<_> = self
            .disk
            .iter()
            .filter(|(_, file)| {
                !file.others.is_empty() && matches!(file.content, DiskContent::Small(_))
            })
            .filter(|(name, _)| !self.gate.hides(name))
            .map(|(name, file)| (name.clone(), file.others.clone()))
            .collect();
        for (name, others) in clashes {
            for path in others {
                let len = self.root.look(&path).map(|(_, print)| print.len);
                if !len.is_ok_and(|len| len <= self.settings.get().preload_limit.0) {
                    continue;
                }
                let Ok((bytes, _)) = self.root.read(&path) else {
                    continue;
                };
                // As requests are: both have lost what stands before a name.
                let mut spelling = [0; MAX_NAME];
                let Ok(spelling) = respell(path.as_os_str().as_bytes(), &mut spelling) else {
                    continue;
                };
                let spelling = spelling.to_vec();
                let version = match before.get(&spelling) {
                    Some(version) if version.bytes == bytes => version.clone(),
                    _ => self.version(&name, Stage::of_name(name.as_bytes()), bytes),
                };
                exact.insert(spelling, version);
            }
        }
        let any = !exact.is_empty();
        *self.shared.exact.write() = exact;
        self.shared.has_exact.store(any, Ordering::Release);
    }

    /// Tells the listeners all changes noted so far, the first in boot order first.
    pub(super) fn hand_out(&mut self) {
        if !self.changes.is_empty() {
            self.deliver();
        }
    }

    pub(super) fn deliver(&mut self) {
        let mut changes = std::mem::take(&mut self.changes);
        changes.sort_by_key(|change| match &change.state {
            State::Published(version) => (rank(change.stage), version.bytes.len()),
            // Gives room back, or costs none.
            State::Absent | State::Forgotten => (0, 0),
            State::OnDisk => (usize::MAX, 0),
        });
        for listener in &self.listeners {
            for batch in changes.chunks(BATCH) {
                listener.changed(batch);
            }
            listener.settled();
        }
    }

    pub(super) fn count(&self) {
        let mut counts = Counts {
            generated: self.generated.contents + self.media.lists(),
            absent: self.generated.absent(),
            bytes: self.bytes(),
            bytes_limit: self.settings.get().memory_limit.0,
            evicted: self.evicted,
            unreachable: self.unreachable,
            sip_devices: self.generated.devices(Protocol::Sip),
            sccp_devices: self.generated.devices(Protocol::Sccp),
            last_regeneration: self.last_regeneration,
            regenerations: self.regenerations,
            proxied: self.upstream.files(),
            proxied_bytes: self.upstream.bytes(),
            missed: self.upstream.missed(),
            windows_open: self.gate.windows_open(),
            ..Counts::default()
        };
        for file in self.disk.values() {
            match file.content {
                DiskContent::Folder => {}
                DiskContent::Refused => counts.refused += 1,
                _ => counts.files += 1,
            }
            counts.clashes += file.others.len() as u64;
        }
        *self.shared.counts.lock() = counts;
    }
}

/// Small files of every boot first, firmware last.
pub(super) fn rank(stage: Stage) -> usize {
    match stage {
        Stage::Trust | Stage::Config => 0,
        Stage::Default => 1,
        Stage::DialRules | Stage::SoftKeys => 2,
        Stage::Locale => 3,
        Stage::Rings => 4,
        Stage::Other => 5,
        Stage::Firmware => 6,
    }
}
