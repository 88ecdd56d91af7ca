//! Starting and stopping the registrars.

use std::io;
use std::sync::Arc;

use super::{
    Counts, Desk, Dispatch, Mode, NotSent, Order, Registration, Settings, pacer, sccp, sip, store,
};
use crate::inventory::Protocol;
use crate::ops::exit::Exit;

/// Why the registrars do not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Sccp(#[from] sccp::StartError),
    #[error(transparent)]
    Sip(#[from] sip::StartError),
    #[error("cannot start the threads of the registrations: {0}")]
    Threads(#[source] io::Error),
}

impl StartError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Sccp(error) => error.exit(),
            Self::Sip(error) => error.exit(),
            Self::Threads(error) => Exit::of_io(error),
        }
    }
}

/// What the registrars look like at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub sccp: sccp::Snapshot,
    pub sip: sip::Snapshot,
    pub table: Counts,
    pub store: store::Snapshot,
    pub orders: pacer::Snapshot,
}

/// The registrars that run. Dropping them stops them.
pub struct Registrars {
    desk: Arc<Desk>,
    sccp: Option<sccp::Server>,
    sip: Option<sip::Server>,
}

impl Registrars {
    pub fn start(settings: &Settings, desk: Arc<Desk>) -> Result<Self, StartError> {
        let mut registrars = Self {
            desk: Arc::clone(&desk),
            sccp: None,
            sip: None,
        };
        if settings.mode == Mode::Registrar {
            if settings.sccp.enabled {
                registrars.sccp = Some(sccp::Server::start(&settings.sccp, Arc::clone(&desk))?);
            }
            if settings.sip.enabled {
                registrars.sip = Some(sip::Server::start(&settings.sip, desk)?);
            }
        }
        Ok(registrars)
    }

    pub fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            sccp: self
                .sccp
                .as_ref()
                .map(sccp::Server::snapshot)
                .unwrap_or_default(),
            sip: self
                .sip
                .as_ref()
                .map(sip::Server::snapshot)
                .unwrap_or_default(),
            table: self.desk.table.counts(),
            // Parts of their own.
            store: store::Snapshot::default(),
            orders: pacer::Snapshot::default(),
        }
    }
}

impl Dispatch for Registrars {
    fn order(&self, to: &Registration, order: Order) -> Result<(), NotSent> {
        match to.protocol {
            Protocol::Sccp => self
                .sccp
                .as_ref()
                .ok_or(NotSent::NoServer)?
                .order(to, order),
            Protocol::Sip => self.sip.as_ref().ok_or(NotSent::NoServer)?.order(to, order),
        }
    }
}
