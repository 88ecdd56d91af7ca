//! The queue of orders: time in, devices out. Knows nothing of phones or servers.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::settings::{Settings, pace};
use crate::inventory::DeviceName;
use crate::register::Order;

/// Most orders that wait at one time.
pub(super) const MAX_WAITING: usize = 200_000;

/// Why a phone is told something; the later, the more it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    /// Its configuration is another one.
    Change,
    /// Somebody wants it.
    Command,
    /// It is not in the inventory any more.
    Removed,
}

/// A row of orders that came together. None of the configuration's changes ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ticket(pub(super) u64);

/// Orders after changes of the content.
pub(super) const CHANGES: Ticket = Ticket(0);

#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) order: Order,
    pub(super) why: Why,
    /// When it was last wanted.
    pub(super) wanted: SystemTime,
    /// How often it was tried in vain.
    pub(super) attempts: u32,
    site: Arc<str>,
    ticket: Ticket,
    not_before: Option<Instant>,
}

/// What became of a new order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    Queued,
    /// There was one for the device already.
    Joined,
    /// There is no room.
    Full,
}

/// What is to be done next.
#[derive(Debug)]
pub(super) enum Next {
    /// This one is taken out. [`Queue::sent`] if it went out, [`Queue::again`] if not yet,
    /// [`Queue::ended`] else.
    Due(DeviceName, Waiting),
    /// Nothing before then.
    At(Instant),
    Nothing,
}

pub(super) struct Queue {
    pace: Duration,
    site_pace: Duration,
    next: Option<Instant>,
    waiting: HashMap<DeviceName, Waiting>,
    /// In turn. One that has nothing waiting stays until its pace lets it send again.
    sites: VecDeque<Site>,
    tickets: HashMap<Ticket, Row>,
    last_ticket: u64,
}

struct Site {
    name: Arc<str>,
    next: Option<Instant>,
    /// In turn, one for each ticket: a slow row does not hold up another.
    lanes: VecDeque<(Ticket, VecDeque<DeviceName>)>,
}

#[derive(Default)]
struct Row {
    /// How many still put orders into it: it keeps its pace although none may wait at the moment.
    open: usize,
    left: usize,
    pace: Option<Duration>,
    next: Option<Instant>,
}

impl Queue {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            pace: pace(settings.per_second),
            site_pace: pace(settings.site_per_second),
            next: None,
            waiting: HashMap::new(),
            sites: VecDeque::new(),
            tickets: HashMap::new(),
            last_ticket: CHANGES.0,
        }
    }

    /// From now on at this pace.
    pub(super) fn follow(&mut self, settings: &Settings) {
        self.pace = pace(settings.per_second);
        self.site_pace = pace(settings.site_per_second);
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Orders of a ticket that still wait.
    pub(super) fn left(&self, ticket: Ticket) -> usize {
        self.tickets.get(&ticket).map_or(0, |row| row.left)
    }

    /// Opens a row of orders: the earlier one if that still goes on, or a new one, with a pace of its
    /// own if it is to be slower than the others. To be closed after the last [`Queue::push`].
    pub(super) fn open(&mut self, earlier: Option<Ticket>, per_second: Option<u32>) -> Ticket {
        if let Some(ticket) = earlier
            && let Some(row) = self.tickets.get_mut(&ticket)
        {
            row.open += 1;
            return ticket;
        }
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        let row = Row {
            open: 1,
            pace: per_second.map(pace),
            ..Row::default()
        };
        self.tickets.insert(ticket, row);
        ticket
    }

    /// Nothing more comes into a row: it is forgotten once none of it waits.
    pub(super) fn close(&mut self, ticket: Ticket) {
        if let Some(row) = self.tickets.get_mut(&ticket) {
            row.open = row.open.saturating_sub(1);
        }
        self.forget_done(ticket);
    }

    fn forget_done(&mut self, ticket: Ticket) {
        let row = self.tickets.get(&ticket);
        if row.is_some_and(|row| row.open == 0 && row.left == 0) {
            self.tickets.remove(&ticket);
        }
    }

    pub(super) fn push(
        &mut self,
        device: DeviceName,
        site: &str,
        order: Order,
        why: Why,
        ticket: Ticket,
        wanted: SystemTime,
    ) -> Pushed {
        let has_room = self.waiting.len() < MAX_WAITING;
        match self.waiting.entry(device) {
            Entry::Occupied(mut waiting) => {
                let waiting = waiting.get_mut();
                waiting.order = waiting.order.stronger(order);
                waiting.why = waiting.why.max(why);
                waiting.wanted = wanted;
                Pushed::Joined
            }
            Entry::Vacant(_) if !has_room => Pushed::Full,
            Entry::Vacant(new) => {
                let site = lane(&mut self.sites, site, ticket, device);
                new.insert(Waiting {
                    order,
                    why,
                    wanted,
                    attempts: 0,
                    site,
                    ticket,
                    not_before: None,
                });
                self.tickets.entry(ticket).or_default().left += 1;
                Pushed::Queued
            }
        }
    }

    /// Takes the next one out if its time has come.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        let is_ready = |at: Option<Instant>| at.is_none_or(|at| at <= now);
        self.sites
            .retain(|site| !site.lanes.is_empty() || !is_ready(site.next));
        if self.waiting.is_empty() {
            return Next::Nothing;
        }
        if !is_ready(self.next) {
            return self.next.map_or(Next::Nothing, Next::At);
        }
        let mut earliest: Option<Instant> = None;
        let mut later = |at: Option<Instant>| {
            earliest = earliest.into_iter().chain(at).min();
        };
        for at in 0..self.sites.len() {
            let site = &mut self.sites[at];
            if site.lanes.is_empty() {
                continue;
            }
            if !is_ready(site.next) {
                later(site.next);
                continue;
            }
            for lane in 0..site.lanes.len() {
                let (ticket, devices) = &mut site.lanes[lane];
                let row_next = self.tickets.get(ticket).and_then(|row| row.next);
                let Some(&device) = devices.front() else {
                    continue;
                };
                let not_before = self.waiting.get(&device).and_then(|it| it.not_before);
                if !is_ready(row_next) || !is_ready(not_before) {
                    later(row_next.max(not_before));
                    continue;
                }
                devices.pop_front();
                if let Some(lane) = site.lanes.remove(lane)
                    && !lane.1.is_empty()
                {
                    site.lanes.push_back(lane);
                }
                if let Some(site) = self.sites.remove(at) {
                    self.sites.push_back(site);
                }
                return match self.waiting.remove(&device) {
                    Some(waiting) => Next::Due(device, waiting),
                    None => Next::At(now),
                };
            }
        }
        earliest.map_or(Next::Nothing, Next::At)
    }

    /// It went out: the next ones wait for their time.
    pub(super) fn sent(&mut self, waiting: &Waiting, now: Instant) {
        self.next = Some(now + self.pace);
        if let Some(site) = self.sites.iter_mut().find(|it| it.name == waiting.site) {
            site.next = Some(now + self.site_pace);
        }
        if let Some(row) = self.tickets.get_mut(&waiting.ticket) {
            row.next = row.pace.map(|pace| now + pace);
        }
        self.ended(waiting);
    }

    /// It did not, and never will.
    pub(super) fn ended(&mut self, waiting: &Waiting) {
        if let Some(row) = self.tickets.get_mut(&waiting.ticket) {
            row.left -= 1;
        }
        self.forget_done(waiting.ticket);
    }

    /// It is to be tried once more, behind the others of its site.
    pub(super) fn again(&mut self, device: DeviceName, waiting: Waiting, not_before: Instant) {
        if let Some(newer) = self.waiting.get_mut(&device) {
            newer.order = newer.order.stronger(waiting.order);
            newer.why = newer.why.max(waiting.why);
            self.ended(&waiting);
            return;
        }
        lane(&mut self.sites, &waiting.site, waiting.ticket, device);
        let attempts = waiting.attempts + 1;
        let not_before = Some(not_before);
        self.waiting.insert(
            device,
            Waiting {
                attempts,
                not_before,
                ..waiting
            },
        );
    }
}

/// Puts a device at the end of its lane; gives back the name of its site, which is shared.
fn lane(sites: &mut VecDeque<Site>, name: &str, ticket: Ticket, device: DeviceName) -> Arc<str> {
    let at = match sites.iter().position(|it| *it.name == *name) {
        Some(at) => at,
        None => {
            sites.push_back(Site {
                name: name.into(),
                next: None,
                lanes: VecDeque::new(),
            });
            sites.len() - 1
        }
    };
    let site = &mut sites[at];
    match site.lanes.iter_mut().find(|(it, _)| *it == ticket) {
        Some((_, devices)) => devices.push_back(device),
        None => site.lanes.push_back((ticket, [device].into())),
    }
    Arc::clone(&site.name)
}
