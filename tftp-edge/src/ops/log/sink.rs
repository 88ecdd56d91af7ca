//! Where lines go: standard error, or a file.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

use super::file::LogFile;
use crate::live::Live;

#[derive(Debug)]
pub(super) enum Sink {
    Stderr(Stderr),
    File(LogFile),
}

/// Standard error, which may be a file on a full disk or a pipe that nobody reads any more.
#[derive(Debug, Default)]
pub(super) struct Stderr {
    lost: AtomicU64,
    problem: Mutex<Option<String>>,
}

impl Sink {
    fn write(&self, line: &[u8]) {
        match self {
            Self::File(file) => file.write(line),
            Self::Stderr(stderr) => stderr.write(line),
        }
    }

    /// Opens a file anew that was moved away.
    pub(super) fn look(&self) {
        if let Self::File(file) = self {
            file.look();
        }
    }

    pub(super) fn reopen(&self) {
        if let Self::File(file) = self {
            file.reopen();
        }
    }

    /// Lines that were lost since the start.
    pub(super) fn lost(&self) -> u64 {
        match self {
            Self::File(file) => file.lost(),
            Self::Stderr(stderr) => stderr.lost.load(Ordering::Relaxed),
        }
    }

    /// Why lines are being lost or soon will be, and how many were since the start.
    pub(super) fn problem(&self) -> Option<String> {
        let problem = match self {
            Self::File(file) => file.problem(),
            Self::Stderr(stderr) => stderr.problem.lock().clone(),
        }?;
        let lost = self.lost();
        Some(format!(
            "{problem}; {lost} lines of the log are lost so far: make room, or check log.file"
        ))
    }
}

impl Stderr {
    fn write(&self, line: &[u8]) {
        let written = io::stderr().write_all(line);
        let failed = written.is_err();
        if failed {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        let mut problem = self.problem.lock();
        if failed || problem.is_some() {
            *problem = written
                .err()
                .map(|error| format!("standard error: {error}"));
        }
    }
}

/// One line, which the layer above writes at once.
pub(super) struct Line(Arc<Sink>);

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Shared with who looks after it.
#[derive(Clone)]
pub(super) struct Lines(pub(super) Live<Sink>);

impl MakeWriter<'_> for Lines {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line(self.0.take())
    }
}
