//! What is wrong with a configuration, told so that it can be put right: where it is written, which
//! key it is, and what to write instead. The deserialiser knows the first half of that; the rest
//! is read from its message and from the table it was reading.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use toml::de::{DeTable, DeValue};

use super::written::{Place, Written, position_of};
use crate::nearest::nearest;

/// What is wrong with the configuration: where, what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

impl std::error::Error for Fault {}

impl Fault {
    /// Of a file that is not TOML; `table` is what could be made of it.
    pub(super) fn of_syntax(
        written: &Written,
        table: &DeTable<'_>,
        at: usize,
        message: &str,
    ) -> Self {
        let (what, advice) = explain_syntax(message);
        let mut fault = Self::at(written, at, section_at(table, at).unwrap_or_default(), what);
        fault.advice = advice;
        fault
    }

    /// Of values that the types do not take.
    pub(super) fn of_type(written: &Written, error: &toml::de::Error) -> Self {
        let at = error.span().map_or(0, |span| span.start);
        let table = written.table();
        let path = key_at(&table, at);
        if let Some((key, at, problem)) = named_key(&table, path.as_deref(), error.message()) {
            return Self::at(written, at, key, problem);
        }
        let (what, advice) = explain(error.message());
        let mut fault = Self::at(written, at, path.unwrap_or_default().join("."), what);
        fault.advice = advice;
        fault
    }

    /// Of a value that is of the right type. `key` is inside the section, with dots. When it has its
    /// default, the fault is with one of the other keys that the problem names.
    pub(super) fn of_value(written: &Written, section: &str, key: &str, problem: String) -> Self {
        Self::of_key(written, &format!("{section}.{key}"), problem)
    }

    /// The same of a key that is given with its section.
    pub fn of_key(written: &Written, dotted: &str, problem: String) -> Self {
        let table = written.table();
        let section = dotted.split('.').next().unwrap_or_default();
        let of = |dotted: &str| position_of(&table, &dotted.split('.').collect::<Vec<_>>());
        let at = of(dotted)
            .or_else(|| {
                let words = problem.split(|letter: char| !is_of_key(letter));
                let words = words.map(|word| word.trim_matches('.'));
                let elsewhere = |word: &str| word.contains('.').then(|| of(word)).flatten();
                let mut words = words.filter(|word| word.len() > 2);
                words.find_map(|word| elsewhere(word).or_else(|| of(&format!("{section}.{word}"))))
            })
            .or_else(|| {
                let mut steps: Vec<_> = dotted.split('.').collect();
                while steps.pop().is_some() {
                    let at = position_of(&table, &steps);
                    if at.is_some() {
                        return at;
                    }
                }
                None
            })
            .unwrap_or(0);
        Self::at(written, at, dotted.to_owned(), problem)
    }

    fn at(written: &Written, at: usize, key: String, what: String) -> Self {
        let Place { file, line, column } = written.place(at);
        Self {
            file,
            line,
            column,
            key,
            what,
            advice: String::new(),
        }
    }
}

fn is_of_key(letter: char) -> bool {
    letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, '_' | '.')
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
    let at = position_of(table, &path)?;
    Some((path.join("."), at, problem.to_owned()))
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
