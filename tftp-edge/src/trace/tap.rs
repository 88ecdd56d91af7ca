//! The packet socket of a trace (packet(7)): what goes through the host's own stack.

use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::net::IpAddr;
use std::os::fd::AsRawFd as _;

use libc::{c_int, c_void, socklen_t};
use socket2::{Domain, Socket, Type};

use super::filter::filter;
use super::packet::{Direction, tagged};

/// Room for what a phone sends between two readings, and then some.
const BUFFER_BYTES: usize = 8 << 20;

/// The longest frame that is kept whole: what segments joined by the host have at most.
const FRAME_MAX: usize = 65_550;

/// Packets of one reading: a flood must not keep a trace from ending.
const READ_MAX: usize = 20_000;

pub struct Tap {
    socket: Socket,
    buffer: Box<[u8]>,
    dropped: u64,
}

/// A packet that the socket has seen.
#[derive(Debug)]
pub struct Seen {
    /// Nanoseconds since the epoch.
    pub time_ns: u64,
    pub ifindex: u32,
    pub direction: Direction,
    pub is_loopback: bool,
    pub frame: Vec<u8>,
    pub len: u32,
}

impl Tap {
    /// Opens it for no address yet. Needs CAP_NET_RAW.
    pub fn open() -> io::Result<Self> {
        // Without a protocol nothing comes in until there is a filter.
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.set_nonblocking(true)?;
        socket.attach_filter(&filter(&[]))?;
        set(&socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &1)?;
        set(&socket, libc::SOL_PACKET, libc::PACKET_AUXDATA, &1)?;
        let bytes = BUFFER_BYTES as c_int;
        // Beyond the system's limit only with CAP_NET_ADMIN; what is dropped is counted.
        if set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &bytes).is_err() {
            socket.set_recv_buffer_size(BUFFER_BYTES)?;
        }
        // SAFETY: all-zero is a valid value of this plain structure.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        // SAFETY: the address is as long as is said.
        let bound = unsafe {
            libc::bind(
                socket.as_raw_fd(),
                (&raw const address).cast(),
                size_of::<libc::sockaddr_ll>() as socklen_t,
            )
        };
        if bound < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            socket,
            buffer: vec![0; FRAME_MAX].into(),
            dropped: 0,
        })
    }

    /// From now on packets from and to these addresses come, and no others.
    pub fn watch(&self, addresses: &[IpAddr]) -> io::Result<()> {
        self.socket.attach_filter(&filter(addresses))
    }

    /// Reads what there is. `false`: there may be more.
    pub fn read(&mut self, mut each: impl FnMut(Seen)) -> io::Result<bool> {
        for _ in 0..READ_MAX {
            match self.receive() {
                Ok(seen) => each(seen),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                // An interface went down: told once, and the others go on.
                Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Packets that found the socket's buffer full, since it was opened.
    pub fn dropped(&mut self) -> u64 {
        let mut stats = MaybeUninit::<libc::tpacket_stats>::zeroed();
        let mut len = size_of::<libc::tpacket_stats>() as socklen_t;
        // SAFETY: the buffer is as long as is said.
        let got = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                stats.as_mut_ptr().cast(),
                &mut len,
            )
        };
        if got == 0 {
            // Reading sets the kernel's count back.
            // SAFETY: plain numbers, zeros before the call.
            self.dropped += u64::from(unsafe { stats.assume_init() }.tp_drops);
        }
        self.dropped
    }

    fn receive(&mut self) -> io::Result<Seen> {
        /// Aligned as the kernel writes control messages.
        #[repr(C, align(8))]
        struct Control([u8; 256]);

        // SAFETY: all-zero is a valid value of these plain structures.
        let (mut from, mut header): (libc::sockaddr_ll, libc::msghdr) = unsafe { zeroed() };
        let mut control = Control([0; 256]);
        let mut part = libc::iovec {
            iov_base: self.buffer.as_mut_ptr().cast(),
            iov_len: self.buffer.len(),
        };
        header.msg_name = (&raw mut from).cast();
        header.msg_namelen = size_of::<libc::sockaddr_ll>() as socklen_t;
        header.msg_iov = &mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = control.0.len();
        // SAFETY: the header refers to the buffers above, with their lengths.
        let len = unsafe {
            let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
            libc::recvmsg(self.socket.as_raw_fd(), &mut header, flags)
        };
        let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
        let (time_ns, tag) = ancillary(&header);
        let frame = tagged(&self.buffer[..len.min(FRAME_MAX)], tag);
        let tag_len = if tag.is_some() { 4 } else { 0 };
        Ok(Seen {
            time_ns,
            ifindex: from.sll_ifindex as u32,
            direction: match from.sll_pkttype {
                libc::PACKET_OUTGOING => Direction::Out,
                _ => Direction::In,
            },
            is_loopback: from.sll_hatype == libc::ARPHRD_LOOPBACK,
            frame,
            len: len as u32 + tag_len,
        })
    }
}

/// When a packet was seen, and the tag that is not in it any more.
fn ancillary(header: &libc::msghdr) -> (u64, Option<[u8; 4]>) {
    let (mut time_ns, mut tag) = (0, None);
    // SAFETY: the kernel has written whole messages into the control buffer and set its length;
    // CMSG_FIRSTHDR and CMSG_NXTHDR stay inside it, and each payload is read unaligned as the type
    // its level and kind stand for.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            let data: *const c_void = libc::CMSG_DATA(message).cast();
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let at: libc::timespec = data.cast::<libc::timespec>().read_unaligned();
                    let seconds = u64::try_from(at.tv_sec).unwrap_or(0);
                    time_ns = seconds * 1_000_000_000 + at.tv_nsec as u64;
                }
                (libc::SOL_PACKET, libc::PACKET_AUXDATA) => {
                    let data = data.cast::<libc::tpacket_auxdata>().read_unaligned();
                    tag = tag_of(&data);
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    (time_ns, tag)
}

fn tag_of(data: &libc::tpacket_auxdata) -> Option<[u8; 4]> {
    if data.tp_status & libc::TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    let kind = match data.tp_status & libc::TP_STATUS_VLAN_TPID_VALID {
        0 => libc::ETH_P_8021Q as u16,
        _ => data.tp_vlan_tpid,
    };
    let ([a, b], [c, d]) = (kind.to_be_bytes(), data.tp_vlan_tci.to_be_bytes());
    Some([a, b, c, d])
}

fn set(socket: &Socket, level: c_int, name: c_int, value: &c_int) -> io::Result<()> {
    // SAFETY: the value is good to read for its length.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            size_of::<c_int>() as socklen_t,
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
