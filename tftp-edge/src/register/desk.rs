//! What the registrars of both protocols share.

use std::sync::Arc;

use super::bans::Bans;
use super::newcomers::Newcomers;
use super::storm::Storm;
use super::{Directory, Guard, Table};
use crate::access::Access;
use crate::alarms::Alarms;
use crate::journal::Journal;
use crate::live::Live;

/// Everything a registrar decides by, and where it writes down what it decided.
pub struct Desk {
    pub access: Live<Access>,
    pub alarms: Arc<Alarms>,
    pub bans: Arc<Bans>,
    pub directory: Arc<Directory>,
    pub guard: Arc<dyn Guard>,
    pub journal: Arc<Journal>,
    pub newcomers: Arc<Newcomers>,
    pub storm: Arc<Storm>,
    pub table: Arc<Table>,
}

/// A desk where everything is allowed and nobody is known.
#[cfg(test)]
pub(super) fn bare() -> Desk {
    Desk {
        access: Live::default(),
        alarms: Arc::default(),
        bans: Arc::default(),
        directory: Arc::default(),
        guard: Arc::new(super::NoGuard),
        journal: Arc::default(),
        newcomers: Arc::default(),
        storm: Arc::new(Storm::new(super::storm::Settings::default())),
        table: Arc::default(),
    }
}
