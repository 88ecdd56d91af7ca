//! The lists of rings and background pictures, written from what lies on disk.
//!
//! A phone shows its user only what a list names: `Ringlist.xml` and `DistinctiveRingList.xml` the
//! rings beneath the root (`*.raw`), `Ringlist-wb.xml` the wideband ones of 7800 and 8800 phones
//! (`*.rwb`), `Desktops/<W>x<H>x<D>/List.xml` the pictures (`*.png`) of its folder, each with a
//! thumbnail `TN-<name>.png`. A list on disk goes before the one written here.

mod heads;
mod picture;
mod rings;
mod wallpapers;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::Survey;
pub use heads::Heads;

/// Something about a file that its user should know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Remark {
    /// Beneath the root.
    pub file: String,
    pub problem: String,
    /// The file is in no list because of it.
    pub left_out: bool,
}

/// The lists, and what was found wrong with the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// By normalised name.
    lists: BTreeMap<Arc<str>, Bytes>,
    pub remarks: Vec<Remark>,
}

impl Media {
    /// Writes the lists anew; `heads` remembers what was read of the files.
    pub fn list(survey: &Survey, heads: &mut Heads) -> Self {
        let mut media = Self::default();
        rings::list(survey, heads, &mut media);
        wallpapers::list(survey, heads, &mut media);
        heads.retain(survey);
        media.remarks.sort_unstable();
        media
    }

    pub(super) fn get(&self, name: &str) -> Option<&Bytes> {
        self.lists.get(name)
    }

    /// Normalised, in order.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.lists.keys()
    }

    pub(super) fn lists(&self) -> u64 {
        self.lists.len() as u64
    }

    pub(super) fn len_bytes(&self) -> u64 {
        self.lists.values().map(|list| list.len() as u64).sum()
    }

    fn put(&mut self, name: &str, list: Vec<u8>) {
        let name = name.to_ascii_lowercase();
        self.lists.insert(name.into(), list.into());
    }

    fn leave_out(&mut self, file: &str, problem: impl Into<String>) {
        self.remark(file, problem.into(), true);
    }

    fn warn(&mut self, file: &str, problem: impl Into<String>) {
        self.remark(file, problem.into(), false);
    }

    fn remark(&mut self, file: &str, problem: String, left_out: bool) {
        self.remarks.push(Remark {
            file: file.to_owned(),
            problem,
            left_out,
        });
    }
}

#[cfg(test)]
mod tests;
