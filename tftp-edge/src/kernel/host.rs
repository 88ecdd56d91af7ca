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

/// The index of an interface; `None` while there is none of that name.
pub fn index_of(interface: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(interface).ok()
}

/// The name of an interface; `None` if there is none with that index.
pub fn name_of(ifindex: u32) -> Option<String> {
    let name = nix::net::if_::if_indextoname(ifindex).ok()?;
    name.into_string().ok()
}

/// The MTU of an interface, in bytes. By `netdevice(7)`, not from `/sys`, which may be another
/// network namespace's.
pub fn mtu_of(interface: &str) -> Option<u32> {
    let mut request = request(interface)?;
    ioctl(libc::SIOCGIFMTU, &mut request)?;
    // SAFETY: the call above has filled in this member.
    let mtu = unsafe { request.ifr_ifru.ifru_mtu };
    u32::try_from(mtu).ok()
}

/// The kernel driver of an interface, as ethtool names it.
pub fn driver_of(interface: &str) -> Option<String> {
    /// `SIOCETHTOOL` and `ETHTOOL_GDRVINFO` of `linux/sockios.h` and `linux/ethtool.h`.
    const SIOCETHTOOL: libc::Ioctl = 0x8946;
    const GDRVINFO: u32 = 3;

    #[repr(C)]
    struct DriverInfo {
        command: u32,
        driver: [u8; 32],
        rest: [u8; 160],
    }

    let mut info = DriverInfo {
        command: GDRVINFO,
        driver: [0; 32],
        rest: [0; 160],
    };
    let mut request = request(interface)?;
    // As large as `struct ethtool_drvinfo`, and it lives past the call.
    request.ifr_ifru.ifru_data = std::ptr::from_mut(&mut info).cast();
    ioctl(SIOCETHTOOL, &mut request)?;
    let end = info.driver.iter().position(|&byte| byte == 0)?;
    String::from_utf8(info.driver[..end].to_vec()).ok()
}

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
    // SAFETY: both requests that are made here read and write this structure, and what it points to
    // is as large as they say and lives past the call.
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
        assert!(index_of("lo").is_some());
        assert!(mtu_of("lo").is_some());
        assert!(index_of("no-such-interface").is_none());
    }

    #[test]
    fn both_families_have_a_form_for_the_maps() {
        let v4 = map_address("10.1.2.3".parse().unwrap());
        assert_eq!(v4, map_address("::ffff:10.1.2.3".parse().unwrap()));
        assert_ne!(v4, map_address("::10.1.2.3".parse().unwrap()));
    }
}
