//! Sees what is written in a folder.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode};
use notify::{Config, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::phonefile::Templates;
use crate::service::capabilities::{self, Role};

/// From the first sign of a change to reading: an editor's one change is several events.
const SETTLES: Duration = Duration::from_millis(50);

/// The longest that reading waits for a folder that is written to all the time.
const UNSETTLED: Duration = Duration::from_secs(1);

/// How often a folder is looked for that cannot be watched, or is not there.
const UNWATCHED: Duration = Duration::from_secs(2);

/// Calls `tell` when something in the folder, or in one within it, was written or has gone.
pub(super) fn watch_folder(
    folder: &Path,
    tell: impl Fn() + Send + 'static,
) -> notify::Result<RecommendedWatcher> {
    let heard = move |event: notify::Result<notify::Event>| {
        let is_written = |kind| match kind {
            // Our own reading is an access too.
            EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
            _ => true,
        };
        // An error is a change that was missed.
        if event.is_ok_and(|event| !is_written(event.kind)) {
            return;
        }
        tell();
    };
    let config = Config::default().with_follow_symlinks(false);
    let mut watcher = capabilities::without(|| RecommendedWatcher::new(heard, config))?;
    watcher.watch(folder, RecursiveMode::Recursive)?;
    Ok(watcher)
}

enum Sign {
    Written,
    Stop,
}

/// A thread that reads the templates again when their folder changes; ends when dropped.
pub(super) struct TemplateWatch {
    stop: Sender<Sign>,
    thread: Option<JoinHandle<()>>,
}

impl TemplateWatch {
    /// Calls `changed` after each change, with all templates.
    pub(super) fn start(
        folder: &Path,
        changed: impl Fn(Templates) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (stop, signs) = mpsc::channel();
        let mut watched = Watched {
            folder: folder.to_owned(),
            tell: stop.clone(),
            watcher: None,
        };
        // Before this returns: what is written later is seen.
        watched.watch();
        let thread = thread::Builder::new()
            .name("templates".into())
            .spawn(move || {
                capabilities::settle(Role::Plain);
                watched.run(&signs, changed);
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// By itself, which only a panic makes it do.
    pub(super) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for TemplateWatch {
    fn drop(&mut self) {
        let _ = self.stop.send(Sign::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed already.
            let _ = thread.join();
        }
    }
}

struct Watched {
    folder: PathBuf,
    tell: Sender<Sign>,
    watcher: Option<RecommendedWatcher>,
}

impl Watched {
    fn watch(&mut self) {
        let tell = self.tell.clone();
        let written = move || {
            let _ = tell.send(Sign::Written);
        };
        self.watcher = watch_folder(&self.folder, written).ok();
    }

    fn run(mut self, signs: &Receiver<Sign>, changed: impl Fn(Templates)) {
        loop {
            let sign = match self.watcher {
                Some(_) => signs.recv().map_err(|_| RecvTimeoutError::Disconnected),
                None => signs.recv_timeout(UNWATCHED),
            };
            match sign {
                Ok(Sign::Written) => {
                    if !settle(signs) {
                        return;
                    }
                }
                Ok(Sign::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    self.watch();
                    if self.watcher.is_none() {
                        continue;
                    }
                }
            }
            // One that is gone and made again is another folder to the system.
            if !self.folder.is_dir() {
                self.watcher = None;
            }
            changed(Templates::load(&self.folder));
        }
    }
}

/// Waits until nothing is written any more, or has been written to for too long; false if it is
/// time to stop.
fn settle(signs: &Receiver<Sign>) -> bool {
    let began = Instant::now();
    while began.elapsed() < UNSETTLED {
        match signs.recv_timeout(SETTLES) {
            Ok(Sign::Written) => {}
            Ok(Sign::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => return true,
        }
    }
    true
}
