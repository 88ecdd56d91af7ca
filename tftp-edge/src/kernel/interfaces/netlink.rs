//! Follows the host's interfaces over `rtnetlink(7)`: one socket that the kernel tells of changes,
//! and now and then a list of all, should a message have been lost.
//!
//! Both sockets belong to the network namespace of the thread that opens them.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, send,
    setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

use super::link::HEADER_LEN;
use super::table::Links;

/// How often all interfaces are read, messages or not.
const RESYNC: Duration = Duration::from_secs(30);
/// The least time between two such lists: a host that makes interfaces by the thousand overruns any
/// buffer.
const RESYNC_LEAST: Duration = Duration::from_secs(1);
/// Datagrams that are taken in at a time.
const DATAGRAMS: usize = 64;
/// The kernel answers in datagrams no longer than this if it sees that much room.
const DATAGRAM_LEN: usize = 32 << 10;
/// How long the kernel may take to answer; it answers at once.
const ANSWER: TimeVal = TimeVal::new(2, 0);
/// Datagrams of one list.
const LIST_DATAGRAMS: usize = 16_384;

/// Header of a message of netlink.
const MESSAGE_LEN: usize = 16;
/// With the header of the interface, and one attribute of a word.
const REQUEST_LEN: usize = MESSAGE_LEN + HEADER_LEN + 8;

pub struct Monitor {
    events: OwnedFd,
    buffer: Vec<u8>,
    links: Links,
    listed: Instant,
    /// The kernel has lost messages for us.
    is_behind: bool,
}

impl Monitor {
    /// Subscribes to changes, then reads all interfaces there are.
    pub fn open() -> io::Result<Self> {
        let events = open(SockFlag::SOCK_NONBLOCK)?;
        let groups = NetlinkAddr::new(0, libc::RTMGRP_LINK as u32);
        bind(events.as_raw_fd(), &groups)?;
        let mut buffer = vec![0; DATAGRAM_LEN];
        let links = request(None, &mut buffer)?;
        Ok(Self {
            events,
            buffer,
            links,
            listed: Instant::now(),
            is_behind: false,
        })
    }

    pub fn links(&self) -> &Links {
        &self.links
    }

    pub fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }

    /// Asks for one interface alone. What cannot be had is left to the next list.
    pub fn refresh(&mut self, index: u32) {
        match request(Some(index), &mut self.buffer) {
            Ok(fresh) => self.links.update(fresh),
            Err(error) => {
                tracing::debug!(%error, "an interface could not be read");
            }
        }
    }

    /// Takes in what the kernel has told since; returns whether anything is not as it was.
    pub fn poll(&mut self, now: Instant) -> bool {
        let mut changed = false;
        for _ in 0..DATAGRAMS {
            match receive(&self.events, &mut self.buffer) {
                Ok(datagram) => {
                    let heard = self.links.hear(datagram);
                    changed |= heard.changed;
                    self.is_behind |= heard.failed;
                }
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                // ENOBUFS: what did not fit was dropped. Whatever it is, a list puts it right.
                Err(_) => {
                    self.is_behind = true;
                    break;
                }
            }
        }
        let least = match self.is_behind {
            true => RESYNC_LEAST,
            false => RESYNC,
        };
        if now.saturating_duration_since(self.listed) >= least {
            self.listed = now;
            match request(None, &mut self.buffer) {
                Ok(fresh) => {
                    changed |= self.links.replace(fresh);
                    self.is_behind = false;
                }
                Err(error) => {
                    self.is_behind = true;
                    tracing::debug!(%error, "the interfaces could not be listed; tried again in a second");
                }
            }
        }
        changed
    }
}

fn open(flags: SockFlag) -> nix::Result<OwnedFd> {
    socket(
        AddressFamily::Netlink,
        SockType::Raw,
        flags | SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )
}

/// One datagram of the kernel's. What others send, and what is cut short, is an error.
fn receive<'buffer>(socket: &OwnedFd, buffer: &'buffer mut [u8]) -> Result<&'buffer [u8], Errno> {
    let (len, from) = recvfrom::<NetlinkAddr>(socket.as_raw_fd(), buffer)?;
    let is_of_kernel = from.is_some_and(|from| from.pid() == 0);
    match is_of_kernel && len < buffer.len() {
        true => Ok(&buffer[..len]),
        false => Err(Errno::EBADMSG),
    }
}

/// Reads one interface or all, on a socket of its own so that no event stands between.
fn request(index: Option<u32>, buffer: &mut [u8]) -> io::Result<Links> {
    let socket = open(SockFlag::empty())?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &ANSWER)?;
    send(socket.as_raw_fd(), &request_for(index), MsgFlags::empty())?;
    let mut links = Links::default();
    for _ in 0..LIST_DATAGRAMS {
        let heard = links.hear(receive(&socket, buffer)?);
        if heard.failed {
            break;
        }
        if heard.is_done || index.is_some() {
            return Ok(links);
        }
    }
    Err(io::Error::other("the kernel did not tell all it was asked"))
}

/// `RTM_GETLINK`, without the statistics that most of the answer would be.
fn request_for(index: Option<u32>) -> [u8; REQUEST_LEN] {
    let mut request = [0; REQUEST_LEN];
    let mut message = NetlinkBuffer::new(&mut request[..]);
    message.set_length(REQUEST_LEN as u32);
    message.set_message_type(libc::RTM_GETLINK);
    message.set_flags(match index {
        Some(_) => NLM_F_REQUEST,
        None => NLM_F_REQUEST | NLM_F_DUMP,
    });
    let payload = &mut request[MESSAGE_LEN..];
    payload[4..8].copy_from_slice(&index.unwrap_or(0).to_ne_bytes());
    let attribute = &mut payload[HEADER_LEN..];
    attribute[..2].copy_from_slice(&8_u16.to_ne_bytes());
    attribute[2..4].copy_from_slice(&libc::IFLA_EXT_MASK.to_ne_bytes());
    attribute[4..].copy_from_slice(&(libc::RTEXT_FILTER_SKIP_STATS as u32).to_ne_bytes());
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_among_the_interfaces() {
        let mut monitor = Monitor::open().unwrap();
        let lo = monitor.links().named("lo").unwrap().clone();
        assert_eq!(Some(lo.index), nix::net::if_::if_nametoindex("lo").ok());
        assert!(lo.mtu > 0);
        monitor.refresh(lo.index);
        monitor.refresh(u32::MAX >> 1);
        // A list made again brings nothing new.
        monitor.is_behind = true;
        monitor.poll(Instant::now() + RESYNC_LEAST);
        assert!(!monitor.is_behind);
        assert_eq!(
            monitor.links().named("lo").map(|link| link.index),
            Some(lo.index)
        );
    }
}
