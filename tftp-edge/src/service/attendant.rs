//! Who looks after the daemon: one thread that looks at every loop each second, and tells the
//! service manager what it found.
//!
//! `READY=1` is said when `/readyz` would say so for the first time. A daemon that waits for an
//! address to come is up all the same, and is not to be killed for it: after `WAITS_FOR_READY` it
//! says so with a status line that names what is missing. `WATCHDOG=1` is said at half the time the
//! service manager gives us, and only while every loop goes round: one that is stuck for longer than
//! its round may take has the service manager restart the daemon.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::capabilities::{self, Role};
use super::notify::{self, Word};
use super::pulse::{LoopStatus, Pulse};
use crate::ops::sources::Sources;

/// How often the loops are looked at, and no more often.
const EVERY: Duration = Duration::from_secs(1);
/// The same while somebody waits for the daemon to be ready.
const EVERY_UNTIL_READY: Duration = Duration::from_millis(100);
/// How often all checks are made: they ask every part.
const CHECKS_EVERY: Duration = Duration::from_secs(10);
/// Less than the 90 seconds that systemd gives a start.
const WAITS_FOR_READY: Duration = Duration::from_secs(60);
/// What the start asks for at a time, how often, and for how long altogether: a tree of many
/// gigabytes takes its time, and a start that hangs must end.
const EXTENDS_BY: Duration = Duration::from_secs(30);
const EXTENDS_EVERY: Duration = Duration::from_secs(10);
const EXTENDS_FOR: Duration = Duration::from_secs(600);

/// What the checks have found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkup {
    /// Why the daemon is not ready.
    pub(crate) reasons: Vec<String>,
    /// What it does, in one line.
    pub(crate) doing: String,
}

/// Decides what to say, and when. No clock, no sockets: time comes in, words go out.
#[derive(Debug)]
struct Attendant {
    /// The most that may pass between two signs of life.
    watchdog: Option<Duration>,
    began: Instant,
    /// Since when all parts have been started.
    up: Option<Instant>,
    is_ready: bool,
    checked: Option<Instant>,
    found: Checkup,
    extended: Option<Instant>,
    alive_told: Option<Instant>,
    /// The last status line.
    told: String,
    stuck: HashSet<String>,
}

impl Attendant {
    fn new(watchdog: Option<Duration>, now: Instant) -> Self {
        Self {
            watchdog,
            began: now,
            up: None,
            is_ready: false,
            checked: None,
            found: Checkup::default(),
            extended: None,
            alive_told: None,
            told: String::new(),
            stuck: HashSet::new(),
        }
    }

    fn every(&self) -> Duration {
        if !self.is_ready {
            return EVERY_UNTIL_READY;
        }
        // Four times in the time we have: half of it is never missed.
        self.watchdog.map_or(EVERY, |it| (it / 4).min(EVERY))
    }

    /// Whether the parts are to be asked.
    fn wants_checkup(&self, now: Instant) -> bool {
        let is_due = |at| now.saturating_duration_since(at) >= CHECKS_EVERY;
        !self.is_ready || self.checked.is_none_or(is_due)
    }

    fn found(&mut self, found: Checkup, now: Instant) {
        self.up.get_or_insert(now);
        self.checked = Some(now);
        self.found = found;
    }

    /// What there is to say now.
    fn look(&mut self, loops: &[LoopStatus], now: Instant) -> Vec<Word> {
        let mut words = Vec::new();
        self.tell_loops(loops);
        if let Some(up) = self.up
            && !self.is_ready
        {
            let has_waited = now.saturating_duration_since(up) >= WAITS_FOR_READY;
            if self.found.reasons.is_empty() || has_waited {
                self.is_ready = true;
                words.push(Word::Ready);
            }
        }
        let since = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
        let is_starting = self.up.is_none();
        if is_starting
            && now.saturating_duration_since(self.began) < EXTENDS_FOR
            && since(self.extended).is_none_or(|it| it >= EXTENDS_EVERY)
        {
            self.extended = Some(now);
            words.push(Word::Extend(EXTENDS_BY));
        }
        let line = self.line(loops);
        if line != self.told {
            self.told.clone_from(&line);
            words.push(Word::Status(line));
        }
        if let Some(watchdog) = self.watchdog
            && !loops.iter().any(LoopStatus::is_lost)
            && since(self.alive_told).is_none_or(|it| it >= watchdog / 2)
        {
            self.alive_told = Some(now);
            words.push(Word::Watchdog);
        }
        words
    }

    fn line(&self, loops: &[LoopStatus]) -> String {
        // Without its age: a line each second would be no news.
        let dead: Vec<_> = loops.iter().filter(|it| !it.is_alive()).collect();
        if !dead.is_empty() {
            let names: Vec<_> = dead.iter().map(|it| it.name.as_str()).collect();
            return format!("not alive: {}; see /livez", names.join(", "));
        }
        match (self.up, self.found.reasons.is_empty()) {
            (None, _) => "starting".to_owned(),
            (Some(_), false) => format!("not ready: {}", self.found.reasons.join("; ")),
            (Some(_), true) => self.found.doing.clone(),
        }
    }

    /// Once when a loop gets stuck, and once when it goes on.
    fn tell_loops(&mut self, loops: &[LoopStatus]) {
        for it in loops {
            let name = it.name.as_str();
            match it.problem() {
                Some(problem) if self.stuck.insert(name.to_owned()) => {
                    tracing::error!(
                        event = "service.loop_stuck",
                        part = name,
                        idle_ms = it.idle_ms,
                        "{problem}"
                    );
                }
                None if self.stuck.remove(name) => {
                    tracing::info!(
                        event = "service.loop_back",
                        part = name,
                        "the loop goes round again"
                    );
                }
                Some(_) | None => {}
            }
        }
    }
}

/// The thread. Dropping it ends it.
pub struct Service {
    sources: Arc<Mutex<Option<Arc<Sources>>>>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// Begins with the start of the daemon, before there is anything to ask.
    pub fn start() -> io::Result<Self> {
        let sources = Arc::<Mutex<Option<Arc<Sources>>>>::default();
        let asked = Arc::clone(&sources);
        let (stop, stopped) = mpsc::channel();
        let mut attendant = Attendant::new(notify::watchdog(), Instant::now());
        let work = move || {
            capabilities::settle(Role::Plain);
            loop {
                let now = Instant::now();
                if attendant.wants_checkup(now) {
                    let sources = asked.lock().clone();
                    if let Some(sources) = sources {
                        attendant.found(checkup(&sources), Instant::now());
                    }
                }
                let now = Instant::now();
                notify::say(&attendant.look(&Pulse::of_process().look(now), now));
                if stopped.recv_timeout(attendant.every()) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("service".into())
            .spawn(work)?;
        Ok(Self {
            sources,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// All parts have been started; these tell how they are, until the guard is dropped.
    pub fn watch(&self, sources: Arc<Sources>) -> Watching {
        *self.sources.lock() = Some(sources);
        Watching(Arc::clone(&self.sources))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed already.
            let _ = thread.join();
        }
    }
}

/// The parts are asked while this lives.
#[must_use]
pub struct Watching(Arc<Mutex<Option<Arc<Sources>>>>);

impl Drop for Watching {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}

/// Says that the daemon ends now.
pub fn stopping() {
    notify::say(&[Word::Stopping, Word::Status("stopping".to_owned())]);
}

fn checkup(sources: &Sources) -> Checkup {
    let reading = sources.read();
    Checkup {
        reasons: reading.not_ready(),
        doing: crate::ops::health::line(&reading),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn a_loop(name: &str, is_stuck: bool) -> LoopStatus {
        LoopStatus {
            name: name.to_owned(),
            idle_ms: 0,
            is_stuck,
            has_panicked: false,
            waits_for_disks: false,
        }
    }

    fn serving() -> Checkup {
        Checkup {
            reasons: Vec::new(),
            doing: "serving 12 devices".to_owned(),
        }
    }

    fn waiting() -> Checkup {
        Checkup {
            reasons: vec!["no TFTP socket is bound".to_owned()],
            doing: String::new(),
        }
    }

    #[test]
    fn ready_is_said_once_and_when_it_is_so() {
        let begun = Instant::now();
        let mut attendant = Attendant::new(None, begun);
        let words = attendant.look(&[], begun);
        let starting = Word::Status("starting".into());
        assert_eq!(words, [Word::Extend(EXTENDS_BY), starting]);
        attendant.found(waiting(), begun + SECOND);
        let words = attendant.look(&[], begun + SECOND);
        let not_yet = Word::Status("not ready: no TFTP socket is bound".into());
        assert_eq!(words, [not_yet]);
        assert!(attendant.wants_checkup(begun + 2 * SECOND));
        attendant.found(serving(), begun + 2 * SECOND);
        let words = attendant.look(&[], begun + 2 * SECOND);
        assert_eq!(
            words,
            [Word::Ready, Word::Status("serving 12 devices".into())]
        );
        assert!(!attendant.wants_checkup(begun + 3 * SECOND));
        assert!(attendant.look(&[], begun + 3 * SECOND).is_empty());
        // What comes later is told in the status alone.
        attendant.found(waiting(), begun + 20 * SECOND);
        let words = attendant.look(&[], begun + 20 * SECOND);
        assert!(matches!(&words[..], [Word::Status(_)]), "{words:?}");
    }

    #[test]
    fn one_that_waits_for_an_address_is_up_after_a_minute() {
        let begun = Instant::now();
        let mut attendant = Attendant::new(None, begun);
        let mut said_at = None;
        for second in 0..90 {
            let now = begun + second * SECOND;
            attendant.found(waiting(), now);
            if attendant.look(&[], now).contains(&Word::Ready) {
                assert_eq!(said_at.replace(second), None);
            }
        }
        assert_eq!(said_at, Some(60));
        assert!(attendant.told.contains("no TFTP socket is bound"));
    }

    #[test]
    fn a_long_start_asks_for_time_and_not_for_ever() {
        let begun = Instant::now();
        let mut attendant = Attendant::new(None, begun);
        let times = (0..3_600).map(|second| begun + second * SECOND);
        let asked = times.filter(|&now| {
            let words = attendant.look(&[], now);
            words.contains(&Word::Extend(EXTENDS_BY))
        });
        assert_eq!(asked.count(), 60);
    }

    #[test]
    fn signs_of_life_come_at_half_the_time_and_only_while_all_loops_go_round() {
        let begun = Instant::now();
        let mut attendant = Attendant::new(Some(30 * SECOND), begun);
        attendant.found(serving(), begun);
        let signs = |attendant: &mut Attendant, seconds: std::ops::Range<u32>, is_stuck| {
            let loops = [a_loop("tftp-0", false), a_loop("kernel", is_stuck)];
            let looks = seconds.map(|second| attendant.look(&loops, begun + second * SECOND));
            looks
                .filter(|words| words.contains(&Word::Watchdog))
                .count()
        };
        assert_eq!(signs(&mut attendant, 0..60, false), 4);
        assert_eq!(signs(&mut attendant, 60..180, true), 0);
        assert_eq!(attendant.told, "not alive: kernel; see /livez");
        assert_eq!(signs(&mut attendant, 180..240, false), 4);
        assert_eq!(attendant.told, "serving 12 devices");
    }

    #[test]
    fn it_looks_often_enough_for_a_short_watchdog_and_else_once_a_second() {
        let now = Instant::now();
        for (watchdog, every) in [
            (None, SECOND),
            (Some(30 * SECOND), SECOND),
            (Some(2 * SECOND), SECOND / 2),
        ] {
            let mut attendant = Attendant::new(watchdog, now);
            attendant.found(serving(), now);
            assert_eq!(attendant.every(), EVERY_UNTIL_READY);
            attendant.look(&[], now);
            assert_eq!(attendant.every(), every);
        }
    }
}
