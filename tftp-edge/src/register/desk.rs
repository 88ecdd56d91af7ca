//! What the registrars of both protocols share.

use std::sync::Arc;

use super::storm::Storm;
use super::{Directory, Table};
use crate::access::Access;
use crate::alarms::Alarms;

/// Everything a registrar decides by, and where it writes down what it decided.
pub struct Desk {
    pub access: Arc<Access>,
    pub alarms: Arc<Alarms>,
    pub directory: Arc<Directory>,
    pub storm: Arc<Storm>,
    pub table: Arc<Table>,
}
