//! Requests of our own, until they are answered: client transactions that are no INVITE
//! (RFC 3261 17.1.2).
//!
//! ```text
//! Trying ──1xx──▶ Proceeding ──200 to 699──▶ ended
//!    │                │
//!    └─── timer F ────┴──▶ nobody answered
//! ```
//!
//! Over UDP timer E repeats the request; a stream does that itself. Timer K is left out: it keeps
//! answered transactions for a while to swallow repeated answers, and an answer that belongs to no
//! transaction is swallowed here in any case.

mod answer;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::{Duration, Instant};

pub use answer::Answer;

use super::message::Method;
use super::stream::FirstLine;
use super::{Destination, Outgoing};

/// RFC 3261 17.1.1.1, table 4: an estimate of the round trip, and the longest time between two
/// sends.
pub const T1: Duration = Duration::from_millis(500);
pub const T2: Duration = Duration::from_secs(4);

/// Timer F: how long an answer is waited for.
pub const TIMEOUT: Duration = Duration::from_secs(32);

/// What an answer was to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The final answer to this kind of request.
    Final(Method),
    /// The phone works on it.
    Provisional,
    /// It answers nothing that we sent.
    Stray,
}

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub enum Due {
    /// Send this again.
    Resend(Destination, Vec<u8>),
    /// Nobody answered the request with this branch.
    Unanswered(Box<str>),
}

/// As many requests are under way as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

#[derive(Debug)]
struct Transaction {
    method: Method,
    to: Destination,
    /// The request, where it may have to be sent again.
    bytes: Option<Vec<u8>>,
    is_proceeding: bool,
    /// Timer E: the time between the last send and the next.
    interval: Duration,
    /// Timer F.
    ends: Instant,
    /// The timer that counts; those before it are void.
    timer: u64,
}

/// All of them.
#[derive(Debug)]
pub struct Transactions {
    by_branch: HashMap<Box<str>, Transaction>,
    /// A transaction's next time, its timer's number and its branch. Timers that are void stay
    /// until their time comes: one for each transaction at most, and for each that was answered.
    timers: BinaryHeap<Reverse<(Instant, u64, Box<str>)>>,
    next_timer: u64,
    limit: usize,
}

impl Transactions {
    pub fn new(limit: usize) -> Self {
        Self {
            by_branch: HashMap::new(),
            timers: BinaryHeap::new(),
            next_timer: 0,
            limit,
        }
    }

    /// A request with this branch goes out now.
    pub fn begin(&mut self, branch: &str, request: &Outgoing, now: Instant) -> Result<(), Full> {
        if self.timers.len() >= self.limit {
            return Err(Full);
        }
        let method = match FirstLine::of(&request.bytes) {
            Some(FirstLine::Request(method)) => method,
            Some(FirstLine::Status(_)) | None => Method::Unknown,
        };
        let repeats = !request.to.transport.has_connections();
        let transaction = Transaction {
            method,
            to: request.to,
            bytes: repeats.then(|| request.bytes.clone()),
            is_proceeding: false,
            interval: T1,
            ends: now + TIMEOUT,
            timer: 0,
        };
        let first = match repeats {
            true => now + T1,
            false => now + TIMEOUT,
        };
        self.by_branch.insert(branch.into(), transaction);
        self.set_timer(branch.into(), first);
        Ok(())
    }

    /// An answer came in.
    pub fn heard(&mut self, answer: &Answer<'_>) -> Heard {
        let Some(transaction) = self.by_branch.get_mut(answer.branch) else {
            return Heard::Stray;
        };
        // RFC 3261 17.1.3: both must be the same.
        if transaction.method != answer.method {
            return Heard::Stray;
        }
        if answer.status < 200 {
            transaction.is_proceeding = true;
            return Heard::Provisional;
        }
        let method = transaction.method;
        self.by_branch.remove(answer.branch);
        Heard::Final(method)
    }

    /// The request could not be sent at all.
    pub fn forget(&mut self, branch: &str) {
        self.by_branch.remove(branch);
    }

    /// When [`Self::due`] has something to say, if nothing comes in before.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse((at, ..))| *at)
    }

    /// The next thing whose time has come.
    pub fn due(&mut self, now: Instant) -> Option<Due> {
        loop {
            if self.deadline()? > now {
                return None;
            }
            let Reverse((_, timer, branch)) = self.timers.pop()?;
            let Some(transaction) = self.by_branch.get_mut(&branch) else {
                continue;
            };
            if transaction.timer != timer {
                continue;
            }
            if now >= transaction.ends {
                self.by_branch.remove(&branch);
                return Some(Due::Unanswered(branch));
            }
            // RFC 3261 17.1.2.2: doubled up to T2, and T2 while the phone works on it.
            transaction.interval = match transaction.is_proceeding {
                true => T2,
                false => (transaction.interval * 2).min(T2),
            };
            let next = (now + transaction.interval).min(transaction.ends);
            let resend = transaction.bytes.clone();
            let to = transaction.to;
            self.set_timer(branch, next);
            if let Some(bytes) = resend {
                return Some(Due::Resend(to, bytes));
            }
        }
    }

    /// Requests under way.
    pub fn len(&self) -> usize {
        self.by_branch.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_branch.is_empty()
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    fn set_timer(&mut self, branch: Box<str>, at: Instant) {
        let timer = self.next_timer;
        self.next_timer += 1;
        if let Some(transaction) = self.by_branch.get_mut(&branch) {
            transaction.timer = timer;
            self.timers.push(Reverse((at, timer, branch)));
        }
    }
}
