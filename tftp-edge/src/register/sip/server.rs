//! The loop around the sessions.

use std::io;
use std::sync::Arc;

use super::Settings;
use crate::ops::exit::Exit;
use crate::register::{Desk, Dispatch, NotSent, Order, Registration};

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot start the threads of SIP: {0}")]
    Threads(#[source] io::Error),
}

impl StartError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Threads(error) => Exit::of_io(error),
        }
    }
}

/// What the server looks like at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {}

/// The running server. Dropping it stops it.
pub struct Server {
    _desk: Arc<Desk>,
}

impl Server {
    pub fn start(_settings: &Settings, desk: Arc<Desk>) -> Result<Self, StartError> {
        Ok(Self { _desk: desk })
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot::default()
    }
}

impl Dispatch for Server {
    fn order(&self, _to: &Registration, _order: Order) -> Result<(), NotSent> {
        Err(NotSent::NotConnected)
    }
}
