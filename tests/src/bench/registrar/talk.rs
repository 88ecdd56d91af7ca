//! What the phones of all protocols have in common for those who bring their bytes to a registrar.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::time::{ClockId, clock_gettime};

/// What a message to a phone has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More is to come.
    Wait,
    /// The phone has more to say.
    Again,
    /// It is registered, or its refresh is accepted.
    Done,
    /// It is not, and this is what it was told.
    Refused(String),
}

/// A phone on a connection of its own.
pub trait Talk: Send {
    /// Writes what it begins its registration with, `from` being its end of the connection.
    fn register(&mut self, from: SocketAddr, out: &mut Vec<u8>);

    /// Writes what it tells from time to time that it is still there with.
    fn refresh(&mut self, out: &mut Vec<u8>);

    /// Makes the next refresh one that is challenged, where there is such a thing.
    fn forget_nonce(&mut self) {}

    /// Takes the whole messages off the front of `incoming`, and writes what they make it say.
    fn take(&mut self, incoming: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<Progress>;
}

/// What came of a number of phones.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub done: u64,
    /// By what they were told.
    pub refused: BTreeMap<String, u64>,
    /// Requests that were sent once more because no answer came.
    pub resent: u64,
    /// Phones that gave up.
    pub lost: u64,
    pub took: Duration,
    /// CPU time of the phones themselves.
    pub own: Duration,
}

/// Times a run of the calling thread.
pub struct Watch {
    began: Instant,
    own: Duration,
}

impl Watch {
    pub fn start() -> Result<Self> {
        Ok(Self {
            began: Instant::now(),
            own: thread_time()?,
        })
    }

    pub fn stop(self, tally: &mut Tally) -> Result<()> {
        tally.took = self.began.elapsed();
        tally.own = thread_time()?.saturating_sub(self.own);
        Ok(())
    }
}

fn thread_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}
