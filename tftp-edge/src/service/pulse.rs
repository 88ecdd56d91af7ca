//! Whether every loop goes round.
//!
//! A loop counts its rounds in a number that nobody else writes; that is all it costs. It waits for
//! work no longer than [`LONGEST_WAIT`], so that an idle loop is not taken for one that is stuck.
//! Who wants to know looks now and then, and remembers when each number was last another one.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::capabilities::FOR_FILES;

/// The longest that a loop waits for something to do.
pub const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The registry of this process.
static OF_PROCESS: LazyLock<Pulse> = LazyLock::new(Pulse::default);

/// How a loop has ended, if it has.
const RUNS: u8 = 0;
const ENDED: u8 = 1;
const PANICKED: u8 = 2;

/// All loops that run.
#[derive(Debug, Default)]
pub struct Pulse {
    loops: Mutex<Vec<Seen>>,
}

#[derive(Debug)]
struct Loop {
    name: String,
    /// How long a round may take.
    patience: Duration,
    rounds: AtomicU64,
    end: AtomicU8,
}

/// A loop, and when it was last seen to go round.
#[derive(Debug)]
struct Seen {
    of: Arc<Loop>,
    rounds: u64,
    at: Instant,
}

/// A loop's own end. Dropped in order, the loop is over; dropped by a panic, it is missing.
#[derive(Debug)]
pub struct Beat(Arc<Loop>);

/// A loop at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoopStatus {
    pub name: String,
    /// Since it was last seen to go round, in milliseconds.
    pub idle_ms: u64,
    /// It has taken longer than a round may.
    pub is_stuck: bool,
    pub has_panicked: bool,
    /// It waits for disks, which may take their time while phones are served from memory: that it is
    /// stuck is told, and no reason to start the daemon anew, which would need the disk at once.
    #[serde(default)]
    pub waits_for_disks: bool,
}

impl LoopStatus {
    pub fn is_alive(&self) -> bool {
        !self.is_stuck && !self.has_panicked
    }

    /// Whether the service manager is to start the daemon anew because of it.
    pub fn is_lost(&self) -> bool {
        self.has_panicked || self.is_stuck && !self.waits_for_disks
    }

    /// What is wrong with it, for people.
    pub fn problem(&self) -> Option<String> {
        let name = &self.name;
        if self.has_panicked {
            Some(format!("{name} has panicked; the log says where"))
        } else if self.is_stuck {
            let seconds = self.idle_ms / 1000;
            Some(format!("{name} has not gone round for {seconds} s"))
        } else {
            None
        }
    }
}

impl Pulse {
    /// The one that [`Beat::new`] enters loops in.
    pub fn of_process() -> &'static Self {
        &OF_PROCESS
    }

    fn begin(&self, name: String, patience: Duration, now: Instant) -> Beat {
        let of = Arc::new(Loop {
            name,
            patience,
            rounds: AtomicU64::new(0),
            end: AtomicU8::new(RUNS),
        });
        self.loops.lock().push(Seen {
            of: Arc::clone(&of),
            rounds: 0,
            at: now,
        });
        Beat(of)
    }

    /// How the loops are. To be called every second or so: it is when a loop is seen to go round.
    pub fn look(&self, now: Instant) -> Vec<LoopStatus> {
        let mut loops = self.loops.lock();
        loops.retain(|it| it.of.end.load(Ordering::Relaxed) != ENDED);
        let look = |seen: &mut Seen| {
            let rounds = seen.of.rounds.load(Ordering::Relaxed);
            if rounds != seen.rounds {
                (seen.rounds, seen.at) = (rounds, now);
            }
            let idle = now.saturating_duration_since(seen.at);
            LoopStatus {
                name: seen.of.name.clone(),
                idle_ms: u64::try_from(idle.as_millis()).unwrap_or(u64::MAX),
                is_stuck: idle > seen.of.patience,
                has_panicked: seen.of.end.load(Ordering::Relaxed) == PANICKED,
                // Nobody else has so much patience.
                waits_for_disks: seen.of.patience >= FOR_FILES,
            }
        };
        loops.iter_mut().map(look).collect()
    }
}

impl Beat {
    pub fn new(name: impl Into<String>, patience: Duration) -> Self {
        Pulse::of_process().begin(name.into(), patience, Instant::now())
    }

    /// The loop has come round.
    pub fn pass(&self) {
        // Nobody else writes it: no locked instruction is needed.
        let rounds = self.0.rounds.load(Ordering::Relaxed);
        self.0
            .rounds
            .store(rounds.wrapping_add(1), Ordering::Relaxed);
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        let end = match std::thread::panicking() {
            true => PANICKED,
            false => ENDED,
        };
        self.0.end.store(end, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_loop_that_does_not_come_round_is_named_with_its_age() {
        let (pulse, begun) = (Pulse::default(), Instant::now());
        let good = pulse.begin("tftp-0".into(), PATIENCE, begun);
        let _bad = pulse.begin("tftp-1".into(), PATIENCE, begun);
        for seconds in 1..=11 {
            good.pass();
            let loops = pulse.look(begun + seconds * SECOND);
            assert!(loops[0].is_alive());
            assert_eq!(loops[1].is_alive(), seconds <= 10, "{seconds}");
        }
        let loops = pulse.look(begun + 12 * SECOND);
        assert_eq!(loops[0].idle_ms, 1_000);
        let problem = loops[1].problem().unwrap();
        assert_eq!(problem, "tftp-1 has not gone round for 12 s");
    }

    #[test]
    fn one_that_goes_on_is_alive_again() {
        let (pulse, begun) = (Pulse::default(), Instant::now());
        let beat = pulse.begin("curator".into(), PATIENCE, begun);
        assert!(!pulse.look(begun + 2 * PATIENCE)[0].is_alive());
        beat.pass();
        assert!(pulse.look(begun + 2 * PATIENCE + SECOND)[0].is_alive());
    }

    #[test]
    fn an_orderly_end_is_no_loss_and_a_panic_is() {
        let (pulse, begun) = (Pulse::default(), Instant::now());
        let orderly = pulse.begin("orders".into(), PATIENCE, begun);
        let panics = pulse.begin("storm".into(), PATIENCE, begun);
        drop(orderly);
        let ended = std::thread::spawn(move || {
            let _beat = panics;
            panic!("as the test wants it");
        });
        assert!(ended.join().is_err());
        let loops = pulse.look(begun);
        assert_eq!(loops.len(), 1);
        assert!(!loops[0].is_alive());
        assert!(
            loops[0]
                .problem()
                .unwrap()
                .starts_with("storm has panicked")
        );
    }

    /// A thread that really blocks, as one does that opens a pipe nobody writes to.
    #[test]
    fn a_thread_that_blocks_is_stuck_until_it_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let pulse = Pulse::default();
        let beat = pulse.begin("loader".into(), Duration::from_millis(50), Instant::now());
        let (reads, path) = (std::sync::mpsc::channel(), pipe.clone());
        let (sender, receiver) = reads;
        let thread = std::thread::spawn(move || {
            let text = std::fs::read_to_string(path).unwrap();
            for _ in 0..1_000 {
                beat.pass();
            }
            sender.send(text).unwrap();
            // Holds the beat until the test has looked.
            std::thread::park();
            drop(beat);
        });
        let deadline = Instant::now() + Duration::from_secs(20);
        while pulse.look(Instant::now())[0].is_alive() {
            assert!(Instant::now() < deadline, "it is not seen");
            std::thread::yield_now();
        }
        std::fs::write(&pipe, "on").unwrap();
        assert_eq!(receiver.recv().unwrap(), "on");
        assert!(pulse.look(Instant::now())[0].is_alive());
        thread.thread().unpark();
        thread.join().unwrap();
        assert!(pulse.look(Instant::now()).is_empty());
    }
}
