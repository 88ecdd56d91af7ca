//! Whether the folder that is served is still the one it was.
//!
//! It may be renamed and made anew, and something may be mounted over it, or its file system may go:
//! the path then leads to another folder. That one is served from then on, and watched. One that is
//! empty where there were files is most likely a mount point without its file system; then what was
//! read before is served until there is something in it, and so it is while the path leads nowhere.

use std::time::{Duration, Instant};

use super::super::library::watch_tree;
use super::super::root::Place;
use super::super::tree::Tree;
use super::{Curator, UNWATCHED};
use crate::alarms::AlarmKind;

/// How often the path is looked at: of what is mounted over it nobody is told.
const LOOK_EVERY: Duration = Duration::from_secs(2);

impl Curator {
    /// Looks whether the path leads elsewhere, if it is time to.
    pub(super) fn look_at_root(&mut self) {
        let now = Instant::now();
        if self.look_at_root > now {
            return;
        }
        self.look_at_root = now + LOOK_EVERY;
        if !self.incomplete && self.root.place() != Place::Same {
            self.scan_within(Duration::ZERO);
        }
    }

    /// Goes after the root. False if what was read before is to be served on.
    pub(super) fn is_rooted(&mut self) -> bool {
        let problem = match self.root.place() {
            Place::Same => return true,
            Place::Other { is_empty: true } if !self.disk.is_empty() => {
                "another folder is in its place, and is empty, as a mount point is whose file system \
                 is not mounted; mount it, or restart the daemon if there is to be nothing"
                    .to_owned()
            }
            Place::Other { .. } => match self.root.enter() {
                Ok(()) => {
                    tracing::warn!(
                        event = "content.root_replaced", folder = %self.root.path().display(),
                        "another folder is in the place of content.root, and is served now"
                    );
                    let messages = self.shared.messages.clone();
                    self.watcher = watch_tree(self.root.path(), messages);
                    return true;
                }
                Err(error) => format!("it cannot be opened: {error}"),
            },
            Place::Gone(why) => format!("it cannot be read: {why}; put it back"),
        };
        self.tell_unreadable(&problem);
        self.incomplete = true;
        self.scan_within(UNWATCHED);
        false
    }

    fn tell_unreadable(&self, problem: &str) {
        if !self.incomplete {
            tracing::error!(
                event = "content.unreadable", folder = %self.root.path().display(),
                "the content cannot be looked through; what was read before is kept"
            );
        }
        let problem = format!("{problem}; what was read of it before is served");
        let subject = self.root.path().display().to_string();
        self.alarms.raise(AlarmKind::Content, &subject, problem);
    }

    /// After the tree was looked through; `hidden` files are in folders that cannot be listed.
    pub(super) fn tell_readable(&self, tree: &Tree, hidden: usize) {
        if tree.incomplete {
            return self
                .tell_unreadable("it cannot be looked through; see that the daemon may read it");
        }
        let subject = self.root.path().display().to_string();
        match tree.unlisted.first().filter(|_| hidden > 0) {
            None => self.alarms.clear(AlarmKind::Content, &subject),
            Some(folder) => {
                let problem = format!(
                    "the daemon may not list {folder} in it any more; the {hidden} files that it read \
                     there before are served. Let it read that folder, or remove it"
                );
                self.alarms.raise(AlarmKind::Content, &subject, problem);
            }
        }
    }
}
