//! What the registrars want of the kernel program.

use std::net::IpAddr;

use crate::misses::Rate;

/// Stands before the registration ports. Takes effect at once or a little later; never waits.
pub trait Guard: Send + Sync {
    /// How many newcomers may come in; none lets in all.
    fn admit(&self, newcomers: Option<Rate>);

    /// A phone is registered from this address: what it sends goes first.
    fn registered(&self, source: IpAddr);

    /// No phone is registered from this address any more.
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
