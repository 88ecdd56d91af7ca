//! Whether what phones are told to fetch is on disk: firmware, locales, rings and pictures.
//!
//! The same check runs in the daemon, where it raises alarms ([`Auditor`]), and on the command line.

mod auditor;
pub mod command;

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

pub use auditor::Auditor;

use crate::content::upstream::{self, Names};
use crate::content::{ContentError, Heads, Media, Remark, Survey};
use crate::firmware::{self, Checker, Elsewhere, Needs};
use crate::inventory::{Snapshot, StoreError};
use crate::live::Live;
use crate::locale::{LocaleFault, Locales};

/// What is not on disk may be on an upstream server, if there is one that is asked for it. Goes by the
/// settings as they are when it is asked.
pub fn elsewhere(upstream: impl Into<Live<upstream::Settings>>) -> Elsewhere {
    let upstream = upstream.into();
    let first = upstream.take();
    let names = Names::new(&first);
    let followed = Mutex::new((first, names));
    Arc::new(move |name| {
        let now = upstream.take();
        let mut followed = followed.lock();
        if !Arc::ptr_eq(&now, &followed.0) {
            let names = Names::new(&now);
            *followed = (now, names);
        }
        let (settings, names) = &*followed;
        !settings.servers.is_empty() && names.hold(&name.to_ascii_lowercase())
    })
}

#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("output: {0}")]
    Output(#[from] io::Error),
}

/// All that can be wrong with the files on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub firmware: firmware::Report,
    pub locales: Vec<LocaleFault>,
    /// Lists written from what lies on disk.
    pub lists: Vec<String>,
    /// Rings and pictures that are in no list, or will not look right.
    pub remarks: Vec<Remark>,
}

impl Report {
    pub fn new(snapshot: &Snapshot, survey: &Survey, elsewhere: Elsewhere) -> Self {
        let mut checker = Checker::new(Arc::clone(&elsewhere));
        let media = Media::list(survey, &mut Heads::default());
        Self {
            firmware: firmware::Report::of_all(&mut checker, &Needs::of(snapshot), survey),
            locales: Locales::of(snapshot).faults(survey, &elsewhere),
            lists: media.names().map(ToString::to_string).collect(),
            remarks: media.remarks,
        }
    }
}

#[cfg(test)]
mod tests;
