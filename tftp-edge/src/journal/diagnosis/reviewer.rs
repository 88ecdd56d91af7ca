//! Goes over all phones every few seconds and tells the board which are stuck.
//!
//! Phones that are registered are passed by; of a phone that has not moved since it was looked at
//! last, what was found stands for a while. So a hundred thousand phones that get on cost a look
//! into the journal each.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use super::case::Heard;
use super::examiner::Patient;
use super::neighbours::Neighbours;
use crate::inventory::{DEFAULT_SITE, DeviceName, Snapshot};
use crate::journal::board::{Board, Stuck};
use crate::journal::{Fact, Finding, Gap, Phone, Stage, What, unix_ms};
use crate::register::Refusal;
use crate::service::{self, Role};

/// What was found is looked at anew after so long: what is served may have changed.
const STANDS_MS: u64 = 30_000;

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(5);

/// A thread that reviews the phones until it is dropped.
#[derive(Debug)]
pub struct Reviewer {
    stop: Sender<()>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Reviewer {
    pub fn start(board: Arc<Board>) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let floor = Duration::from_millis(board.examiner().floors().stage_ms);
        let every = (floor / 4).clamp(SHORTEST, LONGEST);
        let work = move || {
            let beat = service::enter("diagnosis", Role::Plain);
            let mut round = Round::new(board);
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                beat.pass();
                round.review(unix_ms(SystemTime::now()));
            }
        };
        let thread = thread::Builder::new()
            .name("diagnosis".into())
            .spawn(work)?;
        Ok(Self {
            stop,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// By itself: what is stuck stays as it is.
    pub fn has_ended(&self) -> bool {
        let thread = self.thread.lock();
        thread.as_ref().is_some_and(JoinHandle::is_finished)
    }
}

impl Drop for Reviewer {
    fn drop(&mut self) {
        // It fails only if the thread has panicked, which has been printed.
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

/// What was found with a phone, and when.
struct Known {
    heard_ms: u64,
    found_ms: u64,
    finding: Arc<Finding>,
}

/// Whether the last it heard is that it is to come again, and its time has not come.
fn is_told_to_wait(phone: &Phone, now_ms: u64) -> bool {
    let Some(last) = phone.boot().and_then(|boot| boot.entries.last()) else {
        return false;
    };
    match &last.what {
        What::Fact(Fact::Refused {
            refusal: Refusal::Storm,
            wait_s: Some(wait_s),
            ..
        }) => now_ms < phone.heard_ms + u64::from(*wait_s) * 1000,
        _ => false,
    }
}

/// What stays from one review to the next.
struct Round {
    board: Arc<Board>,
    known: HashMap<DeviceName, Known>,
    /// Since when each site is heard of.
    heard: HashMap<String, Heard>,
    /// The last boot of each phone that was learnt from.
    learnt: HashMap<DeviceName, u32>,
}

/// A phone at a glance.
enum Glance {
    /// It is registered, or has not been where it is for long.
    Fine { heard_ms: u64 },
    /// To be looked at.
    Stopped { heard_ms: u64 },
    /// Nothing was ever heard of it.
    Silent,
}

impl Round {
    fn new(board: Arc<Board>) -> Self {
        Self {
            board,
            known: HashMap::new(),
            heard: HashMap::new(),
            learnt: HashMap::new(),
        }
    }

    fn review(&mut self, now_ms: u64) {
        let board = Arc::clone(&self.board);
        let inventory = board.directory().snapshot();
        let Some(inventory) = inventory.as_deref() else {
            return;
        };
        let (journal, examiner) = (board.journal(), board.examiner());
        let gaps = journal.gaps();
        let mut known = HashMap::new();
        let mut silent = Vec::new();
        let mut counts: HashMap<&str, Heard> = HashMap::new();
        for device in inventory.devices.values() {
            let heard_ms = match self.glance(&device.name, Some(&device.model), now_ms) {
                Glance::Silent => {
                    silent.push(device.name);
                    continue;
                }
                Glance::Fine { heard_ms } => heard_ms,
                Glance::Stopped { heard_ms } => {
                    let found = self.look(&device.name, heard_ms, inventory, &gaps, now_ms);
                    known.extend(found.map(|it| (device.name, it)));
                    heard_ms
                }
            };
            if heard_ms >= examiner.started_ms() {
                let of_site = counts.entry(&device.site).or_insert(Heard {
                    phones: 0,
                    since_ms: now_ms,
                });
                of_site.phones += 1;
            }
        }
        self.take_sites(counts);
        for name in journal.strangers() {
            let is_known = inventory.devices.contains_key(&name);
            if let Glance::Stopped { heard_ms } = self.glance(&name, None, now_ms)
                && !is_known
            {
                let found = self.look(&name, heard_ms, inventory, &gaps, now_ms);
                known.extend(found.map(|it| (name, it)));
            }
        }
        self.look_for(&silent, inventory, now_ms, &mut known);
        let stuck: Stuck = known
            .iter()
            .map(|(name, known)| (*name, Arc::clone(&known.finding)))
            .collect();
        self.known = known;
        self.learnt
            .retain(|name, _| inventory.devices.contains_key(name));
        board.set_stuck(stuck);
    }

    /// In place, since there are many.
    fn glance(&mut self, name: &DeviceName, model: Option<&str>, now_ms: u64) -> Glance {
        let board = &self.board;
        let examiner = board.examiner();
        let learnt = &mut self.learnt;
        let look = |phone: &Phone| {
            let heard_ms = phone.heard_ms;
            if phone.stage == Stage::Registered {
                if let (Some(model), Some(boot)) = (model, phone.boot())
                    && learnt.get(name) != Some(&boot.number)
                {
                    learnt.insert(*name, boot.number);
                    examiner.learn(model, boot);
                }
                return Glance::Fine { heard_ms };
            }
            // In a storm these are many.
            if is_told_to_wait(phone, now_ms) {
                return Glance::Fine { heard_ms };
            }
            let began_ms = phone.boots.iter().rev().take_while(|it| !it.has_registered);
            let began_ms = began_ms
                .last()
                .map_or(phone.stage_since_ms, |it| it.began_ms);
            let lasts_ms = now_ms.saturating_sub(began_ms.min(phone.stage_since_ms));
            // Of a stranger one boot alone is kept.
            let is_loop = model.is_none() && phone.boots_total > 1;
            match is_loop || lasts_ms >= examiner.floors().stage_ms {
                true => Glance::Stopped { heard_ms },
                false => Glance::Fine { heard_ms },
            }
        };
        match board.journal().with(name, look) {
            Some(glance) => glance,
            None if board.has_registration(name) => Glance::Fine { heard_ms: now_ms },
            None => Glance::Silent,
        }
    }

    /// What is the matter with a phone that has stopped.
    fn look(
        &mut self,
        name: &DeviceName,
        heard_ms: u64,
        inventory: &Snapshot,
        gaps: &[Gap],
        now_ms: u64,
    ) -> Option<Known> {
        if let Some(known) = self.known.remove(name)
            && known.heard_ms == heard_ms
            && now_ms.saturating_sub(known.found_ms) < STANDS_MS
        {
            return Some(known);
        }
        let phone = self.board.journal().phone(name)?;
        let patient = Patient {
            name: *name,
            phone: Some(&phone),
            inventory: Some(inventory),
            has_registration: self.board.has_registration(name),
            gaps,
            turn: None,
        };
        let examined = self.board.examiner().examine(&patient, now_ms);
        // What it was told to do is not what it is stuck at.
        if examined.waits {
            return None;
        }
        let finding = examined.findings.into_iter().next()?;
        Some(Known {
            heard_ms,
            found_ms: now_ms,
            finding: Arc::new(finding),
        })
    }

    fn take_sites(&mut self, counts: HashMap<&str, Heard>) {
        let mut heard = HashMap::with_capacity(counts.len());
        for (site, mut now) in counts {
            if let Some(before) = self.heard.get(site) {
                now.since_ms = before.since_ms;
            }
            heard.insert(site.to_owned(), now);
        }
        self.board.examiner().set_heard(heard.clone());
        self.heard = heard;
    }

    /// Those that nothing was ever heard of, at sites that are heard of for long enough.
    fn look_for(
        &mut self,
        silent: &[DeviceName],
        inventory: &Snapshot,
        now_ms: u64,
        known: &mut HashMap<DeviceName, Known>,
    ) {
        let board = &self.board;
        let silence_ms = board.examiner().floors().silence_ms;
        let is_dark = |name: &&DeviceName| {
            let device = inventory.devices.get(*name);
            let site = device.map_or(DEFAULT_SITE, |device| device.site.as_str());
            let heard = self.heard.get(site);
            heard.is_none_or(|it| now_ms.saturating_sub(it.since_ms) < silence_ms)
        };
        let missed: Vec<_> = silent.iter().filter(|name| !is_dark(name)).collect();
        if missed.is_empty() {
            return;
        }
        board.examiner().set_neighbours(Neighbours::read());
        for name in missed {
            if let Some(before) = self.known.remove(name)
                && now_ms.saturating_sub(before.found_ms) < STANDS_MS
            {
                known.insert(*name, before);
                continue;
            }
            let patient = Patient {
                name: *name,
                phone: None,
                inventory: Some(inventory),
                has_registration: false,
                gaps: &[],
                turn: None,
            };
            let examined = board.examiner().examine(&patient, now_ms);
            let finding = examined.findings.into_iter().next();
            known.extend(finding.map(|finding| {
                let finding = Known {
                    heard_ms: 0,
                    found_ms: now_ms,
                    finding: Arc::new(finding),
                };
                (*name, finding)
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::UNIX_EPOCH;

    use super::super::{Cause, Examiner, Surroundings};
    use super::*;
    use crate::inventory::{Contents, Protocol, Site, parse_csv};
    use crate::journal::{Event, Filter, Happening, Journal};
    use crate::register::{Directory, Mode, Transport};

    const BEGAN_MS: u64 = 5_000_000;

    fn source() -> SocketAddr {
        ([10, 0, 0, 9], 50_000).into()
    }

    fn round() -> Round {
        let rows = "name,model,protocol,lines,site\n\
                    SEP000000000001,8851,sip,1001,berlin\n\
                    SEP000000000002,8851,sip,1002,berlin\n\
                    SEP000000000003,8851,sip,1003,dark\n";
        let contents = Contents {
            devices: parse_csv(rows.as_bytes()).unwrap(),
            ..Contents::default()
        };
        let directory = Arc::new(Directory::default());
        directory.update(Arc::new(Snapshot::new(contents, &Site::default())));
        let known = Arc::clone(&directory);
        let settings = crate::journal::Settings::default();
        let is_known = Box::new(move |name: &DeviceName| known.device(name).is_some());
        let journal = Arc::new(Journal::new(settings, is_known));
        let examiner = Examiner::new(Surroundings {
            mode: Mode::Registrar,
            started_ms: BEGAN_MS,
            ..Surroundings::default()
        });
        let board = Board::new(journal, directory, Arc::default()).examined_by(examiner);
        Round::new(Arc::new(board))
    }

    fn tell(round: &Round, device: &str, at_ms: u64, fact: Fact) {
        let event = Event {
            at: UNIX_EPOCH + Duration::from_millis(at_ms),
            device: device.parse().ok(),
            source: source(),
            what: Happening::Fact(fact),
        };
        round.board.journal().tell(&event);
    }

    fn refused(refusal: Refusal, wait_s: Option<u32>) -> Fact {
        Fact::Refused {
            protocol: Protocol::Sip,
            refusal,
            wait_s,
            detail: None,
        }
    }

    /// Who is stuck, by the last digit of its name.
    fn stuck(round: &Round) -> Vec<(char, Cause)> {
        let filter = Filter {
            stuck: true,
            ..Filter::default()
        };
        let rows = round.board.phones(&filter).rows;
        rows.iter()
            .filter_map(|row| {
                let last = row.device.as_str().chars().last()?;
                Some((last, row.stuck.as_ref()?.cause))
            })
            .collect()
    }

    #[test]
    fn those_that_stopped_are_stuck_and_those_that_wait_for_their_turn_are_not() {
        let mut round = round();
        tell(
            &round,
            "SEP000000000001",
            BEGAN_MS,
            refused(Refusal::Authentication, None),
        );
        tell(
            &round,
            "SEP000000000002",
            BEGAN_MS,
            refused(Refusal::Storm, Some(60)),
        );
        tell(
            &round,
            "SEP0000000000FF",
            BEGAN_MS,
            refused(Refusal::UnknownDevice, None),
        );
        round.review(BEGAN_MS + 1_000);
        assert_eq!(stuck(&round), []);
        round.review(BEGAN_MS + 40_000);
        let expected = [('1', Cause::WrongPassword), ('F', Cause::UnknownDevice)];
        assert_eq!(stuck(&round), expected);
        let counted = round.board.overview().stuck.clone();
        assert_eq!(counted.values().sum::<u64>(), 2, "{counted:?}");
        round.review(BEGAN_MS + 120_000);
        assert!(stuck(&round).contains(&('2', Cause::StormWait)));

        let registered = Fact::Registered {
            protocol: Protocol::Sip,
            transport: Transport::Tcp,
            load: None,
        };
        for device in ["SEP000000000001", "SEP000000000002"] {
            tell(&round, device, BEGAN_MS + 121_000, registered.clone());
        }
        round.review(BEGAN_MS + 122_000);
        assert_eq!(stuck(&round), [('F', Cause::UnknownDevice)]);
    }

    #[test]
    fn silent_phones_are_missed_where_others_are_heard_and_nowhere_else() {
        let mut round = round();
        tell(
            &round,
            "SEP000000000001",
            BEGAN_MS,
            refused(Refusal::Storm, Some(600)),
        );
        round.review(BEGAN_MS);
        round.review(BEGAN_MS + 299_000);
        assert_eq!(stuck(&round), []);
        round.review(BEGAN_MS + 300_000);
        assert_eq!(stuck(&round), [('2', Cause::NoDhcpOption)]);
    }
}
