//! Whether what a template gives can be served: phones drop a file that is no XML as a whole, and
//! ask for it again every few seconds.

use std::io;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// The largest configuration a phone takes. Source: the log of a 7821, which prints the limit.
pub const MAX_FILE_BYTES: usize = 2048 * 1024;

/// Takes output up to the limit; what goes beyond is counted and makes the writer stop.
#[derive(Default)]
pub(super) struct Bounded {
    bytes: Vec<u8>,
    len: usize,
}

impl Bounded {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.len += bytes.len();
        if self.len > MAX_FILE_BYTES {
            return Err(io::Error::other("the file is too large"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One element with whatever is in it, its ends in order, nothing that phones would have to fetch
/// or to look up.
pub(super) fn well_formed(bytes: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut reader = Reader::from_str(text);
    let (mut depth, mut roots) = (0_usize, 0_usize);
    loop {
        let at = reader.buffer_position();
        let told = |problem: String| {
            let before = usize::try_from(at).unwrap_or(text.len()).min(text.len());
            let line = bytes[..before]
                .iter()
                .filter(|&&byte| byte == b'\n')
                .count()
                + 1;
            Err(format!("output line {line}: {problem}"))
        };
        let event = match reader.read_event() {
            Ok(event) => event,
            Err(error) => return told(error.to_string()),
        };
        let problem = match &event {
            Event::Start(start) => {
                roots += usize::from(depth == 0);
                depth += 1;
                element_problem(start)
            }
            Event::Empty(start) => {
                roots += usize::from(depth == 0);
                element_problem(start)
            }
            Event::End(_) => {
                depth -= 1;
                None
            }
            Event::Text(text) if depth == 0 && !is_blank(text) => {
                Some("there is text outside of the document's element".to_owned())
            }
            Event::Text(text) => control_character(text),
            Event::CData(_) if depth == 0 => Some("text outside of the document's element".into()),
            Event::GeneralRef(reference) => {
                let known = ["lt", "gt", "amp", "apos", "quot"];
                let name: &str = reference;
                let is_known = known.contains(&name) || reference.is_char_ref();
                (!is_known).then(|| format!("phones do not know the entity &{name};"))
            }
            Event::DocType(_) => Some("a document type is nothing phones read".to_owned()),
            Event::Eof => break,
            Event::CData(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => None,
        };
        match problem {
            Some(problem) => return told(problem),
            None if roots > 1 => {
                return told("there is a second element beside the document's".to_owned());
            }
            None => {}
        }
    }
    match (depth, roots) {
        (0, 1) => Ok(()),
        (0, _) => Err("it has no element".into()),
        (open, _) => Err(format!("{open} elements are not closed")),
    }
}

fn is_blank(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_whitespace())
}

fn element_problem(start: &BytesStart<'_>) -> Option<String> {
    let name = start.name();
    let name = name.as_ref();
    let begins = name
        .chars()
        .next()
        .is_some_and(|c| c.is_alphabetic() || c == '_');
    let known = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    if !begins || !name.chars().all(known) {
        return Some(format!("{name:?} is no name of an element"));
    }
    for attribute in start.attributes() {
        let value = match attribute {
            Ok(attribute) => attribute
                .normalized_value(quick_xml::XmlVersion::Implicit1_0)
                .map(|_| ()),
            Err(error) => return Some(format!("element {name}: {error}")),
        };
        if let Err(error) = value {
            return Some(format!("element {name}: {error}"));
        }
    }
    None
}

fn control_character(text: &str) -> Option<String> {
    let forbidden = |c: &char| matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    let found = text.chars().find(forbidden)?;
    Some(format!("XML has no character U+{:04X}", u32::from(found)))
}
