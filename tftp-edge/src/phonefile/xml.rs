//! A document written top down into memory.

use std::borrow::Cow;
use std::collections::BTreeMap;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use twox_hash::XxHash3_128;

use crate::inventory::{Section, Value};

/// Stands where the version stamp will be, until all other bytes are known.
const NO_STAMP: &str = "00000000-0000-0000-0000-000000000000";

const IN_MEMORY: &str = "writing to memory cannot fail";

static NOTHING_SET: BTreeMap<String, String> = BTreeMap::new();

pub(super) struct Xml<'b> {
    writer: Writer<&'b mut Vec<u8>>,
    /// What `xml.NAME` sets, by the element's name.
    set: &'b BTreeMap<String, String>,
    stamp_at: Option<usize>,
}

impl<'b> Xml<'b> {
    /// Begins a document in place of what the buffer holds.
    pub(super) fn new(buffer: &'b mut Vec<u8>) -> Self {
        Self::with_set(buffer, &NOTHING_SET)
    }

    /// The same, with elements that settings name.
    pub(super) fn with_set(buffer: &'b mut Vec<u8>, set: &'b BTreeMap<String, String>) -> Self {
        buffer.clear();
        let mut xml = Self {
            // One element a line, and no indentation: every 512 bytes are a round trip.
            writer: Writer::new_with_indent(buffer, b' ', 0),
            set,
            stamp_at: None,
        };
        xml.event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
        xml
    }

    /// An element with others in it.
    pub(super) fn nest(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.nest_with(name, &[], content);
    }

    /// An element with attributes and with others in it.
    pub(super) fn nest_with(
        &mut self,
        name: &str,
        attributes: &[(&str, &str)],
        content: impl FnOnce(&mut Self),
    ) {
        self.event(Event::Start(start(name, attributes)));
        content(self);
        self.event(Event::End(BytesEnd::new(name)));
    }

    /// An element with text; empty text makes an empty element.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.text_with(name, &[], value);
    }

    pub(super) fn text_with(&mut self, name: &str, attributes: &[(&str, &str)], value: &str) {
        let start = start(name, attributes);
        let value = without_forbidden(value);
        if value.is_empty() {
            return self.event(Event::Empty(start));
        }
        self.event(Event::Start(start));
        self.event(Event::Text(BytesText::new(&value)));
        self.event(Event::End(BytesEnd::new(name)));
    }

    pub(super) fn number(&mut self, name: &str, value: impl Into<u64>) {
        self.text(name, &value.into().to_string());
    }

    pub(super) fn flag(&mut self, name: &str, value: bool) {
        self.text(name, if value { "true" } else { "false" });
    }

    /// The elements of a section, in their order: as the settings have them, else as their table
    /// says, else as `derived` gives their value.
    pub(super) fn section<'v>(&mut self, section: Section, derived: impl Fn(&str) -> Cow<'v, str>) {
        for element in section.elements() {
            match (self.set.get(element.name), element.value) {
                (Some(set), _) => self.text(element.name, set),
                (None, Value::Text(text)) => self.text(element.name, text),
                (None, Value::Derived | Value::Key(_)) => {
                    self.text(element.name, &derived(element.name));
                }
                (None, Value::LeftOut) => {}
            }
        }
    }

    /// A section of which nothing is derived.
    pub(super) fn fixed_section(&mut self, section: Section) {
        self.section(section, |_| Cow::Borrowed(""));
    }

    /// An element outside of the sections that settings can name.
    pub(super) fn settable(&mut self, name: &str, value: &str) {
        let set = self.set;
        self.text(name, set.get(name).map_or(value, String::as_str));
    }

    /// The same, left out unless it is set.
    pub(super) fn if_set(&mut self, name: &str) {
        let set = self.set;
        if let Some(value) = set.get(name) {
            self.text(name, value);
        }
    }

    /// Elements with fixed text.
    pub(super) fn texts(&mut self, elements: &[(&str, &str)]) {
        for (name, value) in elements {
            self.text(name, value);
        }
    }

    /// An element whose text stands for all the other bytes of the document: changes with them,
    /// and only with them.
    pub(super) fn stamp(&mut self, name: &str) {
        self.event(Event::Start(BytesStart::new(name)));
        self.event(Event::Text(BytesText::from_escaped(NO_STAMP)));
        self.stamp_at = Some(self.writer.get_ref().len() - NO_STAMP.len());
        self.event(Event::End(BytesEnd::new(name)));
    }

    pub(super) fn finish(self) {
        let buffer = self.writer.into_inner();
        buffer.push(b'\n');
        if let Some(at) = self.stamp_at {
            let stamp = stamp(buffer);
            buffer[at..at + NO_STAMP.len()].copy_from_slice(stamp.as_bytes());
        }
    }

    fn event(&mut self, event: Event<'_>) {
        self.writer.write_event(event).expect(IN_MEMORY);
    }
}

fn start<'n>(name: &'n str, attributes: &[(&str, &str)]) -> BytesStart<'n> {
    let mut start = BytesStart::new(name);
    for (name, value) in attributes {
        start.push_attribute((*name, &*without_forbidden(value)));
    }
    start
}

/// Gives a document that somebody else has written a stamp that stands for its other bytes, in
/// place of the text of its first `versionStamp`.
pub(super) fn restamp(document: &mut Vec<u8>) {
    const TAG: &[u8] = b"<versionStamp>";
    let find =
        |bytes: &[u8], wanted: &[u8]| bytes.windows(wanted.len()).position(|at| at == wanted);
    let Some(start) = find(document, TAG).map(|at| at + TAG.len()) else {
        return;
    };
    let Some(len) = find(&document[start..], b"<") else {
        return;
    };
    document.splice(start..start + len, NO_STAMP.bytes());
    let stamp = stamp(document);
    document[start..start + NO_STAMP.len()].copy_from_slice(stamp.as_bytes());
}

/// Text as it stands in a document or in an attribute.
pub(super) fn escaped(text: &str) -> String {
    quick_xml::escape::escape(without_forbidden(text)).into_owned()
}

/// A hash of the content in the form of a UUID. It tells versions of one file apart and guards
/// nothing, so a fast hash that never changes between builds is right.
fn stamp(content: &[u8]) -> String {
    let hash = XxHash3_128::oneshot(content);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        hash >> 96,
        hash >> 80 & 0xffff,
        hash >> 64 & 0xffff,
        hash >> 48 & 0xffff,
        hash & 0xffff_ffff_ffff
    )
}

/// XML 1.0 has no way to write most control characters, not even escaped (section 2.2). The
/// inventory refuses them; whatever comes another way loses them here, so that the phone gets a
/// file it can read.
fn without_forbidden(value: &str) -> Cow<'_, str> {
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    // Nearly all values are plain ASCII, and need no look at each character.
    let plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    match plain || value.chars().all(allowed) {
        true => Cow::Borrowed(value),
        false => Cow::Owned(value.chars().filter(|&c| allowed(c)).collect()),
    }
}
