//! The thread that sends orders as the queue has them.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};

use super::listen::Heard;
use super::queue::{Next, Pushed, Queue, Ticket, Waiting, Why};
use super::{BOOT, Command, Ordered, Settings, Which};
use crate::clock::steady;
use crate::inventory::{DEFAULT_SITE, DeviceName};
use crate::journal::{Event, Fact, Journal};
use crate::live::Live;
use crate::register::{Departure, Directory, Dispatch, Edit, NotSent, Order, Registration, Table};
use crate::service::pulse::LONGEST_WAIT;
use crate::service::{self, Beat, Role};

/// Until a phone whose queue was full is tried again, and how often.
const BUSY: (Duration, u32) = (Duration::from_secs(1), 10);

/// The same for one whose connection is gone and that is still counted as registered: ten minutes
/// in all, as long as the longest waits between two attempts of a phone.
const GONE: (Duration, u32) = (Duration::from_secs(15), 40);

/// Orders at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub waiting: u64,
    /// Most that may wait.
    pub limit: u64,
    /// Since the start: told, by order.
    pub sent: [u64; Order::ALL.len()],
    /// Not told since it was not needed any more.
    pub superseded: u64,
    /// Not told since the phone could not be reached.
    pub failed: u64,
    /// Not told since too many were waiting.
    pub no_room: u64,
}

/// How far orders are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Phones of the ticket that wait.
    pub left: u64,
    /// Phones that wait in all.
    pub waiting: u64,
    /// Since the start of the daemon.
    pub sent: u64,
    pub superseded: u64,
    pub failed: u64,
}

/// Takes orders, from changes of the content and by hand. They go out once [`Orders::start`] was
/// called.
pub struct Orders {
    pub(super) settings: Live<Settings>,
    pub(super) table: Arc<Table>,
    pub(super) directory: Arc<Directory>,
    journal: Arc<Journal>,
    pub(super) heard: Mutex<Heard>,
    pub(super) state: Mutex<State>,
    woken: Condvar,
}

pub(super) struct State {
    pub(super) queue: Queue,
    seen: Snapshot,
    is_stopped: bool,
    is_woken: bool,
}

impl State {
    pub(super) fn note(&mut self, is_full: bool) {
        self.seen.no_room += u64::from(is_full);
    }
}

impl Default for Orders {
    /// With a table and a directory of its own: nobody is there to be told anything.
    fn default() -> Self {
        Self::new(Settings::default(), Arc::default(), Arc::default())
    }
}

impl Orders {
    pub fn new(
        settings: impl Into<Live<Settings>>,
        table: Arc<Table>,
        directory: Arc<Directory>,
    ) -> Self {
        let settings = settings.into();
        Self {
            table,
            directory,
            journal: Arc::default(),
            heard: Mutex::default(),
            state: Mutex::new(State {
                queue: Queue::new(&settings.get()),
                seen: Snapshot::default(),
                is_stopped: false,
                is_woken: false,
            }),
            woken: Condvar::new(),
            settings,
        }
    }

    /// Has the journal told which phone was told what.
    pub fn telling(mut self, journal: Arc<Journal>) -> Self {
        self.journal = journal;
        self
    }

    /// Starts telling phones, by the servers they are registered with.
    pub fn start(self: &Arc<Self>, servers: Arc<dyn Dispatch>) -> io::Result<Running> {
        let orders = Arc::clone(self);
        let thread = thread::Builder::new()
            .name("orders".into())
            .spawn(move || orders.run(&*servers, &service::enter("orders", Role::Plain)))?;
        Ok(Running {
            orders: Arc::clone(self),
            thread: Some(thread),
        })
    }

    pub fn snapshot(&self) -> Snapshot {
        let state = self.state.lock();
        Snapshot {
            waiting: state.queue.len() as u64,
            limit: super::queue::MAX_WAITING as u64,
            ..state.seen
        }
    }

    pub fn progress(&self, ticket: Option<u64>) -> Progress {
        let state = self.state.lock();
        let left = ticket.map_or(0, |ticket| state.queue.left(Ticket(ticket)));
        Progress {
            left: left as u64,
            waiting: state.queue.len() as u64,
            sent: state.seen.sent.iter().sum(),
            superseded: state.seen.superseded,
            failed: state.seen.failed,
        }
    }

    /// Queues an order to phones. Takes as long as looking up each of them.
    pub fn command(&self, command: &Command, now: SystemTime) -> Ordered {
        let mut ordered = Ordered::default();
        let mut phones = Vec::new();
        let named = self.named(&command.phones);
        if let Which::Site(site) = &command.phones
            && named.is_empty()
        {
            ordered.empty_site = Some(site.clone());
        }
        for device in named {
            match self.table.get(&device) {
                Some(registration) => phones.push(registration),
                None if self.directory.device(&device).is_some() => ordered.not_registered += 1,
                None => ordered.unknown.push(device),
            }
        }
        if command.dry_run {
            ordered.queued = phones.len() as u64;
            return ordered;
        }
        let earlier = command.ticket.map(Ticket);
        let ticket = self.state.lock().queue.open(earlier, command.rate);
        for phone in &phones {
            let site = self.site_of(phone);
            let mut state = self.state.lock();
            let queue = &mut state.queue;
            match queue.push(
                phone.device,
                &site,
                command.order,
                Why::Command,
                ticket,
                now,
            ) {
                Pushed::Queued => ordered.queued += 1,
                Pushed::Joined => ordered.joined += 1,
                Pushed::Full => {
                    ordered.no_room += 1;
                    state.note(true);
                }
            }
        }
        self.state.lock().queue.close(ticket);
        ordered.ticket = (ordered.queued > 0).then_some(ticket.0);
        self.wake();
        ordered
    }

    fn named(&self, which: &Which) -> Vec<DeviceName> {
        let snapshot = self.directory.snapshot();
        let devices = snapshot.iter().flat_map(|it| it.devices.values());
        match which {
            Which::Names(names) => names.clone(),
            Which::Site(site) => devices
                .filter(|it| it.site == *site)
                .map(|it| it.name)
                .collect(),
            Which::All => {
                let pages = (0..).map_while(|page| self.table.page(page)).flatten();
                let mut names: Vec<_> = pages.map(|it| it.device).collect();
                names.extend(devices.map(|it| it.name));
                names.sort_unstable();
                names.dedup();
                names
            }
        }
    }

    /// The site whose pace holds for a phone.
    pub(super) fn site_of(&self, phone: &Registration) -> String {
        if let Some(device) = self.directory.device(&phone.device) {
            return device.site.clone();
        }
        let snapshot = self.directory.snapshot();
        let site = snapshot
            .as_ref()
            .map_or(DEFAULT_SITE, |it| it.site_at(phone.source.ip()));
        site.to_owned()
    }

    pub(super) fn wake(&self) {
        self.state.lock().is_woken = true;
        self.woken.notify_one();
    }

    fn run(&self, servers: &dyn Dispatch, beat: &Beat) {
        loop {
            beat.pass();
            self.follow(steady());
            let next = self.turn(servers, Instant::now());
            let mut state = self.state.lock();
            if state.is_stopped {
                return;
            }
            if !state.is_woken {
                let latest = Instant::now() + LONGEST_WAIT;
                let until = match next {
                    Next::Due(..) => None,
                    Next::At(at) => Some(at.min(latest)),
                    Next::Nothing => Some(latest),
                };
                if let Some(until) = until {
                    self.woken.wait_until(&mut state, until);
                }
            }
            state.is_woken = false;
        }
    }

    /// Sends what is due, and says until when there is nothing more to do.
    pub(super) fn turn(&self, servers: &dyn Dispatch, now: Instant) -> Next {
        loop {
            let next = {
                let mut state = self.state.lock();
                state.queue.follow(&self.settings.get());
                state.queue.next(now)
            };
            let Next::Due(device, waiting) = next else {
                return next;
            };
            let done = self.send(servers, &device, &waiting);
            let mut state = self.state.lock();
            match done {
                Done::Sent(order) => {
                    state.seen.sent[order as usize] += 1;
                    state.queue.sent(&waiting, now);
                }
                Done::Again(after) => state.queue.again(device, waiting, now + after),
                Done::Superseded => {
                    state.seen.superseded += 1;
                    state.queue.ended(&waiting);
                }
                Done::Failed(why) => {
                    tracing::debug!(%device, order = waiting.order.as_str(), reason = %why, "not told");
                    state.seen.failed += 1;
                    state.queue.ended(&waiting);
                }
            }
        }
    }

    fn send(&self, servers: &dyn Dispatch, device: &DeviceName, waiting: &Waiting) -> Done {
        let Some(phone) = self.table.get(device) else {
            return Done::Superseded;
        };
        let is_back = || self.directory.device(device).is_some();
        let is_over = match waiting.why {
            Why::Change => phone.since > waiting.wanted + BOOT,
            Why::Command => phone.since > waiting.wanted,
            Why::Removed => is_back(),
        };
        if is_over {
            return Done::Superseded;
        }
        let order = waiting.order;
        let told = servers.order(&phone, order);
        if told.is_ok() {
            let fact = Fact::Ordered(order);
            self.journal.tell(&Event::fact(*device, phone.source, fact));
        }
        let again = |(after, most): (Duration, u32)| (waiting.attempts < most).then_some(after);
        let (after, why) = match told {
            Ok(()) => (None, None),
            Err(NotSent::Busy) => (again(BUSY), Some(NotSent::Busy)),
            Err(NotSent::NotConnected) if waiting.why != Why::Removed => {
                (again(GONE), Some(NotSent::NotConnected))
            }
            Err(why) => (None, Some(why)),
        };
        if let Some(after) = after {
            return Done::Again(after);
        }
        if waiting.why == Why::Removed {
            // Whatever it heard: it is registered no more.
            self.table.edit(device, |_| {
                ((), Edit::Remove(Departure::ConfigurationMismatch))
            });
        }
        why.map_or(Done::Sent(order), Done::Failed)
    }
}

enum Done {
    Sent(Order),
    Again(Duration),
    Superseded,
    Failed(NotSent),
}

/// The thread that tells phones. Dropping it stops it; what waits is forgotten.
pub struct Running {
    orders: Arc<Orders>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Whether the thread has ended by itself, which only a panic makes it do.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.orders.state.lock().is_stopped = true;
        self.orders.wake();
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed already.
            let _ = thread.join();
        }
    }
}
