//! Registrations: what phones want done, and what comes to them.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::Registering;
use super::line::{Line, News};
use super::slots::{LINE, Loop, Stage, phone};
use crate::phones::registration::{Boot, Ending, Event, Fault, Registrant, Step, Transport};
use crate::phones::{Over, Progress};

/// What alarms call a reset and a restart that were ordered.
const RESET: u8 = 22;
const RESTART: u8 = 23;

impl Loop<'_, '_> {
    /// Has a phone that has booted register.
    pub(super) fn register(
        &mut self,
        index: usize,
        registering: Registering,
        now: Instant,
    ) -> Result<()> {
        let slot = &mut self.slots[index];
        match slot.phone.take_account() {
            Some(Ok(account)) => slot.account = Some(Arc::new(account)),
            Some(Err(why)) => {
                self.done(index, Some(why.to_string()));
                return Ok(());
            }
            None => {}
        }
        let Some(account) = &slot.account else {
            self.done(index, Some("has no configuration to register with".into()));
            return Ok(());
        };
        let spec = slot.phone.spec();
        let buttons = self.oracle.buttons(&spec.device);
        match Registrant::new(spec, account, buttons, registering.habits, slot.last) {
            Ok(mut registrant) => {
                registrant.start(now);
                slot.registrant = Some(registrant);
                slot.stage = Stage::Registering;
                self.run_steps(index, now)
            }
            Err(fault) => {
                self.fail(index, &fault);
                Ok(())
            }
        }
    }

    /// Does what a phone wants done.
    fn run_steps(&mut self, index: usize, now: Instant) -> Result<()> {
        loop {
            let slot = &mut self.slots[index];
            let Some(step) = slot.registrant.as_mut().and_then(Registrant::step) else {
                break;
            };
            match step {
                Step::Open(transport, to) => {
                    slot.line = None;
                    let from = slot.phone.spec().address;
                    let data = index as u64 | LINE;
                    match Line::open(transport, from, to, &self.epoll, data) {
                        Ok(line) => slot.line = Some(line),
                        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                            self.line_ended(index, Ending::Refused, now);
                            continue;
                        }
                        Err(error) => {
                            return Err(error)
                                .with_context(|| format!("reaching {to} from {from}"));
                        }
                    }
                    if let (Transport::Udp, Some(Line::Udp(socket))) = (transport, &slot.line) {
                        let local = socket.local_addr()?;
                        if let Some(registrant) = &mut slot.registrant {
                            registrant.on_open(now, local);
                        }
                    }
                }
                Step::Send(bytes) => {
                    if let Some(line) = &mut slot.line {
                        line.send(&bytes);
                    }
                }
                Step::Close => slot.line = None,
                Step::Boot(boot) => return self.reboot(index, boot, now),
                Step::Tell(event) => self.tell(index, &event, now),
            }
        }
        self.schedule(index);
        Ok(())
    }

    /// Reads what has come over a phone's line, until there is nothing more.
    pub(super) fn line_ready(&mut self, index: usize, incoming: &mut [u8]) -> Result<()> {
        loop {
            let slot = &mut self.slots[index];
            let (Some(line), Some(registrant)) = (&mut slot.line, &mut slot.registrant) else {
                return Ok(());
            };
            let now = Instant::now();
            let taken = match line.read(incoming) {
                News::Nothing => return Ok(()),
                News::Made(local) => {
                    registrant.on_open(now, local);
                    Ok(())
                }
                News::Bytes(bytes) => registrant.on_bytes(now, bytes),
                News::Ended(ending) => {
                    // A socket is not at its end when ICMP says that nobody listens.
                    if let Line::Tcp { .. } = line {
                        slot.line = None;
                    }
                    self.line_ended(index, ending, now);
                    Ok(())
                }
            };
            if let Err(fault) = taken {
                self.fail(index, &fault);
                return Ok(());
            }
            self.run_steps(index, now)?;
        }
    }

    fn line_ended(&mut self, index: usize, ending: Ending, now: Instant) {
        if let Some(registrant) = &mut self.slots[index].registrant {
            registrant.on_end(now, ending);
        }
    }

    pub(super) fn line_due(&mut self, index: usize, now: Instant) -> Result<()> {
        let Some(registrant) = &mut self.slots[index].registrant else {
            return Ok(());
        };
        if let Err(fault) = registrant.on_deadline(now) {
            self.fail(index, &fault);
            return Ok(());
        }
        self.run_steps(index, now)
    }

    fn fail(&mut self, index: usize, fault: &Fault) {
        self.is_registered_over(index, None);
        self.done(index, Some(fault.to_string()));
    }

    fn tell(&mut self, index: usize, event: &Event, now: Instant) {
        let slot = &mut self.slots[index];
        slot.seen.note(event);
        let since_start = now.saturating_duration_since(self.shared.started);
        let report = &mut self.report.registration;
        match event {
            Event::Knocked | Event::Resent => {}
            Event::Asked => {
                slot.first_ask.get_or_insert(now);
                report.asked(since_start);
                Progress::add(&self.progress.asks, 1);
            }
            Event::Registered(transport) => {
                let protocol = slot.phone.spec().family.protocol();
                let over = Over::of(protocol, *transport);
                if !slot.is_settled {
                    let from_power = now.saturating_duration_since(slot.power_on);
                    let from_ask = slot.first_ask.map(|ask| now.saturating_duration_since(ask));
                    let asks = slot.seen.asks;
                    let waited = from_ask.unwrap_or_default();
                    report.first_registered(over, asks, from_power, waited, since_start);
                }
                self.is_registered_over(index, Some(over));
                self.settle(index);
            }
            Event::Refreshed => Progress::add(&self.progress.refreshes, 1),
            Event::SetBack(why, wait, text) => {
                report.set_back(*why, *wait, text.as_deref());
                Progress::add(&self.progress.setbacks, 1);
                let is_registered = slot
                    .registrant
                    .as_ref()
                    .is_some_and(Registrant::is_registered);
                if !is_registered {
                    self.is_registered_over(index, None);
                }
            }
            Event::Ordered => {
                report.orders += 1;
                Progress::add(&self.progress.orders, 1);
                self.is_registered_over(index, None);
            }
            Event::Left => {
                report.left += 1;
                self.is_registered_over(index, None);
                self.done(index, None);
            }
        }
    }

    /// Keeps the count of those that are registered.
    fn is_registered_over(&mut self, index: usize, over: Option<Over>) {
        let slot = &mut self.slots[index];
        if let Some(before) = std::mem::replace(&mut slot.over, over) {
            Progress::take(&self.progress.registered[before as usize], 1);
        }
        if let Some(now) = over {
            Progress::add(&self.progress.registered[now as usize], 1);
        }
    }

    /// An ordered restart: files, then a new registration.
    fn reboot(&mut self, index: usize, boot: Boot, now: Instant) -> Result<()> {
        let slot = &mut self.slots[index];
        slot.line = None;
        slot.registrant = None;
        slot.stage = Stage::Booting;
        let again = phone(slot.phone.spec(), self.oracle, &self.options);
        (slot.phone, slot.last) = match boot {
            Boot::Hard => (again.again(), RESET),
            Boot::Soft => (again.again().with_configuration_only(), RESTART),
        };
        Progress::add(&self.progress.reboots, 1);
        self.next_file(index, now)
    }

    /// Has every phone unregister; those that are not registered are just off.
    pub(super) fn leave_all(&mut self, now: Instant) {
        for index in 0..self.slots.len() {
            match &mut self.slots[index].registrant {
                Some(registrant) if registrant.is_registered() => {
                    registrant.leave(now);
                    // Only opening a line can fail, and none is opened.
                    let _ = self.run_steps(index, now);
                }
                _ => {
                    let slot = &self.slots[index];
                    let failure = (slot.stage != Stage::Done).then(|| "was not registered".into());
                    self.done(index, failure);
                }
            }
        }
    }
}
