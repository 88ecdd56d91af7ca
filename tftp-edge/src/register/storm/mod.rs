//! Keeping a storm orderly: who may register now, and when the others are to come again.

mod settings;

use std::time::{Duration, Instant};

pub use settings::Settings;

use crate::inventory::{DeviceName, Protocol};

/// A phone that wants to register.
#[derive(Clone, Copy, Debug)]
pub struct Applicant<'d> {
    pub device: &'d DeviceName,
    pub protocol: Protocol,
    /// It is registered and says so again, from the same address: goes before all others.
    pub is_refresh: bool,
    /// When its message reached this host.
    pub arrived: Instant,
}

/// What is to be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may; [`Storm::served`] is to be told when it is registered.
    Admit,
    /// It is to come again after this time, counted from now: there is a place for it then.
    Wait(Duration),
    /// Its message waited so long that an answer would come too late: drop it.
    Stale,
}

/// Watches arrivals and departures of the queue, and decides.
#[derive(Debug)]
pub struct Storm {
    _settings: Settings,
}

impl Storm {
    pub fn new(settings: &Settings) -> Self {
        Self {
            _settings: settings.clone(),
        }
    }

    /// Never waits.
    pub fn ask(&self, applicant: &Applicant<'_>, now: Instant) -> Decision {
        let _ = (applicant, now);
        Decision::Admit
    }

    /// An applicant that was admitted is registered.
    pub fn served(&self, applicant: &Applicant<'_>, now: Instant) {
        let _ = (applicant, now);
    }
}
