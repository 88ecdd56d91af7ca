//! After a change on disk: writes the lists of what lies there, and tells who checks it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::media::Media;
use super::super::survey::{OnDisk, Survey};
use super::{Curator, DiskContent};

impl Curator {
    pub(super) fn survey(&mut self, incomplete: bool) {
        self.surveyed = true;
        let files = self.disk.iter().filter_map(|(name, file)| {
            let fingerprint = file.fingerprint?;
            match file.content {
                DiskContent::Small(_) | DiskContent::Large(_) => {
                    Some((name.clone(), OnDisk::new(file.path.clone(), fingerprint)))
                }
                DiskContent::Folder | DiskContent::Refused => None,
            }
        });
        let survey = Survey::new(self.root.clone(), files.collect(), incomplete);
        self.list_media(&survey);
        let survey = Arc::new(survey);
        for listener in &self.listeners {
            listener.surveyed(&survey);
        }
    }

    fn list_media(&mut self, survey: &Survey) {
        let media = Media::list(survey, &mut self.heads);
        let before = std::mem::replace(&mut self.media, media);
        let names: BTreeSet<_> = before.names().chain(self.media.names()).cloned().collect();
        names.iter().for_each(|name| self.publish(name));
        for remark in &self.media.remarks {
            if !before.remarks.contains(remark) {
                tracing::warn!(
                    event = "content.media_remark",
                    file = remark.file,
                    problem = remark.problem,
                    "phones may not take it"
                );
            }
        }
    }
}
