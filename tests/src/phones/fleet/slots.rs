//! One thread of a fleet: its phones, their timers, and what wakes them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollTimeout};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use super::connection::Connection;
use super::line::Line;
use super::{Fleet, FleetOptions, Shared};
use crate::lab::interrupted;
use crate::phones::registration::{Account, Registrant, Seen};
use crate::phones::{Oracle, Over, Phone, PhoneSpec, Progress, Report};

/// Marks an event of a connection for HTTP; without a mark, it is one of a socket for TFTP.
pub(super) const CONNECTION: u64 = 1 << 63;
/// Marks an event of what a phone registers over.
pub(super) const LINE: u64 = 1 << 62;

/// How far a phone is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its power comes later.
    Off,
    Booting,
    /// It registers, or is registered.
    Registering,
    Done,
}

/// A phone, its sockets, and the timer entry that stands for it.
pub(super) struct Slot<'site> {
    pub(super) phone: Phone<'site>,
    pub(super) socket: Option<UdpSocket>,
    pub(super) connection: Option<Connection>,
    pub(super) registrant: Option<Registrant<'site>>,
    pub(super) line: Option<Line>,
    pub(super) account: Option<Arc<Account>>,
    pub(super) stage: Stage,
    pub(super) power_on: Instant,
    pub(super) failure: Option<String>,
    /// Reason of the last restart, as alarms number it.
    pub(super) last: u8,
    pub(super) seen: Seen,
    pub(super) first_ask: Option<Instant>,
    /// What it is registered over at the moment.
    pub(super) over: Option<Over>,
    pub(super) has_booted: bool,
    pub(super) is_settled: bool,
    /// The earliest entry of this phone in the timer heap.
    timer: Option<Instant>,
}

impl Slot<'_> {
    fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Off => Some(self.power_on),
            Stage::Booting => self.phone.deadline(),
            Stage::Registering => self.registrant.as_ref()?.deadline(),
            Stage::Done => None,
        }
    }

    fn waits_for(&self) -> String {
        match (self.stage, &self.registrant) {
            (Stage::Registering, Some(registrant)) => registrant.doing().to_owned(),
            _ => format!("still waits for {}", self.phone.file().unwrap_or("nothing")),
        }
    }
}

pub(super) struct Loop<'site, 'run> {
    pub(super) slots: Vec<Slot<'site>>,
    /// Deadlines; entries that a slot no longer names are stale.
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    pub(super) epoll: Epoll,
    pub(super) options: FleetOptions,
    pub(super) oracle: &'site dyn Oracle,
    pub(super) shared: &'run Shared,
    pub(super) progress: &'run Progress,
    pub(super) report: Report,
    pub(super) out: Vec<u8>,
    /// Phones that are not done.
    pub(super) left: usize,
    is_leaving: bool,
    pub(super) last_boot: Instant,
}

impl<'site, 'run> Loop<'site, 'run> {
    pub(super) fn new(
        fleet: &Fleet<'site>,
        phones: &'site [PhoneSpec],
        first: usize,
        shared: &'run Shared,
        progress: &'run Progress,
    ) -> Result<Self> {
        let options = fleet.options;
        let all = fleet.phones.len().max(1) as u32;
        let mut timers = BinaryHeap::with_capacity(phones.len());
        let slots: Vec<_> = phones
            .iter()
            .enumerate()
            .map(|(index, spec)| {
                let power_on = shared.started + options.ramp * (first + index) as u32 / all;
                timers.push(Reverse((power_on, index)));
                Slot {
                    phone: phone(spec, fleet.oracle, &options),
                    socket: None,
                    connection: None,
                    registrant: None,
                    line: None,
                    account: None,
                    stage: Stage::Off,
                    power_on,
                    failure: None,
                    last: POWER_ON,
                    seen: Seen::default(),
                    first_ask: None,
                    over: None,
                    has_booted: false,
                    is_settled: false,
                    timer: Some(power_on),
                }
            })
            .collect();
        let mut report = Report::new();
        report.phones = phones.len() as u64;
        Ok(Self {
            left: slots.len(),
            slots,
            timers,
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("making an epoll")?,
            options,
            oracle: fleet.oracle,
            shared,
            progress,
            report,
            out: Vec::with_capacity(256),
            is_leaving: false,
            last_boot: shared.started,
        })
    }

    pub(super) fn run(mut self) -> Result<Report> {
        let mut events = vec![EpollEvent::empty(); 1024];
        let mut incoming = vec![0; 65_536];
        let cpu_before = thread_cpu()?;
        let limit = self.shared.started + self.options.limit;
        while !self.is_over() {
            let now = Instant::now();
            if now >= limit || interrupted() {
                break;
            }
            self.run_timers(now)?;
            // Never longer than this, so that an interruption is seen.
            let mut wait = Duration::from_millis(100);
            if let Some(Reverse((next, _))) = self.timers.peek() {
                wait = wait.min(next.saturating_duration_since(now));
            }
            // Rounded up: a deadline that is not quite reached would spin.
            let wait = EpollTimeout::try_from(wait + Duration::from_micros(999))
                .unwrap_or(EpollTimeout::ZERO);
            let ready = match self.epoll.wait(&mut events, wait) {
                Ok(ready) => ready,
                Err(nix::errno::Errno::EINTR) => 0,
                Err(error) => return Err(error).context("waiting for datagrams"),
            };
            for event in &events[..ready] {
                let index = (event.data() & !(CONNECTION | LINE)) as usize;
                match event.data() & (CONNECTION | LINE) {
                    CONNECTION => self.read(index, &mut incoming)?,
                    LINE => self.line_ready(index, &mut incoming)?,
                    _ => self.receive(index, &mut incoming)?,
                }
            }
        }
        self.tally();
        let end = match self.options.registration {
            Some(_) => self.last_boot,
            None => Instant::now(),
        };
        self.report.took = end.saturating_duration_since(self.shared.started);
        self.report.cpu = thread_cpu()? - cpu_before;
        Ok(self.report)
    }

    /// Phones of a fleet that registers wait for those of the other threads.
    fn is_over(&mut self) -> bool {
        let Some(registering) = self.options.registration else {
            return self.left == 0;
        };
        let shared = self.shared;
        let is_released = match shared.is_stay {
            true => !shared.stays.load(Ordering::Relaxed),
            false => shared.unsettled.load(Ordering::Relaxed) == 0,
        };
        if !is_released || !registering.says_farewell {
            return is_released;
        }
        if !std::mem::replace(&mut self.is_leaving, true) {
            self.leave_all(Instant::now());
        }
        self.left == 0
    }

    /// Ends what is not done, and counts it.
    fn tally(&mut self) {
        let registers = self.options.registration.is_some();
        for slot in &mut self.slots {
            if registers {
                self.report.registration.phone(&slot.seen);
            }
            let is_on = slot.stage != Stage::Done;
            let is_registered = slot.over.is_some();
            if is_on && registers && is_registered {
                let over = slot.over;
                self.report.registration.stays(over);
            } else if is_on {
                let reason = slot.failure.clone().unwrap_or_else(|| slot.waits_for());
                self.report.failed(&slot.phone.spec().device, reason);
                Progress::add(&self.progress.failed, 1);
            }
        }
    }

    fn run_timers(&mut self, now: Instant) -> Result<()> {
        while let Some(&Reverse((at, index))) = self.timers.peek() {
            if at > now {
                break;
            }
            self.timers.pop();
            let slot = &mut self.slots[index];
            if slot.timer != Some(at) {
                continue;
            }
            slot.timer = None;
            match slot.stage {
                Stage::Done => {}
                Stage::Off => {
                    slot.stage = Stage::Booting;
                    Progress::add(&self.progress.started, 1);
                    self.next_file(index, now)?;
                }
                Stage::Booting => {
                    let action = slot.phone.on_deadline(now);
                    self.act(index, action, now)?;
                }
                Stage::Registering => self.line_due(index, now)?,
            }
        }
        Ok(())
    }

    /// Makes sure that the heap wakes the phone no later than its deadline. Deadlines mostly move
    /// back with every packet, so an entry that is early is left in place and moved when it is due.
    pub(super) fn schedule(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        let Some(deadline) = slot.deadline() else {
            return;
        };
        if slot.timer.is_none_or(|at| at > deadline) {
            slot.timer = Some(deadline);
            self.timers.push(Reverse((deadline, index)));
        }
    }

    /// A phone is done for good, with what went wrong if anything did.
    pub(super) fn done(&mut self, index: usize, failure: Option<String>) {
        let slot = &mut self.slots[index];
        if slot.stage == Stage::Done {
            return;
        }
        slot.stage = Stage::Done;
        slot.line = None;
        slot.registrant = None;
        self.left -= 1;
        if let Some(reason) = failure {
            self.report.failed(&slot.phone.spec().device, reason);
            Progress::add(&self.progress.failed, 1);
        }
        self.settle(index);
    }

    /// Nobody has to wait for this phone any more.
    pub(super) fn settle(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        if !std::mem::replace(&mut slot.is_settled, true) {
            self.shared.unsettled.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The alarm that tells of a power cut.
const POWER_ON: u8 = 25;

pub(super) fn phone<'site>(
    spec: &'site PhoneSpec,
    oracle: &'site dyn Oracle,
    options: &FleetOptions,
) -> Phone<'site> {
    let (retry, tries) = (options.retry, options.second_tries);
    let mut phone = Phone::new(spec, oracle, options.server, retry, tries).with_http(options.http);
    if options.registration.is_some() {
        phone = phone.that_registers();
    }
    phone
}

fn thread_cpu() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    let time = |time: TimeVal| {
        Duration::new(time.tv_sec() as u64, 0) + Duration::from_micros(time.tv_usec() as u64)
    };
    Ok(time(usage.user_time()) + time(usage.system_time()))
}
