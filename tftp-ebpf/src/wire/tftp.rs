//! TFTP: RFC 1350 packets, the option extension of RFC 2347 and the options of RFC 2348, 2349 and
//! 7440.
//!
//! [`Request::parse`] is run by the kernel program too, so it works on a fixed buffer, in bounded
//! loops, without slices of unknown length. [`Granted`] is the one place that decides what a server
//! answers to the options it was asked for.

use crate::name::{Fold, KEY_LEN, NameError, NameKey, Step};

/// The port a request is sent to.
pub const PORT: u16 = 69;

/// Opcode and block number: what stands before the payload of DATA, and all of an ACK.
pub const HEADER_LEN: usize = 4;

/// Block size without the option, RFC 1350.
pub const DEFAULT_BLKSIZE: u16 = 512;
/// Smallest and largest block size, RFC 2348.
pub const MIN_BLKSIZE: u16 = 8;
pub const MAX_BLKSIZE: u16 = 65464;

pub mod opcode {
    pub const RRQ: u16 = 1;
    pub const WRQ: u16 = 2;
    pub const DATA: u16 = 3;
    pub const ACK: u16 = 4;
    pub const ERROR: u16 = 5;
    /// RFC 2347.
    pub const OACK: u16 = 6;
}

/// Error codes of RFC 1350 and, for the last, RFC 2347, with the one text we send for each: short,
/// constant, and never a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum ErrorCode {
    NotDefined = 0,
    FileNotFound = 1,
    AccessViolation = 2,
    DiskFull = 3,
    IllegalOperation = 4,
    UnknownTid = 5,
    FileExists = 6,
    NoSuchUser = 7,
    OptionRefused = 8,
}

impl ErrorCode {
    pub const fn text(self) -> &'static str {
        match self {
            Self::NotDefined => "Error",
            Self::FileNotFound => "File not found",
            Self::AccessViolation => "Access violation",
            Self::DiskFull => "Disk full",
            Self::IllegalOperation => "Illegal operation",
            Self::UnknownTid => "Unknown transfer ID",
            Self::FileExists => "File exists",
            Self::NoSuchUser => "No such user",
            Self::OptionRefused => "Option refused",
        }
    }

    pub const fn from_u16(code: u16) -> Option<Self> {
        Some(match code {
            0 => Self::NotDefined,
            1 => Self::FileNotFound,
            2 => Self::AccessViolation,
            3 => Self::DiskFull,
            4 => Self::IllegalOperation,
            5 => Self::UnknownTid,
            6 => Self::FileExists,
            7 => Self::NoSuchUser,
            8 => Self::OptionRefused,
            _ => return None,
        })
    }
}

/// ERROR 1 as both rungs send it, complete.
pub const FILE_NOT_FOUND: [u8; 19] = *b"\x00\x05\x00\x01File not found\x00";

/// Transfer mode, RFC 1350 section 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Octet,
    Netascii,
    Mail,
}

/// The options of a request that we know and that have a value we may answer. Zero is "not asked
/// for": a bad value is treated as if the option were not there (RFC 2347: never an ERROR).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// RFC 2348, clamped to 65464; 8 and up.
    pub blksize: u16,
    /// RFC 7440; 1 and up.
    pub windowsize: u16,
    /// RFC 2349, seconds; 1 to 255.
    pub timeout: u8,
    /// RFC 2349, whatever value the client sent.
    pub tsize: bool,
}

/// Why a request cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// The buffer ends inside the name or the mode.
    Unterminated,
    Name(NameError),
    /// A mode that RFC 1350 does not name.
    Mode,
}

/// A read or write request, without its opcode and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    pub mode: Mode,
    pub options: Options,
}

/// One word of up to eight bytes, folded to lower case. Longer words keep their last eight bytes;
/// with the length that still tells every word we know apart.
#[derive(Clone, Copy, Default)]
struct Word {
    tail: u64,
    len: u32,
}

impl Word {
    #[inline(always)]
    fn push(&mut self, byte: u8) {
        self.tail = self.tail << 8 | byte.to_ascii_lowercase() as u64;
        self.len += 1;
    }

    #[inline(always)]
    const fn of(word: &[u8]) -> Self {
        let mut tail = 0;
        let mut at = 0;
        while at < word.len() {
            tail = tail << 8 | word[at] as u64;
            at += 1;
        }
        Self {
            tail,
            len: word.len() as u32,
        }
    }

    #[inline(always)]
    fn is(self, other: Self) -> bool {
        self.tail == other.tail && self.len == other.len
    }
}

/// A decimal number as an option value; anything but digits spoils it.
#[derive(Clone, Copy, Default)]
struct Decimal {
    value: u64,
    digits: u32,
    spoiled: bool,
}

impl Decimal {
    /// Past any value an option may have; digits beyond it no longer change the meaning.
    const CEILING: u64 = 1 << 40;

    #[inline(always)]
    fn push(&mut self, byte: u8) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            self.spoiled = true;
            return;
        }
        self.digits += 1;
        if self.value < Self::CEILING {
            self.value = self.value * 10 + digit as u64;
        }
    }

    #[inline(always)]
    fn get(self) -> Option<u64> {
        if self.spoiled || self.digits == 0 {
            None
        } else {
            Some(self.value)
        }
    }
}

const OCTET: Word = Word::of(b"octet");
const NETASCII: Word = Word::of(b"netascii");
const MAIL: Word = Word::of(b"mail");
const BLKSIZE: Word = Word::of(b"blksize");
const TIMEOUT: Word = Word::of(b"timeout");
const TSIZE: Word = Word::of(b"tsize");
const WINDOWSIZE: Word = Word::of(b"windowsize");

/// Which of an option pair the parser is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pair {
    Name,
    Value,
}

impl Request {
    /// Reads the request in the first `len` bytes of `packet` and writes its normalised name to
    /// `name`, padded with zeros. The opcode, in the first two bytes, is the caller's to check.
    ///
    /// Trailing NULs, an option without a value and junk after the last option are ignored, as
    /// phones and peers send them; of an option sent twice the first counts.
    #[inline(always)]
    pub fn parse<const N: usize>(
        packet: &[u8; N],
        len: usize,
        name: &mut NameKey,
    ) -> Result<Self, RequestError> {
        let mut at = Self::parse_name(packet, len, name)?;
        let mode = Self::parse_mode(packet, len, &mut at)?;
        Ok(Self {
            mode,
            options: Options::parse(packet, len, at),
        })
    }

    /// Reads mode and options, which begin at `at`, behind the name's NUL: for the daemon, which
    /// also takes names that have no key in the kernel's directory.
    pub fn parse_behind_name<const N: usize>(
        packet: &[u8; N],
        len: usize,
        mut at: usize,
    ) -> Result<Self, RequestError> {
        let mode = Self::parse_mode(packet, len, &mut at)?;
        Ok(Self {
            mode,
            options: Options::parse(packet, len, at),
        })
    }

    /// Returns the offset behind the name's NUL.
    #[inline(always)]
    fn parse_name<const N: usize>(
        packet: &[u8; N],
        len: usize,
        name: &mut NameKey,
    ) -> Result<usize, RequestError> {
        *name = [0; KEY_LEN];
        let mut fold = Fold::new();
        let mut written = 0;
        for at in 2..N {
            if at >= len {
                return Err(RequestError::Unterminated);
            }
            let byte = packet[at];
            if byte == 0 {
                return if written == 0 {
                    Err(RequestError::Name(NameError::Empty))
                } else {
                    Ok(at + 1)
                };
            }
            match fold.step(byte) {
                Err(error) => return Err(RequestError::Name(error)),
                Ok(Step::Skip) => {}
                Ok(Step::Restart) => {
                    // The drive letter that was emitted is the only byte so far.
                    name[0] = 0;
                    written = 0;
                }
                Ok(Step::Emit(byte)) => {
                    if written >= KEY_LEN {
                        return Err(RequestError::Name(NameError::TooLong));
                    }
                    name[written] = byte;
                    written += 1;
                }
            }
        }
        Err(RequestError::Unterminated)
    }

    #[inline(always)]
    fn parse_mode<const N: usize>(
        packet: &[u8; N],
        len: usize,
        at: &mut usize,
    ) -> Result<Mode, RequestError> {
        let mut word = Word::default();
        // The longest mode has eight letters; one more byte for its NUL.
        for _ in 0..9 {
            let index = *at;
            if index >= len || index >= N {
                return Err(RequestError::Unterminated);
            }
            *at = index + 1;
            let byte = packet[index];
            if byte != 0 {
                word.push(byte);
                continue;
            }
            if word.is(OCTET) {
                return Ok(Mode::Octet);
            }
            if word.is(NETASCII) {
                return Ok(Mode::Netascii);
            }
            if word.is(MAIL) {
                return Ok(Mode::Mail);
            }
            return Err(RequestError::Mode);
        }
        Err(RequestError::Mode)
    }
}

impl Options {
    #[inline(always)]
    fn parse<const N: usize>(packet: &[u8; N], len: usize, mut at: usize) -> Self {
        let mut options = Self::default();
        let mut seen = Seen::default();
        let mut pair = Pair::Name;
        let mut word = Word::default();
        let mut value = Decimal::default();
        for _ in 0..N {
            if at >= len || at >= N {
                break;
            }
            let byte = packet[at];
            at += 1;
            if byte != 0 {
                match pair {
                    Pair::Name => word.push(byte),
                    Pair::Value => value.push(byte),
                }
                continue;
            }
            match pair {
                Pair::Name if word.len == 0 => break,
                Pair::Name => {
                    pair = Pair::Value;
                    value = Decimal::default();
                }
                Pair::Value => {
                    options.take(&mut seen, word, value);
                    pair = Pair::Name;
                    word = Word::default();
                }
            }
        }
        options
    }

    #[inline(always)]
    fn take(&mut self, seen: &mut Seen, word: Word, value: Decimal) {
        let number = value.get().unwrap_or(0);
        if word.is(BLKSIZE) && !seen.blksize {
            seen.blksize = true;
            if number > MAX_BLKSIZE as u64 {
                self.blksize = MAX_BLKSIZE;
            } else if number >= MIN_BLKSIZE as u64 {
                self.blksize = number as u16;
            }
        } else if word.is(TIMEOUT) && !seen.timeout {
            seen.timeout = true;
            if number <= 255 {
                self.timeout = number as u8;
            }
        } else if word.is(TSIZE) && !seen.tsize {
            seen.tsize = true;
            self.tsize = value.get().is_some();
        } else if word.is(WINDOWSIZE) && !seen.windowsize {
            seen.windowsize = true;
            if number <= 65535 {
                self.windowsize = number as u16;
            }
        }
    }
}

/// Options already met, good or bad: RFC 2347 forbids a second, so the first counts.
#[derive(Clone, Copy, Default)]
struct Seen {
    blksize: bool,
    timeout: bool,
    tsize: bool,
    windowsize: bool,
}

/// What a server lets a client have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest block size, after the interface's MTU.
    pub blksize: u16,
    /// Largest window, in blocks.
    pub windowsize: u16,
}

/// The answer to a request's options: zero where the option is left out of the OACK.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    pub blksize: u16,
    pub windowsize: u16,
    pub timeout: u8,
    /// The file's size in bytes, if `tsize` was asked for.
    pub tsize: Option<u64>,
}

impl Granted {
    /// `size` is `None` where it is not known before the transfer (netascii).
    #[inline(always)]
    pub fn new(asked: &Options, limits: &Limits, size: Option<u64>) -> Self {
        let at_most = |asked: u16, limit: u16| if asked < limit { asked } else { limit };
        Self {
            blksize: at_most(asked.blksize, limits.blksize),
            windowsize: at_most(asked.windowsize, limits.windowsize),
            timeout: asked.timeout,
            tsize: if asked.tsize { size } else { None },
        }
    }

    /// With nothing to acknowledge the transfer begins with DATA 1, never with an empty OACK.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.blksize == 0 && self.windowsize == 0 && self.timeout == 0 && self.tsize.is_none()
    }

    /// The block size in force.
    #[inline(always)]
    pub fn block_len(&self) -> u16 {
        if self.blksize == 0 {
            DEFAULT_BLKSIZE
        } else {
            self.blksize
        }
    }

    /// The window in force, in blocks.
    #[inline(always)]
    pub fn window(&self) -> u16 {
        if self.windowsize == 0 {
            1
        } else {
            self.windowsize
        }
    }

    /// Writes the OACK packet, opcode and all; returns its length. Options stand in a fixed order,
    /// so that every rung sends the same bytes.
    #[inline(always)]
    pub fn encode_oack(&self, out: &mut [u8; OACK_MAX]) -> usize {
        let mut writer = Writer { out, at: 0 };
        writer.bytes(&opcode::OACK.to_be_bytes());
        if self.blksize != 0 {
            writer.bytes(b"blksize\0");
            writer.decimal(self.blksize as u64);
        }
        if self.timeout != 0 {
            writer.bytes(b"timeout\0");
            writer.decimal(self.timeout as u64);
        }
        if let Some(tsize) = self.tsize {
            writer.bytes(b"tsize\0");
            writer.decimal(tsize);
        }
        if self.windowsize != 0 {
            writer.bytes(b"windowsize\0");
            writer.decimal(self.windowsize as u64);
        }
        writer.at
    }
}

/// Room for an OACK with all four options and a size of up to ten digits.
pub const OACK_MAX: usize = 72;

struct Writer<'out> {
    out: &'out mut [u8; OACK_MAX],
    at: usize,
}

impl Writer<'_> {
    #[inline(always)]
    fn byte(&mut self, byte: u8) {
        if self.at < OACK_MAX {
            self.out[self.at] = byte;
            self.at += 1;
        }
    }

    #[inline(always)]
    fn bytes<const N: usize>(&mut self, bytes: &[u8; N]) {
        for &byte in bytes {
            self.byte(byte);
        }
    }

    /// Digits and the closing NUL. Ten digits are enough: no file of ours has more bytes.
    #[inline(always)]
    fn decimal(&mut self, value: u64) {
        let mut divisor = 1_000_000_000;
        let mut started = false;
        for _ in 0..10 {
            let digit = value / divisor % 10;
            if digit != 0 || started || divisor == 1 {
                started = true;
                self.byte(b'0' + digit as u8);
            }
            divisor /= 10;
        }
        self.byte(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(payload: &[u8]) -> (Result<Request, RequestError>, String) {
        let mut packet = [0xaa; 256];
        packet[..payload.len()].copy_from_slice(payload);
        let mut name = [0; KEY_LEN];
        let request = Request::parse(&packet, payload.len(), &mut name);
        let end = name.iter().position(|&byte| byte == 0).unwrap_or(KEY_LEN);
        (
            request,
            String::from_utf8(name[..end].to_vec()).expect("names are ASCII"),
        )
    }

    fn options(tail: &[u8]) -> Options {
        let mut payload = b"\0\x01f\0octet\0".to_vec();
        payload.extend_from_slice(tail);
        parse(&payload).0.expect("a good request").options
    }

    #[test]
    fn a_plain_request_has_a_mode_and_no_options() {
        let (request, name) = parse(b"\0\x01SEP001122334455.cnf.xml\0octet\0");
        assert_eq!(
            request,
            Ok(Request {
                mode: Mode::Octet,
                options: Options::default()
            })
        );
        assert_eq!(name, "sep001122334455.cnf.xml");
    }

    #[test]
    fn the_stray_nul_of_old_phones_is_accepted() {
        assert!(parse(b"\0\x01OS79XX.TXT\0octet\0\0").0.is_ok());
        assert!(parse(b"\0\x01OS79XX.TXT\0octet\0\0\0\0").0.is_ok());
        assert_eq!(options(b"\0\0blksize\x001024\0"), Options::default());
    }

    #[test]
    fn mode_and_options_are_read_alike_with_and_without_the_name() {
        let payload = b"\0\x01f\0OCTET\0blksize\x001024\0";
        let mut packet = [0xaa; 64];
        packet[..payload.len()].copy_from_slice(payload);
        assert_eq!(
            Request::parse_behind_name(&packet, payload.len(), 4),
            parse(payload).0
        );
    }

    #[test]
    fn modes_are_read_in_any_case() {
        for (mode, expected) in [
            (&b"OcTeT"[..], Ok(Mode::Octet)),
            (b"NETASCII", Ok(Mode::Netascii)),
            (b"mail", Ok(Mode::Mail)),
            (b"binary", Err(RequestError::Mode)),
            (b"netasciix", Err(RequestError::Mode)),
            (b"", Err(RequestError::Mode)),
        ] {
            let packet = [&b"\0\x01f\0"[..], mode, b"\0"].concat();
            assert_eq!(
                parse(&packet).0.map(|request| request.mode),
                expected,
                "{mode:?}"
            );
        }
    }

    #[test]
    fn what_ends_too_early_is_refused() {
        for packet in [&b"\0\x01"[..], b"\0\x01f", b"\0\x01f\0", b"\0\x01f\0octet"] {
            assert_eq!(
                parse(packet).0,
                Err(RequestError::Unterminated),
                "{packet:?}"
            );
        }
        assert_eq!(
            parse(b"\0\x01\0octet\0").0,
            Err(RequestError::Name(NameError::Empty))
        );
    }

    #[test]
    fn known_options_are_read_in_any_case_and_order() {
        assert_eq!(
            options(b"TSIZE\x000\0BlkSize\x001428\0windowsize\x0016\0timeout\x003\0"),
            Options {
                blksize: 1428,
                windowsize: 16,
                timeout: 3,
                tsize: true
            }
        );
    }

    #[test]
    fn bad_values_are_as_good_as_not_asked() {
        for tail in [
            &b"blksize\x007\0"[..],
            b"blksize\x000\0",
            b"blksize\0-1\0",
            b"blksize\0abc\0",
            b"blksize\0\0",
            b"blksize\x001024",
            b"timeout\x000\0",
            b"timeout\x00256\0",
            b"windowsize\x000\0",
            b"windowsize\x0065536\0",
            b"tsize\0x\0",
            b"multicast\0\0",
            b"blksize\0",
        ] {
            assert_eq!(options(tail), Options::default(), "{tail:?}");
        }
    }

    #[test]
    fn huge_numbers_are_clamped() {
        assert_eq!(options(b"blksize\x0065465\0").blksize, MAX_BLKSIZE);
        assert_eq!(
            options(b"blksize\x0099999999999999999999\0").blksize,
            MAX_BLKSIZE
        );
    }

    #[test]
    fn of_an_option_sent_twice_the_first_counts() {
        assert_eq!(options(b"blksize\x00512\0blksize\x001024\0").blksize, 512);
        assert_eq!(options(b"blksize\x007\0blksize\x001024\0").blksize, 0);
    }

    #[test]
    fn an_option_without_a_value_does_not_spoil_the_ones_before() {
        assert_eq!(options(b"blksize\x001024\0tsize\0").blksize, 1024);
    }

    #[test]
    fn an_oack_answers_what_was_asked_and_nothing_else() {
        let limits = Limits {
            blksize: 1468,
            windowsize: 64,
        };
        let asked = Options {
            blksize: 8192,
            windowsize: 100,
            timeout: 3,
            tsize: true,
        };
        let granted = Granted::new(&asked, &limits, Some(4_294_967_295));
        let mut out = [0; OACK_MAX];
        let len = granted.encode_oack(&mut out);
        assert_eq!(
            &out[..len],
            b"\0\x06blksize\x001468\0timeout\x003\0tsize\x004294967295\0windowsize\x0064\0"
        );
        assert!(Granted::new(&Options::default(), &limits, Some(7)).is_empty());
    }

    #[test]
    fn an_empty_file_has_a_size_too() {
        let limits = Limits {
            blksize: 1468,
            windowsize: 64,
        };
        let asked = Options {
            tsize: true,
            ..Options::default()
        };
        let mut out = [0; OACK_MAX];
        let len = Granted::new(&asked, &limits, Some(0)).encode_oack(&mut out);
        assert_eq!(&out[..len], b"\0\x06tsize\x000\0");
    }

    #[test]
    fn the_constant_error_is_the_encoded_one() {
        let text = ErrorCode::FileNotFound.text();
        assert_eq!(&FILE_NOT_FOUND[4..18], text.as_bytes());
    }
}
