//! Filters that change single elements of `generated`.
//!
//! ```jinja
//! {{ generated | set_element("vendorConfig/webAccess", 0)
//!              | remove_element("vendorConfig/loadServer")
//!              | append_xml("vendorConfig", "<brandNew>1</brandNew>") }}
//! ```
//!
//! A path begins beneath the element of the document, and means the first that fits.

use std::ops::Range;

use minijinja::{Environment, Error, ErrorKind, Value};
use quick_xml::Reader;
use quick_xml::events::Event;

use super::super::xml::escaped;

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("set_element", set_element);
    environment.add_filter("remove_element", remove_element);
    environment.add_filter("append_xml", append_xml);
}

/// Where an element stands in a document.
struct Place {
    outer: Range<usize>,
    /// Between its tags; none if it is written as one: `<name/>`.
    inner: Option<Range<usize>>,
}

/// The text of the element at the path. One that is not there becomes the last of its parent, which
/// must be there.
fn set_element(document: &Value, path: &str, value: &Value) -> Result<Value, Error> {
    let document = text_of(document)?;
    let text = match value.is_safe() {
        true => value.to_string(),
        false => escaped(&value.to_string()),
    };
    if let Some(place) = find(document, path)? {
        return Ok(with_content(document, &place, "", &text));
    }
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    append_xml_text(document, parent, &format!("<{name}>{text}</{name}>"))
}

fn remove_element(document: &Value, path: &str) -> Result<Value, Error> {
    let document = text_of(document)?;
    let Some(Place { outer, .. }) = find(document, path)? else {
        return Err(not_there(path));
    };
    // The line it stood on goes with it.
    let after = &document[outer.end..];
    let end = outer.end + usize::from(after.starts_with('\n'));
    let rest = [&document[..outer.start], &document[end..]].concat();
    Ok(Value::from_safe_string(rest))
}

/// Adds XML as the last thing in the element at the path; in the document's own if it is empty.
fn append_xml(document: &Value, path: &str, xml: &Value) -> Result<Value, Error> {
    append_xml_text(text_of(document)?, path, &xml.to_string())
}

fn append_xml_text(document: &str, path: &str, xml: &str) -> Result<Value, Error> {
    let place = find(document, path)?.ok_or_else(|| not_there(path))?;
    let before = match &place.inner {
        Some(inner) => &document[inner.clone()],
        None => "\n",
    };
    Ok(with_content(document, &place, before, &format!("{xml}\n")))
}

/// The document with other content in one of its elements.
fn with_content(document: &str, place: &Place, before: &str, content: &str) -> Value {
    let text = match &place.inner {
        Some(inner) => [
            &document[..inner.start],
            before,
            content,
            &document[inner.end..],
        ]
        .concat(),
        None => {
            let tag = &document[place.outer.clone()];
            let open = tag.trim_end_matches("/>").trim_end();
            let name = open[1..]
                .split_ascii_whitespace()
                .next()
                .unwrap_or_default();
            [
                &document[..place.outer.start],
                open,
                ">",
                before,
                content,
                &format!("</{name}>"),
                &document[place.outer.end..],
            ]
            .concat()
        }
    };
    Value::from_safe_string(text)
}

fn find(document: &str, path: &str) -> Result<Option<Place>, Error> {
    let wanted: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    // The document's own element is not named in a path.
    let is_wanted = |open: &[String]| open[1..] == wanted;
    let mut reader = Reader::from_str(document);
    let mut open: Vec<String> = Vec::new();
    // Where the wanted one begins, where its content does, and how deep it lies.
    let mut found: Option<(usize, usize, usize)> = None;
    loop {
        let before = position(&reader);
        let event = reader
            .read_event()
            .map_err(|error| invalid(format!("it is no XML: {error}")))?;
        let after = position(&reader);
        match event {
            Event::Start(start) => {
                open.push(start.name().as_ref().to_owned());
                if found.is_none() && is_wanted(&open) {
                    found = Some((before, after, open.len()));
                }
            }
            Event::Empty(start) => {
                open.push(start.name().as_ref().to_owned());
                if found.is_none() && is_wanted(&open) {
                    return Ok(Some(Place {
                        outer: before..after,
                        inner: None,
                    }));
                }
                open.pop();
            }
            Event::End(_) => {
                if let Some((outer, inner, depth)) = found
                    && depth == open.len()
                {
                    return Ok(Some(Place {
                        outer: outer..after,
                        inner: Some(inner..before),
                    }));
                }
                open.pop();
            }
            Event::Eof => return Ok(None),
            _ => {}
        }
    }
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

fn text_of(document: &Value) -> Result<&str, Error> {
    document
        .as_str()
        .ok_or_else(|| invalid("it takes a document, such as generated".to_owned()))
}

fn not_there(path: &str) -> Error {
    invalid(format!("there is no element {path:?} in the document"))
}

fn invalid(problem: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, problem)
}
