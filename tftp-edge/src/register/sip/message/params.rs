//! Parameters: `;name=value;name="quoted value";name`.

use std::borrow::Cow;

use super::text::{find_outside, is_space, is_token, quoted_end};

/// The parameters of a header or a URI, checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params<'m> {
    raw: &'m [u8],
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'m> {
    pub name: &'m [u8],
    /// As it was written, with its quotes.
    pub value: Option<&'m [u8]>,
    /// All of it.
    pub raw: &'m [u8],
}

impl<'m> Params<'m> {
    /// `raw` is empty or begins with `;`. None if it is anything but parameters.
    pub fn parse(raw: &'m [u8]) -> Option<Self> {
        let raw = raw.trim_ascii();
        if !raw.is_empty() && raw[0] != b';' {
            return None;
        }
        let params = Self { raw };
        params.iter().all(|it| it.is_sound()).then_some(params)
    }

    pub fn iter(self) -> impl Iterator<Item = Param<'m>> {
        let mut rest = self.raw;
        std::iter::from_fn(move || {
            let after = rest.strip_prefix(b";")?;
            let end = find_outside(after, b';').unwrap_or(after.len());
            rest = &after[end..];
            Some(Param::split(after[..end].trim_ascii()))
        })
    }

    /// The first of that name, in any case.
    pub fn get(self, name: &str) -> Option<Param<'m>> {
        self.iter()
            .find(|it| it.name.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// Its value as it was written; none if it has none.
    pub fn value(self, name: &str) -> Option<&'m [u8]> {
        self.get(name)?.value
    }

    pub fn raw(self) -> &'m [u8] {
        self.raw
    }
}

impl<'m> Param<'m> {
    fn split(raw: &'m [u8]) -> Self {
        match find_outside(raw, b'=') {
            Some(at) => Self {
                name: raw[..at].trim_ascii_end(),
                value: Some(raw[at + 1..].trim_ascii_start()),
                raw,
            },
            None => Self {
                name: raw,
                value: None,
                raw,
            },
        }
    }

    /// A name, and a value that is quoted or has nothing in it that parts values. Phones write more
    /// than the grammar's tokens (`+u.sip!model`, `<urn:…>` in quotes): only what would be read
    /// differently by the next one is refused.
    fn is_sound(&self) -> bool {
        let is_bare = |value: &[u8]| {
            let fits = |&byte: &u8| !is_space(byte) && !b"\"<>,;".contains(&byte) && byte > 0x20;
            !value.is_empty() && value.iter().all(fits)
        };
        is_token(self.name)
            && match self.value {
                None => true,
                Some(value) if value.first() == Some(&b'"') => {
                    quoted_end(value) == Some(value.len())
                }
                Some(value) => is_bare(value),
            }
    }
}

/// A value without its quotes and escapes.
pub fn unquoted(value: &[u8]) -> Cow<'_, [u8]> {
    let Some(inner) = value
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
    else {
        return Cow::Borrowed(value);
    };
    if !inner.contains(&b'\\') {
        return Cow::Borrowed(inner);
    }
    let mut plain = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => plain.extend(bytes.next()),
            _ => plain.push(byte),
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_by_name_in_any_case() {
        let raw = br#"; a = 1 ;B="x;\"y" ; c;+u.sip!model.ccm.cisco.com="684""#;
        let params = Params::parse(raw).unwrap();
        assert_eq!(params.value("A"), Some(&b"1"[..]));
        assert_eq!(unquoted(params.value("b").unwrap()), &br#"x;"y"#[..]);
        assert_eq!(params.get("c").unwrap().value, None);
        assert_eq!(
            params.value("+u.sip!model.ccm.cisco.com"),
            Some(&b"\"684\""[..])
        );
        assert_eq!(params.iter().count(), 4);
        assert!(params.get("d").is_none());
    }

    #[test]
    fn what_another_reader_could_read_otherwise_is_refused() {
        for raw in [
            ";;",
            ";",
            ";a=",
            ";=1",
            ";a=\"b",
            ";a=\"b\"c",
            ";a=b c",
            "a=1",
            ";a b",
            ";a=<b>",
        ] {
            assert!(Params::parse(raw.as_bytes()).is_none(), "{raw}");
        }
        assert_eq!(Params::parse(b" "), Some(Params::default()));
    }
}
