//! What is wrong with a configuration, told so that it can be put right: where it is written, which
//! key it is, and what to write instead. The deserialiser knows the first half of that; the rest
//! is read from its message and from the table it was reading.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::nearest::nearest;

/// What is wrong with a file: where, what, and what to do.
#[derive(Debug)]
pub struct Fault {
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The key as it would be written with dots; empty when the fault is in no key.
    pub key: String,
    pub what: String,
    pub advice: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, line, column) = (self.file.display(), self.line, self.column);
        write!(formatter, "{file}:{line}:{column}: ")?;
        if !self.key.is_empty() {
            write!(formatter, "{}: ", self.key)?;
        }
        write!(formatter, "{}", self.what)?;
        if !self.advice.is_empty() {
            write!(formatter, "; {}", self.advice)?;
        }
        Ok(())
    }
}

impl Fault {
    pub(super) fn new(file: &Path, text: &str, error: &toml::de::Error) -> Self {
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        let (line, column) = position(text, at);
        let (table, syntax) = DeTable::parse_recoverable(text);
        let table = table.get_ref();
        let (key, (what, advice)) = if syntax.is_empty() {
            let key = key_at(table, at);
            if let Some((key, at, problem)) = named_key(table, key.as_deref(), error.message()) {
                return Self::at(file, text, at, key, problem);
            }
            (key, explain(error.message()))
        } else {
            let key = section_at(table, at).map(|section| vec![section]);
            (key, explain_syntax(error.message()))
        };
        Self {
            file: file.to_owned(),
            line,
            column,
            key: key.unwrap_or_default().join("."),
            what,
            advice,
        }
    }

    /// A fault of a value that is of the right type. `key` is inside the section, with dots.
    pub(super) fn of_value(
        file: &Path,
        text: &str,
        section: &str,
        key: &str,
        problem: String,
    ) -> Self {
        let path: Vec<&str> = [section].into_iter().chain(key.split('.')).collect();
        let (table, _) = DeTable::parse_recoverable(text);
        let at = find(table.get_ref(), &path).unwrap_or(0);
        Self::at(file, text, at, path.join("."), problem)
    }

    fn at(file: &Path, text: &str, at: usize, key: String, problem: String) -> Self {
        let (line, column) = position(text, at);
        Self {
            file: file.to_owned(),
            line,
            column,
            key,
            what: problem,
            advice: String::new(),
        }
    }
}

/// A section that reads its keys by itself is blamed as a whole; where its message begins with one
/// of the keys written in it, the fault is there.
fn named_key(
    table: &DeTable<'_>,
    section: Option<&[String]>,
    message: &str,
) -> Option<(String, usize, String)> {
    let (key, problem) = message.split_once(": ")?;
    let section = section?.iter().map(String::as_str);
    let path: Vec<&str> = section.chain([key]).collect();
    let mut inner = table;
    for step in &path[..path.len() - 1] {
        inner = inner
            .iter()
            .find(|(key, _)| key.get_ref() == step)?
            .1
            .get_ref()
            .as_table()?;
    }
    let (written, _) = inner.iter().find(|(written, _)| written.get_ref() == key)?;
    Some((path.join("."), written.span().start, problem.to_owned()))
}

/// Line and column of a byte, both from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

/// Where a key is written, or as much of it as there is.
fn find(table: &DeTable<'_>, path: &[&str]) -> Option<usize> {
    let (first, rest) = path.split_first()?;
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == first)?;
    let inner = match value.get_ref() {
        DeValue::Table(inner) => find(inner, rest),
        _ => None,
    };
    Some(inner.unwrap_or(key.span().start))
}

/// The keys that lead to a position in the file. The table of a `[header]` spans its header only,
/// so what is inside is looked at first.
fn key_at(table: &DeTable<'_>, at: usize) -> Option<Vec<String>> {
    let holds = |span: Range<usize>| span.contains(&at) || span.start == at;
    table.iter().find_map(|(key, value)| {
        let name = || key.get_ref().to_string();
        let inner = match value.get_ref() {
            DeValue::Table(inner) => key_at(inner, at),
            DeValue::Array(items) => items.iter().find_map(|item| match item.get_ref() {
                DeValue::Table(inner) => key_at(inner, at),
                _ => None,
            }),
            _ => None,
        };
        match inner {
            Some(mut path) => {
                path.insert(0, name());
                Some(path)
            }
            None if holds(key.span()) || holds(value.span()) => Some(vec![name()]),
            None => None,
        }
    })
}

/// The section a line belongs to, where the file is too broken to tell the key.
fn section_at(table: &DeTable<'_>, at: usize) -> Option<String> {
    let before = table.iter().filter(|(key, _)| key.span().start <= at);
    let nearest = before.max_by_key(|(key, _)| key.span().start)?;
    Some(nearest.0.get_ref().to_string())
}

fn explain_syntax(message: &str) -> (String, String) {
    let advice = if message.starts_with("duplicate key") {
        "set it once"
    } else {
        "this is not TOML: see https://toml.io"
    };
    (message.to_owned(), advice.to_owned())
}

/// Turns serde's message into what is wrong and what to do.
fn explain(message: &str) -> (String, String) {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    if let [wrong, known @ ..] = quoted.as_slice() {
        if message.starts_with("unknown field") {
            return ("there is no such key".to_owned(), choose(wrong, known));
        }
        if message.starts_with("unknown variant") {
            return (
                format!("\"{wrong}\" is no value of this key"),
                choose(wrong, known),
            );
        }
    }
    let quoted_value = message.starts_with("invalid type: string");
    let advice = if message.contains("socket address") {
        "write ADDRESS:PORT in quotes, as in \"127.0.0.1:9466\" or \"[::1]:9466\""
    } else if message.contains("IP address syntax") || message.contains("prefix length") {
        "write networks as in \"10.0.0.0/8\" or \"fd00::/8\""
    } else if quoted_value && (message.contains("a boolean") || message.contains("expected u")) {
        "write it without quotes"
    } else if message.starts_with("invalid type") && message.contains("expected a string")
        || message.contains("expected path string")
    {
        "write it in quotes"
    } else if message.contains("expected struct") {
        "write a section, as in [metrics]"
    } else {
        ""
    };
    (message.to_owned(), advice.to_owned())
}

fn choose(wrong: &str, known: &[&str]) -> String {
    match nearest(wrong, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if known.is_empty() => "remove it".to_owned(),
        None => format!("choose one of: {}", known.join(", ")),
    }
}
