//! Starting and stopping the registrars.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::front::{self, Front};
use super::ticker::{Behind, Ticker};
use super::{
    Counts, Desk, Dispatch, Mode, NotSent, Order, Registration, Settings, bans, newcomers, pacer,
    sccp, sip, store, storm,
};
use crate::inventory::Protocol;
use crate::live::{Live, Take};
use crate::ops::exit::Exit;
use crate::tls::TlsError;

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
    pub mode: Mode,
    pub sccp: sccp::Snapshot,
    pub sip: sip::Snapshot,
    pub storm: storm::Snapshot,
    pub bans: bans::Snapshot,
    pub newcomers: newcomers::Counts,
    pub table: Counts,
    pub store: store::Snapshot,
    pub orders: pacer::Snapshot,
    /// Of servers behind this host.
    pub front: Option<front::Snapshot>,
    /// Threads that have ended by themselves.
    pub ended: Vec<&'static str>,
}

/// The registrars that run. Dropping them stops them.
pub struct Registrars {
    mode: Mode,
    desk: Arc<Desk>,
    sccp: Option<sccp::Server>,
    sip: Option<Arc<sip::Server>>,
    ticker: Option<Ticker>,
    front: Option<Arc<Front>>,
}

impl Registrars {
    /// `behind` is there with [`Mode::Front`] alone. The servers follow `sccp` and `sip`.
    pub fn start(
        settings: &Settings,
        (sccp, sip): (Live<sccp::Settings>, Live<sip::Settings>),
        desk: Arc<Desk>,
        behind: Option<Behind>,
    ) -> Result<Self, StartError> {
        let mut registrars = Self {
            mode: settings.mode,
            desk: Arc::clone(&desk),
            sccp: None,
            sip: None,
            ticker: None,
            front: behind.as_ref().map(|it| Arc::clone(&it.front)),
        };
        if settings.mode != Mode::Off {
            let ticker = Ticker::start(Arc::clone(&desk), behind).map_err(StartError::Threads)?;
            registrars.ticker = Some(ticker);
        }
        if settings.mode == Mode::Registrar {
            if settings.sccp.enabled {
                registrars.sccp = Some(sccp::Server::start(sccp, Arc::clone(&desk))?);
            }
            if settings.sip.enabled {
                registrars.sip = Some(Arc::new(sip::Server::start(sip, desk)?));
            }
        }
        Ok(registrars)
    }

    /// Gets ready for other settings.
    pub fn prepare(self: &Arc<Self>, settings: &Settings) -> Result<Take, TlsError> {
        let sip = self.sip.as_ref();
        let sip = sip.map(|it| it.prepare(&settings.sip)).transpose()?;
        let registrars = Arc::clone(self);
        Ok(Box::new(move || {
            if let Some(server) = &registrars.sccp {
                server.follow();
            }
            sip.map(|take| take()).unwrap_or_default()
        }))
    }

    pub fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    fn ended(&self) -> Vec<&'static str> {
        let ticker = self.ticker.as_ref().is_some_and(Ticker::has_ended);
        let ended = [
            ticker.then_some("storm"),
            self.desk.newcomers.has_ended().then_some("newcomers"),
        ];
        ended.into_iter().flatten().collect()
    }

    pub fn snapshot(&self) -> Snapshot {
        let (desk, now) = (&self.desk, Instant::now());
        let front = self.front.as_ref().map(|it| it.snapshot(now));
        let storm = match &front {
            Some(front) => front.storm.clone(),
            None => desk.storm.snapshot(now),
        };
        Snapshot {
            mode: self.mode,
            sccp: self
                .sccp
                .as_ref()
                .map(sccp::Server::snapshot)
                .unwrap_or_default(),
            sip: self
                .sip
                .as_ref()
                .map(|server| server.snapshot())
                .unwrap_or_default(),
            storm,
            bans: desk.bans.snapshot(now),
            newcomers: desk.newcomers.counts(),
            table: desk.table.counts(),
            // Parts of their own.
            store: store::Snapshot::default(),
            orders: pacer::Snapshot::default(),
            front,
            ended: self.ended(),
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
