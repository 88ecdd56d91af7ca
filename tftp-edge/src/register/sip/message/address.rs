//! Who is meant: `"Display name" <uri>;params`, or `uri;params` (RFC 3261 20.10).

use super::text::{find_outside, is_space, is_token_byte, quoted_end};
use super::{Params, Uri};

/// The value of a From, To, Contact or Refer-To header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAddr<'m> {
    /// As it was written, without brackets.
    pub uri: &'m [u8],
    /// Those of the header. Without brackets all parameters are the header's.
    pub params: Params<'m>,
    /// What stands before the parameters, as it was written.
    pub before: &'m [u8],
}

impl<'m> NameAddr<'m> {
    /// None if the value is neither of both forms. The URI is still to be read.
    pub fn parse(value: &'m [u8]) -> Option<Self> {
        let value = value.trim_ascii();
        let bracket = match value.first()? {
            b'"' => {
                let end = quoted_end(value)?;
                let spaces = value[end..].iter().take_while(|&&byte| is_space(byte));
                let bracket = end + spaces.count();
                (value.get(bracket) == Some(&b'<')).then_some(bracket)?
            }
            _ => match memchr::memchr(b'<', value) {
                Some(bracket) => {
                    let is_word = |&byte: &u8| is_token_byte(byte) || is_space(byte);
                    value[..bracket].iter().all(is_word).then_some(bracket)?
                }
                None => return Self::bare(value),
            },
        };
        let inside = &value[bracket + 1..];
        let end = memchr::memchr(b'>', inside)?;
        let (before, rest) = value.split_at(bracket + 1 + end + 1);
        Some(Self {
            uri: &inside[..end],
            params: Params::parse(rest)?,
            before,
        })
    }

    /// Without brackets: a comma, question mark or semicolon cannot be the URI's (20.10).
    fn bare(value: &'m [u8]) -> Option<Self> {
        let end = find_outside(value, b';').unwrap_or(value.len());
        let (uri, rest) = value.split_at(end);
        let uri = uri.trim_ascii_end();
        if uri.contains(&b'?') || uri.contains(&b',') {
            return None;
        }
        Some(Self {
            uri,
            params: Params::parse(rest)?,
            before: uri,
        })
    }

    pub fn uri(&self) -> Option<Uri<'m>> {
        Uri::parse(self.uri)
    }

    pub fn tag(&self) -> Option<&'m [u8]> {
        self.params.value("tag")
    }
}
