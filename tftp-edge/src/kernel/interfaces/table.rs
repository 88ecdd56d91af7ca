//! All interfaces of the host, as the kernel's messages tell of them.

use std::collections::{BTreeMap, HashSet};

use netlink_packet_core::{NLMSG_DONE, NLMSG_ERROR, NLMSG_OVERRUN, NetlinkBuffer};

use super::link::Link;

/// Interfaces that are remembered. A host of containers has some thousands.
const LINKS_MAX: usize = 16_384;

/// What a datagram of messages had to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Something is not as it was.
    pub changed: bool,
    /// The list that was asked for is at its end.
    pub is_done: bool,
    /// The kernel could not answer, or has lost messages.
    pub failed: bool,
}

/// The interfaces by their indices.
#[derive(Clone, Debug, Default)]
pub struct Links {
    links: BTreeMap<u32, Link>,
    /// Indices that were given up, and maybe taken again, since somebody last [asked](Self::take_gone).
    gone: HashSet<u32>,
}

impl Links {
    /// Takes in a datagram of the kernel's.
    pub fn hear(&mut self, mut datagram: &[u8]) -> Heard {
        let mut heard = Heard::default();
        while let Ok(message) = NetlinkBuffer::new_checked(datagram) {
            match message.message_type() {
                libc::RTM_NEWLINK => {
                    if let Some(link) = Link::parse(message.payload()) {
                        heard.changed |= self.insert(link);
                    }
                }
                libc::RTM_DELLINK => {
                    if let Some(link) = Link::parse(message.payload()) {
                        heard.changed |= self.remove(link.index);
                    }
                }
                NLMSG_DONE => heard.is_done = true,
                NLMSG_ERROR | NLMSG_OVERRUN => heard.failed = true,
                _ => {}
            }
            let len = (message.length() as usize).next_multiple_of(4);
            datagram = datagram.get(len..).unwrap_or_default();
        }
        heard
    }

    #[cfg(test)]
    pub fn put(&mut self, link: Link) {
        self.insert(link);
    }

    fn insert(&mut self, link: Link) -> bool {
        if self.links.len() >= LINKS_MAX && !self.links.contains_key(&link.index) {
            return false;
        }
        let before = self.links.get(&link.index);
        let changed = before != Some(&link);
        self.links.insert(link.index, link);
        changed
    }

    fn remove(&mut self, index: u32) -> bool {
        let was_there = self.links.remove(&index).is_some();
        if was_there {
            self.gone.insert(index);
        }
        was_there
    }

    /// Takes over a list that was read afresh; returns whether anything is not as it was.
    pub fn replace(&mut self, fresh: Self) -> bool {
        let changed = self.links != fresh.links;
        let gone = self.links.keys().filter(|it| !fresh.links.contains_key(it));
        self.gone.extend(gone);
        self.links = fresh.links;
        changed
    }

    /// Takes over interfaces that were read afresh.
    pub fn update(&mut self, fresh: Self) {
        for link in fresh.links.into_values() {
            self.insert(link);
        }
    }

    /// Indices that were given up since this was last asked. A new interface may have one of them.
    pub fn take_gone(&mut self) -> HashSet<u32> {
        std::mem::take(&mut self.gone)
    }

    pub fn get(&self, index: u32) -> Option<&Link> {
        self.links.get(&index)
    }

    pub fn named(&self, name: &str) -> Option<&Link> {
        self.links.values().find(|link| link.name == name)
    }

    /// The members of a bond or team, the ports of a bridge; by their indices.
    pub fn members(&self, master: u32) -> impl Iterator<Item = &Link> {
        let links = self.links.values();
        links.filter(move |link| link.master == Some(master))
    }

    /// The VLANs that an interface carries.
    pub fn vlans_on(&self, carrier: u32) -> impl Iterator<Item = &Link> {
        let links = self.links.values();
        links.filter(move |link| link.kind == "vlan" && link.lower == Some(carrier))
    }
}

#[cfg(test)]
mod tests {
    use super::super::link::testing::*;
    use super::*;

    fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let len = 16 + payload.len() as u32;
        let mut bytes = len.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn named(index: u32, name: &str) -> Vec<u8> {
        let payload = payload(0, index, &[text(libc::IFLA_IFNAME, name)]);
        message(libc::RTM_NEWLINK, &payload)
    }

    #[test]
    fn one_datagram_may_tell_of_several() {
        let mut links = Links::default();
        let datagram = [
            named(1, "lo"),
            named(4, "eth0"),
            message(NLMSG_DONE, &[0; 4]),
        ]
        .concat();
        let heard = links.hear(&datagram);
        assert!(heard.changed && heard.is_done && !heard.failed);
        assert_eq!(links.named("eth0").map(|link| link.index), Some(4));
        assert!(!links.hear(&datagram).changed);
    }

    #[test]
    fn a_name_may_move_on() {
        let mut links = Links::default();
        links.hear(&named(4, "eth0"));
        assert!(links.hear(&named(4, "uplink")).changed);
        assert!(links.named("eth0").is_none());
        assert!(links.take_gone().is_empty());
    }

    #[test]
    fn an_index_that_is_taken_again_was_given_up_before() {
        let mut links = Links::default();
        links.hear(&named(4, "eth0"));
        let gone = message(libc::RTM_DELLINK, &payload(0, 4, &[]));
        links.hear(&[gone, named(4, "eth0")].concat());
        assert!(links.named("eth0").is_some());
        assert_eq!(links.take_gone(), HashSet::from([4]));
        assert!(links.take_gone().is_empty());
    }

    #[test]
    fn a_port_that_leaves_its_bridge_is_still_there() {
        let mut links = Links::default();
        links.hear(&named(4, "eth0"));
        let payload = payload(libc::AF_BRIDGE as u8, 4, &[]);
        assert!(!links.hear(&message(libc::RTM_DELLINK, &payload)).changed);
        assert!(links.get(4).is_some());
    }

    #[test]
    fn members_and_vlans_are_found() {
        let mut links = Links::default();
        links.hear(&message(libc::RTM_NEWLINK, &bond_member(4, "eth0", 0)));
        links.hear(&message(libc::RTM_NEWLINK, &bond_member(5, "eth1", 1)));
        let info = [text(libc::IFLA_INFO_KIND, "vlan")];
        let vlan = [
            text(libc::IFLA_IFNAME, "bond0.110"),
            word(libc::IFLA_LINK, 9),
            nested(libc::IFLA_LINKINFO, &info),
        ];
        links.hear(&message(libc::RTM_NEWLINK, &payload(0, 12, &vlan)));
        let names = |links: &mut dyn Iterator<Item = &Link>| {
            links.map(|link| link.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(&mut links.members(9)), ["eth0", "eth1"]);
        assert_eq!(names(&mut links.vlans_on(9)), ["bond0.110"]);
        assert!(links.vlans_on(4).next().is_none());
    }

    #[test]
    fn a_list_read_afresh_tells_what_is_gone() {
        let mut links = Links::default();
        links.hear(&[named(4, "eth0"), named(5, "eth1")].concat());
        let mut fresh = Links::default();
        fresh.hear(&named(5, "eth1"));
        assert!(links.replace(fresh.clone()));
        assert_eq!(links.take_gone(), HashSet::from([4]));
        assert!(!links.replace(fresh));
    }

    #[test]
    fn no_datagram_holds_it_up() {
        let mut links = Links::default();
        let whole = [named(4, "eth0"), message(NLMSG_ERROR, &[0; 4])].concat();
        for len in 0..whole.len() {
            links.hear(&whole[..len]);
        }
        // A length that leads nowhere.
        let mut empty = named(4, "eth0");
        empty[..4].copy_from_slice(&0_u32.to_ne_bytes());
        assert_eq!(Links::default().hear(&empty), Heard::default());
        assert!(links.hear(&whole).failed);
    }
}
