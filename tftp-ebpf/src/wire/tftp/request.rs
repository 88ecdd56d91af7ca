//! Read and write requests: name, mode and options, byte by byte.

use super::{MAX_BLKSIZE, MIN_BLKSIZE, Mode, Options};
use crate::name::{self, Fold, KEY_LEN, NameError, NameKey, Step};

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

/// One word, folded to lower case: its length, and a sum in which every letter counts by its place.
/// Words of up to seven letters have each a sum of their own. Of longer ones, another with the sum of
/// one we know would have to be made up for it, and asks for nothing that the right word does not.
#[derive(Clone, Copy, Debug)]
struct Word {
    sum: u64,
    len: u32,
}

impl Word {
    const EMPTY: Self = Self { sum: 0, len: 0 };

    #[inline(always)]
    fn mode(self) -> Option<Mode> {
        if self.is(OCTET) {
            Some(Mode::Octet)
        } else if self.is(NETASCII) {
            Some(Mode::Netascii)
        } else if self.is(MAIL) {
            Some(Mode::Mail)
        } else {
            None
        }
    }

    #[inline(always)]
    const fn push(&mut self, byte: u8) {
        // More than there are bytes, so that no letter makes up for the one before it.
        self.sum = self
            .sum
            .wrapping_mul(257)
            .wrapping_add(byte.to_ascii_lowercase() as u64);
        self.len += 1;
    }

    #[inline(always)]
    const fn of(word: &[u8]) -> Self {
        let mut known = Self::EMPTY;
        let mut at = 0;
        while at < word.len() {
            known.push(word[at]);
            at += 1;
        }
        known
    }

    #[inline(always)]
    fn is(self, other: Self) -> bool {
        self.sum == other.sum && self.len == other.len
    }
}

/// A decimal number as an option value; anything but digits spoils it.
#[derive(Clone, Copy, Debug)]
struct Decimal {
    value: u64,
    digits: u32,
    spoiled: bool,
}

impl Decimal {
    const EMPTY: Self = Self {
        value: 0,
        digits: 0,
        spoiled: false,
    };

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

/// What the next byte of a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    Name,
    Mode,
    Option,
    Value,
}

/// Reads a request byte by byte; all state between two bytes is in here, and lies where the caller
/// puts it. In the kernel that is map memory, whose values the verifier does not follow: with the
/// state in registers it would walk every way of cutting a request into words.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Parser {
    word: Word,
    value: Decimal,
    name_len: u32,
    fold: Fold,
    options: Options,
    seen: Seen,
    phase: Phase,
    mode: Option<Mode>,
    error: Option<RequestError>,
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

impl Parser {
    #[inline(always)]
    pub const fn new() -> Self {
        Self {
            word: Word::EMPTY,
            value: Decimal::EMPTY,
            name_len: 0,
            fold: Fold::new(),
            options: Options {
                blksize: 0,
                windowsize: 0,
                timeout: 0,
                tsize: false,
            },
            seen: Seen::NONE,
            phase: Phase::Name,
            mode: None,
            error: None,
        }
    }

    /// Takes the bytes from `from` to `len`, and says what they were.
    #[inline(always)]
    fn feed_all<const N: usize>(
        &mut self,
        packet: &[u8; N],
        len: usize,
        from: usize,
        name: &mut NameKey,
    ) -> Result<Request, RequestError> {
        for (at, &byte) in packet.iter().enumerate().skip(from) {
            if at >= len || !self.feed(byte, name) {
                break;
            }
        }
        self.finish()
    }

    /// Takes the next byte behind the opcode; `false` when the rest does not matter. Never inlined:
    /// the compiler would move the state into registers.
    #[inline(never)]
    pub fn feed(&mut self, byte: u8, name: &mut NameKey) -> bool {
        match self.phase {
            Phase::Name => self.feed_name(byte, name),
            Phase::Mode => self.feed_mode(byte),
            Phase::Option => self.feed_option(byte),
            Phase::Value => self.feed_value(byte),
        }
    }

    /// The request, after its last byte. An option without its value, or without the closing NUL,
    /// is ignored.
    #[inline(always)]
    pub fn finish(&self) -> Result<Request, RequestError> {
        match (self.error, self.mode) {
            (Some(error), _) => Err(error),
            (None, Some(mode)) => Ok(Request {
                mode,
                options: self.options,
            }),
            (None, None) => Err(RequestError::Unterminated),
        }
    }

    #[inline(always)]
    fn fail(&mut self, error: RequestError) -> bool {
        self.error = Some(error);
        false
    }

    #[inline(always)]
    fn feed_name(&mut self, byte: u8, name: &mut NameKey) -> bool {
        if byte == 0 {
            if self.name_len == 0 {
                return self.fail(RequestError::Name(NameError::Empty));
            }
            self.phase = Phase::Mode;
            return true;
        }
        match self.fold.step(byte) {
            Err(error) => return self.fail(RequestError::Name(error)),
            Ok(Step::Skip) => {}
            Ok(Step::Restart) => {
                // The drive letter that was emitted is the only byte so far.
                name[0] = 0;
                self.name_len = 0;
            }
            Ok(Step::Emit(byte)) => {
                let at = self.name_len as usize;
                if at >= KEY_LEN {
                    return self.fail(RequestError::Name(NameError::TooLong));
                }
                name[at] = byte;
                self.name_len += 1;
            }
        }
        true
    }

    #[inline(always)]
    fn feed_mode(&mut self, byte: u8) -> bool {
        if byte != 0 {
            self.word.push(byte);
            return true;
        }
        self.mode = self.word.mode();
        if self.mode.is_none() {
            return self.fail(RequestError::Mode);
        }
        self.word = Word::EMPTY;
        self.phase = Phase::Option;
        true
    }

    #[inline(always)]
    fn feed_option(&mut self, byte: u8) -> bool {
        if byte != 0 {
            self.word.push(byte);
            return true;
        }
        // Phones of old end with a NUL too many.
        if self.word.len == 0 {
            return false;
        }
        self.value = Decimal::EMPTY;
        self.phase = Phase::Value;
        true
    }

    #[inline(always)]
    fn feed_value(&mut self, byte: u8) -> bool {
        if byte != 0 {
            self.value.push(byte);
            return true;
        }
        self.options.take(&mut self.seen, self.word, self.value);
        self.word = Word::EMPTY;
        self.phase = Phase::Option;
        true
    }
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
        Self::parse_with(&mut Parser::new(), packet, len, name)
    }

    /// Reads mode and options, which begin at `at`, behind the name's NUL: for the daemon, which
    /// also takes names that have no key in the kernel's directory.
    pub fn parse_behind_name<const N: usize>(
        packet: &[u8; N],
        len: usize,
        at: usize,
    ) -> Result<Self, RequestError> {
        let mut parser = Parser {
            phase: Phase::Mode,
            ..Parser::new()
        };
        parser.feed_all(packet, len, at, &mut [0; KEY_LEN])
    }

    /// [`Request::parse`] with the parser's state in memory of the caller's choice.
    #[inline(always)]
    pub fn parse_with<const N: usize>(
        parser: &mut Parser,
        packet: &[u8; N],
        len: usize,
        name: &mut NameKey,
    ) -> Result<Self, RequestError> {
        *parser = Parser::new();
        *name = [0; KEY_LEN];
        let request = parser.feed_all(packet, len, 2, name)?;
        name::strip(name);
        if name[0] == 0 {
            return Err(RequestError::Name(NameError::Empty));
        }
        Ok(request)
    }
}

impl Options {
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
#[derive(Clone, Copy, Debug)]
struct Seen {
    blksize: bool,
    timeout: bool,
    tsize: bool,
    windowsize: bool,
}

impl Seen {
    const NONE: Self = Self {
        blksize: false,
        timeout: false,
        tsize: false,
        windowsize: false,
    };
}

#[cfg(test)]
mod tests;
