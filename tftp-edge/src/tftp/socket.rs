//! Opening the sockets: what is set on each, and why.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use nix::sys::socket::{setsockopt, sockopt};
use rand::RngExt;
use socket2::{Domain, Protocol, Socket, Type};

use super::server::StartError;
use super::settings::Settings;

use crate::port_owner;
use crate::port_range::PortRange;

/// What a socket of ours needs from the settings.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    dscp: u8,
    buffer: usize,
}

impl From<&Settings> for Options {
    fn from(settings: &Settings) -> Self {
        Self {
            dscp: settings.dscp,
            buffer: settings.socket_buffer,
        }
    }
}

/// One worker's socket for requests; the kernel spreads clients over the sockets of one address.
pub fn listen(address: SocketAddr, options: Options) -> io::Result<Socket> {
    let socket = open(address, options)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Whether nobody holds the port yet. `SO_REUSEPORT` would let a second daemon of the same user
/// take half of the requests without a word.
pub fn check_free(address: SocketAddr, options: Options) -> Result<(), StartError> {
    if address.port() == 0 {
        return Ok(());
    }
    let attempt = open(address, options).and_then(|socket| socket.bind(&address.into()));
    match attempt {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(StartError::Taken {
            address,
            owner: port_owner::of_udp_port(address.port()),
        }),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(StartError::Permission { address })
        }
        _ => Ok(()),
    }
}

/// Whether an address that cannot be bound may come later: its interface, or IPv6 altogether.
pub fn may_come_later(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EADDRNOTAVAIL | libc::ENODEV | libc::EAFNOSUPPORT)
    )
}

/// A socket for transfers: at the address of `home`, on a random port of the range.
pub fn transfer(home: SocketAddr, range: PortRange, options: Options) -> io::Result<Socket> {
    let mut rng = rand::rng();
    // A range with a free port in fifty is as good as used up.
    let mut attempts = 200;
    loop {
        let mut address = home;
        address.set_port(rng.random_range(range.ports()));
        let socket = open(address, options)?;
        match socket.bind(&address.into()) {
            Ok(()) => return Ok(socket),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {
                attempts -= 1;
            }
            Err(error) => return Err(error),
        }
    }
}

fn open(address: SocketAddr, options: Options) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM.nonblocking(),
        Some(Protocol::UDP),
    )?;
    let tos = u32::from(options.dscp) << 2;
    match address {
        SocketAddr::V4(_) => {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
            setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
            socket.set_tos_v4(tos)?;
            // The address may come after us.
            socket.set_freebind_v4(true)?;
            // No DF bit. A block that does not fit the path is then fragmented by a router; with
            // DF it would be lost, and a phone has no other way to a smaller block than to begin
            // again and ask for one.
            int_option(
                &socket,
                libc::IPPROTO_IP,
                libc::IP_MTU_DISCOVER,
                libc::IP_PMTUDISC_DONT,
            )?;
        }
        SocketAddr::V6(_) => {
            // IPv4 has its own sockets, and its own entry in `listen`.
            socket.set_only_v6(true)?;
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
            socket.set_tclass_v6(tos)?;
            socket.set_freebind_v6(true)?;
            // Routers never fragment IPv6, so what a Packet Too Big taught the kernel must count:
            // it cuts later blocks at the source.
            int_option(
                &socket,
                libc::IPPROTO_IPV6,
                libc::IPV6_MTU_DISCOVER,
                libc::IPV6_PMTUDISC_WANT,
            )?;
        }
    }
    setsockopt(&socket, sockopt::RxqOvfl, &1)?;
    set_buffers(&socket, options.buffer)?;
    Ok(socket)
}

/// Past the system's limit if we may, up to it if we may not.
fn set_buffers(socket: &Socket, bytes: usize) -> io::Result<()> {
    if setsockopt(socket, sockopt::RcvBufForce, &bytes).is_err() {
        socket.set_recv_buffer_size(bytes)?;
    }
    if setsockopt(socket, sockopt::SndBufForce, &bytes).is_err() {
        socket.set_send_buffer_size(bytes)?;
    }
    Ok(())
}

fn int_option(socket: &Socket, level: i32, option: i32, value: i32) -> io::Result<()> {
    // SAFETY: the pointer is to a value of the length given, which the call only reads.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(&value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
