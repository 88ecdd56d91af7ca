//! What can go wrong on the way into the kernel, and what to do about it.

use std::io;

use thiserror::Error;

use super::privileges::{self, Call};

#[derive(Debug, Error)]
pub enum Error {
    #[error(
        "this tftp-edge was built without the kernel program; run 'cargo xtask setup' and build \
         again, or set kernel.mode = \"off\""
    )]
    NoObject,
    #[error(
        "the kernel refused the program or one of its maps: {}",
        privileges::refused(Call::Load, .0.as_ref())
    )]
    Load(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(
        "no raw socket, by which is sent again what stalled: {}",
        privileges::refused(Call::RawSocket, .0)
    )]
    RawSocket(#[source] io::Error),
    #[error("the program object lacks {0}: it does not belong to this daemon")]
    Object(&'static str),
    #[error("the map {map} could not be {action}: {source}")]
    Map {
        map: &'static str,
        action: &'static str,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the programs on an interface could not be exchanged for those that trace: {0}")]
    Exchange(String),
    #[error("{0} traces run already; wait for one to end")]
    TracesBusy(usize),
    #[error("the kernel side has stopped")]
    Stopped,
    #[error("the memory of a bank could not be mapped: {0}")]
    Mmap(#[source] io::Error),
    #[error("{what}: {source}")]
    System { what: String, source: io::Error },
}

impl Error {
    pub(super) fn map(
        map: &'static str,
        action: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Map {
            map,
            action,
            source: source.into(),
        }
    }
}
