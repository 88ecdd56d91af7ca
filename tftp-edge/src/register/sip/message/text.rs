//! Lists, and what a byte may be (RFC 3261 section 25.1).
//!
//! A line that goes on on the next one is its parts with white space between them (7.3.1): so CR and
//! LF inside a value are white space too.

/// Kinds of bytes, to be told by one look each: headers are read byte by byte, many times a second.
pub struct Kind([bool; 256]);

impl Kind {
    /// Letters, digits, and these.
    pub const fn alphanumeric_and(others: &[u8]) -> Self {
        let mut kind = [false; 256];
        let mut byte = 0;
        while byte < kind.len() {
            kind[byte] = (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        Self(kind).with(others, true)
    }

    /// What can be seen, except for these.
    pub const fn graphic_but(others: &[u8]) -> Self {
        let mut kind = [false; 256];
        let mut byte = 0;
        while byte < kind.len() {
            kind[byte] = (byte as u8).is_ascii_graphic();
            byte += 1;
        }
        Self(kind).with(others, false)
    }

    const fn with(self, bytes: &[u8], are: bool) -> Self {
        let mut kind = self.0;
        let mut at = 0;
        while at < bytes.len() {
            kind[bytes[at] as usize] = are;
            at += 1;
        }
        Self(kind)
    }

    pub fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte)]
    }

    pub fn has_all(&self, bytes: &[u8]) -> bool {
        bytes.iter().all(|&byte| self.has(byte))
    }
}

static TOKEN: Kind = Kind::alphanumeric_and(b"-.!%*_+`'~");

/// A character of `token`.
pub fn is_token_byte(byte: u8) -> bool {
    TOKEN.has(byte)
}

pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && TOKEN.has_all(bytes)
}

pub const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// What is ASCII all through, as text.
pub fn ascii(bytes: &[u8]) -> Option<&str> {
    bytes
        .is_ascii()
        .then(|| std::str::from_utf8(bytes).ok())
        .flatten()
}

/// Where `delimiter` is first, outside of quotes and angle brackets. Goes from one of them to the
/// next: most values have none.
pub fn find_outside(bytes: &[u8], delimiter: u8) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = bytes.get(at..)?;
        let found = memchr::memchr3(delimiter, b'"', b'<', rest)?;
        at += found
            + match rest[found] {
                b'"' => quoted_end(&rest[found..])?,
                b'<' => memchr::memchr(b'>', &rest[found..])? + 1,
                _ => return Some(at + found),
            };
    }
}

/// The place behind the quote that closes a quoted string; `bytes` begins with its first quote.
pub fn quoted_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'\\' => at += 2,
            b'"' => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// The values of a header that is a list, each without the white space around it. An empty one
/// comes as it is: the grammar knows none, and who reads the value refuses it.
#[derive(Clone, Debug)]
pub struct Values<'m> {
    rest: Option<&'m [u8]>,
}

impl<'m> Values<'m> {
    pub const fn of(value: &'m [u8]) -> Self {
        Self { rest: Some(value) }
    }
}

impl<'m> Iterator for Values<'m> {
    type Item = &'m [u8];

    fn next(&mut self) -> Option<&'m [u8]> {
        let all = self.rest.take()?;
        let Some(comma) = find_outside(all, b',') else {
            return Some(all.trim_ascii());
        };
        self.rest = Some(&all[comma + 1..]);
        Some(all[..comma].trim_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_quotes_and_brackets_part_nothing() {
        let list = br#" "a,\",b" <sip:c,d@e>;x="y,z" ,<sip:f> , ,g"#;
        let values: Vec<_> = Values::of(list).map(|it| ascii(it).unwrap()).collect();
        assert_eq!(
            values,
            [r#""a,\",b" <sip:c,d@e>;x="y,z""#, "<sip:f>", "", "g"]
        );
    }
}
