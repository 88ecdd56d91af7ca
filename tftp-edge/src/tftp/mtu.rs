//! How large a packet to a client may be, from the kernel's routes.

use std::mem::{size_of, zeroed};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::ptr;

use libc::{c_int, sockaddr, socklen_t};
use socket2::{Domain, Socket, Type};

use super::engine::PathMtu;
use crate::udp::Client;

/// Asks the kernel by connecting a socket that never sends anything: that follows policy routes,
/// route MTUs and what was learned of the path, which the interface's MTU alone would not.
#[derive(Default)]
pub struct RouteMtu {
    v4: Option<Socket>,
    v6: Option<Socket>,
}

impl PathMtu for RouteMtu {
    fn path_mtu(&mut self, client: Client) -> Option<u32> {
        let address = SocketAddr::from(client);
        let (slot, level, option) = match address {
            SocketAddr::V4(_) => (&mut self.v4, libc::IPPROTO_IP, libc::IP_MTU),
            SocketAddr::V6(_) => (&mut self.v6, libc::IPPROTO_IPV6, libc::IPV6_MTU),
        };
        if slot.is_none() {
            *slot = Socket::new(Domain::for_address(address), Type::DGRAM, None).ok();
        }
        let socket = slot.as_ref()?;
        socket.connect(&address.into()).ok()?;
        let mtu = int_option(socket, level, option);
        disconnect(socket);
        mtu.and_then(|mtu| u32::try_from(mtu).ok())
    }
}

fn int_option(socket: &Socket, level: c_int, option: c_int) -> Option<c_int> {
    let (mut value, mut len): (c_int, _) = (0, size_of::<c_int>() as socklen_t);
    // SAFETY: the pointers are to a value of the length given, which outlives the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            option,
            ptr::from_mut(&mut value).cast(),
            &mut len,
        )
    };
    (result == 0).then_some(value)
}

/// Without this the next route would be looked up from this one's source address.
fn disconnect(socket: &Socket) {
    // SAFETY: a sockaddr of zeros is valid, and means "no address" (AF_UNSPEC); the call reads it
    // only. It cannot fail on a UDP socket, and a wrong MTU would only cost a fragment.
    unsafe {
        let unspecified: sockaddr = zeroed();
        libc::connect(
            socket.as_raw_fd(),
            &unspecified,
            size_of::<sockaddr>() as socklen_t,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mtu_of_loopback_is_found_again_and_again() {
        let mut route = RouteMtu::default();
        for address in ["127.0.0.1:9", "[::1]:9", "127.0.0.2:9"] {
            let client = address.parse::<SocketAddr>().unwrap().into();
            let mtu = route.path_mtu(client);
            assert!(mtu.is_some_and(|mtu| mtu >= 1280), "{address}: {mtu:?}");
        }
    }
}
