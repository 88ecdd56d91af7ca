//! The lines of a message, found in one pass.

use std::fmt;

use super::number::decimal;
use super::start::StartLine;
use super::text::{Values, is_token};
use super::{Defect, Name};

/// Most header lines of a message. A phone's REGISTER has about 15.
pub const MAX_HEADERS: usize = 128;

/// Most bytes before the body.
pub const MAX_HEAD_BYTES: usize = 32 * 1024;

/// One header line: its name, and where its value is.
#[derive(Clone, Copy)]
struct Line {
    name: Name,
    from: u16,
    to: u16,
}

/// The lines of a message. What is in them was not looked at yet, but for their names.
#[derive(Clone)]
pub struct Message<'m> {
    bytes: &'m [u8],
    start: &'m [u8],
    lines: [Line; MAX_HEADERS],
    count: usize,
    /// Where the body begins.
    head: usize,
    /// What is wrong with the lines as such.
    defect: Option<Defect>,
}

impl<'m> Message<'m> {
    /// Finds the lines of a message that is there as a whole. A lone LF ends a line too. Errors:
    /// what is not even worth an answer, or has more lines than one can have.
    pub fn scan(bytes: &'m [u8]) -> Result<Self, Defect> {
        // Empty lines before the first one are to be ignored (RFC 3261 7.5).
        let blank = bytes
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let mut at = blank.count();
        let (start, next) = line_at(bytes, at).unwrap_or((&bytes[at..], bytes.len()));
        // What needs no second look is dropped before any other.
        if StartLine::parse(start) == Err(Defect::NotSip) {
            return Err(Defect::NotSip);
        }
        let mut message = Self {
            bytes,
            start,
            lines: [Line {
                name: Name::Other,
                from: 0,
                to: 0,
            }; MAX_HEADERS],
            count: 0,
            head: bytes.len(),
            defect: Some(Defect::Cut),
        };
        at = next;
        while let Some((line, next)) = line_at(bytes, at) {
            if next > MAX_HEAD_BYTES {
                return Err(Defect::TooLong);
            }
            if line.is_empty() {
                message.head = next;
                message.defect = message.defect.filter(|&it| it != Defect::Cut);
                return Ok(message);
            }
            message.add(line, at)?;
            at = next;
        }
        // The rest has no end of line: it is cut.
        if bytes.len() > MAX_HEAD_BYTES {
            return Err(Defect::TooLong);
        }
        Ok(message)
    }

    fn add(&mut self, line: &[u8], at: usize) -> Result<(), Defect> {
        // Below MAX_HEAD_BYTES, as the caller has seen.
        let place = |offset: usize| (at + offset) as u16;
        if line.contains(&0) {
            self.spoil(Defect::HeaderLine);
        }
        if matches!(line[0], b' ' | b'\t') {
            match self.count.checked_sub(1) {
                Some(before) => self.lines[before].to = place(line.len()),
                None => self.spoil(Defect::HeaderLine),
            }
            return Ok(());
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            self.spoil(Defect::HeaderLine);
            return Ok(());
        };
        let name = line[..colon].trim_ascii_end();
        if !is_token(name) {
            self.spoil(Defect::HeaderLine);
            return Ok(());
        }
        if self.count == MAX_HEADERS {
            return Err(Defect::TooManyHeaders);
        }
        self.lines[self.count] = Line {
            name: Name::of(name),
            from: place(colon + 1),
            to: place(line.len()),
        };
        self.count += 1;
        Ok(())
    }

    /// The first defect stays; that the message is cut goes behind all others.
    fn spoil(&mut self, defect: Defect) {
        if matches!(self.defect, None | Some(Defect::Cut)) {
            self.defect = Some(defect);
        }
    }

    /// All of it, as it came.
    pub fn bytes(&self) -> &'m [u8] {
        self.bytes
    }

    pub fn start(&self) -> Result<StartLine<'m>, Defect> {
        StartLine::parse(self.start)
    }

    /// What is wrong with the header lines as lines.
    pub fn defect(&self) -> Option<Defect> {
        self.defect
    }

    /// The values of all headers of that name, as they were written, without the white space
    /// around them.
    pub fn all(&self, name: Name) -> impl Iterator<Item = &'m [u8]> {
        let bytes = self.bytes;
        let named = self.lines[..self.count]
            .iter()
            .filter(move |it| it.name == name);
        named.map(move |it| bytes[usize::from(it.from)..usize::from(it.to)].trim_ascii())
    }

    pub fn first(&self, name: Name) -> Option<&'m [u8]> {
        self.all(name).next()
    }

    /// The value of a header there may be one of.
    pub fn only(&self, name: Name) -> Result<Option<&'m [u8]>, Defect> {
        let mut all = self.all(name);
        match (all.next(), all.next()) {
            (first, None) => Ok(first),
            (_, Some(_)) => Err(Defect::Repeated),
        }
    }

    /// The values of a header that is a list, over all its lines.
    pub fn values(&self, name: Name) -> impl Iterator<Item = &'m [u8]> {
        self.all(name).flat_map(Values::of)
    }

    /// The body: as long as `Content-Length` says; all the rest if it says nothing (RFC 3261 20.14
    /// for datagrams; over a stream there always is one). What a datagram has beyond it is nobody's
    /// (18.3).
    pub fn body(&self) -> Result<&'m [u8], Defect> {
        let rest = &self.bytes[self.head..];
        let Some(length) = self.only(Name::ContentLength)? else {
            return Ok(rest);
        };
        let length = decimal(length).ok_or(Defect::ContentLength)?;
        rest.get(..length as usize).ok_or(Defect::Body)
    }

    /// The first header that must stand alone and does not.
    pub fn repeated(&self) -> Option<Name> {
        let lines = &self.lines[..self.count];
        let again = lines.iter().enumerate().find(|(at, line)| {
            line.name.is_single() && lines[..*at].iter().any(|it| it.name == line.name)
        });
        again.map(|(_, line)| line.name)
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without its headers: they may hold credentials.
        formatter
            .debug_struct("Message")
            .field("start", &String::from_utf8_lossy(self.start))
            .field("headers", &self.count)
            .field("defect", &self.defect)
            .finish_non_exhaustive()
    }
}

/// The line at a place, without its end, and where the next one begins. None if it has no end.
fn line_at(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(at..)?;
    let end = memchr::memchr(b'\n', rest)?;
    let line = &rest[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), at + end + 1))
}
