//! The networks that the program answers: the allow list, in the map `CLIENTS`.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use aya::maps::{LpmTrie, MapData};
use ipnet::{IpNet, Ipv6Net};
use parking_lot::Mutex;
use tftp_ebpf::abi::{Address, client, mapped};

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
    rules: Rules,
}

/// Bits of the prefix within the mapped form, and the address. In this order the widest come first.
type Place = (u8, Address);

/// What the map is to hold: each network with one of [`client`].
type Rules = BTreeMap<Place, u32>;

/// The bits before an IPv4 address in its mapped form.
const MAPPED_BITS: u8 = 96;

impl Clients {
    pub(super) fn new(
        map: LpmTrie<MapData, Address, u32>,
        most: u32,
        access: &Access,
    ) -> Result<Self, Error> {
        let clients = Self {
            inner: Mutex::new(Inner {
                map,
                rules: Rules::new(),
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
        let Inner { map, rules } = &mut *inner;
        let there = map.keys().filter_map(Result::ok);
        let place = |key: aya::maps::lpm_trie::Key<Address>| {
            let bits = u8::try_from(key.prefix_len()).ok()?;
            Some((bits, key.data()))
        };
        let mut others: Vec<Place> = there.filter_map(place).collect();
        others.retain(|place| !rules.contains_key(place));
        others.sort_unstable();
        others.iter().for_each(|place| remove(map, place));
    }

    pub(super) fn len(&self) -> u64 {
        self.inner.lock().rules.len() as u64
    }

    pub(super) const fn most(&self) -> u64 {
        self.most
    }

    /// Whether old and new networks can be in the map together, as they are for a moment.
    pub(super) fn has_room_for(&self, access: &Access) -> Result<(), String> {
        let inner = self.inner.lock();
        let wanted = rules_of(access);
        let added = wanted.keys().filter(|it| !inner.rules.contains_key(it));
        if (inner.rules.len() + added.count()) as u64 <= self.most {
            return Ok(());
        }
        Err(format!(
            "{} networks are more than the kernel program has room for beside those before; \
             restart the daemon, or name larger networks",
            access.nets().len()
        ))
    }

    /// From now on these networks are answered. New ones come in before others go, so that nobody who
    /// is in both is ever shut out; and of networks in one another the inner ones are there first and
    /// go last, so that nobody is let in meanwhile. On an error the list is as it was.
    pub(super) fn allow(&self, access: &Access) -> Result<(), Error> {
        let mut inner = self.inner.lock();
        let Inner { map, rules } = &mut *inner;
        let wanted = rules_of(access);
        let mut done: Vec<(&Place, Option<u32>)> = Vec::new();
        for (place, rule) in wanted.iter().rev() {
            let before = rules.get(place).copied();
            if before == Some(*rule) {
                continue;
            }
            if let Err(error) = insert(map, place, *rule) {
                // What was put in comes out again, the widest first.
                for (place, before) in done.into_iter().rev() {
                    match before {
                        // It has its room.
                        Some(before) => drop(insert(map, place, before)),
                        None => remove(map, place),
                    }
                }
                return Err(error);
            }
            done.push((place, before));
        }
        let gone = rules.keys().filter(|it| !wanted.contains_key(it));
        gone.for_each(|place| remove(map, place));
        *rules = wanted;
        Ok(())
    }
}

/// What the map is to hold for an allow list.
fn rules_of(access: &Access) -> Rules {
    let nets = access.nets().iter();
    let mut rules: Rules = nets.map(|net| (place_of(net), client::ANSWERED)).collect();
    // In the trie an IPv6 network holds the mapped forms of IPv4 addresses too, if it is as large as
    // `::/80`. Sockets know the families apart: so does this.
    let all_v4 = Ipv6Net::new_assert(Ipv6Addr::from_bits(0xffff << 32), MAPPED_BITS);
    let has_all_v4 = |net: &IpNet| matches!(net, IpNet::V6(v6) if v6.contains(&all_v4));
    if access.nets().iter().any(has_all_v4) {
        let place = (MAPPED_BITS, mapped([0; 4]));
        rules.entry(place).or_insert(client::SHUT_OUT);
    }
    rules
}

/// How many entries the map needs for an allow list.
pub(super) fn entries_for(access: &Access) -> usize {
    rules_of(access).len()
}

fn place_of(net: &IpNet) -> Place {
    // IPv4 prefixes count within the mapped form.
    let net = net.trunc();
    let offset = if net.addr().is_ipv4() { MAPPED_BITS } else { 0 };
    (net.prefix_len() + offset, host::map_address(net.addr()))
}

fn insert(
    map: &mut LpmTrie<MapData, Address, u32>,
    (bits, address): &Place,
    rule: u32,
) -> Result<(), Error> {
    map.insert(&client_key(*address, *bits), rule, 0)
        .map_err(|error| Error::map("CLIENTS", "written", error))
}

fn remove(map: &mut LpmTrie<MapData, Address, u32>, (bits, address): &Place) {
    // Gone already is as good.
    let _ = map.remove(&client_key(*address, *bits));
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn access(nets: &[&str]) -> Access {
        Access::from_nets(nets.iter().map(|net| net.parse().unwrap()).collect())
    }

    /// What the program finds: the longest prefix of an address.
    fn is_answered(rules: &Rules, address: IpAddr) -> bool {
        let bits = |words: Address| {
            let word = |bits, word: u32| bits << 32 | u128::from(u32::from_be(word));
            words.into_iter().fold(0_u128, word)
        };
        let address = bits(host::map_address(address));
        let is_in =
            |(len, prefix): &Place| (bits(*prefix) ^ address).leading_zeros() >= u32::from(*len);
        let longest = rules.iter().rfind(|(place, _)| is_in(place));
        longest.is_some_and(|(_, rule)| *rule == client::ANSWERED)
    }

    #[test]
    fn the_map_answers_whom_the_sockets_answer() {
        let addresses = [
            "10.1.2.3",
            "192.0.2.1",
            "0.0.0.0",
            "255.255.255.255",
            "::2",
            "::fffe:10.1.2.3",
            "fd00::1",
            "2001:db8::1",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ];
        let lists: [&[&str]; 10] = [
            &[],
            &["::/0"],
            &["::/0", "10.0.0.0/8"],
            &["::/0", "0.0.0.0/0"],
            &["0.0.0.0/0"],
            &["::/1", "8000::/1"],
            &["::/80"],
            &["::fffe:0:0/95", "192.0.2.0/24"],
            &["::ffff:0:0/96"],
            &["::ffff:192.0.2.0/120", "fd00::/8"],
        ];
        for list in lists {
            let access = access(list);
            let rules = rules_of(&access);
            for address in addresses {
                let address: IpAddr = address.parse().unwrap();
                assert_eq!(
                    is_answered(&rules, address),
                    access.allows(address),
                    "{address} by {list:?}"
                );
            }
        }
    }

    #[test]
    fn all_of_ipv6_is_nobody_of_ipv4() {
        let access = access(&["::/0"]);
        let rules = rules_of(&access);
        assert_eq!(entries_for(&access), 2);
        assert!(is_answered(&rules, "2001:db8::1".parse().unwrap()));
        assert!(!is_answered(&rules, "10.1.2.3".parse().unwrap()));
    }
}
