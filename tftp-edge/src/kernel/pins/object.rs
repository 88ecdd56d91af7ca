//! What a pin is of, as the kernel describes it.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

use crate::kernel::sys;

/// What may be pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Map,
    Link,
    /// A program, or anything that is none of ours.
    Other,
}

/// An open pin.
pub(super) struct Pinned {
    pub(super) descriptor: OwnedFd,
    pub(super) kind: Kind,
}

impl Pinned {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let descriptor = sys::open_pin(path)?;
        let link = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
        let kind = match fs::read_link(link)?.to_str() {
            Some("anon_inode:bpf-map") => Kind::Map,
            // As it is made, and as it is opened again.
            Some("anon_inode:bpf_link" | "anon_inode:bpf-link") => Kind::Link,
            _ => Kind::Other,
        };
        Ok(Self { descriptor, kind })
    }

    /// What the kernel tells of it, by what stands before it (`bpf_link_show_fdinfo`).
    fn fact(&self, what: &str) -> Option<String> {
        let path = format!("/proc/self/fdinfo/{}", self.descriptor.as_raw_fd());
        let info = fs::read_to_string(path).ok()?;
        let mut lines = info.lines();
        lines.find_map(|line| Some(line.strip_prefix(what)?.trim().to_owned()))
    }

    /// The interface a link is at; none if it is gone, and the link with it.
    pub(super) fn ifindex(&self) -> Option<u32> {
        let index = self.fact("ifindex:")?.parse().ok()?;
        (index != 0).then_some(index)
    }
}
