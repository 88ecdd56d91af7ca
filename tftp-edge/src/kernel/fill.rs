//! How full the program's maps are: entries beside the most there may be, map by map.
//!
//! Maps that the daemon alone fills are told of by whoever fills them. The others are walked, in
//! batches and at most every ten seconds however many ask. Ring buffers are not here: they are
//! emptied every tick, and what found no room in them is counted.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use aya::Ebpf;
use parking_lot::Mutex;
use tftp_ebpf::abi::registration::ServiceKey;
use tftp_ebpf::abi::{Address, Budget, Interface, Source};

use super::error::Error;
use super::object::{descriptor, fact_of};
use super::sys;

/// How old a count may be.
const LIFETIME: Duration = Duration::from_secs(10);

/// Elements read at a time: longer than any chain of a hash map's buckets will be.
const BATCH: usize = 1024;

macro_rules! bounded_maps {
    ($($(#[doc = $doc:literal])+ $name:ident => $label:literal,)+) => {
        /// A map of the program whose entries are bounded and come and go.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum BoundedMap {
            $($(#[doc = $doc])+ $name,)+
        }

        impl BoundedMap {
            pub const COUNT: usize = [$(Self::$name),+].len();
            pub const ALL: [Self; Self::COUNT] = [$(Self::$name),+];

            /// The metric label.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }
        }
    };
}

bounded_maps! {
    /// Names in the directory, absent ones included.
    Files => "files",
    /// Banks of slabs.
    Slabs => "slabs",
    /// Transfers under way. A full one forgets the transfer that was idle longest.
    Transfers => "transfers",
    /// Networks of the allow list. Made large enough for it to grow.
    Clients => "clients",
    /// Interfaces the program is at.
    Interfaces => "interfaces",
    /// Addresses of this host.
    Locals => "locals",
    /// Addresses and ports where phones register.
    Services => "services",
    /// Addresses that phones are registered from.
    Registered => "registered",
    /// Sources and what they may still ask for. Full is well: who was not heard of for longest is
    /// forgotten.
    Budgets => "budgets",
    /// Sources that acknowledged a block. The same is true of it.
    Known => "known",
}

/// One map at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    pub entries: u64,
    pub capacity: u64,
}

/// The maps that are walked.
pub struct Walked {
    interfaces: OwnedFd,
    locals: OwnedFd,
    services: OwnedFd,
    budgets: OwnedFd,
    known: OwnedFd,
    last: Mutex<Option<(Instant, Counts)>>,
}

/// In the order of [`Walked`].
type Counts = [Fill; 5];

impl Walked {
    /// Before the maps are taken out of `ebpf`: each is opened again.
    pub fn open(ebpf: &Ebpf) -> Result<Self, Error> {
        let open = |name: &'static str| {
            let map = ebpf.map(name).and_then(descriptor);
            map.ok_or(Error::Object(name))?
                .try_clone_to_owned()
                .map_err(|error| Error::map(name, "opened again", error))
        };
        Ok(Self {
            interfaces: open("INTERFACES")?,
            locals: open("LOCALS")?,
            services: open("SERVICES")?,
            budgets: open("BUDGETS")?,
            known: open("KNOWN")?,
            last: Mutex::default(),
        })
    }

    /// Sets those of `fills` that are walked for.
    pub(super) fn tell(&self, fills: &mut [Fill; BoundedMap::COUNT], now: Instant) {
        let mut last = self.last.lock();
        let (_, counts) = match *last {
            Some((at, counts)) if now.duration_since(at) < LIFETIME => (at, counts),
            _ => *last.insert((now, self.count())),
        };
        for (map, fill) in [
            BoundedMap::Interfaces,
            BoundedMap::Locals,
            BoundedMap::Services,
            BoundedMap::Budgets,
            BoundedMap::Known,
        ]
        .into_iter()
        .zip(counts)
        {
            fills[map as usize] = fill;
        }
    }

    fn count(&self) -> Counts {
        let address = Address::default();
        let interface = Interface {
            max_blksize_v4: 0,
            max_blksize_v6: 0,
            enabled: 0,
            classifies: 0,
            padding: [0; 2],
        };
        [
            walk(&self.interfaces, 0_u32, interface),
            walk(&self.locals, address, 0_u32),
            walk(&self.services, ServiceKey::default(), 0_u32),
            walk(&self.budgets, Source::default(), Budget::default()),
            walk(&self.known, Source::default(), 0_u64),
        ]
    }
}

/// `key` and `value` are of the map's types. A walk that fails has seen nothing behind that place;
/// what it has seen is told.
fn walk<K: Copy, V: Copy>(map: &OwnedFd, key: K, value: V) -> Fill {
    let mut entries = 0;
    let mut batch = sys::Batch::new(BATCH, key, value);
    if let Err(error) = sys::for_each(map.as_fd(), &mut batch, |_, _| entries += 1) {
        tracing::debug!(%error, "a map of the kernel program could not be read to its end");
    }
    Fill {
        entries,
        capacity: capacity_of(map),
    }
}

/// The size a map was made with.
fn capacity_of(map: &OwnedFd) -> u64 {
    fact_of(map.as_raw_fd(), "max_entries:").unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_unique_and_in_the_order_of_the_numbers() {
        for (number, map) in BoundedMap::ALL.into_iter().enumerate() {
            assert_eq!(map as usize, number);
        }
        let mut labels = BoundedMap::ALL.map(BoundedMap::as_str);
        labels.sort_unstable();
        assert!(labels.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
