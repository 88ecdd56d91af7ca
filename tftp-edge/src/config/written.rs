//! What is written in the files of the configuration, and where.
//!
//! The files make one table: tables of the same name are joined, and of a key that is set twice the
//! later file's value holds. Positions count through all files as if they stood one behind the
//! other. So the spans that the deserialiser gives back tell the file, too.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize as _, Serialize};
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table};

use super::fault::Fault;
use super::keys;

/// A file as it was read.
#[derive(Clone)]
pub struct Source {
    path: PathBuf,
    text: Arc<str>,
    /// Where it begins when all files stand one behind the other.
    base: usize,
}

impl fmt::Debug for Source {
    /// Without its text, which may have passwords.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(formatter)
    }
}

/// A place in a file. Line and column, which is in characters, count from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    pub file: PathBuf,
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.file.display(), self.line)
    }
}

/// The files that were read.
#[derive(Clone, Debug, Default)]
pub struct Written {
    sources: Vec<Source>,
    /// How many of them are the configuration. Those behind are the one that the daemon was started
    /// with, and count for keys that take effect at a restart alone.
    own: usize,
}

impl Written {
    /// Files in the order in which they count, each of which must be TOML.
    pub(super) fn new(
        files: impl IntoIterator<Item = (PathBuf, String)>,
    ) -> Result<Self, Box<Fault>> {
        let written = Self::unchecked(files);
        for source in &written.sources {
            let (table, errors) = DeTable::parse_recoverable(&source.text);
            if let Some(error) = errors.first() {
                let table = shifted(table.into_inner(), source.base);
                let at = error.span().map_or(0, |span| span.start) + source.base;
                let fault = Fault::of_syntax(&written, &table, at, error.message());
                return Err(Box::new(fault));
            }
        }
        Ok(written)
    }

    /// Of what is no TOML, as much as can be made of it.
    pub(super) fn unchecked(files: impl IntoIterator<Item = (PathBuf, String)>) -> Self {
        let mut written = Self::default();
        for (path, text) in files {
            written.push(path, text.into());
        }
        written.own = written.sources.len();
        written
    }

    fn push(&mut self, path: PathBuf, text: Arc<str>) {
        // A file's end is not the next one's beginning.
        let after = |last: &Source| last.base + last.text.len() + 1;
        let base = self.sources.last().map_or(0, after);
        self.sources.push(Source { path, text, base });
    }

    /// The same, where keys that take effect at a restart alone are as they were at the start.
    pub(super) fn keeping(&self, started: &Self) -> Self {
        let mut kept = self.clone();
        kept.sources.truncate(kept.own);
        for source in &started.sources[..started.own] {
            kept.push(source.path.clone(), Arc::clone(&source.text));
        }
        kept
    }

    /// The files of the configuration.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.sources[..self.own]
            .iter()
            .map(|source| source.path.as_path())
    }

    /// All keys that are set, with their places.
    pub(super) fn table(&self) -> DeTable<'_> {
        let (own, started) = self.sources.split_at(self.own);
        let mut table = joined(own);
        if !started.is_empty() {
            prune(&mut table, &mut Vec::new(), &|key| {
                !keys::needs_restart(key)
            });
            let mut kept = joined(started);
            prune(&mut kept, &mut Vec::new(), &|key| keys::needs_restart(key));
            join(&mut table, kept);
        }
        table
    }

    /// The same without places.
    pub(super) fn values(&self) -> Table {
        let spanned = Spanned::new(0..0, self.table());
        // Every table of the syntax is one of values.
        Table::deserialize(toml::Deserializer::from(spanned)).unwrap_or_default()
    }

    /// Where a position is.
    pub(super) fn place(&self, at: usize) -> Place {
        let source = self.source(at);
        let Some(source) = source else {
            return Place {
                file: PathBuf::new(),
                line: 1,
                column: 1,
            };
        };
        let (line, column) = line_and_column(&source.text, at - source.base);
        Place {
            file: source.path.clone(),
            line,
            column,
        }
    }

    fn source(&self, at: usize) -> Option<&Source> {
        let behind = self.sources.partition_point(|source| source.base <= at);
        self.sources.get(behind.checked_sub(1)?)
    }

    /// Where a key is written whose value holds; the key's steps from the section on.
    pub fn place_of(&self, path: &[&str]) -> Option<Place> {
        Some(self.place(position_of(&self.table(), path)?))
    }

    /// The folder that a relative path is taken from which a key has, if it is set.
    pub(super) fn folder_of(&self, path: &[&str]) -> Option<PathBuf> {
        let at = position_of(&self.table(), path)?;
        self.source(at)?.path.parent().map(Path::to_owned)
    }
}

/// Where a key is written.
pub(super) fn position_of(table: &DeTable<'_>, path: &[&str]) -> Option<usize> {
    let (first, rest) = path.split_first()?;
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == first)?;
    match value.get_ref() {
        _ if rest.is_empty() => Some(key.span().start),
        DeValue::Table(inner) => position_of(inner, rest),
        _ => None,
    }
}

fn joined(sources: &[Source]) -> DeTable<'_> {
    let mut all = DeTable::new();
    for source in sources {
        let (table, _) = DeTable::parse_recoverable(&source.text);
        join(&mut all, shifted(table.into_inner(), source.base));
    }
    all
}

/// Lays a table over another one.
fn join<'t>(under: &mut DeTable<'t>, over: DeTable<'t>) {
    for (key, value) in over {
        let name = key.get_ref().clone();
        let before = under.get_mut(name.as_ref()).map(|before| before.get_mut());
        match (before, value) {
            (Some(DeValue::Table(before)), value)
                if matches!(value.get_ref(), DeValue::Table(_)) =>
            {
                if let DeValue::Table(inner) = value.into_inner() {
                    join(before, inner);
                }
            }
            (_, value) => {
                // Inserting alone would keep the place of the key before.
                under.remove(name.as_ref());
                under.insert(key, value);
            }
        }
    }
}

/// Keeps the keys, given with dots, that `keep` wants, and no empty tables.
fn prune(table: &mut DeTable<'_>, path: &mut Vec<String>, keep: &dyn Fn(&str) -> bool) {
    let all = std::mem::replace(table, DeTable::new());
    let kept = all.into_iter().filter_map(|(key, mut value)| {
        path.push(key.get_ref().to_string());
        let keeps = match value.get_mut() {
            DeValue::Table(inner) => {
                prune(inner, path, keep);
                !inner.is_empty()
            }
            _ => keep(&path.join(".")),
        };
        path.pop();
        keeps.then_some((key, value))
    });
    *table = kept.collect();
}

fn shifted(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    let shift = |span: Range<usize>| span.start + by..span.end + by;
    table
        .into_iter()
        .map(|(key, value)| {
            let key = Spanned::new(shift(key.span()), key.into_inner());
            (key, shifted_value(value, by))
        })
        .collect()
}

fn shifted_value(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = value.span().start + by..value.span().end + by;
    let value = match value.into_inner() {
        DeValue::Table(inner) => DeValue::Table(shifted(inner, by)),
        DeValue::Array(items) => {
            let items = items.into_iter().map(|item| shifted_value(item, by));
            DeValue::Array(items.collect())
        }
        other => other,
    };
    Spanned::new(span, value)
}

/// Line and column of a byte, both from 1.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(files: &[(&str, &str)]) -> Written {
        let files = files.iter().map(|(path, text)| {
            let path = Path::new("/etc").join(path);
            (path, (*text).to_owned())
        });
        Written::new(files).unwrap()
    }

    fn place(written: &Written, path: &[&str]) -> String {
        let place = written.place_of(path);
        place.map_or_else(String::new, |place| place.to_string())
    }

    #[test]
    fn tables_are_joined_and_the_later_value_holds() {
        let written = written(&[
            (
                "a.toml",
                "log = { level = \"info\", keep = 3 }\ntftp.dscp = 1\n",
            ),
            (
                "b/b.toml",
                "\n[log]\nkeep = 4\n[tftp]\nlisten = [\"10.0.0.1:69\"]\n",
            ),
            ("c.toml", "tftp.listen = [\"10.0.0.2:69\"]\n"),
        ]);
        let values = written.values();
        let wanted: Table = "log = { level = \"info\", keep = 4 }\n\
                             tftp = { dscp = 1, listen = [\"10.0.0.2:69\"] }"
            .parse()
            .unwrap();
        assert_eq!(values, wanted);
        assert_eq!(place(&written, &["log", "level"]), "/etc/a.toml:1");
        assert_eq!(place(&written, &["log", "keep"]), "/etc/b/b.toml:3");
        assert_eq!(place(&written, &["tftp", "listen"]), "/etc/c.toml:1");
        assert_eq!(place(&written, &["tftp", "workers"]), "");
        let folder = written.folder_of(&["log", "keep"]).unwrap();
        assert_eq!(folder, Path::new("/etc/b"));
    }

    #[test]
    fn a_value_and_a_table_of_one_name_replace_each_other() {
        let written = written(&[("a.toml", "log.level = \"info\""), ("b.toml", "log = 3")]);
        assert_eq!(written.values(), "log = 3".parse().unwrap());
        assert_eq!(place(&written, &["log"]), "/etc/b.toml:1");
    }

    #[test]
    fn keys_that_need_a_restart_stay_as_they_were() {
        let started = written(&[("a.toml", "[tftp]\nworkers = 2\nwindowsize = 8\n")]);
        let now = written(&[
            ("a.toml", "[tftp]\n\nworkers = 3\nwindowsize = 9\n"),
            ("b.toml", "kernel.mode = \"off\"\nlog.level = \"warn\"\n"),
        ]);
        let in_force = now.keeping(&started);
        let wanted = "tftp = { workers = 2, windowsize = 9 }\nlog.level = \"warn\"";
        assert_eq!(in_force.values(), wanted.parse().unwrap());
        assert_eq!(place(&in_force, &["tftp", "workers"]), "/etc/a.toml:2");
        assert_eq!(place(&in_force, &["tftp", "windowsize"]), "/etc/a.toml:4");
        assert_eq!(in_force.files().count(), 2);
        // As often as it is done.
        let again = in_force.keeping(&started);
        assert_eq!(again.values(), in_force.values());
    }
}
