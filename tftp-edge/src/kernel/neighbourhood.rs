//! What the thread of the kernel side does about the host's interfaces, every tick.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use aya::maps::{HashMap as BpfHashMap, MapData};
use parking_lot::Mutex;
use tftp_ebpf::abi::{Address, Interface};

use super::follower::Follower;
use super::interfaces::Interfaces;
use super::mirror::Mirrors;
use super::snapshot::InterfaceStatus;

/// How each interface of the configuration is served, as it was settled last.
pub type Statuses = Arc<Mutex<Vec<InterfaceStatus>>>;

pub(super) struct Neighbourhood {
    pub(super) interfaces: Interfaces,
    pub(super) follower: Follower,
    pub(super) statuses: Statuses,
    /// Every interface is to be tried once more.
    pub(super) climb_again: Arc<AtomicBool>,
    /// The programs were in other hands, and it is still to be done.
    pub(super) is_pending: bool,
}

impl Neighbourhood {
    /// Brings the programs to where they belong, and tells them where they are: when the kernel has
    /// told of a change, and when it is time.
    pub(super) fn follow(
        &mut self,
        is_time: bool,
        mirrors: &Mirrors,
        map: &mut BpfHashMap<MapData, u32, Interface>,
        locals: &mut BpfHashMap<MapData, Address, u32>,
    ) {
        let now = Instant::now();
        if self.climb_again.swap(false, Ordering::Relaxed) {
            self.interfaces.forget_failures();
            self.is_pending = true;
        }
        self.is_pending |= self.interfaces.poll(now) || is_time;
        if !self.is_pending {
            return;
        }
        let interfaces = &mut self.interfaces;
        // A trace that begins holds the programs for as long as the verifier takes.
        let settled = mirrors.try_change(|attached, is_traced| {
            let attachments = &mut attached.attachments;
            let settled = interfaces.settle(&mut attached.ebpf, attachments, is_traced, now);
            (
                settled,
                interfaces.entries(attachments),
                interfaces.statuses(attachments, now),
            )
        });
        let Some((settled, entries, statuses)) = settled else {
            return;
        };
        self.is_pending = false;
        if let Err(error) = settled {
            tracing::error!(event = "kernel.interfaces_unsettled", %error, "the programs could not be brought to where they belong");
        }
        *self.statuses.lock() = statuses;
        self.follower.follow(&entries, map, locals);
    }
}
