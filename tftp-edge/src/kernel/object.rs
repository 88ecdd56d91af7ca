//! The program object: loading it, and its maps under their types.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::ptr::NonNull;

use aya::maps::lpm_trie::Key;
use aya::maps::{Array, ArrayOfMaps, HashMap, LpmTrie, Map, MapData, PerCpuArray, RingBuf};
use aya::{Ebpf, EbpfLoader};
use aya_log::EbpfLogger;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use tftp_ebpf::abi::registration::{ClassCounts, Registration, Sampling, ServiceKey};
use tftp_ebpf::abi::trace::{LostRow, Slots};
use tftp_ebpf::abi::{
    Address, BANK_BYTES, BANK_SLABS, CounterBlock, FileEntry, Interface, LatencyHistogram, Policy,
    SLAB_BYTES,
};
use tftp_ebpf::name::NameKey;

use super::error::Error;
use super::fill::Walked;
use super::programs;
use super::settings::Settings;
use super::slabs::Banks;
use super::sys;

#[cfg(bpf_object)]
const OBJECT: Option<&[u8]> = Some(aya::include_bytes_aligned!(concat!(
    env!("OUT_DIR"),
    "/tftp-edge-bpf"
)));
#[cfg(not(bpf_object))]
const OBJECT: Option<&[u8]> = None;

/// `BPF_F_MMAPABLE` of `linux/bpf.h`.
const MMAPABLE: u32 = 1 << 10;

/// `aya_log_ebpf::Level::Warn`; zero lets the verifier drop the program's log statements.
const LOG_WARN: u8 = 2;

/// Entries of the maps whose sizes other sections of the configuration set.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub interfaces: u32,
    /// Prefixes of the allow list.
    pub clients: u32,
    /// Sources whose budgets are remembered.
    pub sources: u32,
    /// Addresses that phones are registered from.
    pub registered: u32,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            interfaces: 64,
            clients: 1024,
            sources: 32_768,
            registered: 131_072,
        }
    }
}

/// The loaded programs, with every map the daemon writes or reads.
pub struct Object {
    pub ebpf: Ebpf,
    pub policy: Array<MapData, Policy>,
    pub interfaces: HashMap<MapData, u32, Interface>,
    pub locals: HashMap<MapData, Address, u32>,
    pub clients: LpmTrie<MapData, Address, u32>,
    pub files: HashMap<MapData, NameKey, FileEntry>,
    pub banks: KernelBanks,
    pub transfers: MapData,
    pub budgets: MapData,
    pub counters: Counters,
    pub events: RingBuf<MapData>,
    pub registrations: Registrations,
    pub traces: Traces,
    /// What the program says of itself, if that was asked for.
    pub logger: Option<Logger>,
}

pub type Logger = EbpfLogger<&'static dyn log::Log>;

/// The maps of registrations.
pub struct Registrations {
    pub services: HashMap<MapData, ServiceKey, u32>,
    pub registration: Array<MapData, Registration>,
    pub registered: HashMap<MapData, Address, u32>,
    pub classes: PerCpuArray<MapData, ClassCounts>,
    pub sampling: PerCpuArray<MapData, Sampling>,
    pub samples: RingBuf<MapData>,
}

/// The maps of traces.
pub struct Traces {
    pub traced: HashMap<MapData, Address, Slots>,
    /// The outer map, by its descriptor alone: rings come and go.
    pub rings: OwnedFd,
    pub lost: PerCpuArray<MapData, LostRow>,
}

/// The maps that are only read, at scrape time.
pub struct Counters {
    pub blocks: PerCpuArray<MapData, CounterBlock>,
    pub latency: PerCpuArray<MapData, LatencyHistogram>,
    pub events_lost: PerCpuArray<MapData, u64>,
    /// Every map's descriptor, for what the kernel says of its memory.
    pub descriptors: Vec<RawFd>,
    /// Maps whose entries are counted.
    pub walked: Walked,
}

impl Object {
    /// Loads maps and programs; attaches nothing.
    pub fn load(settings: &Settings, sizes: Sizes) -> Result<Self, Error> {
        let object = OBJECT.ok_or(Error::NoObject)?;
        let banks = u32::try_from(settings.max_banks()).unwrap_or(u32::MAX);
        let log_level: u8 = if settings.diagnose { LOG_WARN } else { 0 };
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("FILES", settings.max_names)
            .map_max_entries("TRANSFERS", settings.max_transfers)
            .map_max_entries("SLABS", banks)
            .map_max_entries("INTERFACES", sizes.interfaces)
            .map_max_entries("CLIENTS", sizes.clients)
            .map_max_entries("BUDGETS", sizes.sources)
            .map_max_entries("KNOWN", sizes.sources)
            .map_max_entries("REGISTERED", sizes.registered)
            .override_global("AYA_LOG_LEVEL", &log_level, true)
            .load(object)
            .map_err(|error| Error::Load(error.into()))?;
        programs::load_plain(&mut ebpf)?;
        let logger = if settings.diagnose {
            open_log(&mut ebpf)
        } else {
            None
        };
        let descriptors = ebpf.maps().filter_map(|(_, map)| descriptor(map));
        let descriptors = descriptors.map(|map| map.as_raw_fd()).collect();
        let counters = Counters {
            walked: Walked::open(&ebpf)?,
            blocks: take(&mut ebpf, "COUNTERS")?,
            latency: take(&mut ebpf, "LATENCY")?,
            events_lost: take(&mut ebpf, "EVENTS_LOST")?,
            descriptors,
        };
        let transfers = take_lru(&mut ebpf, "TRANSFERS", "the map TRANSFERS")?;
        let budgets = take_lru(&mut ebpf, "BUDGETS", "the map BUDGETS")?;
        let outer_fd = outer_again(&ebpf, "SLABS")?;
        let rings = outer_again(&ebpf, "TRACES")?;
        Ok(Self {
            policy: take(&mut ebpf, "POLICY")?,
            interfaces: take(&mut ebpf, "INTERFACES")?,
            locals: take(&mut ebpf, "LOCALS")?,
            clients: take(&mut ebpf, "CLIENTS")?,
            files: take(&mut ebpf, "FILES")?,
            banks: KernelBanks {
                outer: take(&mut ebpf, "SLABS")?,
                outer_fd,
                banks: Vec::new(),
            },
            transfers,
            budgets,
            counters,
            events: take(&mut ebpf, "EVENTS")?,
            registrations: Registrations {
                services: take(&mut ebpf, "SERVICES")?,
                registration: take(&mut ebpf, "REGISTRATION")?,
                registered: take(&mut ebpf, "REGISTERED")?,
                classes: take(&mut ebpf, "CLASSES")?,
                sampling: take(&mut ebpf, "SAMPLING")?,
                samples: take(&mut ebpf, "SAMPLES")?,
            },
            traces: Traces {
                traced: take(&mut ebpf, "TRACED")?,
                rings,
                lost: take(&mut ebpf, "TRACES_LOST")?,
            },
            logger,
            ebpf,
        })
    }
}

/// A phone that takes its firmware as fast as a wire of 1 Gbit/s has it fills this in 30 ms.
const RING_BYTES: u32 = 4 << 20;

/// A new ring for the trace of a slot, in its place in the outer map.
pub fn add_ring(rings: BorrowedFd<'_>, slot: usize) -> Result<RingBuf<MapData>, Error> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::map("TRACES", "given a ring", error)
    };
    let ring = sys::create_ring(RING_BYTES).map_err(|error| failed(error.into()))?;
    let ring = MapData::from_fd(ring).map_err(|error| failed(error.into()))?;
    let ring = RingBuf::try_from(Map::RingBuf(ring)).map_err(|error| failed(error.into()))?;
    sys::update(rings, &(slot as u32), &ring.as_raw_fd()).map_err(|error| failed(error.into()))?;
    Ok(ring)
}

/// An outer map's descriptor once more.
fn outer_again(ebpf: &Ebpf, name: &'static str) -> Result<OwnedFd, Error> {
    match ebpf.map(name) {
        Some(aya::maps::Map::ArrayOfMaps(map)) => map
            .fd()
            .as_fd()
            .try_clone_to_owned()
            .map_err(|error| Error::map(name, "opened again", error)),
        _ => Err(Error::Object(name)),
    }
}

/// Diagnosis is no reason to do without the kernel path.
fn open_log(ebpf: &mut Ebpf) -> Option<Logger> {
    EbpfLogger::init(ebpf)
        .inspect_err(|error| tracing::warn!(event = "kernel.log_unreadable", %error, "the kernel program's log cannot be read"))
        .ok()
}

pub(super) fn descriptor(map: &aya::maps::Map) -> Option<BorrowedFd<'_>> {
    use aya::maps::Map;
    let data = match map {
        Map::Array(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::LpmTrie(data)
        | Map::PerCpuArray(data)
        | Map::RingBuf(data)
        | Map::ProgramArray(data)
        | Map::ArrayOfMaps(data) => data,
        _ => return None,
    };
    Some(data.fd().as_fd())
}

fn take<M>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, Error>
where
    M: TryFrom<aya::maps::Map>,
{
    ebpf.take_map(name)
        .and_then(|map| map.try_into().ok())
        .ok_or(Error::Object(name))
}

/// A map that is read by system calls of our own; see `sys`.
fn take_lru(ebpf: &mut Ebpf, name: &str, what: &'static str) -> Result<MapData, Error> {
    match ebpf.take_map(name) {
        Some(aya::maps::Map::LruHashMap(map)) => Ok(map),
        _ => Err(Error::Object(what)),
    }
}

/// A key of the allow list: `prefix` counts within the 128 bits of the mapped form.
pub fn client_key(address: Address, prefix: u8) -> Key<Address> {
    Key::new(u32::from(prefix), address)
}

/// The banks of slabs as inner maps of `SLABS`, each mapped into this process.
pub struct KernelBanks {
    outer: ArrayOfMaps<MapData, MapData>,
    /// The outer map again: its type has no way to empty a slot.
    outer_fd: OwnedFd,
    banks: Vec<Bank>,
}

struct Bank {
    map: MapData,
    memory: NonNull<u8>,
}

// SAFETY: the pointer is to a mapping that only this value owns; it is written under `&mut` only.
unsafe impl Send for Bank {}

impl Drop for Bank {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this length, and nobody borrows it any more. That it
        // can be unmapped cannot fail.
        let _ = unsafe { munmap(self.memory.cast(), BANK_BYTES) };
    }
}

impl KernelBanks {
    /// Bytes of the banks' maps, as the kernel accounts them.
    pub fn map_bytes(&self) -> u64 {
        self.banks
            .iter()
            .map(|bank| memory_of(bank.map.fd().as_fd().as_raw_fd()))
            .sum()
    }
}

/// What the kernel says a map occupies.
pub fn memory_of(descriptor: RawFd) -> u64 {
    fact_of(descriptor, "memlock:").unwrap_or(0)
}

/// A number the kernel tells of a map, by what stands before it.
pub(super) fn fact_of(descriptor: RawFd, what: &str) -> Option<u64> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).ok()?;
    let mut lines = info.lines();
    lines.find_map(|line| line.strip_prefix(what)?.trim().parse().ok())
}

impl Banks for KernelBanks {
    type Error = Error;

    fn add(&mut self) -> Result<(), Error> {
        let descriptor = sys::create_array(SLAB_BYTES as u32, BANK_SLABS, MMAPABLE)
            .map_err(|error| Error::map("SLABS", "extended by a bank", error))?;
        let map = MapData::from_fd(descriptor)
            .map_err(|error| Error::map("SLABS", "extended by a bank", error))?;
        let length = std::num::NonZeroUsize::new(BANK_BYTES).expect("a bank has bytes");
        // SAFETY: a new shared mapping of a map that was created to be mapped; nothing else is at
        // that address.
        let memory = unsafe {
            mmap(
                None,
                length,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED,
                map.fd().as_fd(),
                0,
            )
        }
        .map_err(|errno| Error::Mmap(errno.into()))?
        .cast();
        let bank = Bank { map, memory };
        let index = u32::try_from(self.banks.len()).expect("banks are bounded by the outer map");
        self.outer
            .set(index, &bank.map, 0)
            .map_err(|error| Error::map("SLABS", "extended by a bank", error))?;
        self.banks.push(bank);
        Ok(())
    }

    fn remove(&mut self) {
        if self.banks.pop().is_none() {
            return;
        }
        // An empty bank that stays in the outer map costs memory, but is never read.
        if let Err(error) = sys::delete(self.outer_fd.as_fd(), &(self.banks.len() as u32)) {
            tracing::warn!(event = "kernel.bank_kept", %error, "an empty bank of slabs could not be given back");
        }
    }

    fn count(&self) -> usize {
        self.banks.len()
    }

    fn memory(&self, bank: usize) -> &[u8] {
        // SAFETY: the mapping has this length and lives as long as the bank; the kernel only reads
        // it, and we write it under `&mut self` only.
        unsafe { std::slice::from_raw_parts(self.banks[bank].memory.as_ptr(), BANK_BYTES) }
    }

    fn memory_mut(&mut self, bank: usize) -> &mut [u8] {
        // SAFETY: as above; `&mut self` makes us the only writer. The kernel program may read while
        // we write, but never what it was not yet told of.
        unsafe { std::slice::from_raw_parts_mut(self.banks[bank].memory.as_ptr(), BANK_BYTES) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Needs no privileges: the object is only read.
    #[test]
    fn the_object_has_the_programs_and_maps_that_are_loaded_by_name() {
        let Some(object) = OBJECT else {
            // Not by a macro: what those write is shown of failed tests alone.
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: built without the kernel program"
            );
            return;
        };
        let object = aya_obj::Object::parse(object).expect("the object can be read");
        for name in programs::NAMES {
            assert!(object.programs.contains_key(name), "no program {name}");
        }
        for name in [
            "POLICY",
            "INTERFACES",
            "LOCALS",
            "CLIENTS",
            "FILES",
            "SLABS",
            "TRANSFERS",
            "BUDGETS",
            "KNOWN",
            "COUNTERS",
            "LATENCY",
            "EVENTS",
            "EVENTS_LOST",
            "SCRATCH",
            "NEXT_XDP",
            "NEXT_TC",
            "SERVICES",
            "REGISTRATION",
            "GATE",
            "REGISTERED",
            "CLASSES",
            "SAMPLING",
            "SAMPLE",
            "SAMPLES",
            "TRACED",
            "TRACES",
            "TRACES_LOST",
            "MIRRORED",
        ] {
            assert!(object.maps.contains_key(name), "no map {name}");
        }
        // The programs use helpers that the kernel keeps for licences like the GPL.
        assert_eq!(object.license.to_bytes(), b"Dual MIT/GPL");
    }
}
