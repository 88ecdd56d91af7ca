//! Bodies of several parts (RFC 2046 section 5.1).

use super::header::Name;
use super::params::{Params, unquoted};
use super::text::find_outside;

/// Most parts that are looked at. A phone's REGISTER has two.
const MAX_PARTS: usize = 8;

/// A part of a body, with the type that it says it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'m> {
    /// Without parameters.
    pub content_type: &'m [u8],
    pub bytes: &'m [u8],
}

/// The parts of a body: itself, if it is not `multipart/…`.
pub fn parts<'m>(content_type: &'m [u8], body: &'m [u8]) -> impl Iterator<Item = Part<'m>> {
    let end = find_outside(content_type, b';').unwrap_or(content_type.len());
    let (kind, params) = content_type.split_at(end);
    let kind = kind.trim_ascii();
    let is_multipart = kind.len() > 10 && kind[..10].eq_ignore_ascii_case(b"multipart/");
    let boundary = Params::parse(params).and_then(|it| it.value("boundary"));
    let whole = (!is_multipart).then_some(Part {
        content_type: kind,
        bytes: body,
    });
    // One with escapes in it is nobody's.
    let boundary = boundary.filter(|it| is_multipart && !it.contains(&b'\\'));
    let boundary = boundary.map(|it| match unquoted(it) {
        std::borrow::Cow::Borrowed(it) => it,
        std::borrow::Cow::Owned(_) => b"",
    });
    let mut rest = boundary.and_then(|it| Some((it, after_delimiter(body, it)?)));
    let several = std::iter::from_fn(move || {
        let (boundary, from) = rest.take()?;
        if from.starts_with(b"--") {
            return None;
        }
        let end = delimiter(from, boundary)?;
        rest = after_delimiter(&from[end..], boundary).map(|it| (boundary, it));
        Some(part(&from[..end]))
    });
    whole.into_iter().chain(several.take(MAX_PARTS))
}

/// Where the line `--boundary` begins.
fn delimiter(bytes: &[u8], boundary: &[u8]) -> Option<usize> {
    if boundary.is_empty() {
        return None;
    }
    let mut dashes = memchr::memmem::find_iter(bytes, b"--");
    dashes.find(|&at| {
        let begins = at == 0 || bytes[at - 1] == b'\n';
        begins && bytes[at + 2..].starts_with(boundary)
    })
}

fn after_delimiter<'m>(bytes: &'m [u8], boundary: &[u8]) -> Option<&'m [u8]> {
    let at = delimiter(bytes, boundary)?;
    Some(&bytes[at + 2 + boundary.len()..])
}

/// A part after its delimiter: headers, an empty line, and the rest. Phones leave out the empty line
/// where there are no headers.
fn part(raw: &[u8]) -> Part<'_> {
    let mut part = Part {
        content_type: b"text/plain",
        bytes: b"",
    };
    // What is left of the line of the delimiter.
    let mut rest = raw;
    let mut is_first = true;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let line = rest[..end].trim_ascii();
        rest = &rest[end + 1..];
        if line.is_empty() && !is_first {
            break;
        }
        is_first = false;
        if let Some(colon) = memchr::memchr(b':', line)
            && Name::of(line[..colon].trim_ascii()) == Name::ContentType
        {
            let value = &line[colon + 1..];
            let end = memchr::memchr(b';', value).unwrap_or(value.len());
            part.content_type = value[..end].trim_ascii();
        }
    }
    part.bytes = rest.strip_suffix(b"\n").unwrap_or(rest);
    part.bytes = part.bytes.strip_suffix(b"\r").unwrap_or(part.bytes);
    part
}
