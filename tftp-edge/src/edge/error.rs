//! Why the daemon does not run.

use std::io;

use crate::content::{ContentError, upstream};
use crate::http;
use crate::inventory::StoreError;
use crate::kernel;
use crate::ops::control::ClaimError;
use crate::ops::exit::Exit;
use crate::ops::http::HttpError;
use crate::ops::web::WebError;
use crate::register;
use crate::tftp;

/// Why the daemon does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot start the runtime: {0}")]
    Runtime(#[source] io::Error),
    #[error("cannot listen for signals: {0}")]
    Signals(#[source] io::Error),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Pins(#[from] kernel::ClaimError),
    #[error(transparent)]
    Inventory(#[from] StoreError),
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error(
        "upstream.servers: {0} is this daemon itself; remove it, or name the server that has the \
         files"
    )]
    UpstreamIsSelf(upstream::Server),
    #[error("the thread that saves the journal cannot be started: {0}")]
    Journal(#[source] io::Error),
    #[error("the check of firmware and locales cannot be started: {0}")]
    Audit(#[source] io::Error),
    #[error("the thread that looks after the log cannot be started: {0}")]
    Log(#[source] io::Error),
    #[error("the thread that takes in unknown phones cannot be started: {0}")]
    Newcomers(#[source] io::Error),
    #[error(transparent)]
    Tftp(#[from] tftp::StartError),
    #[error("the thread that looks after phones that are stuck cannot be started: {0}")]
    Diagnosis(#[source] io::Error),
    #[error("the control socket does not answer: {0}")]
    Control(#[source] io::Error),
    #[error(transparent)]
    Metrics(#[from] HttpError),
    #[error(transparent)]
    Web(#[from] WebError),
    #[error(transparent)]
    Http(#[from] http::StartError),
    #[error(transparent)]
    Register(#[from] register::StartError),
}

impl StartError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Runtime(error)
            | Self::Signals(error)
            | Self::Control(error)
            | Self::Audit(error)
            | Self::Log(error)
            | Self::Journal(error)
            | Self::Newcomers(error)
            | Self::Diagnosis(error) => Exit::of_io(error),
            Self::Claim(ClaimError::Taken { .. }) | Self::Pins(_) => Exit::Unavailable,
            Self::Claim(ClaimError::NotASocket(_)) => Exit::Config,
            Self::Claim(ClaimError::System { source, .. }) => Exit::of_io(source),
            Self::Metrics(error) => Exit::of_io(&error.source),
            Self::Web(error) => error.exit(),
            Self::Http(error) => error.exit(),
            Self::Register(error) => error.exit(),
            Self::Inventory(error) => error.into(),
            Self::Content(error) => error.into(),
            Self::UpstreamIsSelf(_) | Self::Tftp(tftp::StartError::Settings(_)) => Exit::Config,
            Self::Tftp(tftp::StartError::Taken { .. }) => Exit::Unavailable,
            Self::Tftp(tftp::StartError::Permission { .. }) => Exit::NoPermission,
            Self::Tftp(tftp::StartError::Socket(error) | tftp::StartError::Thread(error)) => {
                Exit::of_io(error)
            }
        }
    }
}
