//! The thread of the kernel side: reads events, resends what stalled, and follows the host.

use std::collections::{BTreeSet, HashMap};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aya::maps::{HashMap as BpfHashMap, MapData, RingBuf};
use parking_lot::Mutex;
use rand::RngExt as _;
use tftp_ebpf::abi::registration::ServiceKey;
use tftp_ebpf::abi::{Address, Interface, Transfer, TransferKey};
use tftp_ebpf::plan;
use tftp_ebpf::stage::Stage;
use tftp_ebpf::verdict::Reason;

use super::directory::Directory;
use super::engine::KernelFiles;
use super::events::{BATCHES, Events};
use super::gate::Gate;
use super::lease::Tenure;
use super::mirror::Mirrors;
use super::neighbourhood::Neighbourhood;
use super::object::{KernelBanks, Logger};
use super::ports::Reservation;
use super::resend::{self, Sender};
use super::samples::{self, Watchers};
use super::services::Services;
use super::sweeper::{Action, Sweeper};
use super::sys;
use crate::clock::monotonic_ns;
use crate::service::{self, Role};
use crate::stats::{self, StageCounter, Unserved};

/// How often events are read: a full ring takes longer to fill at any rate we can answer.
const TICK: Duration = Duration::from_millis(20);
/// How often all transfers are looked at.
const SWEEP: Duration = Duration::from_millis(100);
/// How often addresses, and settings of interfaces that no message tells of, are read again.
const FOLLOW: Duration = Duration::from_secs(1);

/// The thread's own part.
pub(super) struct Worker {
    pub(super) services: Services,
    pub(super) places: BpfHashMap<MapData, ServiceKey, u32>,
    pub(super) gate: Arc<Gate>,
    pub(super) mirrors: Arc<Mirrors>,
    pub(super) registered: BpfHashMap<MapData, Address, u32>,
    pub(super) samples: RingBuf<MapData>,
    pub(super) watchers: Watchers,
    pub(super) transfers: MapData,
    pub(super) neighbourhood: Neighbourhood,
    pub(super) interfaces: BpfHashMap<MapData, u32, Interface>,
    pub(super) locals: BpfHashMap<MapData, Address, u32>,
    pub(super) events: Events,
    pub(super) tenure: Arc<Mutex<Tenure>>,
    pub(super) logger: Option<Logger>,
    pub(super) directory: Arc<Mutex<Directory<KernelFiles, KernelBanks>>>,
    pub(super) sweeper: Sweeper,
    pub(super) batch: sys::Batch<TransferKey, Transfer>,
    pub(super) sender: Sender,
    pub(super) ds_field: u8,
    pub(super) stats: Arc<stats::Counters>,
    pub(super) running: Arc<AtomicU64>,
    pub(super) stop: Arc<AtomicBool>,
    /// Programs and maps stay when the thread ends.
    pub(super) keep: Arc<AtomicBool>,
    /// Held while the thread runs.
    pub(super) reservation: Option<Reservation>,
}

impl Worker {
    pub(super) fn run(mut self) {
        let beat = service::enter("kernel", Role::Kernel);
        let (mut swept, mut followed) = (Instant::now(), Instant::now());
        while !self.stop.load(Ordering::Relaxed) {
            std::thread::sleep(TICK);
            beat.pass();
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
            let is_time = followed.elapsed() >= FOLLOW;
            if is_time {
                followed = Instant::now();
                self.services.follow(&mut self.places);
            }
            self.neighbourhood.follow(
                is_time,
                &self.mirrors,
                &mut self.interfaces,
                &mut self.locals,
            );
        }
    }

    fn read_events(&mut self) {
        let mut names = Vec::new();
        for _ in 0..BATCHES {
            let batch = self.events.next_batch();
            if batch.is_empty() {
                break;
            }
            names.clear();
            let mut directory = self.directory.lock();
            names.extend(batch.iter().map(|event| {
                directory.used(event.file_id);
                directory.name_of(event.file_id).cloned()
            }));
            drop(directory);
            self.events.tell(&names);
        }
        let lost = self.events.look_for_losses();
        self.tenure.lock().renew(lost);
    }

    fn sweep(&mut self) {
        let now = monotonic_ns();
        let mut rng = rand::rng();
        let mut referred = BTreeSet::new();
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
            tracing::error!(event = "kernel.transfers_unreadable", %error, "the kernel's transfers could not be read");
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
            tracing::error!(event = "kernel.publish_failed", %error, "content that waits for room could not be published");
        }
    }

    fn act(&mut self, key: &TransferKey, transfer: &Transfer, action: Action) {
        let stage = Stage::from_index(transfer.stage);
        match action {
            Action::Resend => self.resend(key, transfer),
            Action::GiveUp { unconfirmed } => {
                if self.end(key, transfer, Reason::TimedOut) && !unconfirmed {
                    self.stats.ended(stage, Unserved::TimedOut);
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
        let way_out = self.neighbourhood.interfaces.way_out(transfer.ifindex);
        if self.sender.send(way_out, &frame).is_err() {
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
        let name = self.directory.lock().name_of(seen.file_id).cloned();
        if let Some(name) = name {
            self.events
                .ended((key, seen), &name, reason, monotonic_ns());
        }
        true
    }
}

impl Drop for Worker {
    /// Also if the thread panics: nobody would resend what the programs send.
    fn drop(&mut self) {
        if self.keep.load(Ordering::Relaxed) && !std::thread::panicking() {
            self.mirrors.release();
            if let Some(reservation) = self.reservation.take() {
                reservation.keep();
            }
        } else {
            self.mirrors.end();
        }
    }
}

/// A client's address and port: two transfers to the same one cannot both be wanted.
type ClientPort = (Address, u32, [u8; 2]);

fn client_port(key: &TransferKey) -> ClientPort {
    (key.client, key.scope, key.client_port)
}
