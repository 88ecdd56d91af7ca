//! One thread: its sockets, its loop, nothing of the protocol.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use parking_lot::Mutex;
use socket2::Socket;
use tftp_ebpf::verdict::Reason;

use super::engine::{Engine, PACKET_LEN, Shared, TransferSockets};
use super::mtu::RouteMtu;

use super::parking::Ready;
use super::settings::Settings;
use super::socket;
use crate::service::Beat;
use crate::service::pulse::LONGEST_WAIT;
use crate::stats::Counters;
use crate::udp::{BATCH, Receiver, Sender, SocketId};

/// How often an address that could not be bound is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How often one idle transfer socket moves to another port, so that the ports of earlier transfers
/// say little about those of later ones.
const MOVE: Duration = Duration::from_secs(30);

/// `EpollEvent` data of the event descriptor; sockets have their index.
const READY: u64 = u64::MAX;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Requests; in single-port mode everything.
    Request,
    Transfer,
}

struct Open {
    socket: Socket,
    role: Role,
    /// Last count of dropped datagrams the kernel told.
    overflows: u32,
}

/// The sockets of one worker, opened before its thread starts so that errors reach the caller.
#[derive(Default)]
pub struct Sockets {
    open: Vec<Open>,
    transfer: TransferSockets,
    /// Addresses to listen on that do not exist yet.
    pending: Vec<SocketAddr>,
}

impl Sockets {
    /// Opens all sockets; `listen` has its ports resolved.
    pub fn open(settings: &Settings, listen: &[SocketAddr]) -> io::Result<Self> {
        let mut sockets = Self::default();
        for &address in listen {
            match socket::listeners(address, socket::for_requests(settings)) {
                Ok(listeners) => {
                    for socket in listeners {
                        sockets.push(socket, Role::Request);
                    }
                }
                Err(error) if socket::may_come_later(&error) => sockets.pending.push(address),
                Err(error) => return Err(error),
            }
        }
        if !settings.single_port {
            sockets.open_transfer_sockets(settings, listen)?;
        }
        Ok(sockets)
    }

    fn open_transfer_sockets(
        &mut self,
        settings: &Settings,
        listen: &[SocketAddr],
    ) -> io::Result<()> {
        let range = settings.port_range;
        let families: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        for any in families {
            let is_of_family = |address: &&SocketAddr| address.is_ipv4() == any.is_ipv4();
            let mut addresses = listen.iter().filter(is_of_family);
            let Some(&first) = addresses.next() else {
                continue;
            };
            // With one address, nothing else of this host need be reachable on these ports. An
            // address that does not exist yet cannot be bound.
            let is_only = addresses.next().is_none() && !self.pending.contains(&first);
            let home = if is_only { first } else { (any, 0).into() };
            for _ in 0..settings.ports_per_worker {
                match socket::transfer(home, range, settings.into()) {
                    Ok(socket) => {
                        let id = SocketId(self.open.len() as u16);
                        self.push(socket, Role::Transfer);
                        match any {
                            IpAddr::V4(_) => self.transfer.v4.push(id),
                            IpAddr::V6(_) => self.transfer.v6.push(id),
                        }
                    }
                    // No IPv6 on this host, and so no requests over it.
                    Err(error) if socket::may_come_later(&error) => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, socket: Socket, role: Role) {
        self.open.push(Open {
            socket,
            role,
            overflows: 0,
        });
    }

    /// Addresses requests are taken on.
    pub fn listening(&self) -> impl Iterator<Item = SocketAddr> {
        self.open
            .iter()
            .filter(|open| open.role == Role::Request)
            .filter_map(|open| open.socket.local_addr().ok()?.as_socket())
            // Several sockets of a group have one address.
            .fold(Vec::new(), |mut addresses, address| {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
                addresses
            })
            .into_iter()
    }

    pub fn pending(&self) -> &[SocketAddr] {
        &self.pending
    }
}

/// What the server and a worker share besides [`Shared`].
pub struct Control {
    pub ready: Arc<Ready>,
    pub stop: AtomicBool,
    /// Datagrams the kernel dropped because a receive buffer was full, over all workers.
    pub overflows: Arc<AtomicU64>,
    /// Addresses requests are taken on, over all workers.
    pub listening: Arc<Mutex<Vec<SocketAddr>>>,
}

/// One worker: everything its thread owns.
pub struct Worker {
    shared: Arc<Shared>,
    control: Arc<Control>,
    sockets: Sockets,
    epoll: Epoll,
    engine: Engine,
    receiver: Receiver<PACKET_LEN>,
    sender: Sender,
    mtu: RouteMtu,
    retry_at: Instant,
    move_at: Instant,
    /// The transfer socket whose turn it is to move.
    next_to_move: usize,
}

impl Worker {
    pub fn new(shared: Arc<Shared>, control: Arc<Control>, sockets: Sockets) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(
            control.ready.event(),
            EpollEvent::new(EpollFlags::EPOLLIN, READY),
        )?;
        for (at, open) in sockets.open.iter().enumerate() {
            watch(&epoll, open.role, &open.socket, at)?;
        }
        let transfer = sockets.transfer.clone();
        Ok(Self {
            engine: Engine::new(shared.clone(), transfer, control.ready.clone()),
            shared,
            control,
            sockets,
            epoll,
            receiver: Receiver::default(),
            sender: Sender::default(),
            mtu: RouteMtu::default(),
            retry_at: Instant::now() + RETRY,
            move_at: Instant::now() + MOVE,
            next_to_move: 0,
        })
    }

    /// Runs until [`Control::stop`].
    pub fn run(mut self, beat: &Beat) {
        let mut events = [EpollEvent::empty(); BATCH];
        while !self.control.stop.load(Ordering::Relaxed) {
            beat.pass();
            let count = match self.epoll.wait(&mut events, self.wait_for()) {
                Ok(count) => count,
                Err(nix::Error::EINTR) => continue,
                Err(error) => {
                    tracing::error!(event = "tftp.worker_ended", %error, "a TFTP worker cannot wait for packets and ends");
                    return;
                }
            };
            self.turn(&events[..count]);
        }
    }

    /// Transfers that are running come first, then what their timers want, then requests that were
    /// parked, then new ones: a phone that has begun finishes first.
    fn turn(&mut self, events: &[EpollEvent]) {
        self.read_ready(events, Role::Transfer);
        while self.engine.on_timers(Instant::now()) {
            self.flush();
        }
        if events.iter().any(|event| event.data() == READY) {
            // Drained before the queue is read, so that what comes in between wakes us again.
            let _ = self.control.ready.event().read();
            self.engine.on_ready(Instant::now(), &mut self.mtu);
        }
        self.read_ready(events, Role::Request);
        self.flush();
        let now = Instant::now();
        if !self.sockets.pending.is_empty() && now >= self.retry_at {
            self.retry_pending();
        }
        // Not worth waking up for: nobody learns our ports while nobody asks.
        if now >= self.move_at {
            self.move_at = now + MOVE;
            self.move_idle_socket();
        }
    }

    fn read_ready(&mut self, events: &[EpollEvent], role: Role) {
        for event in events {
            let at = event.data() as usize;
            if event.data() == READY || self.sockets.open[at].role != role {
                continue;
            }
            if event.events().contains(EpollFlags::EPOLLERR) {
                self.read_errors(at);
            }
            if event.events().contains(EpollFlags::EPOLLIN) {
                self.read(at, role);
            }
        }
    }

    /// One batch of one socket. More of it is left for the next turn.
    fn read(&mut self, at: usize, role: Role) {
        let now = Instant::now();
        let id = SocketId(at as u16);
        let open = &self.sockets.open;
        let (engine, mtu) = (&mut self.engine, &mut self.mtu);
        let (sender, counters) = (&mut self.sender, &self.shared.counters);
        // Within the batch: each of its ACKs may ask for a window of large blocks.
        let mut flush_if_full = |engine: &mut Engine| {
            if engine.outbox().is_full() {
                send_out(engine, sender, open, counters);
            }
        };
        // An error here is an ICMP error of an earlier datagram; the error queue tells whose.
        let Ok(received) = self.receiver.receive(open[at].socket.as_fd()) else {
            return;
        };
        let overflows = match role {
            Role::Transfer => self.receiver.each(received, |datagram| {
                engine.on_transfer_packet(id, datagram, now);
                flush_if_full(engine);
            }),
            Role::Request if self.shared.settings.get().single_port => {
                self.receiver.each(received, |datagram| {
                    if !datagram.is_request() {
                        engine.on_request_packet(id, datagram, now, mtu);
                        flush_if_full(engine);
                    }
                });
                self.receiver.each(received, |datagram| {
                    if datagram.is_request() {
                        engine.on_request_packet(id, datagram, now, mtu);
                        flush_if_full(engine);
                    }
                })
            }
            Role::Request => self.receiver.each(received, |datagram| {
                engine.on_request_packet(id, datagram, now, mtu);
                flush_if_full(engine);
            }),
        };
        if let Some(overflows) = overflows {
            let open = &mut self.sockets.open[at];
            let more = overflows.wrapping_sub(open.overflows);
            open.overflows = overflows;
            self.control
                .overflows
                .fetch_add(u64::from(more), Ordering::Relaxed);
        }
    }

    fn read_errors(&mut self, at: usize) {
        let id = SocketId(at as u16);
        for _ in 0..BATCH {
            let open = &self.sockets.open[at];
            let Some((client, errno)) = self.receiver.receive_error(open.socket.as_fd()) else {
                return;
            };
            // "Too big" is about one packet, not about the client.
            if matches!(
                errno,
                libc::ECONNREFUSED
                    | libc::EHOSTUNREACH
                    | libc::ENETUNREACH
                    | libc::EHOSTDOWN
                    | libc::ENOPROTOOPT
                    | libc::EACCES
            ) {
                self.engine.on_unreachable(id, client, Instant::now());
            }
        }
    }

    fn flush(&mut self) {
        send_out(
            &mut self.engine,
            &mut self.sender,
            &self.sockets.open,
            &self.shared.counters,
        );
    }

    fn wait_for(&self) -> EpollTimeout {
        let retry = (!self.sockets.pending.is_empty()).then_some(self.retry_at);
        let at = [self.engine.deadline(), retry].into_iter().flatten().min();
        let wait = at.map_or(LONGEST_WAIT, |at| {
            at.saturating_duration_since(Instant::now())
                .min(LONGEST_WAIT)
        });
        // Rounded up: a millisecond early would be a turn for nothing.
        let ms = wait.as_micros().div_ceil(1000);
        EpollTimeout::try_from(ms).unwrap_or(EpollTimeout::MAX)
    }

    /// Opens one transfer socket anew on another random port, unless it has transfers.
    fn move_idle_socket(&mut self) {
        let count = self.sockets.open.len();
        let Some(at) = (0..count)
            .map(|step| (self.next_to_move + step) % count)
            .find(|&at| self.sockets.open[at].role == Role::Transfer)
        else {
            return;
        };
        self.next_to_move = at + 1;
        if self.engine.has_transfers(SocketId(at as u16)) {
            return;
        }
        let settings = &*self.shared.settings.take();
        let old = &self.sockets.open[at].socket;
        let home = old.local_addr().ok().and_then(|home| home.as_socket());
        let moved = home.and_then(|home| {
            let socket = socket::transfer(home, settings.port_range, settings.into()).ok()?;
            watch(&self.epoll, Role::Transfer, &socket, at).ok()?;
            Some(socket)
        });
        // On failure the old one is still good.
        if let Some(socket) = moved {
            self.sockets.open[at].socket = socket;
            self.sockets.open[at].overflows = 0;
        }
    }

    fn retry_pending(&mut self) {
        self.retry_at = Instant::now() + RETRY;
        let settings = self.shared.settings.take();
        for address in std::mem::take(&mut self.sockets.pending) {
            let listening = socket::listen(address, socket::for_requests(&settings));
            let watched = listening.and_then(|socket| {
                let at = self.sockets.open.len();
                watch(&self.epoll, Role::Request, &socket, at)?;
                Ok(socket)
            });
            match watched {
                Ok(socket) => {
                    self.sockets.push(socket, Role::Request);
                    let mut listening = self.control.listening.lock();
                    if !listening.contains(&address) {
                        listening.push(address);
                    }
                    tracing::info!(event = "listen.address_up", %address, "the address is there now");
                }
                Err(_) => self.sockets.pending.push(address),
            }
        }
    }
}

/// Sends what is in the outbox.
fn send_out(engine: &mut Engine, sender: &mut Sender, open: &[Open], counters: &Counters) {
    let mut failed = 0;
    engine.outbox().drain(|socket, run, arena| {
        failed += sender.send(open[usize::from(socket.0)].socket.as_fd(), run, arena);
    });
    engine.sent_out(|| {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
    });
    for _ in 0..failed {
        counters.count(Reason::WriteFailed);
    }
}

fn watch(epoll: &Epoll, role: Role, socket: &Socket, at: usize) -> io::Result<()> {
    let flags = match role {
        // All workers may read the same one: a request wakes one of them.
        Role::Request => EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE,
        Role::Transfer => EpollFlags::EPOLLIN,
    };
    Ok(epoll.add(socket, EpollEvent::new(flags, at as u64))?)
}

#[cfg(test)]
mod tests;
