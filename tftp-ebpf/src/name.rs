//! One way to write a file name, shared by the kernel's directory and the daemon.
//!
//! Phones ask for the same file in many spellings: `RINGLIST.XML`, `\Ringlist.xml`,
//! `C:\firmware\x.sbn`, `/SEP001122334455.cnf.xml`, and the IP Communicator for
//! `Communicator\SEP001122334455.cnf.xml`. [`Fold`] turns each byte as it comes: ASCII case is
//! folded, `\` becomes `/`, a drive letter and leading or doubled slashes go; [`strip`] takes the
//! folder of the Communicator away from the whole. What cannot be folded without doubt (a segment
//! that begins with a dot, a control or non-ASCII byte) is refused: the kernel then hands the
//! request on, and the daemon answers with an error.
//!
//! A `#` stays what it is. One known tree of phone files (provision_sccp) has `@` in its place, but
//! it does so on its own disk; no phone is known to mean the one by the other.

mod device;
#[cfg(test)]
mod tests;

pub use device::{DEVICE_DIGITS, PATTERNS, collapse, directory_key, has_pattern, is_device_file};

/// Longest normalised name in the kernel's directory. Longer names are served by the daemon.
pub const KEY_LEN: usize = 96;

/// A normalised name, padded with zeros: the key of the kernel's directory.
pub type NameKey = [u8; KEY_LEN];

/// What Cisco's IP Communicator puts before names, once folded.
const COMMUNICATOR: [u8; 13] = *b"communicator/";

/// Why a name has no normalised form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// The name is empty, or nothing but slashes.
    Empty,
    /// A segment begins with a dot: `..`, `.`, or a hidden file.
    DotSegment,
    /// A control byte, or one outside ASCII.
    Byte,
    /// The normalised name does not fit.
    TooLong,
}

/// What a byte of the requested name becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Emit(u8),
    Skip,
    /// The one byte that was emitted so far was a drive letter: begin again.
    Restart,
}

/// Folds a name byte by byte; holds all the state between two bytes.
#[derive(Clone, Copy, Debug)]
pub struct Fold {
    /// Bytes emitted from the beginning, or since the restart.
    len: u32,
    at_segment_start: bool,
}

impl Default for Fold {
    fn default() -> Self {
        Self::new()
    }
}

impl Fold {
    pub const fn new() -> Self {
        Self {
            len: 0,
            at_segment_start: true,
        }
    }

    #[inline(always)]
    pub fn step(&mut self, byte: u8) -> Result<Step, NameError> {
        if !matches!(byte, 0x20..=0x7e) {
            return Err(NameError::Byte);
        }
        if byte == b'/' || byte == b'\\' {
            if self.at_segment_start {
                return Ok(Step::Skip);
            }
            self.at_segment_start = true;
            self.len += 1;
            return Ok(Step::Emit(b'/'));
        }
        if byte == b':' && self.len == 1 {
            self.len = 0;
            self.at_segment_start = true;
            return Ok(Step::Restart);
        }
        if byte == b'.' && self.at_segment_start {
            return Err(NameError::DotSegment);
        }
        self.at_segment_start = false;
        self.len += 1;
        Ok(Step::Emit(byte.to_ascii_lowercase()))
    }
}

/// Normalises a whole name in `out`; returns the part of it that is the name.
pub fn normalise<'out>(raw: &[u8], out: &'out mut [u8]) -> Result<&'out [u8], NameError> {
    fold_all(raw, out, |_, folded| folded)
}

/// As [`normalise`], but every letter in its own case.
pub fn respell<'out>(raw: &[u8], out: &'out mut [u8]) -> Result<&'out [u8], NameError> {
    fold_all(raw, out, |byte, folded| match folded {
        b'/' => b'/',
        _ => byte,
    })
}

fn fold_all<'out>(
    raw: &[u8],
    out: &'out mut [u8],
    write: impl Fn(u8, u8) -> u8,
) -> Result<&'out [u8], NameError> {
    let mut fold = Fold::new();
    let mut len = 0;
    for &byte in raw {
        match fold.step(byte)? {
            Step::Skip => {}
            Step::Restart => len = 0,
            Step::Emit(folded) => {
                *out.get_mut(len).ok_or(NameError::TooLong)? = write(byte, folded);
                len += 1;
            }
        }
    }
    let mut name = &out[..len];
    while let Some((folder, rest)) = name.split_first_chunk::<{ COMMUNICATOR.len() }>()
        && folder.eq_ignore_ascii_case(&COMMUNICATOR)
    {
        name = rest;
    }
    match name {
        [] => Err(NameError::Empty),
        _ => Ok(name),
    }
}

/// Takes the folder of the IP Communicator away from a folded key, however often it is there: the
/// same as [`normalise`] does, in place.
///
/// A function of its own, and not a part of [`Fold`]: there the verifier would walk it again for
/// each byte of the request.
#[inline(never)]
pub fn strip(key: &mut NameKey) {
    for _ in 0..KEY_LEN / COMMUNICATOR.len() {
        let mut differs = 0;
        for at in 0..COMMUNICATOR.len() {
            differs |= key[at] ^ COMMUNICATOR[at];
        }
        if differs != 0 {
            return;
        }
        for at in 0..KEY_LEN {
            let from = at + COMMUNICATOR.len();
            key[at] = if from < KEY_LEN { key[from] } else { 0 };
        }
    }
}

/// The key that a name is looked up by first, if it has one.
pub fn key(raw: &[u8]) -> Result<NameKey, NameError> {
    let mut buffer = [0; KEY_LEN];
    let name = normalise(raw, &mut buffer)?;
    let mut key = [0; KEY_LEN];
    key[..name.len()].copy_from_slice(name);
    Ok(key)
}
