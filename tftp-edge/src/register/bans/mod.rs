//! Sources that are shut out for a while: those that guess names and passwords, or send what is no
//! message. Only those that proved their address, over a connection or by a nonce of ours that came
//! back: a forged packet must not shut out a site.
//!
//! What is counted of guesses is how many *different* lines and devices were tried. A phone with a
//! wrong password tries its own lines over and over, and a scanner one after the other.
//!
//! A whole branch may be behind one address, and one of its phones be at fault. So there are sources
//! that are never shut out, whatever comes from them: the networks the inventory names for its
//! sites, and those that phones are registered from at the moment. Of them an alarm tells.
//!
//! Each ban ends by itself. It is seen in status, and an alarm stands as long as it does.

mod list;
mod settings;

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

pub use list::Banned;
use list::{Ban, List};
pub use settings::Settings;

use crate::alarms::{AlarmKind, Alarms};
use crate::live::Live;
use crate::recent::{Recent, source_of};

/// What a source did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Offence {
    /// A wrong password, or a line or device that nobody knows.
    Guess,
    /// Bytes that are no message of the protocol.
    Garbage,
}

impl Offence {
    pub const ALL: [Self; 2] = [Self::Guess, Self::Garbage];

    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Guess => "guess",
            Self::Garbage => "garbage",
        }
    }
}

/// Who is to be let in again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lift {
    All,
    /// Over IPv6 any address of the prefix names it.
    Sources(Vec<IpAddr>),
}

/// Says of a source that it is not to be shut out.
pub type Trust = Box<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// Who is shut out, and who is about to be.
pub struct Bans {
    settings: Live<Settings>,
    accounts: Recent<Account>,
    list: Mutex<List>,
    /// Sources in the list: without any there is nothing to lock.
    listed: AtomicU64,
    trust: Trust,
    hasher: RandomState,
    /// By [`Offence`], since the start.
    banned: [AtomicU64; Offence::ALL.len()],
    spared: AtomicU64,
    unproved: AtomicU64,
    overflowed: AtomicU64,
}

/// What a source did within the window.
#[derive(Debug, Default)]
struct Account {
    since: Option<Instant>,
    /// Hashes of the names that were tried.
    guesses: Vec<u32>,
    garbage: u32,
}

/// Bans at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub banned: Vec<Banned>,
    /// Sources that may be shut out at one time.
    pub limit: u64,
    /// Bans since the start, by [`Offence`].
    pub bans: [u64; Offence::ALL.len()],
    /// Sources that would have been shut out, and are trusted.
    pub spared: u64,
    /// Offences that counted for nothing, since the address may be forged.
    pub unproved: u64,
    /// Sources that would have been shut out, and the list was full.
    pub overflowed: u64,
}

impl Default for Bans {
    fn default() -> Self {
        Self::new(Settings::default(), Box::new(|_| false))
    }
}

impl Bans {
    /// For as many sources as the settings have at the start.
    pub fn new(settings: impl Into<Live<Settings>>, trust: Trust) -> Self {
        let settings = settings.into();
        let most = settings.get().sources as usize;
        Self {
            settings,
            accounts: Recent::new(most),
            list: Mutex::new(List::new(most)),
            listed: AtomicU64::default(),
            trust,
            hasher: RandomState::new(),
            banned: Default::default(),
            spared: AtomicU64::default(),
            unproved: AtomicU64::default(),
            overflowed: AtomicU64::default(),
        }
    }

    pub fn is_banned(&self, source: IpAddr, now: Instant) -> bool {
        self.listed.load(Ordering::Relaxed) > 0 && self.list.lock().refuses(&source_of(source), now)
    }

    /// Counts what a source did; `has_proved` if its address is certainly its own (it has a
    /// connection, or it sent back a nonce of ours). Guesses whose name is not told all count as
    /// one: see [`Self::guessed`].
    pub fn offended(&self, source: IpAddr, offence: Offence, has_proved: bool, now: Instant) {
        match offence {
            Offence::Guess => self.guessed(source, "", has_proved, now),
            Offence::Garbage => self.count(source, has_proved, now, |account| {
                account.garbage += 1;
                (account.garbage >= self.settings.get().garbage).then_some(Offence::Garbage)
            }),
        }
    }

    /// A line or device was tried in vain.
    pub fn guessed(&self, source: IpAddr, name: &str, has_proved: bool, now: Instant) {
        let name = self.hasher.hash_one(name) as u32;
        let most = self.settings.get().guesses as usize;
        self.count(source, has_proved, now, |account| {
            if !account.guesses.contains(&name) {
                account.guesses.push(name);
            }
            (account.guesses.len() >= most).then_some(Offence::Guess)
        });
    }

    fn count(
        &self,
        source: IpAddr,
        has_proved: bool,
        now: Instant,
        note: impl FnOnce(&mut Account) -> Option<Offence>,
    ) {
        if !self.settings.get().enabled {
            return;
        }
        if !has_proved {
            self.unproved.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let window = self.settings.get().window();
        let is_over = |since: Instant| now.saturating_duration_since(since) >= window;
        let key = source_of(source);
        let too_much = self.accounts.with(key, Account::default, |account| {
            if account.since.is_some_and(is_over) {
                *account = Account::default();
            }
            account.since.get_or_insert(now);
            let offence = note(account);
            if offence.is_some() {
                *account = Account::default();
            }
            offence
        });
        if let Some(offence) = too_much {
            self.ban(source, offence, now);
        }
    }

    fn ban(&self, source: IpAddr, offence: Offence, now: Instant) {
        let is_spared = (self.trust)(source);
        let ban = Ban {
            offence,
            since: now,
            until: now + self.settings.get().ban(),
            is_spared,
            refused: 0,
        };
        let has_space = self.list.lock().put(source_of(source), ban);
        let counter = match (has_space, is_spared) {
            (false, _) => &self.overflowed,
            (true, true) => &self.spared,
            (true, false) => &self.banned[offence as usize],
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if has_space {
            self.listed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All that are shut out now, the first to be let in again first; and those that are spared.
    pub fn list(&self, now: Instant) -> Vec<Banned> {
        let mut list = self.list.lock();
        list.expire(now);
        list.told(now)
    }

    /// Lets sources in again before their time; those that it was.
    pub fn lift(&self, which: &Lift, now: Instant) -> Vec<Banned> {
        let mut list = self.list.lock();
        match which {
            Lift::All => list.lift(|_| true, now),
            Lift::Sources(ips) => {
                let named: Vec<_> = ips.iter().copied().map(source_of).collect();
                list.lift(|source| named.contains(source), now)
            }
        }
    }

    /// Ends what is over, all of it where nobody is to be shut out any more, and keeps the alarms as
    /// they are; to be called about every second.
    pub fn review(&self, alarms: &Alarms, now: Instant) {
        let is_enabled = self.settings.get().enabled;
        let told = {
            let mut list = self.list.lock();
            list.expire(now);
            if !is_enabled {
                list.lift(|_| true, now);
            }
            let told = list.told(now);
            self.listed.store(told.len() as u64, Ordering::Relaxed);
            told
        };
        let problem = |banned: &Banned| (banned.source.clone(), self.problem(banned));
        alarms.set(AlarmKind::Ban, told.iter().map(problem));
    }

    fn problem(&self, banned: &Banned) -> String {
        let did = match banned.offence {
            Offence::Guess => "tried lines or devices that nobody knows, or wrong passwords",
            Offence::Garbage => "sends what is no message of a phone",
        };
        match banned.is_spared {
            true => format!(
                "{did}; it is not shut out, since phones of a site are there: look for the phone \
                 or the program behind it"
            ),
            false => format!(
                "{did}; shut out from registration for {} s: look for the program behind it, or \
                 name its network in the subnets of its site; `tftp-edge bans lift {}` lets it in \
                 again",
                self.settings.get().ban_s,
                banned.source
            ),
        }
    }

    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            banned: self.list.lock().told(now),
            limit: self.settings.get().sources.into(),
            bans: std::array::from_fn(|at| read(&self.banned[at])),
            spared: read(&self.spared),
            unproved: read(&self.unproved),
            overflowed: read(&self.overflowed),
        }
    }
}

impl fmt::Debug for Bans {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Bans").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SCANNER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 66, 6, 6));
    const SITE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 0, 1));

    fn bans() -> (Bans, Instant) {
        let settings = Settings {
            guesses: 3,
            garbage: 5,
            sources: 64,
            ..Settings::default()
        };
        (
            Bans::new(&settings, Box::new(|ip| ip == SITE)),
            Instant::now(),
        )
    }

    #[test]
    fn what_is_too_much_may_change_at_any_time() {
        let of = |enabled, guesses, garbage| Settings {
            enabled,
            guesses,
            garbage,
            ban_s: 10,
            ..Settings::default()
        };
        let settings = Live::new(of(false, 1, 1));
        let bans = Bans::new(settings.clone(), Box::new(|_| false));
        let now = Instant::now();
        guess(&bans, SCANNER, &["a", "b"], now);
        assert!(!bans.is_banned(SCANNER, now));
        settings.set(of(true, 3, 1));
        guess(&bans, SCANNER, &["a", "b"], now);
        assert!(!bans.is_banned(SCANNER, now));
        settings.set(of(true, 2, 1));
        guess(&bans, SCANNER, &["a"], now);
        assert!(bans.is_banned(SCANNER, now));
        assert!(!bans.is_banned(SCANNER, now + Duration::from_secs(11)));
        bans.offended(SITE, Offence::Garbage, true, now);
        assert!(bans.is_banned(SITE, now));
        // What counts is what comes within a window.
        let later = now + Duration::from_secs(30);
        for (window_s, last, is_banned) in [(20, 1, false), (60, 2, true)] {
            let source = IpAddr::from([10, 77, 0, last]);
            settings.set(Settings {
                window_s,
                ..of(true, 2, 1)
            });
            guess(&bans, source, &["a"], now);
            guess(&bans, source, &["b"], later);
            assert_eq!(bans.is_banned(source, later), is_banned, "{window_s}");
        }
    }

    fn guess(bans: &Bans, source: IpAddr, names: &[&str], now: Instant) {
        for name in names {
            bans.guessed(source, name, true, now);
        }
    }

    #[test]
    fn who_tries_many_names_is_shut_out_for_a_while() {
        let (bans, now) = bans();
        guess(&bans, SCANNER, &["1001", "1002"], now);
        assert!(!bans.is_banned(SCANNER, now));
        guess(&bans, SCANNER, &["1003"], now);
        assert!(bans.is_banned(SCANNER, now));
        let end = now + Duration::from_secs(900);
        assert!(!bans.is_banned(SITE, now) && !bans.is_banned(SCANNER, end));
        let alarms = Alarms::default();
        bans.review(&alarms, now);
        let [alarm] = &alarms.list()[..] else {
            panic!("one source is one alarm")
        };
        assert_eq!((alarm.kind, &*alarm.subject), (AlarmKind::Ban, "10.66.6.6"));
        let [told] = &bans.snapshot(now).banned[..] else {
            panic!("one source is one entry")
        };
        assert_eq!((told.seconds_left, told.refused), (900, 1));
        bans.review(&alarms, end);
        assert_eq!(alarms.count(AlarmKind::Ban), 0);
        assert!(bans.snapshot(end).banned.is_empty());
    }

    #[test]
    fn a_phone_with_a_wrong_password_is_not() {
        let (bans, now) = bans();
        for _ in 0..1000 {
            guess(&bans, SCANNER, &["1001", "1002"], now);
            bans.offended(SCANNER, Offence::Garbage, false, now);
        }
        assert!(!bans.is_banned(SCANNER, now));
        // Nor is one that is wrong about another line once in a while.
        let (bans, mut now) = self::bans();
        for name in ["1", "2", "3", "4", "5"] {
            guess(&bans, SCANNER, &[name], now);
            now += Duration::from_secs(300);
            assert!(!bans.is_banned(SCANNER, now));
        }
    }

    #[test]
    fn an_address_that_may_be_forged_is_not() {
        let (bans, now) = bans();
        for at in 0..1000 {
            bans.guessed(SCANNER, &at.to_string(), false, now);
            bans.offended(SCANNER, Offence::Garbage, false, now);
        }
        assert!(!bans.is_banned(SCANNER, now));
        assert_eq!(bans.snapshot(now).unproved, 2000);
    }

    #[test]
    fn a_site_is_told_of_and_never_shut_out() {
        let (bans, now) = bans();
        for _ in 0..5 {
            bans.offended(SITE, Offence::Garbage, true, now);
        }
        assert!(!bans.is_banned(SITE, now));
        let alarms = Alarms::default();
        bans.review(&alarms, now);
        assert!(alarms.list()[0].problem.contains("not shut out"));
        let snapshot = bans.snapshot(now);
        assert_eq!((snapshot.spared, snapshot.bans), (1, [0, 0]));
    }

    #[test]
    fn the_list_is_bounded_and_a_ban_can_be_lifted() {
        let (bans, now) = bans();
        for address in 0..200_u32 {
            let source = IpAddr::V4((0x0a42_0000 + address).into());
            guess(&bans, source, &["1", "2", "3"], now);
        }
        let snapshot = bans.snapshot(now);
        assert_eq!(snapshot.banned.len(), 64);
        assert_eq!(snapshot.overflowed, 200 - 64);
        let first = IpAddr::V4(0x0a42_0000_u32.into());
        assert!(bans.is_banned(first, now));
        let lift = |ip: IpAddr| bans.lift(&Lift::Sources(vec![ip]), now);
        let [lifted] = &lift(first)[..] else {
            panic!("one source is one entry")
        };
        assert_eq!((&*lifted.source, lifted.refused), ("10.66.0.0", 1));
        assert!(!bans.is_banned(first, now) && lift(first).is_empty());
        // What it did before counts no more.
        guess(&bans, first, &["1", "2"], now);
        assert!(!bans.is_banned(first, now));
        guess(&bans, first, &["3"], now);
        assert!(bans.is_banned(first, now));
        assert_eq!(bans.lift(&Lift::All, now).len(), 64);
        assert!(bans.list(now).is_empty());
    }

    #[test]
    fn what_is_over_is_neither_listed_nor_lifted() {
        let end = Duration::from_secs(900);
        let over: [fn(&Bans, Instant) -> Vec<Banned>; 3] = [
            |bans, now| bans.list(now),
            |bans, now| bans.lift(&Lift::All, now),
            |bans, now| bans.lift(&Lift::Sources(vec![SCANNER]), now),
        ];
        for told in over {
            let (bans, now) = bans();
            guess(&bans, SCANNER, &["1", "2", "3"], now);
            assert!(told(&bans, now + end).is_empty());
        }
    }

    #[test]
    fn any_address_of_a_prefix_lifts_its_ban() {
        let (bans, now) = bans();
        let of = |text: &str| text.parse::<IpAddr>().unwrap();
        guess(&bans, of("2001:db8:6::1"), &["1", "2", "3"], now);
        assert!(bans.is_banned(of("2001:db8:6::2"), now));
        assert_eq!(bans.list(now)[0].source, "2001:db8:6::/64");
        let named = ["2001:db8:6::3", "2001:db8:6::4"].map(of).to_vec();
        assert_eq!(bans.lift(&Lift::Sources(named), now).len(), 1);
        assert!(!bans.is_banned(of("2001:db8:6::2"), now));
    }

    #[test]
    fn switched_off_it_shuts_out_nobody() {
        let settings = Settings {
            enabled: false,
            guesses: 1,
            ..Settings::default()
        };
        let bans = Bans::new(&settings, Box::new(|_| false));
        let now = Instant::now();
        guess(&bans, SCANNER, &["1", "2"], now);
        assert!(!bans.is_banned(SCANNER, now));
    }

    #[test]
    fn switching_it_off_lets_all_in_again() {
        let settings = Live::new(Settings {
            guesses: 1,
            ..Settings::default()
        });
        let bans = Bans::new(settings.clone(), Box::new(|_| false));
        let (alarms, now) = (Alarms::default(), Instant::now());
        guess(&bans, SCANNER, &["1"], now);
        bans.review(&alarms, now);
        assert_eq!(alarms.count(AlarmKind::Ban), 1);
        assert!(bans.is_banned(SCANNER, now));
        settings.set(Settings {
            enabled: false,
            ..Settings::default()
        });
        bans.review(&alarms, now);
        assert_eq!(alarms.count(AlarmKind::Ban), 0);
        assert!(!bans.is_banned(SCANNER, now));
    }
}
