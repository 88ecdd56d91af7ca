//! What the registrars want of the kernel program.

use std::net::IpAddr;

use serde::Deserialize;

use crate::misses::Rate;

/// What the kernel program does about registrations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KernelMode {
    /// It does not look at them.
    Off,
    /// It counts and samples them, and what it would have dropped.
    Observe,
    /// It drops newcomers over the budget. There is a budget only while the daemon names one
    /// ([`Guard::admit`]), which is in a storm, so this harms nobody on other days.
    #[default]
    On,
}

/// Stands before the registration ports. Takes effect at once or a little later; never waits.
pub trait Guard: Send + Sync {
    /// How many packets of newcomers may come in; none lets in all. A connection is one packet, and
    /// so is a REGISTER over UDP: one that is challenged comes twice. Many phones may be behind one
    /// address, so the rate is for all together.
    fn admit(&self, newcomers: Option<Rate>);

    /// A phone is registered from this address: what it sends goes first. Told as often as
    /// [`Guard::left`]: for each phone, or for the first of an address.
    fn registered(&self, source: IpAddr);

    /// A phone is not registered from this address any more.
    fn left(&self, source: IpAddr);
}

/// Where no kernel program runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoGuard;

impl Guard for NoGuard {
    fn admit(&self, _newcomers: Option<Rate>) {}
    fn registered(&self, _source: IpAddr) {}
    fn left(&self, _source: IpAddr) {}
}
