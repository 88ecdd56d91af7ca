//! The terminal: taken over, and given back as it was, however it ends.

use std::io;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use ratatui::{DefaultTerminal, Frame};

/// Dropping it gives the terminal back; so does a panic, before it is printed.
pub(super) struct Screen {
    terminal: DefaultTerminal,
    /// They would end the process with the terminal as it is.
    signals: SignalFd,
}

impl Screen {
    /// Before any thread is started: the signals are to reach none.
    pub(super) fn open() -> io::Result<Self> {
        let mut ending = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
            ending.add(signal);
        }
        ending.thread_block()?;
        let signals =
            SignalFd::with_flags(&ending, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self {
            terminal: ratatui::try_init()?,
            signals,
        })
    }

    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw).map(drop)
    }

    /// The next key, if one comes in time. What else there is, as a new size, is drawn by the way.
    pub(super) fn key(&self, patience: Duration) -> io::Result<Option<KeyEvent>> {
        if !event::poll(patience)? {
            return Ok(None);
        }
        Ok(match event::read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => Some(key),
            _ => None,
        })
    }

    /// By a signal.
    pub(super) fn is_told_to_end(&mut self) -> bool {
        matches!(self.signals.read_signal(), Ok(Some(_)))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}
