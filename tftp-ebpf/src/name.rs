//! One way to write a file name, shared by the kernel's directory and the daemon.
//!
//! Phones ask for the same file in many spellings: `RINGLIST.XML`, `\Ringlist.xml`,
//! `C:\firmware\x.sbn`, `/SEP001122334455.cnf.xml`. [`Fold`] turns each byte as it comes: ASCII case
//! is folded, `\` becomes `/`, a drive letter and leading or doubled slashes go. What it cannot
//! fold without doubt (a segment that begins with a dot, a control or non-ASCII byte) is refused:
//! the kernel then hands the request on, and the daemon answers with an error.

/// Longest normalised name in the kernel's directory. Longer names are served by the daemon.
pub const KEY_LEN: usize = 96;

/// A normalised name, padded with zeros: the key of the kernel's directory.
pub type NameKey = [u8; KEY_LEN];

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
    /// What was emitted so far was a drive letter: begin again.
    Restart,
}

/// Folds a name byte by byte; holds all the state between two bytes.
#[derive(Clone, Copy, Debug)]
pub struct Fold {
    raw: u32,
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
            raw: 0,
            at_segment_start: true,
        }
    }

    #[inline(always)]
    pub fn step(&mut self, byte: u8) -> Result<Step, NameError> {
        let position = self.raw;
        self.raw += 1;
        if !matches!(byte, 0x20..=0x7e) {
            return Err(NameError::Byte);
        }
        if byte == b'/' || byte == b'\\' {
            if self.at_segment_start {
                return Ok(Step::Skip);
            }
            self.at_segment_start = true;
            return Ok(Step::Emit(b'/'));
        }
        if byte == b':' && position == 1 {
            self.at_segment_start = true;
            return Ok(Step::Restart);
        }
        if byte == b'.' && self.at_segment_start {
            return Err(NameError::DotSegment);
        }
        self.at_segment_start = false;
        Ok(Step::Emit(byte.to_ascii_lowercase()))
    }
}

/// Normalises a whole name into `out`; returns how many bytes it has.
pub fn normalise<'out>(raw: &[u8], out: &'out mut [u8]) -> Result<&'out [u8], NameError> {
    let mut fold = Fold::new();
    let mut len = 0;
    for &byte in raw {
        match fold.step(byte)? {
            Step::Skip => {}
            Step::Restart => len = 0,
            Step::Emit(byte) => {
                *out.get_mut(len).ok_or(NameError::TooLong)? = byte;
                len += 1;
            }
        }
    }
    match len {
        0 => Err(NameError::Empty),
        _ => Ok(&out[..len]),
    }
}

/// The directory key of a name, if it has one.
pub fn key(raw: &[u8]) -> Result<NameKey, NameError> {
    let mut key = [0; KEY_LEN];
    normalise(raw, &mut key)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(raw: &str) -> Result<String, NameError> {
        let mut out = [0; KEY_LEN];
        normalise(raw.as_bytes(), &mut out)
            .map(|name| String::from_utf8(name.to_vec()).expect("ASCII in, ASCII out"))
    }

    #[test]
    fn spellings_of_one_name_fold_to_one_key() {
        for raw in [
            "Ringlist.xml",
            "RINGLIST.XML",
            "\\RingList.xml",
            "/ringlist.xml",
            "C:\\ringlist.xml",
        ] {
            assert_eq!(folded(raw).as_deref(), Ok("ringlist.xml"), "{raw}");
        }
        assert_eq!(
            folded("German_Germany//mk-sip.jar").as_deref(),
            Ok("german_germany/mk-sip.jar")
        );
        assert_eq!(folded("d:/a\\b").as_deref(), Ok("a/b"));
    }

    #[test]
    fn a_colon_elsewhere_is_part_of_the_name() {
        assert_eq!(folded("ab:c").as_deref(), Ok("ab:c"));
    }

    #[test]
    fn names_that_could_leave_the_root_are_refused() {
        for raw in [
            "../secret",
            "sub/../../secret",
            "./x",
            "..\\x",
            ".hidden",
            "c:../x",
            "a/./b",
        ] {
            assert_eq!(folded(raw), Err(NameError::DotSegment), "{raw}");
        }
    }

    #[test]
    fn bytes_outside_printable_ascii_are_refused() {
        for raw in [&b"x\xff"[..], b"a\nb", b"caf\xc3\xa9"] {
            assert_eq!(key(raw), Err(NameError::Byte), "{raw:?}");
        }
    }

    #[test]
    fn nothing_but_slashes_is_no_name() {
        for raw in ["", "/", "\\\\", "c:", "c:/"] {
            assert_eq!(folded(raw), Err(NameError::Empty), "{raw}");
        }
    }

    #[test]
    fn a_name_longer_than_a_key_is_refused() {
        assert!(key(&[b'a'; KEY_LEN]).is_ok());
        assert_eq!(key(&[b'a'; KEY_LEN + 1]), Err(NameError::TooLong));
    }
}
