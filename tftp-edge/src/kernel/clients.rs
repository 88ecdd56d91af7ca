//! The networks that the program answers: the allow list, in the map `CLIENTS`.

use aya::maps::lpm_trie::Key;
use aya::maps::{LpmTrie, MapData};
use ipnet::IpNet;
use parking_lot::Mutex;
use tftp_ebpf::abi::Address;

use super::error::Error;
use super::host;
use super::object::client_key;
use crate::access::Access;

/// The map, and what is in it.
pub(super) struct Clients {
    inner: Mutex<Inner>,
    /// Networks there may be.
    most: u64,
}

struct Inner {
    /// Its descriptor must stay open: see `programs::load_traced`.
    map: LpmTrie<MapData, Address, u32>,
    nets: Vec<IpNet>,
}

impl Clients {
    pub(super) fn new(
        map: LpmTrie<MapData, Address, u32>,
        most: u32,
        access: &Access,
    ) -> Result<Self, Error> {
        let clients = Self {
            inner: Mutex::new(Inner {
                map,
                nets: Vec::new(),
            }),
            most: most.into(),
        };
        clients.allow(access)?;
        clients.forget_others();
        Ok(clients)
    }

    /// Takes out what is not on the list: a daemon before may have left it.
    fn forget_others(&self) {
        let mut inner = self.inner.lock();
        let Inner { map, nets } = &mut *inner;
        let wanted: Vec<_> = nets.iter().map(key_of).collect();
        let there: Vec<_> = map.keys().filter_map(Result::ok).collect();
        let same = |one: &Key<Address>, other: &Key<Address>| {
            (one.prefix_len(), one.data()) == (other.prefix_len(), other.data())
        };
        for key in there {
            if !wanted.iter().any(|it| same(it, &key)) {
                // Gone already is as good.
                let _ = map.remove(&key);
            }
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.inner.lock().nets.len() as u64
    }

    pub(super) const fn most(&self) -> u64 {
        self.most
    }

    /// Whether old and new networks can be in the map together, as they are for a moment.
    pub(super) fn has_room_for(&self, access: &Access) -> Result<(), String> {
        let inner = self.inner.lock();
        let wanted = inner.nets.len() + missing(access.nets(), &inner.nets).len();
        if wanted as u64 <= self.most {
            return Ok(());
        }
        Err(format!(
            "{} networks are more than the kernel program has room for beside those before; \
             restart the daemon, or name larger networks",
            access.nets().len()
        ))
    }

    /// From now on these networks are answered. New ones come in before others go, so that nobody who
    /// is in both is ever shut out. On an error the list is as it was.
    pub(super) fn allow(&self, access: &Access) -> Result<(), Error> {
        let mut inner = self.inner.lock();
        let Inner { map, nets } = &mut *inner;
        let (added, gone) = (missing(access.nets(), nets), missing(nets, access.nets()));
        for (at, net) in added.iter().enumerate() {
            if let Err(error) = insert(map, net) {
                // What was put in comes out again.
                added[..at].iter().for_each(|net| remove(map, net));
                return Err(error);
            }
        }
        gone.iter().for_each(|net| remove(map, net));
        *nets = access.nets().to_vec();
        Ok(())
    }
}

fn key_of(net: &IpNet) -> Key<Address> {
    // IPv4 prefixes count within the mapped form.
    let net = net.trunc();
    let offset = if net.addr().is_ipv4() { 96 } else { 0 };
    client_key(host::map_address(net.addr()), net.prefix_len() + offset)
}

fn insert(map: &mut LpmTrie<MapData, Address, u32>, net: &IpNet) -> Result<(), Error> {
    map.insert(&key_of(net), 1, 0)
        .map_err(|error| Error::map("CLIENTS", "written", error))
}

fn remove(map: &mut LpmTrie<MapData, Address, u32>, net: &IpNet) {
    // Gone already is as good.
    let _ = map.remove(&key_of(net));
}

/// Those of `nets` that are not among `others`.
fn missing(nets: &[IpNet], others: &[IpNet]) -> Vec<IpNet> {
    let missing = nets.iter().filter(|net| !others.contains(net));
    missing.copied().collect()
}
