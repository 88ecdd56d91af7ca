//! Batches of datagrams: `recvmmsg` and `sendmmsg`, with the address of ours each one was sent to
//! or shall leave from (`IP_PKTINFO`, `IPV6_PKTINFO`), and the error queue.
//!
//! On libc, because each answer of a batch leaves from an address of its own, which the safe
//! wrappers cannot say.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::time::Duration;

use libc::{c_int, c_uint, c_void, iovec, mmsghdr, msghdr, sockaddr_storage};

use super::outbox::{Client, Local, Queued};

/// Datagrams of one system call.
pub const BATCH: usize = 64;

/// Room for the control messages of one datagram, aligned as the kernel writes them.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 256]);

impl Control {
    const EMPTY: Self = Self([0; 256]);
}

/// One datagram that came in.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'packet, const LEN: usize> {
    pub from: Client,
    pub to: Local,
    /// It was sent to a broadcast or multicast address.
    pub broadcast: bool,
    pub packet: &'packet [u8; LEN],
    /// Its true length, which may be more than the buffer has.
    pub len: usize,
    /// When it reached the host, since the epoch, if the socket was asked to tell.
    pub stamp: Option<Duration>,
}

/// What the control messages of a datagram said.
#[derive(Default)]
struct Ancillary {
    to: Option<Local>,
    broadcast: bool,
    /// Datagrams the socket has dropped since it was opened, because its buffer was full.
    overflows: Option<u32>,
    stamp: Option<Duration>,
    /// `ee_errno` of an ICMP error.
    icmp_errno: Option<u32>,
}

/// Buffers for receiving datagrams of up to `LEN` bytes; used again for every batch.
pub struct Receiver<const LEN: usize> {
    packets: Box<[[u8; LEN]]>,
    names: Box<[sockaddr_storage]>,
    controls: Box<[Control]>,
    iovecs: Box<[iovec]>,
    headers: Box<[mmsghdr]>,
    /// Headers from the first that the kernel has changed, or that were never set.
    used: usize,
}

impl<const LEN: usize> Default for Receiver<LEN> {
    fn default() -> Self {
        // SAFETY: all three are plain C structures, for which all zeros is a valid value.
        let (name, iovec, header) = unsafe { (zeroed(), zeroed(), zeroed()) };
        Self {
            packets: vec![[0; LEN]; BATCH].into(),
            names: vec![name; BATCH].into(),
            controls: vec![Control::EMPTY; BATCH].into(),
            iovecs: vec![iovec; BATCH].into(),
            headers: vec![header; BATCH].into(),
            used: BATCH,
        }
    }
}

impl<const LEN: usize> Receiver<LEN> {
    /// Takes what is there, up to [`BATCH`] datagrams, without waiting; returns how many.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.point();
        // SAFETY: since `point` every header refers to buffers of this structure, with their true
        // lengths; they are on the heap, are never reallocated, and nothing else uses them now.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH as c_uint,
                libc::MSG_DONTWAIT | libc::MSG_TRUNC,
                ptr::null_mut(),
            )
        };
        // Nothing received: the kernel may still have begun with the first.
        self.used = usize::try_from(received).unwrap_or(0).max(1);
        usize::try_from(received).map_err(|_| io::Error::last_os_error())
    }

    /// Shows the datagrams received last. Returns the socket's count of dropped datagrams, if one
    /// of them told it.
    pub fn each(&self, received: usize, mut show: impl FnMut(&Datagram<'_, LEN>)) -> Option<u32> {
        let mut overflows = None;
        for at in 0..received {
            let header = &self.headers[at];
            let ancillary = ancillary(&header.msg_hdr);
            overflows = ancillary.overflows.or(overflows);
            let (Some(from), Some(to)) = (address(&self.names[at]), ancillary.to) else {
                continue;
            };
            show(&Datagram {
                from: from.into(),
                to,
                broadcast: ancillary.broadcast,
                packet: &self.packets[at],
                len: header.msg_len as usize,
                stamp: ancillary.stamp,
            });
        }
        overflows
    }

    /// Takes one entry from the error queue: the client that could not be reached, and the error.
    pub fn receive_error(&mut self, socket: BorrowedFd<'_>) -> Option<(Client, c_int)> {
        self.point();
        self.used = 1;
        let header = &mut self.headers[0].msg_hdr;
        let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
        // SAFETY: as in `receive`, for the first header alone.
        if unsafe { libc::recvmsg(socket.as_raw_fd(), header, flags) } < 0 {
            return None;
        }
        let errno = ancillary(header).icmp_errno.unwrap_or(0);
        let client = address(&self.names[0])?.into();
        Some((client, errno as c_int))
    }

    /// Makes the headers refer to their buffers, whose lengths the kernel has shortened in those
    /// it used. The buffers stay where they are, so the others still do.
    fn point(&mut self) {
        for at in 0..self.used {
            self.iovecs[at] = iovec {
                iov_base: self.packets[at].as_mut_ptr().cast(),
                iov_len: LEN,
            };
            let header = &mut self.headers[at].msg_hdr;
            header.msg_name = ptr::from_mut(&mut self.names[at]).cast();
            header.msg_namelen = size_of::<sockaddr_storage>() as u32;
            header.msg_iov = &mut self.iovecs[at];
            header.msg_iovlen = 1;
            header.msg_control = self.controls[at].0.as_mut_ptr().cast();
            header.msg_controllen = size_of::<Control>() as _;
            header.msg_flags = 0;
        }
    }
}

/// Buffers for sending; used again for every batch.
pub struct Sender {
    names: Box<[sockaddr_storage]>,
    controls: Box<[Control]>,
    iovecs: Box<[iovec]>,
    headers: Box<[mmsghdr]>,
}

impl Default for Sender {
    fn default() -> Self {
        // SAFETY: all three are plain C structures, for which all zeros is a valid value.
        let (name, iovec, header) = unsafe { (zeroed(), zeroed(), zeroed()) };
        Self {
            names: vec![name; BATCH].into(),
            controls: vec![Control::EMPTY; BATCH].into(),
            iovecs: vec![iovec; BATCH].into(),
            headers: vec![header; BATCH].into(),
        }
    }
}

impl Sender {
    /// Sends the datagrams, whose bytes are in `arena`; returns how many could not be sent. The
    /// resend timers of their protocol make good for those.
    pub fn send(&mut self, socket: BorrowedFd<'_>, queue: &[Queued], arena: &[u8]) -> usize {
        let mut failed = 0;
        for batch in queue.chunks(BATCH) {
            for (at, queued) in batch.iter().enumerate() {
                self.fill(at, queued, arena);
            }
            failed += self.send_filled(socket, batch.len());
        }
        failed
    }

    fn send_filled(&mut self, socket: BorrowedFd<'_>, count: usize) -> usize {
        let (mut at, mut failed, mut retried) = (0, 0, false);
        while at < count {
            // SAFETY: `fill` has made the headers up to `count` refer to buffers of this structure
            // and of the arena, which stay in place for the call; sending only reads them.
            let sent = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    self.headers[at..].as_mut_ptr(),
                    (count - at) as c_uint,
                    libc::MSG_DONTWAIT,
                )
            };
            if let Ok(sent @ 1..) = usize::try_from(sent) {
                at += sent;
                retried = false;
                continue;
            }
            match io::Error::last_os_error().kind() {
                io::ErrorKind::Interrupted => {}
                // The buffer is full, and waiting would hold up every other transfer.
                io::ErrorKind::WouldBlock => return failed + count - at,
                // It may be the ICMP error of an earlier datagram, told once.
                _ if !retried => retried = true,
                _ => {
                    failed += 1;
                    at += 1;
                    retried = false;
                }
            }
        }
        failed
    }

    fn fill(&mut self, at: usize, queued: &Queued, arena: &[u8]) {
        let name_len = write_address(queued.to.into(), &mut self.names[at]);
        let bytes = &arena[queued.range.clone()];
        self.iovecs[at] = iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        let interface = if queued.to.is_link_local() {
            queued.from.interface
        } else {
            // The routing table knows better than the way the request came.
            0
        };
        let header = &mut self.headers[at].msg_hdr;
        header.msg_name = ptr::from_mut(&mut self.names[at]).cast();
        header.msg_namelen = name_len;
        header.msg_iov = &mut self.iovecs[at];
        header.msg_iovlen = 1;
        header.msg_control = self.controls[at].0.as_mut_ptr().cast();
        header.msg_controllen = size_of::<Control>() as _;
        header.msg_flags = 0;
        match queued.from.ip {
            IpAddr::V4(ip) => {
                let info = libc::in_pktinfo {
                    ipi_ifindex: interface as c_int,
                    ipi_spec_dst: libc::in_addr {
                        s_addr: ip.to_bits().to_be(),
                    },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                put_control(header, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            IpAddr::V6(ip) => {
                let info = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr {
                        s6_addr: ip.octets(),
                    },
                    ipi6_ifindex: interface as _,
                };
                put_control(header, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            }
        }
    }
}

/// Writes the one control message of a header and sets the length to it.
fn put_control<T>(header: &mut msghdr, level: c_int, kind: c_int, value: T) {
    // SAFETY: the header's control buffer is a `Control`: aligned, and with room for one message
    // of any type used here; CMSG_FIRSTHDR and CMSG_DATA point into it.
    unsafe {
        let message = libc::CMSG_FIRSTHDR(header);
        (*message).cmsg_level = level;
        (*message).cmsg_type = kind;
        (*message).cmsg_len = libc::CMSG_LEN(size_of::<T>() as c_uint) as _;
        ptr::write_unaligned(libc::CMSG_DATA(message).cast::<T>(), value);
        header.msg_controllen = libc::CMSG_SPACE(size_of::<T>() as c_uint) as _;
    }
}

/// Reads the control messages the kernel wrote.
fn ancillary(header: &msghdr) -> Ancillary {
    let mut ancillary = Ancillary::default();
    // SAFETY: the kernel has written whole messages into the control buffer and set its length;
    // CMSG_FIRSTHDR and CMSG_NXTHDR stay inside it, and each payload is read unaligned as the type
    // its level and kind stand for.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            let data: *const c_void = libc::CMSG_DATA(message).cast();
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info: libc::in_pktinfo = ptr::read_unaligned(data.cast());
                    let asked = Ipv4Addr::from_bits(u32::from_be(info.ipi_addr.s_addr));
                    let ours = Ipv4Addr::from_bits(u32::from_be(info.ipi_spec_dst.s_addr));
                    // It waited in a socket that was handed in, since before the option was set: the
                    // kernel has not looked up then which address of ours it is.
                    let ours = match ours.is_unspecified() && !asked.is_broadcast() {
                        true => asked,
                        false => ours,
                    };
                    ancillary.to = Some(Local {
                        ip: ours.into(),
                        interface: info.ipi_ifindex as u32,
                    });
                    // For unicast alone the address in the header is the one to answer from.
                    ancillary.broadcast = asked != ours || asked.is_multicast();
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info: libc::in6_pktinfo = ptr::read_unaligned(data.cast());
                    let asked = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                    ancillary.to = Some(Local {
                        ip: asked.into(),
                        interface: info.ipi6_ifindex as _,
                    });
                    ancillary.broadcast = asked.is_multicast();
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    ancillary.overflows = Some(ptr::read_unaligned(data.cast()));
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let at: libc::timespec = ptr::read_unaligned(data.cast());
                    let seconds = u64::try_from(at.tv_sec).unwrap_or(0);
                    ancillary.stamp = Some(Duration::new(seconds, at.tv_nsec as u32));
                }
                (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
                    let error: libc::sock_extended_err = ptr::read_unaligned(data.cast());
                    let icmp = matches!(
                        error.ee_origin,
                        libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6
                    );
                    ancillary.icmp_errno = icmp.then_some(error.ee_errno);
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    ancillary
}

fn address(storage: &sockaddr_storage) -> Option<SocketAddr> {
    match c_int::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says which structure it is; a sockaddr_storage has room and
            // alignment for each.
            let v4 = unsafe { &*ptr::from_ref(storage).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from_bits(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { &*ptr::from_ref(storage).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            let port = u16::from_be(v6.sin6_port);
            Some(SocketAddrV6::new(ip, port, 0, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// Returns the address's length.
fn write_address(address: SocketAddr, storage: &mut sockaddr_storage) -> libc::socklen_t {
    let address = socket2::SockAddr::from(address);
    // SAFETY: `len` bytes at `as_ptr` are the address, and no address is longer than a
    // sockaddr_storage.
    unsafe {
        ptr::copy_nonoverlapping(
            address.as_ptr().cast::<u8>(),
            ptr::from_mut(storage).cast::<u8>(),
            address.len() as usize,
        );
    }
    address.len()
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd as _;

    use nix::sys::socket::{setsockopt, sockopt};

    use super::*;

    #[test]
    fn what_waited_since_before_the_options_were_set_is_told_with_the_address_it_asked() {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = (Ipv4Addr::LOCALHOST, socket.local_addr().unwrap().port());
        client.send_to(b"before", to).unwrap();
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true).unwrap();
        client.send_to(b"after", to).unwrap();
        let mut receiver = Receiver::<512>::default();
        let mut told = Vec::new();
        while told.len() < 2 {
            let received = receiver.receive(socket.as_fd()).unwrap();
            receiver.each(received, |it| told.push((it.to.ip, it.broadcast, it.len)));
        }
        let own = std::net::IpAddr::from(Ipv4Addr::LOCALHOST);
        assert_eq!(told, [(own, false, 6), (own, false, 5)]);
    }
}
