//! The kernel side at work: what the rest of the daemon tells it and asks it.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use aya::maps::{Array, HashMap as BpfHashMap, MapData, PerCpuArray};
use parking_lot::Mutex;
use tftp_ebpf::abi::registration::{ClassCounts, Sampling};
use tftp_ebpf::abi::{BANK_BYTES, CounterBlock, FileEntry, Policy, Transfer, TransferKey};
use tftp_ebpf::name::NameKey;
use tftp_ebpf::stage::Stage;

use super::attach::Attachment;
use super::budgets::Budgets;
use super::clients::Clients;
use super::directory::{Directory, Files};
use super::error::Error;
use super::events::{self, Events, LostCounter};
use super::fill::{BoundedMap, Fill, Walked};
use super::follower::Follower;
use super::gate::Gate;
use super::mirror::{Attached, Mirrors};
use super::object::{Counters, KernelBanks, Object, Sizes, memory_of};
use super::policy::{self, policy};
use super::ports::{self, Reservation};
use super::resend::Sender;
use super::samples::Watchers;
use super::services::Services;
use super::settings::Settings;
use super::slabs::{Banks as _, Slabs};
use super::snapshot::{InterfaceStatus, Mode, Registrations, Snapshot, Wanted};
use super::sweeper::Sweeper;
use super::sys;
use super::worker::Worker;
use crate::access::Access;
use crate::content::Change;
use crate::journal::Journal;
use crate::live::Live;
use crate::misses::Ledger;
use crate::register::{self, Guard, Watch};
use crate::stats::{self, Tally};
use crate::tftp::{self, resend};

/// Longer than any chain of a hash map's buckets will be.
const BATCH: usize = 1024;

pub(super) type KernelFiles = BpfHashMap<MapData, NameKey, FileEntry>;

impl Files for KernelFiles {
    fn insert(&mut self, key: &NameKey, entry: FileEntry) -> Result<(), Error> {
        Self::insert(self, key, entry, 0).map_err(|error| Error::map("FILES", "written", error))
    }

    fn remove(&mut self, key: &NameKey) {
        // Gone already is as good.
        let _ = Self::remove(self, key);
    }
}

pub(super) struct Engine {
    directory: Arc<Mutex<Directory<KernelFiles, KernelBanks>>>,
    policy: Mutex<(Array<MapData, Policy>, Policy)>,
    budgets: Arc<Budgets>,
    interfaces: Vec<InterfaceStatus>,
    wanted: Wanted,
    clients: Clients,
    /// When the sweeper sends again.
    resend: Live<resend::Policy>,
    /// Names there may be.
    max_names: u64,
    counters: ReadCounters,
    gate: Arc<Gate>,
    mirrors: Arc<Mirrors>,
    watchers: Watchers,
    /// Why TFTP is not answered here.
    silent: Option<&'static str>,
    sweeper_stats: Arc<stats::Counters>,
    transfers: Arc<AtomicU64>,
    transfers_limit: u64,
    slab_bytes_limit: u64,
    /// A change could not be written to the directory.
    behind: AtomicBool,
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct ReadCounters {
    blocks: PerCpuArray<MapData, CounterBlock>,
    latency: PerCpuArray<MapData, tftp_ebpf::abi::LatencyHistogram>,
    events_lost: LostCounter,
    classes: PerCpuArray<MapData, ClassCounts>,
    sampling: PerCpuArray<MapData, Sampling>,
    descriptors: Vec<RawFd>,
    walked: Walked,
}

impl Engine {
    pub(super) fn start(
        settings: &Settings,
        tftp: &tftp::Settings,
        access: &Access,
        register: &register::Settings,
        silent: Option<&'static str>,
        journal: Arc<Journal>,
    ) -> Result<Arc<Self>, Error> {
        let sender = Sender::open().map_err(|source| Error::System {
            what: "no raw socket for resends".into(),
            source,
        })?;
        let mut object = Object::load(settings, sizes(settings, tftp, access))?;
        let max_clients = sizes(settings, tftp, access).clients;
        let clients = Clients::new(object.clients, max_clients, access)?;
        let resend = Live::new(tftp.resend_policy());
        let mut services = Services::new(register.places());
        let policy = Policy {
            registration_ports: services.ports(),
            ..policy(settings, tftp)
        };
        let registrations = object.registrations;
        let gate = Gate::new(
            register.storm.kernel,
            registrations.registration,
            Sizes::default().registered,
        )?;
        let gate = Arc::new(gate);
        let mut places = registrations.services;
        services.follow(&mut places);
        object
            .policy
            .set(0, policy, 0)
            .map_err(|error| Error::map("POLICY", "written", error))?;

        let reservation = match silent {
            Some(_) => None,
            None => reserve(settings),
        };
        let mut follower = Follower::new(settings, tftp);
        follower.follow(&mut object.interfaces, &mut object.locals);
        let attachments = settings
            .interfaces
            .iter()
            .map(|interface| Attachment::climb(&mut object.ebpf, interface, settings.mode))
            .collect::<Result<Vec<_>, _>>()?;
        for attachment in &attachments {
            tracing::info!(
                event = "kernel.attached", interface = %attachment.status.name,
                mode = attachment.status.mode.as_str(),
                problem = attachment.status.problem.as_deref().unwrap_or("none"),
                "kernel path"
            );
            if attachment.status.mode == Mode::Xdp {
                follower.has_xdp(&attachment.status.name);
            }
        }
        follower.follow(&mut object.interfaces, &mut object.locals);

        let Counters {
            blocks,
            latency,
            events_lost,
            descriptors,
            walked,
        } = object.counters;
        let events_lost = Arc::new(events_lost);
        let events = Events::new(object.events, Arc::clone(&events_lost), journal);
        let slabs = Slabs::new(object.banks, settings.max_banks());
        let directory = Directory::new(object.files, slabs, settings.max_names);
        let directory = Arc::new(Mutex::new(directory));
        let stop = Arc::new(AtomicBool::new(false));
        let sweeper_stats = Arc::new(stats::Counters::default());
        let transfers = Arc::new(AtomicU64::new(0));
        let interfaces = attachments
            .iter()
            .map(|attachment| attachment.status.clone())
            .collect();
        let watchers = Watchers::default();
        let mirrors = Arc::new(Mirrors::new(
            Attached {
                ebpf: object.ebpf,
                attachments,
            },
            object.traces,
        ));
        let worker = Worker {
            services,
            places,
            gate: Arc::clone(&gate),
            mirrors: Arc::clone(&mirrors),
            registered: registrations.registered,
            samples: registrations.samples,
            watchers: Arc::clone(&watchers),
            transfers: object.transfers,
            interfaces: object.interfaces,
            locals: object.locals,
            events,
            logger: object.logger,
            directory: Arc::clone(&directory),
            follower,
            sweeper: Sweeper::new(resend.clone()),
            batch: sys::Batch::new(BATCH, TransferKey::default(), Transfer::EMPTY),
            sender,
            ds_field: policy.ds_field,
            stats: Arc::clone(&sweeper_stats),
            running: Arc::clone(&transfers),
            stop: Arc::clone(&stop),
            reservation,
        };
        let thread = std::thread::Builder::new()
            .name("kernel".into())
            .spawn(move || worker.run())
            .map_err(|source| Error::System {
                what: "no thread for the kernel side".into(),
                source,
            })?;
        Ok(Arc::new(Self {
            directory,
            policy: Mutex::new((object.policy, policy)),
            budgets: Arc::new(Budgets::new(object.budgets)),
            interfaces,
            wanted: Wanted::new(settings),
            clients,
            resend,
            max_names: settings.max_names.into(),
            counters: ReadCounters {
                blocks,
                latency,
                events_lost,
                classes: registrations.classes,
                sampling: registrations.sampling,
                descriptors,
                walked,
            },
            gate,
            mirrors,
            watchers,
            silent,
            sweeper_stats,
            transfers,
            transfers_limit: settings.max_transfers.into(),
            slab_bytes_limit: settings.max_banks() as u64 * BANK_BYTES as u64,
            behind: AtomicBool::new(false),
            stop,
            thread: Mutex::new(Some(thread)),
        }))
    }

    pub(super) fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::clone(&self.budgets) as _
    }

    pub(super) fn gate(&self) -> Arc<dyn Guard> {
        Arc::clone(&self.gate) as _
    }

    pub(super) fn mirrors(&self) -> Arc<Mirrors> {
        Arc::clone(&self.mirrors)
    }

    pub(super) fn watch(&self, watcher: Arc<dyn Watch>) {
        self.watchers.write().push(watcher);
    }

    pub(super) fn changed(&self, changes: &[Change]) {
        let (applied, is_partial) = {
            let mut directory = self.directory.lock();
            (directory.apply(changes), directory.is_partial())
        };
        if is_partial {
            self.expect_other_names();
        }
        if let Err(error) = applied {
            // Some names may stand for old versions now, and nobody would ever put them right.
            tracing::error!(event = "kernel.directory_behind", %error, "the kernel's directory is behind: the kernel path is off until a restart");
            self.behind.store(true, Ordering::Relaxed);
            self.set_policy(|policy| policy.enabled = 0);
        }
    }

    /// From now on the daemon serves names that are not in the directory.
    pub(super) fn expect_other_names(&self) {
        self.set_policy(|policy| policy.is_partial = 1);
    }

    pub(super) fn clients(&self) -> &Clients {
        &self.clients
    }

    /// From now on transfers go by these settings, and budgets.
    pub(super) fn follow(&self, tftp: &tftp::Settings) {
        self.resend.set(tftp.resend_policy());
        self.set_policy(|policy| policy::follow(policy, tftp));
    }

    pub(super) fn settled(&self) {
        if self.silent.is_none() && !self.behind.load(Ordering::Relaxed) {
            self.set_policy(|policy| policy.enabled = 1);
        }
    }

    fn set_policy(&self, set: impl FnOnce(&mut Policy)) {
        let mut policy = self.policy.lock();
        let (map, value) = &mut *policy;
        let before = *value;
        set(value);
        if *value == before {
            return;
        }
        if let Err(error) = map.set(0, *value, 0) {
            tracing::error!(event = "kernel.policy_unwritten", %error, "the kernel's policy could not be written");
        }
    }

    pub(super) fn shutdown(&self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!(
                event = "kernel.worker_panicked",
                "the thread of the kernel side had panicked"
            );
        }
    }

    /// What keeps it from answering as it should.
    fn problem(&self) -> Option<&'static str> {
        let thread = self.thread.lock();
        if thread.as_ref().is_some_and(JoinHandle::is_finished) {
            return Some("the thread of the kernel side has ended; the log says why, restart");
        }
        let is_behind = self.behind.load(Ordering::Relaxed);
        is_behind
            .then_some("the kernel's directory could not be written; see the log")
            .or(self.silent)
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let (counts, slab_bytes, bank_map_bytes) = {
            let directory = self.directory.lock();
            let banks = directory.slabs().banks();
            (
                directory.counts(),
                banks.count() as u64 * BANK_BYTES as u64,
                banks.map_bytes(),
            )
        };
        let map_bytes: u64 = self
            .counters
            .descriptors
            .iter()
            .map(|&descriptor| memory_of(descriptor))
            .sum();
        Snapshot {
            interfaces: self.interfaces.clone(),
            wanted: self.wanted,
            problem: self.problem().map(str::to_owned),
            xdp: self.tally(0),
            tc: self.tally(1),
            sweeper: self.sweeper_stats.tally(),
            latency_ns: [self.latency(0), self.latency(1)],
            names: counts.names,
            files: counts.files,
            content_bytes: counts.content_bytes,
            slab_bytes,
            slab_bytes_limit: self.slab_bytes_limit,
            map_bytes: map_bytes + bank_map_bytes,
            fills: self.fills(counts.names, slab_bytes),
            transfers: self.transfers.load(Ordering::Relaxed),
            transfers_limit: self.transfers_limit,
            evicted: counts.evicted,
            refused: counts.refused,
            events_lost: events::total(&self.counters.events_lost),
            registrations: self.registrations(),
        }
    }

    fn fills(&self, names: u64, slab_bytes: u64) -> [Fill; BoundedMap::COUNT] {
        let gate = self.gate.status();
        let bank = BANK_BYTES as u64;
        let mut fills = [Fill::default(); BoundedMap::COUNT];
        for (map, entries, capacity) in [
            (BoundedMap::Files, names, self.max_names),
            (
                BoundedMap::Slabs,
                slab_bytes / bank,
                self.slab_bytes_limit / bank,
            ),
            (
                BoundedMap::Transfers,
                self.transfers.load(Ordering::Relaxed),
                self.transfers_limit,
            ),
            (BoundedMap::Clients, self.clients.len(), self.clients.most()),
            (BoundedMap::Registered, gate.sources, gate.sources_limit),
        ] {
            fills[map as usize] = Fill { entries, capacity };
        }
        self.counters.walked.tell(&mut fills, Instant::now());
        fills
    }

    /// What was seen of registrations, alone: it is asked for several times a second.
    pub(super) fn registrations(&self) -> Registrations {
        let packets = [0, 1].map(|rung| {
            let mut sum = ClassCounts::ZERO;
            if let Ok(counts) = self.counters.classes.get(&rung, 0) {
                counts.iter().for_each(|counts| sum.add(counts));
            }
            sum
        });
        let sampling = self.counters.sampling.get(&0, 0);
        let sum = |of: fn(&Sampling) -> u64| {
            let sampling = sampling.as_ref();
            sampling.map_or(0, |each| each.iter().map(of).sum())
        };
        Registrations {
            packets,
            gate: self.gate.status(),
            samples_skipped: sum(|it| it.skipped),
            samples_lost: sum(|it| it.lost),
        }
    }

    fn tally(&self, rung: u32) -> Tally {
        let mut tally = Tally::default();
        let Ok(blocks) = self.counters.blocks.get(&rung, 0) else {
            return tally;
        };
        for block in blocks.iter() {
            for (sum, count) in tally.reasons.iter_mut().zip(&block.reasons) {
                *sum += count;
            }
            for stage in 0..Stage::COUNT {
                for (sum, count) in tally.stages[stage].iter_mut().zip(&block.stages[stage]) {
                    *sum += count;
                }
                for (sum, count) in tally.transfer_us[stage]
                    .iter_mut()
                    .zip(&block.transfer_us[stage])
                {
                    *sum += count;
                }
                tally.transfer_us_sum[stage] += block.transfer_us_sum[stage];
            }
        }
        tally
    }

    fn latency(&self, rung: u32) -> [u64; stats::LOG2_BUCKETS] {
        let mut sum = [0; stats::LOG2_BUCKETS];
        if let Ok(histograms) = self.counters.latency.get(&rung, 0) {
            for histogram in histograms.iter() {
                for (sum, count) in sum.iter_mut().zip(histogram) {
                    *sum += count;
                }
            }
        }
        sum
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// Room for what there is, and for interfaces that come and go.
fn sizes(settings: &Settings, tftp: &tftp::Settings, access: &Access) -> Sizes {
    let at_least_one = |count: usize| u32::try_from(count.max(1)).unwrap_or(u32::MAX);
    Sizes {
        interfaces: at_least_one(settings.interfaces.len() * 4),
        // The list may grow while the daemon runs. Room that is not used costs nothing.
        clients: at_least_one(access.nets().len() * 2).max(Sizes::default().clients),
        sources: at_least_one(tftp.budget.sources),
        ..Sizes::default()
    }
}

/// That the ports cannot be reserved is said, and no reason to do without the kernel path.
fn reserve(settings: &Settings) -> Option<Reservation> {
    let range = settings.tid_ports;
    let bound = ports::bound_in(range);
    if !bound.is_empty() {
        tracing::warn!(event = "kernel.ports_taken", %range, ports = ?bound, "some ports of kernel.tid_ports are in use; choose another range");
    }
    Reservation::take(range)
        .inspect_err(|error| {
            tracing::warn!(event = "kernel.ports_unreserved", %range, %error, "the ports of kernel.tid_ports could not be reserved");
        })
        .ok()
}
