//! Opening UDP sockets: what is set on each, and why.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use crate::service;

/// What a socket of ours needs from the settings.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub dscp: u8,
    /// Of its buffers, in bytes.
    pub buffer: usize,
    /// Whether each datagram tells when it reached the host.
    pub stamps: bool,
}

/// One worker's socket for requests; the kernel spreads clients over the sockets of one address.
///
/// A port that the system is to choose is shared only after it was chosen: among ports that may be
/// shared it would choose one that another server of the same user has.
pub fn listen(address: SocketAddr, options: Options) -> io::Result<Socket> {
    let socket = open(address, options)?;
    if address.port() != 0 {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    socket.set_reuse_port(true)?;
    Ok(socket)
}

/// The sockets of one worker for requests: those that the service manager has opened for the address,
/// or one of its own.
pub fn listeners(address: SocketAddr, options: Options) -> io::Result<Vec<Socket>> {
    let handed_in = service::sockets::udp(address)?;
    if handed_in.is_empty() {
        return Ok(vec![listen(address, options)?]);
    }
    for socket in &handed_in {
        prepare(socket, address, options)?;
    }
    Ok(handed_in)
}

/// Whether an address that cannot be bound may come later: its interface, or IPv6 altogether.
pub fn may_come_later(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EADDRNOTAVAIL | libc::ENODEV | libc::EAFNOSUPPORT)
    )
}

/// A socket that is not bound yet.
pub fn open(address: SocketAddr, options: Options) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM.nonblocking(),
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        // IPv4 has its own sockets, and its own entry in `listen`.
        socket.set_only_v6(true)?;
    }
    prepare(&socket, address, options)?;
    Ok(socket)
}

/// Sets what can be set on a socket that is bound, too.
fn prepare(socket: &Socket, address: SocketAddr, options: Options) -> io::Result<()> {
    let tos = u32::from(options.dscp) << 2;
    match address {
        SocketAddr::V4(_) => {
            setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
            setsockopt(socket, sockopt::Ipv4RecvErr, &true)?;
            socket.set_tos_v4(tos)?;
            // The address may come after us.
            socket.set_freebind_v4(true)?;
            // No DF bit. A block that does not fit the path is then fragmented by a router; with
            // DF it would be lost, and a phone has no other way to a smaller block than to begin
            // again and ask for one.
            int_option(
                socket,
                libc::IPPROTO_IP,
                libc::IP_MTU_DISCOVER,
                libc::IP_PMTUDISC_DONT,
            )?;
        }
        SocketAddr::V6(_) => {
            setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            setsockopt(socket, sockopt::Ipv6RecvErr, &true)?;
            socket.set_tclass_v6(tos)?;
            socket.set_freebind_v6(true)?;
            // Routers never fragment IPv6, so what a Packet Too Big taught the kernel must count:
            // it cuts later blocks at the source.
            int_option(
                socket,
                libc::IPPROTO_IPV6,
                libc::IPV6_MTU_DISCOVER,
                libc::IPV6_PMTUDISC_WANT,
            )?;
        }
    }
    setsockopt(socket, sockopt::RxqOvfl, &1)?;
    if options.stamps {
        setsockopt(socket, sockopt::ReceiveTimestampns, &true)?;
    }
    set_buffers(socket, options.buffer)
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
