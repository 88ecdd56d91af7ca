//! The kernel side at work: what the rest of the daemon tells it and asks it.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use aya::maps::{Array, HashMap as BpfHashMap, MapData};
use parking_lot::Mutex;
use tftp_ebpf::abi::{BANK_BYTES, FileEntry, Policy, Transfer, TransferKey};
use tftp_ebpf::name::NameKey;

use super::adoption;
use super::attach::Attachment;
use super::budgets::Budgets;
use super::clients::Clients;
use super::counts::Counts;
use super::directory::{Directory, Files};
use super::error::Error;
use super::events::{self, Events};
use super::fill::{BoundedMap, Fill};
use super::follower::{Blocks, Follower};
use super::gate::Gate;
use super::interfaces::{Interfaces, Monitor};
use super::lease::Tenure;
use super::mirror::{Attached, Mirrors};
use super::neighbourhood::{Neighbourhood, Statuses};
use super::object::{Counters, KernelBanks};
use super::pins::Pinning;
use super::policy::{self, policy};
use super::prepare;
use super::programs;
use super::resend::Sender;
use super::samples::Watchers;
use super::services::Services;
use super::settings::Settings;
use super::slabs::{Banks as _, Slabs};
use super::snapshot::{InterfaceStatus, Registrations, Snapshot, Wanted};
use super::sweeper::Sweeper;
use super::sys;
use super::worker::Worker;
use crate::access::Access;
use crate::content::Change;
use crate::journal::Journal;
use crate::live::Live;
use crate::misses::Ledger;
use crate::register::{self, Guard, Watch};
use crate::stats;
use crate::tftp::{self, resend};

/// Longer than any chain of a hash map's buckets will be.
pub(super) const BATCH: usize = 1024;

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
    statuses: Statuses,
    /// Every interface is to be tried once more.
    climb_again: Arc<AtomicBool>,
    wanted: Wanted,
    clients: Clients,
    /// When the sweeper sends again.
    resend: Live<resend::Policy>,
    block_sizes: Live<Blocks>,
    /// Names there may be.
    max_names: u64,
    counters: Counts,
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
    /// The daemon serves names that are not in the directory.
    has_other_names: AtomicBool,
    tenure: Arc<Mutex<Tenure>>,
    pinning: Pinning,
    /// Programs and maps stay when the thread ends.
    keep: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Engine {
    pub(super) fn start(
        settings: &Settings,
        tftp: &tftp::Settings,
        access: &Access,
        register: &register::Settings,
        silent: Option<&'static str>,
        journal: Arc<Journal>,
        mut pinning: Pinning,
    ) -> Result<Arc<Self>, Error> {
        let sender = Sender::open().map_err(Error::RawSocket)?;
        let sizes = prepare::sizes(settings, tftp, access, register);
        let (max_clients, max_registered) = (sizes.clients, sizes.registered);
        let mut object = prepare::load(settings, sizes, &mut pinning)?;
        let is_adopted = pinning.status.adopted;
        let clients = Clients::new(object.clients, max_clients, access)?;
        let resend = Live::new(tftp.resend_policy());
        let mut services = Services::new(register.places());
        let policy = Policy {
            registration_ports: services.ports(),
            ..policy(settings, tftp)
        };
        let policy = match object.policy.get(&0, 0) {
            Ok(before) if is_adopted => adoption::carried_over(policy, &before, silent.is_some()),
            _ => policy,
        };
        let tenure = Tenure::new(object.lease, settings.serve_alone())?;
        let registrations = object.registrations;
        let gate = Gate::new(
            register.storm.kernel,
            registrations.registration,
            max_registered,
        )?;
        let gate = Arc::new(gate);
        let mut places = registrations.services;
        if is_adopted {
            services.adopt(&places);
            let registered = registrations.registered.keys().filter_map(Result::ok);
            gate.adopt(registered.collect(), Instant::now());
            adoption::end_traces(&mut object.traces);
        }
        services.follow(&mut places);
        object
            .policy
            .set(0, policy, 0)
            .map_err(|error| Error::map("POLICY", "written", error))?;

        let slabs = Slabs::new(object.banks, settings.max_banks());
        let mut directory = Directory::new(object.files, slabs, settings.max_names);
        if is_adopted {
            let files = object.maps.get("FILES").ok_or(Error::Object("FILES"))?;
            let transfers = object.transfers.fd().as_fd();
            let removed = adoption::take_over(&mut directory, files.as_fd(), transfers)?;
            let path = pinning.status().path.unwrap_or_default();
            tracing::info!(
                event = "kernel.adopted", folder = %path.display(),
                names = directory.counts().names, banks = directory.slabs().banks().count(), removed,
                "took over what the daemon before has left"
            );
        }
        if !settings.keep_privileges {
            directory.take_all_banks();
        }
        let reservation = prepare::reserve(settings, silent.is_some(), pinning.pins.as_ref());
        let monitor = Monitor::open().map_err(|source| Error::System {
            what: "the interfaces of this host cannot be followed (AF_NETLINK)".into(),
            source,
        })?;
        let mut interfaces = Interfaces::new(settings, monitor);
        let mut attachments: Vec<_> = settings
            .interfaces
            .iter()
            .map(|name| Attachment::new(name, pinning.pins.as_ref()))
            .collect();
        let now = Instant::now();
        interfaces.settle(&mut object.ebpf, &mut attachments, false, now)?;
        if let Some(pins) = &pinning.pins {
            pins.keep_only(attachments.iter().flat_map(Attachment::links));
        }
        let block_sizes = Live::new(Blocks::from(tftp));
        let mut follower = Follower::new(tftp, block_sizes.clone());
        if is_adopted {
            follower.adopt(&object.locals);
        }
        follower.follow(
            &interfaces.entries(&attachments),
            &mut object.interfaces,
            &mut object.locals,
        );
        if is_adopted {
            programs::forget_traced(&mut object.ebpf);
        }
        let statuses = Arc::new(Mutex::new(interfaces.statuses(&attachments, now)));
        let climb_again = Arc::new(AtomicBool::new(false));

        let Counters {
            blocks,
            latency,
            events_lost,
            descriptors,
            walked,
        } = object.counters;
        let events_lost = Arc::new(events_lost);
        let events = Events::new(
            object.events,
            Arc::clone(&events_lost),
            journal,
            tenure.told_before(),
        );
        let directory = Arc::new(Mutex::new(directory));
        let tenure = Arc::new(Mutex::new(tenure));
        let stop = Arc::new(AtomicBool::new(false));
        let keep = Arc::new(AtomicBool::new(pinning.status.adopted));
        let sweeper_stats = Arc::new(stats::Counters::default());
        let transfers = Arc::new(AtomicU64::new(0));
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
            neighbourhood: Neighbourhood {
                interfaces,
                follower,
                statuses: Arc::clone(&statuses),
                climb_again: Arc::clone(&climb_again),
                is_pending: false,
            },
            interfaces: object.interfaces,
            locals: object.locals,
            events,
            tenure: Arc::clone(&tenure),
            logger: object.logger,
            directory: Arc::clone(&directory),
            sweeper: Sweeper::new(resend.clone()),
            batch: sys::Batch::new(BATCH, TransferKey::default(), Transfer::EMPTY),
            sender,
            ds_field: policy.ds_field,
            stats: Arc::clone(&sweeper_stats),
            running: Arc::clone(&transfers),
            stop: Arc::clone(&stop),
            keep: Arc::clone(&keep),
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
            statuses,
            climb_again,
            wanted: Wanted::new(settings),
            clients,
            resend,
            block_sizes,
            max_names: settings.max_names.into(),
            counters: Counts {
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
            has_other_names: AtomicBool::new(false),
            tenure,
            pinning,
            keep,
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

    pub(super) fn interfaces(&self) -> Vec<InterfaceStatus> {
        self.statuses.lock().clone()
    }

    pub(super) fn climb_again(&self) {
        self.climb_again.store(true, Ordering::Relaxed);
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
        self.has_other_names.store(true, Ordering::Relaxed);
        self.set_policy(|policy| policy.is_partial = 1);
    }

    pub(super) fn clients(&self) -> &Clients {
        &self.clients
    }

    /// From now on transfers go by these settings, and budgets.
    pub(super) fn follow(&self, tftp: &tftp::Settings) {
        self.resend.set(tftp.resend_policy());
        self.block_sizes.set(Blocks::from(tftp));
        self.set_policy(|policy| policy::follow(policy, tftp));
    }

    pub(super) fn settled(&self) {
        self.directory.lock().settle();
        // First the lease: with it alone nothing is answered yet.
        self.tenure.lock().begin();
        if self.silent.is_none() && !self.behind.load(Ordering::Relaxed) {
            let is_partial = self.has_other_names.load(Ordering::Relaxed).into();
            self.set_policy(|policy| {
                (policy.enabled, policy.is_partial) = (1, is_partial);
            });
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

    pub(super) fn keep(&self, is_kept: bool) {
        self.keep.store(is_kept, Ordering::Relaxed);
    }

    pub(super) fn shutdown(&self) {
        self.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.lock().take() else {
            return;
        };
        let ended = thread.join();
        if ended.is_err() {
            tracing::error!(
                event = "kernel.worker_panicked",
                "the thread of the kernel side had panicked"
            );
        }
        let Some(pins) = &self.pinning.pins else {
            return;
        };
        // A panic has taken the programs off.
        if ended.is_ok() && self.keep.load(Ordering::Relaxed) && pins.are_whole() {
            tracing::info!(event = "kernel.kept", folder = %pins.path().display(), "the kernel goes on serving until the next daemon comes");
        } else {
            pins.end();
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
        let map_bytes = self.counters.map_bytes();
        Snapshot {
            interfaces: self.interfaces(),
            wanted: self.wanted,
            problem: self.problem().map(str::to_owned),
            pins: self.pinning.status(),
            xdp: self.counters.tally(0),
            tc: self.counters.tally(1),
            sweeper: self.sweeper_stats.tally(),
            latency_ns: [self.counters.latency(0), self.counters.latency(1)],
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
        self.counters.registrations(self.gate.status())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shutdown();
    }
}
