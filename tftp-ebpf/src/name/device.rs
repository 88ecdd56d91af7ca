//! Names that have a device's name in them.
//!
//! Every phone asks for trust lists of its own, which hardly any site has. [`collapse`] turns all
//! such names into the two [`PATTERNS`], so that one entry answers for every device there is and
//! for every one there is not: nobody can tell them apart by who answers.

use super::{KEY_LEN, NameError, NameKey, key};

/// Stand in the directory for the trust lists of all devices. No request can spell them: it would
/// have its capitals folded.
pub const PATTERNS: [&str; 2] = ["ctlsep<MAC>.tlv", "itlsep<MAC>.tlv"];

/// The key that what is published under this name has in the directory: that of the name, or a
/// pattern as it is.
pub fn directory_key(name: &str) -> Result<NameKey, NameError> {
    if !PATTERNS.contains(&name) {
        return key(name.as_bytes());
    }
    let mut key = [0; KEY_LEN];
    key[..name.len()].copy_from_slice(name.as_bytes());
    Ok(key)
}

/// Hexadecimal digits of the MAC in a device's name.
pub const DEVICE_DIGITS: usize = 12;

/// Where they begin in `ctlsep<MAC>.tlv` and in `sep<MAC>.cnf.xml`.
const LIST_DIGITS_AT: usize = 6;
const CONFIG_DIGITS_AT: usize = 3;

/// Turns the key of a device's own trust list into the pattern it belongs to, and keeps the digits
/// that go by that; `false` if it is the key of anything else. For names without an entry of their
/// own, which goes first.
#[inline(always)]
pub fn collapse(key: &mut NameKey, device: &mut [u8; DEVICE_DIGITS]) -> bool {
    let of_device = (key[0] == b'c' || key[0] == b'i')
        && key[1] == b't'
        && key[2] == b'l'
        && key[3] == b's'
        && key[4] == b'e'
        && key[5] == b'p'
        && has_digits(key, LIST_DIGITS_AT);
    let behind = LIST_DIGITS_AT + DEVICE_DIGITS;
    let is_list = of_device
        && key[behind] == b'.'
        && key[behind + 1] == b't'
        && key[behind + 2] == b'l'
        && key[behind + 3] == b'v'
        && key[behind + 4] == 0;
    if !is_list {
        return false;
    }
    const TAIL: [u8; DEVICE_DIGITS + 4] = *b"<MAC>.tlv\0\0\0\0\0\0\0";
    let mut at = 0;
    while at < DEVICE_DIGITS {
        device[at] = key[LIST_DIGITS_AT + at];
        at += 1;
    }
    let mut at = 0;
    while at < TAIL.len() {
        key[LIST_DIGITS_AT + at] = TAIL[at];
        at += 1;
    }
    true
}

/// Whether a pattern answers for a name that has no entry of its own.
pub fn has_pattern(name: &[u8]) -> bool {
    key(name).is_ok_and(|mut key| collapse(&mut key, &mut [0; DEVICE_DIGITS]))
}

/// Whether this is the key of a file of one device: `sep<MAC>.`, `sip<MAC>.` or `ata<MAC>.` and
/// whatever. What goes through the device names of a vendor asks for nothing else.
#[inline(always)]
pub fn is_device_file(key: &NameKey) -> bool {
    let (a, b, c) = (key[0], key[1], key[2]);
    let of_device =
        a == b's' && (b == b'e' || b == b'i') && c == b'p' || a == b'a' && b == b't' && c == b'a';
    of_device && has_digits(key, CONFIG_DIGITS_AT) && key[CONFIG_DIGITS_AT + DEVICE_DIGITS] == b'.'
}

#[inline(always)]
fn has_digits(key: &NameKey, from: usize) -> bool {
    let mut at = from;
    while at < from + DEVICE_DIGITS {
        if !matches!(key[at], b'0'..=b'9' | b'a'..=b'f') {
            return false;
        }
        at += 1;
    }
    true
}
