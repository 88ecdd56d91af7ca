//! How files begin, which tells what they are.

use std::collections::HashMap;
use std::sync::Arc;

use crate::content::{OnDisk, Survey};

/// Enough for every kind of file here: the size of a picture stands in the first 24 bytes.
const LEN: usize = 24;

/// The beginnings of rings and pictures: each is read once, until the file is written to.
#[derive(Debug, Default)]
pub struct Heads {
    known: HashMap<Arc<str>, (OnDisk, Vec<u8>)>,
}

impl Heads {
    pub(super) fn of(
        &mut self,
        survey: &Survey,
        name: &Arc<str>,
        file: &OnDisk,
    ) -> Result<&[u8], String> {
        let is_known = self.known.get(name).is_some_and(|(known, _)| known == file);
        if !is_known {
            let head = survey.head(file, LEN)?;
            self.known.insert(name.clone(), (file.clone(), head));
        }
        Ok(self.known.get(name).map_or(&[], |(_, head)| head))
    }

    /// Forgets what is not there any more.
    pub(super) fn retain(&mut self, survey: &Survey) {
        self.known.retain(|name, _| survey.get(name).is_some());
    }
}
