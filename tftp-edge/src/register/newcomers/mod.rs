//! Phones that nobody knows and that register all the same: where their site takes in unknown ones,
//! they get the next free number and come into the inventory.
//!
//! A registrar that asks never waits for the database: it hears that the device is being taken in,
//! and when the inventory has it, the [`Directory`] knows it like any other. Writing is done by a
//! thread of its own, many devices in one transaction, since a site that boots sends many.
//!
//! [`Directory`]: super::Directory

mod answers;
mod intake;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use self::answers::Answers;
use self::intake::Intake;
use super::{Directory, Refusal};
use crate::inventory::{DeviceName, Inventory, Model, ModelKind, Protocol, Snapshot as Known};
use crate::live::Live;
use crate::provisioning::{self, Adoption, Told};

/// Newcomers that wait to be written. Of more, each has to ask again.
const QUEUE: usize = 4096;

/// A phone that is not in the inventory.
#[derive(Clone, Copy, Debug)]
pub struct Newcomer {
    pub device: DeviceName,
    /// The model as it says itself.
    pub type_id: Option<u32>,
    pub protocol: Protocol,
    pub source: IpAddr,
}

/// What is to be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It is being taken in: the directory knows it within a second or so.
    Pending,
    Refused(Refusal),
}

/// What became of newcomers since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub taken_in: u64,
    /// Their model is not known, does not speak the protocol, or is called otherwise.
    pub unfit: u64,
    /// Their site has no number left.
    pub no_number: u64,
    /// The inventory could not be written.
    pub failed: u64,
    /// They were too many at one time, and had to ask again.
    pub put_off: u64,
}

/// Takes newcomers in. By default it takes in nobody.
#[derive(Default)]
pub struct Newcomers {
    running: Option<Running>,
}

struct Running {
    directory: Arc<Directory>,
    shared: Arc<Shared>,
    queue: Option<SyncSender<Adoption>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    answers: Answers,
    counts: Counts,
}

impl Newcomers {
    /// `inventory` is a handle of its own. Dropping it ends it, when what is queued is written.
    pub fn start(
        directory: Arc<Directory>,
        inventory: Inventory,
        provisioning: impl Into<Live<provisioning::Settings>>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (queue, incoming) = mpsc::sync_channel(QUEUE);
        let intake = Intake {
            inventory,
            provisioning: provisioning.into(),
            shared: Arc::clone(&shared),
        };
        let work = move || intake.run(&incoming);
        let thread = thread::Builder::new()
            .name("newcomers".into())
            .spawn(work)?;
        Ok(Self {
            running: Some(Running {
                directory,
                shared,
                queue: Some(queue),
                thread: Some(thread),
            }),
        })
    }

    /// Never waits. Asked again about the same device, it says the same.
    pub fn offer(&self, newcomer: &Newcomer) -> Offer {
        let refused = Offer::Refused(Refusal::UnknownDevice);
        let Some(running) = &self.running else {
            return refused;
        };
        let Some(known) = running.directory.snapshot() else {
            return refused;
        };
        match site_that_takes_in(&known, newcomer.source) {
            Some(site) => running.offer(newcomer, site, &known),
            None => refused,
        }
    }

    /// Whether an unknown phone would be taken in at this address, if it fits.
    pub fn takes_in_at(&self, source: IpAddr) -> bool {
        let known = self.running.as_ref().and_then(|it| it.directory.snapshot());
        known.is_some_and(|known| site_that_takes_in(&known, source).is_some())
    }

    pub fn counts(&self) -> Counts {
        let running = self.running.as_ref();
        running.map_or_else(Counts::default, |it| it.shared.state.lock().counts)
    }

    /// By itself, which only a panic makes it do.
    pub fn has_ended(&self) -> bool {
        let thread = self.running.as_ref().and_then(|it| it.thread.as_ref());
        thread.is_some_and(JoinHandle::is_finished)
    }
}

impl Running {
    fn offer(&self, newcomer: &Newcomer, site: &str, known: &Known) -> Offer {
        let (device, now) = (newcomer.device, Instant::now());
        let mut state = self.shared.state.lock();
        if let Some(offer) = state.answers.get(&device, now) {
            return offer;
        }
        let Some(model) = model_of(newcomer, known) else {
            let offer = Offer::Refused(Refusal::AutoRegistration);
            state.answers.put(device, offer, now);
            state.counts.unfit += 1;
            let type_id = newcomer.type_id;
            tracing::warn!(event = "newcomer.unknown_model", %device, ?type_id, site, "an unknown phone of an unknown model");
            return offer;
        };
        let adoption = Adoption {
            name: device,
            model: model.name.to_string(),
            protocol: Some(newcomer.protocol),
            site: site.to_owned(),
            profile: None,
            number: None,
        };
        let queue = self.queue.as_ref();
        match queue.map(|it| it.try_send(adoption)) {
            Some(Ok(())) => state.answers.put(device, Offer::Pending, now),
            // Nothing is remembered of it, and so it asks anew.
            Some(Err(_)) | None => state.counts.put_off += 1,
        }
        Offer::Pending
    }
}

/// The site of an address, if it takes in unknown phones.
fn site_that_takes_in(known: &Known, source: IpAddr) -> Option<&str> {
    let site = known.site_at(source);
    let takes_in = known.site(site).is_ok_and(|it| it.auto_registration.on);
    takes_in.then_some(site)
}

/// The model by the number it gives itself, else by its name; one that speaks the protocol and
/// whose devices are called so.
fn model_of<'k>(newcomer: &Newcomer, known: &'k Known) -> Option<&'k Model> {
    let Newcomer {
        device, protocol, ..
    } = *newcomer;
    let fits = |model: &&Model| {
        model.kind != ModelKind::Module
            && model.speaks(protocol)
            && model.check_name(device.kind(), protocol).is_ok()
    };
    match newcomer.type_id {
        Some(type_id) => {
            let models = known.models.iter().filter(fits);
            models.into_iter().find(|it| it.type_id == Some(type_id))
        }
        None => {
            let name = Told::by_name(device).model?;
            known.models.find(&name).filter(fits)
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed already.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Newcomers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Newcomers").finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests;
