//! Several values in one field: entries are separated by `;`, the parts of an entry by `:`, `|` or
//! `=`. What holds such a character itself is put in single quotes, with `''` for a quote in it:
//! `1001:'Smith; Alice'|max_calls=4`.
//!
//! A quote opens only where a part begins, so that `O'Brien` needs none.

const NOT_CLOSED: &str = "a quote is not closed; expected ' at the end of the entry";
/// Not told with the entry, which may be a secret.
const CLOSED_EARLY: &str = "an entry goes on after its closing quote; write '' for a quote within";

fn separates(c: char) -> bool {
    matches!(c, ';' | ':' | '|' | '=')
}

/// Splits at every `separator` outside quotes, into at most `most` pieces. Quotes are left in
/// place, white space around pieces is not.
pub(super) fn split_n(text: &str, separator: char, most: usize) -> Result<Vec<&str>, String> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut quoted = false;
    let mut may_open = true;
    for (at, c) in text.char_indices() {
        if c == '\'' && (quoted || may_open) {
            // A doubled quote closes and opens again at once.
            quoted = !quoted;
            may_open = !quoted;
            continue;
        }
        if quoted {
            continue;
        }
        if c == separator && pieces.len() + 1 < most {
            pieces.push(text[start..at].trim());
            start = at + c.len_utf8();
        }
        may_open = separates(c) || (may_open && c == ' ');
    }
    if quoted {
        return Err(NOT_CLOSED.into());
    }
    pieces.push(text[start..].trim());
    Ok(pieces)
}

/// The entries of a field, still quoted; none if the field is empty.
pub(super) fn entries(text: &str) -> Result<Vec<&str>, String> {
    match text.trim() {
        "" => Ok(Vec::new()),
        text => split_n(text, ';', usize::MAX),
    }
}

/// What comes before the first `separator`, and what comes after it if there is one.
pub(super) fn split_once(text: &str, separator: char) -> Result<(&str, Option<&str>), String> {
    let pieces = split_n(text, separator, 2)?;
    Ok((pieces[0], pieces.get(1).copied()))
}

/// The text of a piece without its quotes.
pub(super) fn unquote(text: &str) -> Result<String, String> {
    let Some(rest) = text.strip_prefix('\'') else {
        return Ok(text.to_owned());
    };
    let Some(inner) = rest.strip_suffix('\'') else {
        return Err(CLOSED_EARLY.into());
    };
    // What is left of pairs is a quote that closed too early.
    if inner.replace("''", "").contains('\'') {
        return Err(CLOSED_EARLY.into());
    }
    Ok(inner.replace("''", "'"))
}

/// The text of a piece, in quotes if it could be read in another way without: where it holds one
/// of `separators`, or `;`.
pub(super) fn quote(text: &str, separators: &str) -> String {
    let mut may_open = true;
    let opens = |c: char| {
        let opens = may_open && c == '\'';
        may_open = separates(c) || (may_open && c == ' ');
        opens
    };
    let is_ambiguous = text.trim() != text
        || text.contains(|c: char| c == ';' || separators.contains(c))
        || text.chars().any(opens);
    match is_ambiguous {
        true => format!("'{}'", text.replace('\'', "''")),
        false => text.to_owned(),
    }
}

/// The entries as one field.
pub(super) fn join(entries: impl IntoIterator<Item = String>) -> String {
    let entries: Vec<_> = entries.into_iter().collect();
    entries.join(";")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quotes_keep_separators_within_an_entry() {
        assert_eq!(
            entries("1001:Alice O'Brien; 1002 ;1003:'Sales; ''24h'''|a=b").unwrap(),
            ["1001:Alice O'Brien", "1002", "1003:'Sales; ''24h'''|a=b"]
        );
        assert_eq!(split_once("'a:b':c", ':').unwrap(), ("'a:b'", Some("c")));
        assert_eq!(split_n("a:b:c:d", ':', 3).unwrap(), ["a", "b", "c:d"]);
        assert_eq!(unquote("'Sales; ''24h'''").unwrap(), "Sales; '24h'");
        assert_eq!(entries(" ").unwrap(), [""; 0]);
        assert_eq!(entries(";a;").unwrap(), ["", "a", ""]);
    }

    #[test]
    fn a_quote_that_does_not_end_its_piece_is_refused_without_telling_it() {
        for text in ["'hush", "a;'hush", "a:'hush"] {
            assert_eq!(entries(text).unwrap_err(), NOT_CLOSED, "{text}");
        }
        for text in ["'a'hush", "'", "'a'''b'", "''hush'"] {
            assert_eq!(unquote(text).unwrap_err(), CLOSED_EARLY, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_reads_back(values in prop::collection::vec("[ab;:|=' ]{0,6}", 0..5)) {
            let field = join(values.iter().map(|value| quote(value, "")));
            let read = entries(&field).unwrap();
            let read: Vec<_> = read.into_iter().map(|entry| unquote(entry).unwrap()).collect();
            match values.as_slice() {
                // One empty entry cannot be told from none.
                [only] if only.is_empty() => prop_assert!(read.is_empty()),
                values => prop_assert_eq!(read, values),
            }
        }

        #[test]
        fn parts_of_an_entry_read_back(parts in prop::collection::vec("[ab;:|=' ]{0,6}", 3)) {
            let entry = parts.iter().map(|part| quote(part, ":")).collect::<Vec<_>>().join(":");
            let read = split_n(&entry, ':', 3).unwrap();
            let read: Vec<_> = read.into_iter().map(|part| unquote(part).unwrap()).collect();
            prop_assert_eq!(read, parts);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[a;:|=' ]{0,12}") {
            for entry in entries(&text).unwrap_or_default() {
                let _ = unquote(entry);
                let _ = split_once(entry, '=');
            }
        }
    }
}
