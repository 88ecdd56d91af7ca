//! What is wrong with an edit, and where.

use std::fmt;
use std::sync::Arc;

/// How many mistakes are told at once.
const MAX_ERRORS: usize = 50;

/// Where something to be done was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    #[default]
    CommandLine,
    Line {
        /// None if it is clear which.
        file: Option<Arc<str>>,
        /// From 1; the header is a line too.
        line: u64,
    },
}

/// One mistake, where it is, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    pub place: Place,
    /// The record, if it was not told by a line.
    pub record: Option<String>,
    pub column: Option<String>,
    pub problem: String,
}

impl fmt::Display for RowError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut begin = "";
        if let Place::Line { file, line } = &self.place {
            if let Some(file) = file {
                write!(formatter, "{file}, ")?;
            }
            write!(formatter, "line {line}")?;
            begin = ", column ";
        } else if let Some(record) = &self.record {
            write!(formatter, "{record}")?;
            begin = ", ";
        }
        if let Some(column) = &self.column {
            write!(formatter, "{begin}{column}")?;
            begin = ", ";
        }
        match begin {
            "" => formatter.write_str(&self.problem),
            _ => write!(formatter, ": {}", self.problem),
        }
    }
}

/// The first mistakes of many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowErrors {
    pub errors: Vec<RowError>,
    /// Mistakes beyond those told.
    pub more: usize,
}

impl RowErrors {
    pub(in super::super) fn add(&mut self, error: RowError) {
        match self.errors.len() < MAX_ERRORS {
            true => self.errors.push(error),
            false => self.more += 1,
        }
    }

    pub(in super::super) fn add_at(
        &mut self,
        place: &Place,
        column: Option<&str>,
        problem: impl Into<String>,
    ) {
        self.add(RowError {
            place: place.clone(),
            record: None,
            column: column.map(Into::into),
            problem: problem.into(),
        });
    }

    /// Errors are told in the order of the files.
    pub(super) fn none_or_err(mut self) -> Result<(), Self> {
        self.errors
            .sort_by(|one, other| one.place.cmp(&other.place));
        match self.errors.is_empty() {
            true => Ok(()),
            false => Err(self),
        }
    }
}

impl fmt::Display for RowErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ([only], 0) = (self.errors.as_slice(), self.more)
            && only.place == Place::CommandLine
        {
            return only.fmt(formatter);
        }
        formatter.write_str("nothing was changed:")?;
        for error in &self.errors {
            write!(formatter, "\n  {error}")?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(formatter, "\n  and {more} more"),
        }
    }
}

impl std::error::Error for RowErrors {}
