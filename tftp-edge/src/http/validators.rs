//! The validators of a version: a strong tag of its bytes, and when it was published.

use std::collections::HashMap;

use parking_lot::Mutex;
use twox_hash::XxHash3_128;

use super::conditional::Validators;
use crate::content::Version;

/// Summing less than this costs less than looking it up.
const SUMMED_EACH_TIME: usize = 64 << 10;

/// Tags remembered; a site has some dozens of large files.
const REMEMBERED: usize = 1024;

/// Sums large files once. Two edges with the same file have the same tag for it.
#[derive(Debug, Default)]
pub(super) struct Tags {
    /// By generation, which is never used twice.
    large: Mutex<HashMap<u64, u128>>,
}

impl Tags {
    pub(super) fn validators(&self, version: &Version) -> Validators {
        Validators {
            etag: format!("\"{:032x}\"", self.sum(version)),
            modified: version.published,
        }
    }

    fn sum(&self, version: &Version) -> u128 {
        if version.bytes.len() < SUMMED_EACH_TIME {
            return XxHash3_128::oneshot(&version.bytes);
        }
        if let Some(&sum) = self.large.lock().get(&version.generation) {
            return sum;
        }
        let sum = XxHash3_128::oneshot(&version.bytes);
        let mut large = self.large.lock();
        if large.len() >= REMEMBERED {
            large.clear();
        }
        large.insert(version.generation, sum);
        sum
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use bytes::Bytes;
    use tftp_ebpf::stage::Stage;

    use super::*;

    fn version(generation: u64, bytes: Vec<u8>) -> Version {
        Version {
            name: "x".into(),
            stage: Stage::Other,
            generation,
            published: SystemTime::UNIX_EPOCH,
            bytes: Bytes::from(bytes),
        }
    }

    #[test]
    fn the_tag_is_the_contents_whatever_its_generation_and_size() {
        let tags = Tags::default();
        for len in [0, 100, SUMMED_EACH_TIME + 1] {
            let one = tags.validators(&version(1, vec![7; len])).etag;
            let again = tags.validators(&version(1, vec![7; len])).etag;
            let same = tags.validators(&version(2, vec![7; len])).etag;
            let other = tags.validators(&version(3, vec![8; len + 1])).etag;
            assert_eq!((&again, &same), (&one, &one));
            assert_ne!(other, one);
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let tags = Tags::default();
        for generation in 0..REMEMBERED as u64 * 2 {
            tags.validators(&version(generation, vec![0; SUMMED_EACH_TIME]));
        }
        assert!(tags.large.lock().len() <= REMEMBERED);
    }
}
