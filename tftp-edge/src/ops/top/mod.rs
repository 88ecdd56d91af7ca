//! `tftp-edge top`: the daemon that runs, live on a terminal.
//!
//! ```text
//! keys ─────────────────▶ Board ──▶ draw ──▶ terminal
//! control socket ─▶ Poller ─▶ ┘
//! ```
//!
//! A thread asks the daemon once a second, so that a slow answer does not hold up a key. The board
//! is told of answers and of keys and has no input or output of its own.

mod board;
mod draw;
mod poll;
mod rates;
mod terminal;
mod timeline;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use self::board::{Board, Flow};
use self::poll::Poller;
use self::terminal::Screen;
use crate::ops::colour;
use crate::ops::control::{self, ClientError};
use crate::ops::exit::Exit;

/// How long a key may wait for an answer to be drawn.
const TURN: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub struct TopArgs {
    /// The daemon's control socket; taken from the configuration when it is not given
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum TopError {
    #[error(
        "standard input and output are not a terminal; `tftp-edge status` writes to files and pipes"
    )]
    NoTerminal,
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the terminal: {0}")]
    Terminal(#[from] io::Error),
}

impl TopError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::NoTerminal => Exit::Usage,
            Self::Client(error) => error.exit(),
            Self::Terminal(_) => Exit::Io,
        }
    }
}

impl TopArgs {
    /// Until `q`, or a signal that ends it. `socket` is where the daemon answers.
    pub fn run(&self, socket: &Path) -> Result<(), TopError> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(TopError::NoTerminal);
        }
        // A daemon that does not run is told on the terminal as it was.
        control::status(socket)?;
        let mut screen = Screen::open()?;
        let poller = Poller::start(socket.to_owned())?;
        let mut board = Board::new(colour::is_wanted());
        loop {
            if let Some(answer) = poller.answer() {
                board.take(answer);
            }
            screen.draw(|frame| draw::draw(&mut board, frame))?;
            if screen.is_told_to_end() {
                return Ok(());
            }
            let Some(key) = screen.key(TURN)? else {
                continue;
            };
            match board.key(key) {
                Flow::Stay => {}
                Flow::Ask => poller.ask(board.question()),
                Flow::Quit => return Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
