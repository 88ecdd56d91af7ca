//! What the kernel says of one network interface: the parts of `RTM_NEWLINK` that matter here.
//!
//! Kernels and drivers put ever more attributes into these messages. Those that are not known, or
//! not as they should be, are passed over: what else stands in the message is still true.

use netlink_packet_core::{NlaBuffer, NlasIterator, parse_string, parse_u8, parse_u32};

/// `struct ifinfomsg` of `linux/rtnetlink.h`: family, padding, type, index, flags, change.
pub const HEADER_LEN: usize = 16;

/// Attributes of `enum` in `linux/if_link.h` that `libc` does not have.
mod attribute {
    pub const XDP_DRV_PROG_ID: u16 = 5;
    pub const XDP_SKB_PROG_ID: u16 = 6;
    pub const XDP_HW_PROG_ID: u16 = 7;
    pub const BOND_SLAVE_STATE: u16 = 1;
}

/// `BOND_STATE_BACKUP` of `linux/if_bonding.h`.
const BOND_STATE_BACKUP: u8 = 1;

/// Where an XDP program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum XdpPlace {
    Native,
    Generic,
    Hardware,
}

impl XdpPlace {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Hardware => "offloaded",
        }
    }
}

/// An XDP program that is attached, ours or another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct XdpProgram {
    pub id: u32,
    pub place: XdpPlace,
}

/// One network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    /// In bytes.
    pub mtu: u32,
    /// Somebody has set it up.
    pub is_up: bool,
    /// What it is connected to is there.
    pub has_carrier: bool,
    /// `bond`, `bridge`, `vlan`, `veth`, …; empty for most hardware.
    pub kind: String,
    /// The bond, team or bridge it belongs to.
    pub master: Option<u32>,
    /// What it lies on: of a VLAN the interface that carries it, of a veth the other end.
    pub lower: Option<u32>,
    /// A member of a bond that is kept in reserve: the bond drops what comes in there.
    pub is_in_reserve: bool,
    pub xdp: Vec<XdpProgram>,
}

impl Link {
    /// Reads the payload of `RTM_NEWLINK` or `RTM_DELLINK`. `None` if it is not about an interface:
    /// a bridge tells of its ports by the same messages, under a family of its own.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let (header, attributes) = payload.split_at_checked(HEADER_LEN)?;
        let word = |at: usize| parse_u32(&header[at..at + 4]).ok();
        if i32::from(header[0]) != libc::AF_UNSPEC {
            return None;
        }
        let flags = word(8)?;
        let mut link = Self {
            index: word(4)?,
            is_up: flags & libc::IFF_UP as u32 != 0,
            has_carrier: flags & libc::IFF_LOWER_UP as u32 != 0,
            ..Self::default()
        };
        let mut lies_elsewhere = false;
        for it in each(attributes) {
            match it.kind() {
                libc::IFLA_IFNAME => link.name = parse_string(it.value()).unwrap_or_default(),
                libc::IFLA_MTU => link.mtu = parse_u32(it.value()).unwrap_or_default(),
                libc::IFLA_MASTER => link.master = parse_u32(it.value()).ok(),
                libc::IFLA_LINK => link.lower = parse_u32(it.value()).ok(),
                libc::IFLA_LINK_NETNSID => lies_elsewhere = true,
                libc::IFLA_LINKINFO => link.read_info(it.value()),
                libc::IFLA_XDP => link.read_xdp(it.value()),
                _ => {}
            }
        }
        // An index of another namespace says nothing here.
        if lies_elsewhere {
            link.lower = None;
        }
        (link.index != 0).then_some(link)
    }

    fn read_info(&mut self, info: &[u8]) {
        let mut is_of_bond = false;
        for it in each(info) {
            match it.kind() {
                libc::IFLA_INFO_KIND => self.kind = parse_string(it.value()).unwrap_or_default(),
                libc::IFLA_INFO_SLAVE_KIND => {
                    is_of_bond = parse_string(it.value()).is_ok_and(|kind| kind == "bond");
                }
                // Behind the kind that gives it its meaning.
                libc::IFLA_INFO_SLAVE_DATA if is_of_bond => {
                    self.is_in_reserve = each(it.value()).any(|it| {
                        it.kind() == attribute::BOND_SLAVE_STATE
                            && parse_u8(it.value()).ok() == Some(BOND_STATE_BACKUP)
                    });
                }
                _ => {}
            }
        }
    }

    fn read_xdp(&mut self, xdp: &[u8]) {
        for it in each(xdp) {
            let place = match it.kind() {
                attribute::XDP_DRV_PROG_ID => XdpPlace::Native,
                attribute::XDP_SKB_PROG_ID => XdpPlace::Generic,
                attribute::XDP_HW_PROG_ID => XdpPlace::Hardware,
                _ => continue,
            };
            if let Ok(id) = parse_u32(it.value()) {
                self.xdp.push(XdpProgram { id, place });
            }
        }
        self.xdp.sort_unstable();
    }
}

/// The attributes up to the first that is not one.
fn each(attributes: &[u8]) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(attributes).map_while(Result::ok)
}

#[cfg(test)]
pub mod testing {
    //! Messages as the kernel writes them.

    pub fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let len = 4 + value.len() as u16;
        let mut bytes = [len.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    pub fn nested(kind: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
        attribute(kind | libc::NLA_F_NESTED as u16, &attributes.concat())
    }

    pub fn text(kind: u16, value: &str) -> Vec<u8> {
        attribute(kind, format!("{value}\0").as_bytes())
    }

    pub fn word(kind: u16, value: u32) -> Vec<u8> {
        attribute(kind, &value.to_ne_bytes())
    }

    /// The payload of a message about an interface that is up and connected.
    pub fn payload(family: u8, index: u32, attributes: &[Vec<u8>]) -> Vec<u8> {
        let flags = (libc::IFF_UP | libc::IFF_LOWER_UP) as u32;
        let mut bytes = vec![family, 0, 1, 0];
        for word in [index, flags, 0] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(attributes.concat());
        bytes
    }

    /// `eth1`, in reserve in the bond with index 9.
    pub fn bond_member(index: u32, name: &str, state: u8) -> Vec<u8> {
        let data = nested(
            libc::IFLA_INFO_SLAVE_DATA,
            &[
                attribute(super::attribute::BOND_SLAVE_STATE, &[state]),
                attribute(2, &[0]),
            ],
        );
        let info = [text(libc::IFLA_INFO_SLAVE_KIND, "bond"), data];
        payload(
            0,
            index,
            &[
                text(libc::IFLA_IFNAME, name),
                word(libc::IFLA_MTU, 1500),
                word(libc::IFLA_MASTER, 9),
                nested(libc::IFLA_LINKINFO, &info),
            ],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::testing::*;
    use super::*;

    #[test]
    fn an_interface_with_a_program_of_another() {
        let xdp = [
            attribute(2, &[1]),
            word(4, 77),
            word(super::attribute::XDP_DRV_PROG_ID, 77),
        ];
        let bytes = payload(
            0,
            4,
            &[
                text(libc::IFLA_IFNAME, "eth0"),
                word(libc::IFLA_MTU, 9000),
                nested(libc::IFLA_XDP, &xdp),
                attribute(999, b"what no one knows"),
            ],
        );
        let link = Link::parse(&bytes).unwrap();
        assert_eq!((link.index, &*link.name, link.mtu), (4, "eth0", 9000));
        assert!(link.is_up && link.has_carrier && link.kind.is_empty());
        let native = XdpProgram {
            id: 77,
            place: XdpPlace::Native,
        };
        assert_eq!(link.xdp, [native]);
    }

    #[test]
    fn a_vlan_lies_on_the_interface_that_carries_it() {
        let info = [text(libc::IFLA_INFO_KIND, "vlan")];
        let mut attributes = vec![
            text(libc::IFLA_IFNAME, "eth0.110"),
            word(libc::IFLA_LINK, 4),
            nested(libc::IFLA_LINKINFO, &info),
        ];
        let link = Link::parse(&payload(0, 12, &attributes)).unwrap();
        assert_eq!((&*link.kind, link.lower), ("vlan", Some(4)));
        // The index is one of another namespace.
        attributes.push(word(libc::IFLA_LINK_NETNSID, 0));
        let link = Link::parse(&payload(0, 12, &attributes)).unwrap();
        assert_eq!(link.lower, None);
    }

    #[test]
    fn a_member_of_a_bond_may_be_in_reserve() {
        let reserve = Link::parse(&bond_member(5, "eth1", BOND_STATE_BACKUP)).unwrap();
        assert_eq!((reserve.master, reserve.is_in_reserve), (Some(9), true));
        let active = Link::parse(&bond_member(4, "eth0", 0)).unwrap();
        assert!(!active.is_in_reserve);
    }

    #[test]
    fn what_a_bridge_says_of_its_port_is_not_about_the_interface() {
        let bytes = payload(libc::AF_BRIDGE as u8, 4, &[text(libc::IFLA_IFNAME, "eth0")]);
        assert_eq!(Link::parse(&bytes), None);
    }

    #[test]
    fn what_is_cut_short_does_no_harm() {
        let whole = bond_member(5, "eth1", 1);
        for len in 0..whole.len() {
            let link = Link::parse(&whole[..len]);
            assert_eq!(link.is_some(), len >= HEADER_LEN, "{len} bytes");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 3, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let _ = Link::parse(&bytes);
            }
        }
    }
}
