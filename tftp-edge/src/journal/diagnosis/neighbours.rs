//! The hosts that this one has an Ethernet address of: phones that are on the same network, whether
//! they ever asked for a file or not.

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use crate::inventory::Mac;

/// IPv4 neighbours as Linux prints them.
const TABLE: &str = "/proc/net/arp";

/// `ATF_COM`, if_arp.h: the address was answered for.
const COMPLETE: u32 = 0x2;

/// Neighbours are read no further.
const MOST: usize = 65_536;

#[derive(Clone, Debug, Default)]
pub struct Neighbours(HashMap<Mac, IpAddr>);

impl Neighbours {
    /// None at all where the table cannot be read.
    pub fn read() -> Self {
        Self::parse(&fs::read_to_string(TABLE).unwrap_or_default())
    }

    fn parse(table: &str) -> Self {
        let entry = |line: &str| {
            let mut columns = line.split_ascii_whitespace();
            let address: Ipv4Addr = columns.next()?.parse().ok()?;
            let flags = columns.nth(1)?.strip_prefix("0x")?;
            let flags = u32::from_str_radix(flags, 16).ok()?;
            let mac: Mac = columns.next()?.replace(':', "").parse().ok()?;
            (flags & COMPLETE != 0).then_some((mac, address.into()))
        };
        // The first line names the columns.
        Self(table.lines().skip(1).filter_map(entry).take(MOST).collect())
    }

    pub fn address(&self, mac: Mac) -> Option<IpAddr> {
        self.0.get(&mac).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_that_answered_are_found_by_their_ethernet_address() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
                     10.0.0.7         0x1         0x2         00:11:22:aa:bb:cc     *        eth0\n\
                     10.0.0.8         0x1         0x0         00:11:22:aa:bb:cd     *        eth0\n\
                     nonsense\n";
        let neighbours = Neighbours::parse(table);
        let of = |mac: &str| neighbours.address(mac.parse().unwrap());
        assert_eq!(of("001122AABBCC"), Some([10, 0, 0, 7].into()));
        assert_eq!(of("001122AABBCD"), None, "nobody answered for it");
    }
}
