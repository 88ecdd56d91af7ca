//! Moving files down, so that the last banks become empty and can be given back.
//!
//! A move is a publication of the same version, with the same generation, at a lower position; the
//! old extent is retired like that of any old version. The bytes are those of the version: what
//! lies in the slabs is not trusted as a source.
//!
//! Every move makes the sum of all positions smaller, and a file moves only into an earlier bank
//! than its own: without changes of content it ends.

use std::sync::Arc;

use super::{Directory, Files, Outcome};
use crate::kernel::Error;
use crate::kernel::slabs::{BANK_SPACE, Banks};

/// Bytes that may be moved in a sweep: some milliseconds of copying while changes and resends wait.
/// A file that is larger is not moved at all.
const MAX_BYTES: u64 = 8 << 20;

/// Moving begins when so many bytes are free: one bank more than is kept in reserve.
const WORTHWHILE: u64 = 2 * BANK_SPACE;

impl<F: Files, B: Banks<Error = Error>> Directory<F, B> {
    /// Moves the last files into earlier banks, as far as a sweep may take.
    pub(super) fn compact(&mut self) -> Result<(), Error> {
        let mut left = MAX_BYTES;
        while !self.is_doubtful && self.slabs.free_bytes() >= WORTHWHILE {
            let Some((&position, text)) = self.placed.last_key_value() else {
                break;
            };
            let text = Arc::clone(text);
            let Some(name) = self.names.get(&text) else {
                break;
            };
            let used_at = name.used_at;
            let Some(version) = name.version.clone() else {
                break;
            };
            let len = version.bytes.len() as u64;
            if len > left {
                break;
            }
            let bank_start = position - position % BANK_SPACE;
            let Some(extent) = self.slabs.allocate_below(len, bank_start) else {
                break;
            };
            left -= len;
            if self.place_at(&text, &version, extent)? != Outcome::Placed {
                break;
            }
            self.restore_use(&text, used_at);
        }
        Ok(())
    }

    /// A move is no use of the file.
    fn restore_use(&mut self, text: &Arc<str>, used_at: u64) {
        if let Some(name) = self.names.get_mut(text) {
            if let Some(text) = self.evictable.remove(&name.used_at) {
                self.evictable.insert(used_at, text);
            }
            name.used_at = used_at;
        }
    }
}
