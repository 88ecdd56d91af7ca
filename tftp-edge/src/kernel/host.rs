//! What the host says about its interfaces and addresses.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use tftp_ebpf::abi::{Address, address, mapped};

/// An address in the form of the maps.
pub fn map_address(address_of: IpAddr) -> Address {
    match address_of {
        IpAddr::V4(v4) => mapped(v4.octets()),
        IpAddr::V6(v6) => address(&v6.octets()),
    }
}

/// Every address of this host's interfaces.
pub fn local_addresses() -> io::Result<HashSet<IpAddr>> {
    let addresses = getifaddrs().map_err(io::Error::from)?;
    Ok(addresses
        .filter_map(|interface| {
            let storage = interface.address?;
            if let Some(v4) = storage.as_sockaddr_in() {
                Some(IpAddr::V4(v4.ip()))
            } else {
                storage.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip()))
            }
        })
        .collect())
}

/// The name of an interface; `None` if there is none with that index.
pub fn name_of(ifindex: u32) -> Option<String> {
    let name = nix::net::if_::if_indextoname(ifindex).ok()?;
    name.into_string().ok().filter(|name| !name.is_empty())
}

/// Commands of `linux/ethtool.h`.
const ETHTOOL_GFLAGS: u32 = 0x25;

/// Whether an interface takes VLAN tags off what it receives and hands them on beside the frame
/// (`rx-vlan-offload` of `ethtool -k`). `None` if it cannot be asked.
pub fn strips_tags(interface: &str) -> Option<bool> {
    /// `ETH_FLAG_RXVLAN` of `linux/ethtool.h`.
    const RXVLAN: u32 = 1 << 8;

    /// `struct ethtool_value`.
    #[repr(C)]
    struct Flags {
        command: u32,
        data: u32,
    }

    let mut flags = Flags {
        command: ETHTOOL_GFLAGS,
        data: 0,
    };
    let mut request = request(interface)?;
    // As large as `struct ethtool_value`, and it lives past the call.
    request.ifr_ifru.ifru_data = std::ptr::from_mut(&mut flags).cast();
    ioctl(SIOCETHTOOL, &mut request)?;
    Some(flags.data & RXVLAN != 0)
}

/// `SIOCETHTOOL` of `linux/sockios.h`.
const SIOCETHTOOL: libc::Ioctl = 0x8946;

/// What is asked about an interface.
fn request(interface: &str) -> Option<libc::ifreq> {
    // SAFETY: all-zero is a valid value of this plain structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if interface.len() >= request.ifr_name.len() {
        return None;
    }
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    Some(request)
}

/// Asks the network stack of the calling thread.
fn ioctl(what: libc::Ioctl, request: &mut libc::ifreq) -> Option<()> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).ok()?;
    // SAFETY: the request that is made here reads and writes this structure, and what it points to
    // is as large as the request says and lives past the call.
    let result = unsafe {
        libc::ioctl(
            std::os::fd::AsRawFd::as_raw_fd(&socket),
            what,
            std::ptr::from_mut(request),
        )
    };
    (result == 0).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_an_interface_with_an_address() {
        let lo = nix::net::if_::if_nametoindex("lo").unwrap();
        assert_eq!(name_of(lo).as_deref(), Some("lo"));
        assert_eq!(name_of(u32::MAX >> 1), None);
    }

    #[test]
    fn the_loopback_takes_no_tags_off() {
        assert_eq!(strips_tags("lo"), Some(false));
        assert_eq!(strips_tags("no-such-interface"), None);
        assert_eq!(strips_tags("a-name-that-is-longer-than-any"), None);
    }

    #[test]
    fn both_families_have_a_form_for_the_maps() {
        let v4 = map_address("10.1.2.3".parse().unwrap());
        assert_eq!(v4, map_address("::ffff:10.1.2.3".parse().unwrap()));
        assert_ne!(v4, map_address("::10.1.2.3".parse().unwrap()));
    }
}
