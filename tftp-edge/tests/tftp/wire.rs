//! Packets that the tests send and expect, and a site that has files.

use crate::site::{Site, content};

pub(crate) const ILLEGAL_OPERATION: &[u8] = b"\0\x05\0\x04Illegal operation\0";

pub(crate) const ACCESS_VIOLATION: &[u8] = b"\0\x05\0\x02Access violation\0";

pub(crate) const UNKNOWN_TID: &[u8] = b"\0\x05\0\x05Unknown transfer ID\0";

pub(crate) fn ack(block: u16) -> [u8; 4] {
    let number = block.to_be_bytes();
    [0, 4, number[0], number[1]]
}

pub(crate) fn site_with(files: &[(&str, usize)]) -> Site {
    let site = Site::start();
    for &(name, len) in files {
        site.files.put(name, content(len));
    }
    site
}
