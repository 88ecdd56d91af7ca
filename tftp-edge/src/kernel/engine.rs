//! The kernel side at work: one thread that sweeps, reads events and follows the host.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd as _, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aya::maps::{Array, HashMap as BpfHashMap, MapData, PerCpuArray, RingBuf};
use ipnet::IpNet;
use parking_lot::Mutex;
use rand::RngExt as _;
use tftp_ebpf::abi::registration::{ClassCounts, Sampling, ServiceKey};
use tftp_ebpf::abi::{
    Address, BANK_BYTES, CounterBlock, Event, FileEntry, Interface, Policy, Transfer, TransferKey,
};
use tftp_ebpf::name::NameKey;
use tftp_ebpf::plan;
use tftp_ebpf::stage::Stage;
use tftp_ebpf::verdict::Reason;

use super::attach::Attachment;
use super::budgets::Budgets;
use super::directory::{Directory, Files};
use super::error::Error;
use super::follower::Follower;
use super::gate::Gate;
use super::object::{Counters, KernelBanks, Logger, Object, Sizes, client_key, memory_of};
use super::policy::policy;
use super::ports::{self, Reservation};
use super::resend::{self, Sender};
use super::samples::{self, Watchers};
use super::services::Services;
use super::settings::Settings;
use super::slabs::{Banks as _, Slabs};
use super::snapshot::{InterfaceStatus, Mode, Registrations, Snapshot};
use super::sweeper::{Action, Sweeper};
use super::{host, sys};
use crate::access::Access;
use crate::clock::monotonic_ns;
use crate::content::Change;
use crate::misses::Ledger;
use crate::register::{self, Guard, Watch};
use crate::stats::{self, StageCounter, Tally};
use crate::tftp;

/// How often events are read: a full ring takes longer to fill at any rate we can answer.
const TICK: Duration = Duration::from_millis(20);
/// How often all transfers are looked at.
const SWEEP: Duration = Duration::from_millis(100);
/// How often addresses and MTUs are read again.
const FOLLOW: Duration = Duration::from_secs(1);
/// Longer than any chain of a hash map's buckets will be.
const BATCH: usize = 1024;

type KernelFiles = BpfHashMap<MapData, NameKey, FileEntry>;

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
    counters: ReadCounters,
    gate: Arc<Gate>,
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
    events_lost: PerCpuArray<MapData, u64>,
    classes: PerCpuArray<MapData, ClassCounts>,
    sampling: PerCpuArray<MapData, Sampling>,
    descriptors: Vec<RawFd>,
}

impl Engine {
    pub(super) fn start(
        settings: &Settings,
        tftp: &tftp::Settings,
        access: &Access,
        register: &register::Settings,
        silent: Option<&'static str>,
    ) -> Result<Arc<Self>, Error> {
        let sender = Sender::open().map_err(|source| Error::System {
            what: "no raw socket for resends".into(),
            source,
        })?;
        let mut object = Object::load(settings, sizes(settings, tftp, access))?;
        allow(&mut object, access.nets())?;
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
                interface = %attachment.status.name,
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
        } = object.counters;
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
        let worker = Worker {
            services,
            places,
            gate: Arc::clone(&gate),
            registered: registrations.registered,
            samples: registrations.samples,
            watchers: Arc::clone(&watchers),
            ebpf: object.ebpf,
            attachments,
            transfers: object.transfers,
            interfaces: object.interfaces,
            locals: object.locals,
            events: object.events,
            logger: object.logger,
            directory: Arc::clone(&directory),
            follower,
            sweeper: Sweeper::new(tftp.resend_policy()),
            batch: sys::Batch::new(BATCH, TransferKey::default(), Transfer::EMPTY),
            sender,
            ds_field: policy.ds_field,
            stats: Arc::clone(&sweeper_stats),
            running: Arc::clone(&transfers),
            stop: Arc::clone(&stop),
            _reservation: reservation,
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
            counters: ReadCounters {
                blocks,
                latency,
                events_lost,
                classes: registrations.classes,
                sampling: registrations.sampling,
                descriptors,
            },
            gate,
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
            tracing::error!(%error, "the kernel's directory is behind: the kernel path is off until a restart");
            self.behind.store(true, Ordering::Relaxed);
            self.set_policy(|policy| policy.enabled = 0);
        }
    }

    /// From now on the daemon serves names that are not in the directory.
    pub(super) fn expect_other_names(&self) {
        self.set_policy(|policy| policy.is_partial = 1);
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
            tracing::error!(%error, "the kernel's policy could not be written");
        }
    }

    pub(super) fn shutdown(&self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the kernel side had panicked");
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
            transfers: self.transfers.load(Ordering::Relaxed),
            transfers_limit: self.transfers_limit,
            evicted: counts.evicted,
            refused: counts.refused,
            events_lost: self
                .counters
                .events_lost
                .get(&0, 0)
                .map_or(0, |lost| lost.iter().sum()),
            registrations: self.registrations(),
        }
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
        clients: at_least_one(access.nets().len()),
        sources: at_least_one(tftp.budget.sources),
        ..Sizes::default()
    }
}

fn allow(object: &mut Object, clients: &[IpNet]) -> Result<(), Error> {
    for net in clients {
        // IPv4 prefixes count within the mapped form.
        let offset = if net.addr().is_ipv4() { 96 } else { 0 };
        let key = client_key(host::map_address(net.addr()), net.prefix_len() + offset);
        object
            .clients
            .insert(&key, 1, 0)
            .map_err(|error| Error::map("CLIENTS", "written", error))?;
    }
    Ok(())
}

/// That the ports cannot be reserved is said, and no reason to do without the kernel path.
fn reserve(settings: &Settings) -> Option<Reservation> {
    let range = settings.tid_ports;
    let bound = ports::bound_in(range);
    if !bound.is_empty() {
        tracing::warn!(%range, ?bound, "some ports of kernel.tid_ports are in use; choose another range");
    }
    Reservation::take(range)
        .inspect_err(|error| {
            tracing::warn!(%range, %error, "the ports of kernel.tid_ports could not be reserved");
        })
        .ok()
}

/// The thread's own part.
struct Worker {
    services: Services,
    places: BpfHashMap<MapData, ServiceKey, u32>,
    gate: Arc<Gate>,
    registered: BpfHashMap<MapData, Address, u32>,
    samples: RingBuf<MapData>,
    watchers: Watchers,
    ebpf: aya::Ebpf,
    attachments: Vec<Attachment>,
    transfers: MapData,
    interfaces: BpfHashMap<MapData, u32, Interface>,
    locals: BpfHashMap<MapData, Address, u32>,
    events: RingBuf<MapData>,
    logger: Option<Logger>,
    directory: Arc<Mutex<Directory<KernelFiles, KernelBanks>>>,
    follower: Follower,
    sweeper: Sweeper,
    batch: sys::Batch<TransferKey, Transfer>,
    sender: Sender,
    ds_field: u8,
    stats: Arc<stats::Counters>,
    running: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    _reservation: Option<Reservation>,
}

impl Worker {
    fn run(mut self) {
        let (mut swept, mut followed) = (Instant::now(), Instant::now());
        while !self.stop.load(Ordering::Relaxed) {
            std::thread::sleep(TICK);
            self.read_events();
            samples::read(&mut self.samples, &self.watchers);
            self.gate.write(&mut self.registered);
            if let Some(logger) = &mut self.logger {
                logger.flush();
            }
            if swept.elapsed() >= SWEEP {
                swept = Instant::now();
                self.sweep();
            }
            if followed.elapsed() >= FOLLOW {
                followed = Instant::now();
                self.follower.follow(&mut self.interfaces, &mut self.locals);
                self.services.follow(&mut self.places);
            }
        }
        for attachment in &mut self.attachments {
            attachment.detach(&mut self.ebpf);
        }
    }

    fn read_events(&mut self) {
        let mut directory = None;
        while let Some(record) = self.events.next() {
            let Some(event) = parse_event(&record) else {
                continue;
            };
            let directory = directory.get_or_insert_with(|| self.directory.lock());
            directory.used(event.file_id);
            tracing::trace!(
                name = directory.name_of(event.file_id).map_or("?", |name| name),
                reason = Reason::ALL
                    .get(usize::from(event.reason))
                    .map_or("?", |reason| reason.as_str()),
                device = %String::from_utf8_lossy(&event.device).trim_end_matches('\0'),
                resends = event.resends,
                took_us = event.took_ns / 1000,
                "kernel event"
            );
        }
    }

    fn sweep(&mut self) {
        let now = monotonic_ns();
        let mut rng = rand::rng();
        let mut referred = HashSet::new();
        let mut newest: HashMap<ClientPort, u64> = HashMap::new();
        let mut stalled = Vec::new();
        let mut count = 0;
        let sweeper = &mut self.sweeper;
        sweeper.begin();
        let walked = sys::for_each(
            self.transfers.fd().as_fd(),
            &mut self.batch,
            |key, transfer: &Transfer| {
                count += 1;
                referred.insert(transfer.position);
                let started = newest.entry(client_port(key)).or_default();
                *started = transfer.started_ns.max(*started);
                if let Some(action) = sweeper.look(key, transfer, now, rng.random()) {
                    stalled.push((*key, *transfer, action));
                }
            },
        );
        sweeper.finish();
        self.running.store(count, Ordering::Relaxed);
        if let Err(error) = walked {
            tracing::error!(%error, "the kernel's transfers could not be read");
            return;
        }
        for (key, transfer, action) in stalled {
            let is_old = newest
                .get(&client_port(&key))
                .is_some_and(|started| *started > transfer.started_ns);
            let action = if is_old { Action::Supersede } else { action };
            self.act(&key, &transfer, action);
        }
        if let Err(error) = self.directory.lock().swept(&referred) {
            tracing::error!(%error, "content that waits for room could not be published");
        }
    }

    fn act(&mut self, key: &TransferKey, transfer: &Transfer, action: Action) {
        let stage = Stage::from_index(transfer.stage);
        match action {
            Action::Resend => self.resend(key, transfer),
            Action::GiveUp { unconfirmed } => {
                if self.end(key, transfer, Reason::TimedOut) && !unconfirmed {
                    self.stats.add(stage, StageCounter::Failed, 1);
                }
            }
            Action::Supersede => {
                self.end(key, transfer, Reason::Superseded);
            }
        }
    }

    fn resend(&self, key: &TransferKey, transfer: &Transfer) {
        let frame = resend::frame(key, transfer, self.directory.lock().slabs(), self.ds_field);
        let Some(frame) = frame else {
            return;
        };
        // A send that fails is made up for by the next sweep.
        if self.sender.send(transfer.ifindex, &frame).is_err() {
            return;
        }
        let stage = Stage::from_index(transfer.stage);
        self.stats.count(Reason::Repeat);
        self.stats.add(stage, StageCounter::Resent, 1);
        if transfer.block > 0 {
            let block = plan::block(transfer.length, transfer.block_len, transfer.block);
            self.stats.add(stage, StageCounter::Blocks, 1);
            self.stats.add(stage, StageCounter::Bytes, block.len.into());
        }
    }

    /// Forgets a transfer, unless it has moved since it was looked at.
    fn end(&self, key: &TransferKey, seen: &Transfer, reason: Reason) -> bool {
        let map = self.transfers.fd().as_fd();
        let is_as_seen = sys::lookup(map, key, Transfer::EMPTY).is_ok_and(|now| {
            now.block == seen.block
                && now.last_send_ns == seen.last_send_ns
                && now.started_ns == seen.started_ns
        });
        // Gone already means that the kernel has ended it.
        if !is_as_seen || sys::delete(map, key).is_err() {
            return false;
        }
        self.stats.count(reason);
        true
    }
}

/// A client's address and port: two transfers to the same one cannot both be wanted.
type ClientPort = (Address, u32, [u8; 2]);

fn client_port(key: &TransferKey) -> ClientPort {
    (key.client, key.scope, key.client_port)
}

fn parse_event(record: &[u8]) -> Option<Event> {
    if record.len() < size_of::<Event>() {
        return None;
    }
    // SAFETY: the record is long enough, and every bit pattern is a valid event.
    Some(unsafe { std::ptr::read_unaligned(record.as_ptr().cast()) })
}
