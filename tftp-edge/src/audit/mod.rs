//! Whether what phones are told to fetch is on disk: firmware, locales, rings and pictures.
//!
//! The same check runs in the daemon, where it raises alarms ([`Auditor`]), and on the command line.

mod auditor;
pub mod command;

use std::io;
use std::sync::Arc;

use serde::Serialize;

pub use auditor::Auditor;

use crate::content::upstream::{self, Names};
use crate::content::{ContentError, Heads, Media, Remark, Survey};
use crate::firmware::{self, Checker, Elsewhere, Needs};
use crate::inventory::{Snapshot, StoreError};
use crate::locale::{LocaleFault, Locales};

/// What is not on disk may be on an upstream server, if there is one that is asked for it.
pub fn elsewhere(upstream: &upstream::Settings) -> Elsewhere {
    let names = Names::new(upstream);
    let has_servers = !upstream.servers.is_empty();
    Arc::new(move |name| has_servers && names.hold(&name.to_ascii_lowercase()))
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
