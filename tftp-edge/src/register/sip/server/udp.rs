//! SIP over UDP: one thread, its sockets, its batches.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use socket2::Socket;

use super::counters::Bad;
use super::hub::Hub;
use super::ports::{may_leave, put};
use crate::clock::WallClock;
use crate::register::Transport;
use crate::register::sip::{Incoming, Outgoing, Settings};
use crate::service::Beat;
use crate::service::pulse::LONGEST_WAIT;
use crate::udp::socket::{self, Options};
use crate::udp::{BATCH, Datagram, Outbox, Receiver, Sender, SocketId};

/// The longest datagram taken. A phone's longest, a REGISTER with all it can do, has three
/// kilobytes.
const DATAGRAM_MAX: usize = 16 << 10;

/// How often an address that could not be bound is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// `EpollEvent` data of the event descriptor; sockets have their index.
const STOP: u64 = u64::MAX;

struct Open {
    address: SocketAddr,
    socket: Socket,
    /// Last count of dropped datagrams the kernel told.
    overflows: u32,
}

/// The sockets of one worker, opened before its thread starts so that errors reach the caller.
#[derive(Default)]
pub(super) struct Sockets {
    open: Vec<Open>,
    /// Addresses that do not exist yet.
    pending: Vec<SocketAddr>,
}

pub(super) fn options(settings: &Settings) -> Options {
    Options {
        dscp: settings.dscp,
        buffer: settings.udp.socket_buffer,
        stamps: true,
    }
}

impl Sockets {
    pub(super) fn open(listen: &[SocketAddr], hub: &Hub) -> Result<Self, (SocketAddr, io::Error)> {
        let mut sockets = Self::default();
        for &address in listen {
            match socket::listeners(address, options(&hub.settings.get())) {
                Ok(listeners) => {
                    let mut listeners = listeners.into_iter();
                    let added = listeners.try_for_each(|socket| sockets.add(socket, hub));
                    added.map_err(|error| (address, error))?;
                }
                Err(error) if socket::may_come_later(&error) => sockets.pending.push(address),
                Err(error) => return Err((address, error)),
            }
        }
        Ok(sockets)
    }

    fn add(&mut self, socket: Socket, hub: &Hub) -> io::Result<()> {
        let address = socket.local_addr()?.as_socket();
        let address = address.ok_or_else(|| io::Error::other("a socket without an address"))?;
        hub.ports.add(address, socket.try_clone()?);
        self.open.push(Open {
            address,
            socket,
            overflows: 0,
        });
        Ok(())
    }

    pub(super) fn listening(&self) -> impl Iterator<Item = SocketAddr> {
        self.open.iter().map(|open| open.address)
    }

    pub(super) fn pending(&self) -> &[SocketAddr] {
        &self.pending
    }
}

/// How a worker is told to end.
#[derive(Debug)]
pub(super) struct Stop {
    flag: AtomicBool,
    event: EventFd,
}

impl Stop {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            flag: AtomicBool::new(false),
            event: EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?,
        })
    }

    pub(super) fn stop(&self) {
        self.flag.store(true, Ordering::Relaxed);
        // A full counter wakes just as well.
        let _ = self.event.write(1);
    }
}

/// One worker: everything its thread owns.
pub(super) struct Worker {
    hub: Arc<Hub>,
    stop: Arc<Stop>,
    sockets: Sockets,
    epoll: Epoll,
    receiver: Receiver<DATAGRAM_MAX>,
    sender: Sender,
    outbox: Outbox,
    /// What the core says to one message.
    out: Vec<Outgoing>,
    retry_at: Instant,
}

impl Worker {
    pub(super) fn new(hub: Arc<Hub>, stop: Arc<Stop>, sockets: Sockets) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&stop.event, EpollEvent::new(EpollFlags::EPOLLIN, STOP))?;
        for (at, open) in sockets.open.iter().enumerate() {
            watch(&epoll, &open.socket, at)?;
        }
        Ok(Self {
            hub,
            stop,
            sockets,
            epoll,
            receiver: Receiver::default(),
            sender: Sender::default(),
            outbox: Outbox::default(),
            out: Vec::new(),
            retry_at: Instant::now() + RETRY,
        })
    }

    /// Runs until [`Stop::stop`].
    pub(super) fn run(mut self, beat: &Beat) {
        let mut events = [EpollEvent::empty(); BATCH];
        while !self.stop.flag.load(Ordering::Relaxed) {
            beat.pass();
            let count = match self.epoll.wait(&mut events, self.wait_for()) {
                Ok(count) => count,
                Err(nix::Error::EINTR) => continue,
                Err(error) => {
                    tracing::error!(event = "sip.worker_ended", %error, "a SIP worker cannot wait for packets and ends");
                    return;
                }
            };
            for event in &events[..count] {
                if event.data() != STOP {
                    self.turn(event.data() as usize, event.events());
                }
            }
            if !self.sockets.pending.is_empty() && Instant::now() >= self.retry_at {
                self.retry_pending();
            }
        }
    }

    fn turn(&mut self, at: usize, flags: EpollFlags) {
        if flags.contains(EpollFlags::EPOLLERR) {
            // Of an answer that did not arrive. Its phone asks again, or its registration expires.
            let socket = self.sockets.open[at].socket.as_fd();
            for _ in 0..BATCH {
                if self.receiver.receive_error(socket).is_none() {
                    break;
                }
            }
        }
        if flags.contains(EpollFlags::EPOLLIN) {
            self.read(at);
        }
    }

    /// One batch of one socket. More of it is left for the next turn.
    fn read(&mut self, at: usize) {
        let open = &self.sockets.open;
        // An error here is an ICMP error of an earlier datagram.
        let Ok(received) = self.receiver.receive(open[at].socket.as_fd()) else {
            return;
        };
        let clock = WallClock::now();
        let (hub, outbox, sender) = (&*self.hub, &mut self.outbox, &mut self.sender);
        let out = &mut self.out;
        let overflows = self.receiver.each(received, |datagram| {
            let local = (datagram.to.ip, open[at].address.port()).into();
            let arrived = datagram.stamp.map(|stamp| clock.instant(stamp));
            let incoming = Incoming {
                bytes: &datagram.packet[..datagram.len.min(DATAGRAM_MAX)],
                transport: Transport::Udp,
                source: datagram.from.into(),
                local,
                connection: None,
                arrived: arrived.unwrap_or(clock.read_at()),
            };
            let now = Instant::now();
            if let Some(bad) = refused(hub, datagram, now) {
                hub.counters.bad(Transport::Udp, bad);
            } else if is_keepalive(incoming.bytes) {
                hub.counters.keepalives.fetch_add(1, Ordering::Relaxed);
            } else {
                hub.receive(&incoming, now, out, |outgoing| {
                    match way(open, at, outgoing) {
                        Some(socket) => put(outbox, socket, &outgoing.to, &outgoing.bytes),
                        // Its failure is counted; an answer is asked for again.
                        None => drop(hub.send(outgoing)),
                    }
                });
            }
            if outbox.is_full() {
                flush(outbox, sender, open, hub);
            }
        });
        flush(outbox, sender, open, hub);
        if let Some(overflows) = overflows {
            let open = &mut self.sockets.open[at];
            let more = overflows.wrapping_sub(open.overflows);
            open.overflows = overflows;
            let cell = &self.hub.counters.receive_overflows;
            cell.fetch_add(u64::from(more), Ordering::Relaxed);
        }
    }

    fn wait_for(&self) -> EpollTimeout {
        let wait = match self.sockets.pending.is_empty() {
            true => LONGEST_WAIT,
            false => self.retry_at.saturating_duration_since(Instant::now()),
        };
        let ms = wait.as_micros().div_ceil(1000);
        EpollTimeout::try_from(ms).unwrap_or(EpollTimeout::MAX)
    }

    fn retry_pending(&mut self) {
        self.retry_at = Instant::now() + RETRY;
        for address in std::mem::take(&mut self.sockets.pending) {
            let opened = socket::listen(address, options(&self.hub.settings.get()));
            let added = opened.and_then(|socket| {
                watch(&self.epoll, &socket, self.sockets.open.len())?;
                self.sockets.add(socket, &self.hub)
            });
            match added {
                Ok(()) => {
                    tracing::info!(event = "listen.address_up", %address, "the address is there now")
                }
                Err(_) => self.sockets.pending.push(address),
            }
        }
    }
}

/// Why a datagram is not looked into.
fn refused(hub: &Hub, datagram: &Datagram<'_, DATAGRAM_MAX>, now: Instant) -> Option<Bad> {
    if let Some(bad) = hub.shut_out(datagram.from.ip, now) {
        Some(bad)
    } else if datagram.broadcast {
        Some(Bad::Broadcast)
    } else if datagram.len > DATAGRAM_MAX {
        Some(Bad::DatagramTooLong)
    } else {
        None
    }
}

/// Empty lines, or nothing at all, keep a NAT's door open. They are not answered over UDP.
fn is_keepalive(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| b"\r\n\0 ".contains(byte))
}

/// The socket of this worker that a datagram leaves by: the one that was asked, as a rule.
fn way(open: &[Open], asked: usize, outgoing: &Outgoing) -> Option<SocketId> {
    if outgoing.to.transport != Transport::Udp {
        return None;
    }
    let fits = |at: &usize| may_leave(open[*at].address, &outgoing.to);
    let at = Some(asked).filter(fits);
    let at = at.or_else(|| (0..open.len()).find(fits))?;
    Some(SocketId(at as u16))
}

fn flush(outbox: &mut Outbox, sender: &mut Sender, open: &[Open], hub: &Hub) {
    let mut failed = 0;
    outbox.drain(|socket, run, arena| {
        failed += sender.send(open[usize::from(socket.0)].socket.as_fd(), run, arena);
    });
    if failed > 0 {
        let cell = &hub.counters.send_errors;
        cell.fetch_add(failed as u64, Ordering::Relaxed);
    }
}

fn watch(epoll: &Epoll, socket: &Socket, at: usize) -> io::Result<()> {
    // All workers may read the same one: a message wakes one of them.
    let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE;
    Ok(epoll.add(socket, EpollEvent::new(flags, at as u64))?)
}
