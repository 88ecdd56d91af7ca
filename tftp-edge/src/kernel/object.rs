//! The program object: loading it, and its maps under their types.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, PerCpuArray, RingBuf};
use aya::{Ebpf, EbpfLoader};
use aya_log::EbpfLogger;
use tftp_ebpf::abi::registration::{ClassCounts, Registration, Sampling, ServiceKey};
use tftp_ebpf::abi::trace::{LostRow, Slots};
use tftp_ebpf::abi::{
    Address, CounterBlock, FileEntry, Interface, LatencyHistogram, Lease, Policy,
};
use tftp_ebpf::name::NameKey;

pub use super::banks::KernelBanks;
use super::error::Error;
use super::fill::Walked;
use super::pins::Shape;
use super::programs;
use super::settings::Settings;
use super::sys;

#[cfg(bpf_object)]
const OBJECT: Option<&[u8]> = Some(aya::include_bytes_aligned!(concat!(
    env!("OUT_DIR"),
    "/tftp-edge-bpf"
)));
#[cfg(not(bpf_object))]
const OBJECT: Option<&[u8]> = None;

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

/// `BPF_MAP_TYPE_RINGBUF` of `linux/bpf.h`.
const RING_BUFFER: u32 = 27;

/// The loaded programs, with every map the daemon writes or reads.
pub struct Object {
    pub ebpf: Ebpf,
    /// Every map of ours once more, by its name.
    pub(super) maps: BTreeMap<String, OwnedFd>,
    pub policy: Array<MapData, Policy>,
    pub lease: Array<MapData, Lease>,
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
        Self::load_with(settings, sizes, None)
    }

    /// The same, with the maps that a daemon before has pinned in a directory. Whoever calls has
    /// made sure that they fit: see `Self::shapes`.
    pub fn load_with(
        settings: &Settings,
        sizes: Sizes,
        pinned: Option<&Path>,
    ) -> Result<Self, Error> {
        let object = OBJECT.ok_or(Error::NoObject)?;
        let log_level: u8 = if settings.diagnose { LOG_WARN } else { 0 };
        let mut loader = EbpfLoader::new();
        for (name, max_entries) in max_entries(settings, sizes) {
            loader.map_max_entries(name, max_entries);
        }
        let names = match pinned {
            Some(_) => Self::shapes(settings, sizes)?,
            None => BTreeMap::new(),
        };
        if let Some(directory) = pinned {
            for name in names.keys() {
                loader.map_pin_path(name, directory.join(name));
            }
        }
        let mut ebpf = loader
            .override_global("AYA_LOG_LEVEL", &log_level, true)
            .load(object)
            .map_err(|error| Error::Load(error.into()))?;
        programs::load_plain(&mut ebpf, settings.mode)?;
        let logger = if settings.diagnose {
            open_log(&mut ebpf)
        } else {
            None
        };
        let maps = ebpf.maps().filter(|(name, _)| is_pinned(name));
        let maps = maps.filter_map(|(name, map)| {
            let again = descriptor(map)?.try_clone_to_owned().ok()?;
            Some((name.to_owned(), again))
        });
        let maps = maps.collect();
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
            lease: take(&mut ebpf, "LEASE")?,
            interfaces: take(&mut ebpf, "INTERFACES")?,
            locals: take(&mut ebpf, "LOCALS")?,
            clients: take(&mut ebpf, "CLIENTS")?,
            files: take(&mut ebpf, "FILES")?,
            banks: KernelBanks::new(take(&mut ebpf, "SLABS")?, outer_fd),
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
            maps,
            ebpf,
        })
    }
}

/// Sizes that are not those of the object.
fn max_entries(settings: &Settings, sizes: Sizes) -> [(&'static str, u32); 8] {
    let banks = u32::try_from(settings.max_banks()).unwrap_or(u32::MAX);
    [
        ("FILES", settings.max_names),
        ("TRANSFERS", settings.max_transfers),
        ("SLABS", banks),
        ("INTERFACES", sizes.interfaces),
        ("CLIENTS", sizes.clients),
        ("BUDGETS", sizes.sources),
        ("KNOWN", sizes.sources),
        ("REGISTERED", sizes.registered),
    ]
}

/// Whether a map is one of ours: not what the compiler makes for constants, nor the log's.
fn is_pinned(name: &str) -> bool {
    !name.starts_with('.') && !name.starts_with("AYA_")
}

impl Object {
    /// What the maps that are pinned have to be.
    pub(super) fn shapes(
        settings: &Settings,
        sizes: Sizes,
    ) -> Result<BTreeMap<String, Shape>, Error> {
        let object = OBJECT.ok_or(Error::NoObject)?;
        let object =
            aya_obj::Object::parse(object).map_err(|error| Error::Load(Box::new(error)))?;
        let sizes = max_entries(settings, sizes);
        let maps = object.maps.iter().filter(|(name, _)| is_pinned(name));
        let shape = |(name, map): (&String, &aya_obj::Map)| {
            let size = sizes.iter().find(|(sized, _)| sized == name);
            let kind = map.map_type();
            let shape = Shape {
                kind,
                key_len: map.key_size(),
                value_len: match kind {
                    RING_BUFFER => 0,
                    _ => map.value_size(),
                },
                max_entries: size.map_or(map.max_entries(), |(_, size)| *size),
                flags: map.map_flags(),
            };
            (name.clone(), shape)
        };
        Ok(maps.map(shape).collect())
    }

    /// Pins every map in a directory; banks are pinned as they come.
    pub(super) fn pin(&self, directory: &Path) -> io::Result<()> {
        for (name, map) in &self.maps {
            sys::pin(map.as_fd(), &directory.join(name))?;
        }
        Ok(())
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
            "LEASE",
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
