//! What each source may ask for in vain, and what comes of it when it asks for more.
//!
//! Whoever asks for names that are not there is mostly a phone: each boot wants some five optional
//! files. Some are scanners, and what they look for are `SEP<MAC>` names, since a configuration may
//! hold passwords. So there are two budgets for a source (an IPv4 address or an IPv6 /64; a whole
//! site may be behind one):
//!
//! - **misses**: every request that ends in "not found" takes a token, whatever it was for;
//! - **unknown devices**: so does every *other* device that nobody knows, from a much smaller
//!   bucket. A phone that asks for its own configuration over and over takes one token.
//!
//! Over a budget a source gets silence instead of an answer, and only for names it was counted for:
//! what is there is always served, so a scanner among the phones of a site does not hold them up.
//! Silence towards a new phone delays its registration until the bucket has a token again.
//!
//! It is one account for TFTP, HTTP and the kernel program. Where the program runs, the account is
//! its map `BUDGETS`: each side adds what it answers itself, and the program drops by it what the
//! daemon would not answer anyway. The daemon keeps a copy, for when the map has forgotten the
//! source, or there is none.
//!
//! A source that has run out of unknown devices raises [`AlarmKind::Scan`] until it has been quiet
//! for five minutes.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tftp_ebpf::abi::{Budget, Source};
use tftp_ebpf::name;
use tftp_ebpf::plan::{has_token, take_token};
use tftp_ebpf::stage::Stage;
use tftp_ebpf::verdict::Reason;

use crate::alarms::{AlarmKind, Alarms};
use crate::clock::Clock;
use crate::content::OPTIONAL;
use crate::live::Live;
use crate::recent::{Recent, name_of, source_of};
use crate::tftp::BudgetSettings;

/// An alarm stands for so long after the last request it was about.
const QUIET: Duration = Duration::from_secs(300);

/// Sources whose scan is followed at one time; of more there is no alarm, only silence.
const MAX_SCANS: usize = 4096;

/// Most devices of one source that are told apart, so that a large budget costs no memory.
const MAX_TOLD: u32 = 1024;

/// What was asked for in vain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Miss {
    /// What phones ask for at every boot and get on well without.
    Optional,
    /// The configuration of a device that nobody knows, by the part of its name that is the
    /// device's.
    Device(Vec<u8>),
    /// Any other name.
    Name,
}

impl Miss {
    /// Tells by the name, as the client wrote it.
    pub fn of(raw: &[u8]) -> Self {
        let Ok(key) = name::key(raw) else {
            return Self::Name;
        };
        if name::has_pattern(raw) {
            return Self::Optional;
        }
        let end = key.iter().position(|&byte| byte == 0);
        let name = &key[..end.unwrap_or(key.len())];
        if OPTIONAL.iter().any(|optional| optional.as_bytes() == name) {
            Self::Optional
        } else if name::is_device_file(&key) || Stage::of_name(name) == Stage::Config {
            let device = name.split(|&byte| byte == b'.').next();
            Self::Device(device.unwrap_or(name).to_vec())
        } else {
            Self::Name
        }
    }
}

/// `BUDGETS`, where the kernel program keeps its side of the account.
pub trait Ledger: Send + Sync {
    /// What it says of a source; nothing if it does not know it.
    fn read(&self, source: &Source) -> Option<Budget>;
    fn write(&self, source: &Source, budget: &Budget);
}

/// How a bucket fills, in the terms of [`has_token`].
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub interval_ns: u64,
    pub burst_ns: u64,
}

impl Rate {
    /// So many at once, and so many gained each second.
    pub fn new(burst: u32, per_second: u32) -> Self {
        let interval_ns = 1_000_000_000 / u64::from(per_second.max(1));
        Self {
            interval_ns,
            burst_ns: u64::from(burst) * interval_ns,
        }
    }

    fn has(self, full_at: u64, now_ns: u64) -> bool {
        has_token(full_at, now_ns, self.interval_ns, self.burst_ns)
    }

    fn take(self, full_at: &mut u64, now_ns: u64) {
        *full_at = take_token(*full_at, now_ns, self.interval_ns, self.burst_ns);
    }
}

/// The daemon's side of a source's account.
#[derive(Clone, Debug, Default)]
struct Account {
    miss_ns: u64,
    unknown_ns: u64,
    /// Devices that have taken their token, as hashes; the oldest are overwritten.
    told: Vec<u32>,
    next: usize,
    /// Requests for unknown devices since the bucket was last full.
    asked: u64,
}

/// A source that has no token for unknown devices left.
#[derive(Clone, Copy, Debug)]
struct Scan {
    /// Requests that the daemon saw, and requests that the kernel program dropped.
    asked: u64,
    dropped: u64,
    /// [`Budget::silenced`] when it was last looked at.
    silenced: u64,
    last_ns: u64,
    /// It asked for more. Until then it has only used what it may.
    is_over: bool,
}

/// What the settings allow at the moment.
#[derive(Clone, Copy)]
struct Allowed {
    misses: Rate,
    unknown: Rate,
    max_told: usize,
}

impl From<&BudgetSettings> for Allowed {
    fn from(settings: &BudgetSettings) -> Self {
        Self {
            misses: Rate::new(settings.miss_burst, settings.miss_per_second),
            unknown: Rate::new(settings.unknown_burst, settings.unknown_per_second),
            max_told: settings.unknown_burst.clamp(1, MAX_TOLD) as usize,
        }
    }
}

/// The accounts of all sources.
pub struct Misses {
    accounts: Recent<Account>,
    settings: Live<BudgetSettings>,
    scans: Mutex<HashMap<Source, Scan>>,
    ledger: Option<Arc<dyn Ledger>>,
    hasher: RandomState,
    clock: Clock,
}

impl Misses {
    /// `ledger` is the kernel program's side, if it runs.
    pub fn new(settings: impl Into<Live<BudgetSettings>>, ledger: Option<Arc<dyn Ledger>>) -> Self {
        let settings = settings.into();
        Self {
            accounts: Recent::new(settings.get().sources),
            settings,
            scans: Mutex::default(),
            ledger,
            hasher: RandomState::new(),
            clock: Clock::default(),
        }
    }

    /// Whether a source may be told that there is no such name. If so, that is charged.
    ///
    /// # Errors
    /// The reason for silence.
    pub fn take(&self, ip: IpAddr, miss: &Miss, now: Instant) -> Result<(), Reason> {
        let (source, now_ns) = (source_of(ip), self.clock.ns(now));
        let allowed = Allowed::from(&**self.settings.get());
        self.accounts.with(source, Account::default, |account| {
            let mut budget = self.merged(&source, account);
            let charged = match miss {
                Miss::Optional | Miss::Name => charge_name(allowed, &mut budget, now_ns),
                Miss::Device(device) => {
                    let device = self.hasher.hash_one(device) as u32;
                    charge_device(allowed, account, &mut budget, device, now_ns)
                }
            };
            (account.miss_ns, account.unknown_ns) = (budget.miss_ns, budget.unknown_ns);
            if let (Ok(()), Some(ledger)) = (charged, &self.ledger) {
                ledger.write(&source, &budget);
            }
            if matches!(miss, Miss::Device(_)) && !allowed.unknown.has(budget.unknown_ns, now_ns) {
                // From here on the kernel program may drop what would tell us more.
                let is_over = charged == Err(Reason::UnknownBudget);
                self.follow(source, account, &budget, now_ns, is_over);
            }
            charged
        })
    }

    /// Both sides of an account. Each carries what the other has written, so the later is the sum.
    fn merged(&self, source: &Source, account: &Account) -> Budget {
        let ledger = self.ledger.as_ref();
        let mut budget = ledger.and_then(|it| it.read(source)).unwrap_or_default();
        budget.miss_ns = budget.miss_ns.max(account.miss_ns);
        budget.unknown_ns = budget.unknown_ns.max(account.unknown_ns);
        budget
    }

    fn follow(
        &self,
        source: Source,
        account: &Account,
        budget: &Budget,
        now_ns: u64,
        is_over: bool,
    ) {
        let mut scans = self.scans.lock();
        if scans.len() >= MAX_SCANS && !scans.contains_key(&source) {
            return;
        }
        let scan = scans.entry(source).or_insert(Scan {
            asked: 0,
            dropped: 0,
            silenced: budget.silenced,
            last_ns: now_ns,
            is_over,
        });
        scan.asked = account.asked;
        scan.last_ns = now_ns;
        scan.is_over |= is_over;
    }

    /// Raises and clears the alarms; to be called about every second.
    pub fn review(&self, alarms: &Alarms, now: Instant) {
        let now_ns = self.clock.ns(now);
        let mut scans = self.scans.lock();
        scans.retain(|source, scan| {
            let budget = self.ledger.as_ref().and_then(|ledger| ledger.read(source));
            if let Some(budget) = budget {
                // A map that has forgotten the source counts from zero again.
                let more = budget
                    .silenced
                    .checked_sub(scan.silenced)
                    .unwrap_or(budget.silenced);
                if more > 0 {
                    scan.dropped += more;
                    scan.last_ns = now_ns;
                    scan.is_over = true;
                }
                scan.silenced = budget.silenced;
            }
            now_ns.saturating_sub(scan.last_ns) < QUIET.as_nanos() as u64
        });
        let over = scans.iter().filter(|(_, scan)| scan.is_over);
        let problem = |(source, scan): (&Source, &Scan)| (name_of(source), problem(scan));
        alarms.set(AlarmKind::Scan, over.map(problem));
    }
}

fn charge_name(allowed: Allowed, budget: &mut Budget, now_ns: u64) -> Result<(), Reason> {
    if !allowed.misses.has(budget.miss_ns, now_ns) {
        return Err(Reason::MissBudget);
    }
    allowed.misses.take(&mut budget.miss_ns, now_ns);
    Ok(())
}

fn charge_device(
    allowed: Allowed,
    account: &mut Account,
    budget: &mut Budget,
    device: u32,
    now_ns: u64,
) -> Result<(), Reason> {
    if budget.unknown_ns <= now_ns {
        account.asked = 0;
    }
    account.asked += 1;
    if !allowed.unknown.has(budget.unknown_ns, now_ns) {
        return Err(Reason::UnknownBudget);
    }
    charge_name(allowed, budget, now_ns)?;
    if account.told.contains(&device) {
        return Ok(());
    }
    allowed.unknown.take(&mut budget.unknown_ns, now_ns);
    if account.told.len() < allowed.max_told {
        account.told.push(device);
    } else {
        account.told[account.next] = device;
        account.next = (account.next + 1) % allowed.max_told;
    }
    Ok(())
}

fn problem(scan: &Scan) -> String {
    format!(
        "{} requests for configurations of devices that nobody knows; more than \
         tftp.budget.unknown_burst get no answer. A scan for device names, or phones that are \
         missing in the inventory: block the source, or add the phones",
        scan.asked + scan.dropped
    )
}
