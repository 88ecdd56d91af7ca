//! Lists, and what a byte may be (RFC 3261 section 25.1).
//!
//! A line that goes on on the next one is its parts with white space between them (7.3.1): so CR and
//! LF inside a value are white space too.

/// A character of `token`.
pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
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

/// Where `delimiter` is first, outside of quotes and angle brackets.
pub fn find_outside(bytes: &[u8], delimiter: u8) -> Option<usize> {
    let mut is_quoted = false;
    let mut is_bracketed = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' if is_quoted => at += 1,
            b'"' if !is_bracketed => is_quoted = !is_quoted,
            _ if is_quoted => {}
            b'<' => is_bracketed = true,
            b'>' => is_bracketed = false,
            _ if byte == delimiter && !is_bracketed => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
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
