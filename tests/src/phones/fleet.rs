//! Thousands of phones on a few threads: one epoll loop each, one socket for each file under way, or
//! one connection for each phone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::num::NonZero;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::time::TimeVal;
use socket2::{Domain, Protocol, Socket, Type};

use super::connection::Connection;
use super::{Action, Oracle, Phone, PhoneSpec, Progress, Report};
use crate::client::Retry;
use crate::lab::interrupted;
use crate::server::Place;

/// How a fleet boots.
#[derive(Clone, Copy, Debug)]
pub struct FleetOptions {
    pub server: SocketAddr,
    /// Where phones of newer families ask first, over HTTP.
    pub http: Option<SocketAddr>,
    pub retry: Retry,
    /// Files that time out may be asked for again so often in a boot.
    pub second_tries: u32,
    /// The power comes back to all phones within this time.
    pub ramp: Duration,
    /// What has not booted by then has failed.
    pub limit: Duration,
    pub threads: usize,
}

impl FleetOptions {
    /// All at once, on all cores, within five minutes.
    pub fn new(server: SocketAddr) -> Self {
        Self {
            server,
            http: None,
            retry: Retry::default(),
            second_tries: 3,
            ramp: Duration::ZERO,
            limit: Duration::from_secs(300),
            threads: thread::available_parallelism().map_or(1, NonZero::get),
        }
    }
}

/// Marks an event of a connection; without it, it is one of a socket.
const CONNECTION: u64 = 1 << 63;

/// Phones that will boot.
#[derive(Clone, Copy)]
pub struct Fleet<'site> {
    pub phones: &'site [PhoneSpec],
    pub oracle: &'site dyn Oracle,
    pub options: FleetOptions,
}

impl Fleet<'_> {
    /// Boots all of them from `place`, and returns when the last one is done, the limit has passed,
    /// or the run was interrupted.
    pub fn boot(&self, place: Place<'_>, progress: &Progress) -> Result<Report> {
        // A phone that falls back has a socket beside its connection.
        raise_open_files(self.phones.len() as u64 * 2 + 256)?;
        let started = Instant::now();
        let share = self
            .phones
            .len()
            .div_ceil(self.options.threads.max(1))
            .max(1);
        let mut report = Report::new();
        let reports = thread::scope(|scope| -> Result<Vec<Report>> {
            let threads: Vec<_> = self
                .phones
                .chunks(share)
                .enumerate()
                .map(|(index, phones)| {
                    let first = index * share;
                    scope.spawn(move || {
                        place.enter_thread()?;
                        Loop::new(self, phones, first, started, progress)?.run()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        })?;
        for part in reports {
            report.merge(part);
        }
        Ok(report)
    }
}

/// A phone, its socket, and the timer entry that stands for it.
struct Slot<'site> {
    phone: Phone<'site>,
    socket: Option<UdpSocket>,
    connection: Option<Connection>,
    power_on: Instant,
    failure: Option<String>,
    /// The earliest entry of this phone in the timer heap.
    timer: Option<Instant>,
    done: bool,
}

struct Loop<'site, 'run> {
    slots: Vec<Slot<'site>>,
    /// Deadlines; entries that a slot no longer names are stale.
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    epoll: Epoll,
    limit: Instant,
    progress: &'run Progress,
    report: Report,
    out: Vec<u8>,
    left: usize,
    started: Instant,
}

impl<'site, 'run> Loop<'site, 'run> {
    fn new(
        fleet: &'run Fleet<'site>,
        phones: &'site [PhoneSpec],
        first: usize,
        started: Instant,
        progress: &'run Progress,
    ) -> Result<Self> {
        let options = &fleet.options;
        let all = fleet.phones.len().max(1) as u32;
        let mut timers = BinaryHeap::with_capacity(phones.len());
        let slots: Vec<_> = phones
            .iter()
            .enumerate()
            .map(|(index, spec)| {
                let power_on = started + options.ramp * (first + index) as u32 / all;
                timers.push(Reverse((power_on, index)));
                Slot {
                    phone: Phone::new(
                        spec,
                        fleet.oracle,
                        options.server,
                        options.retry,
                        options.second_tries,
                    )
                    .with_http(options.http),
                    socket: None,
                    connection: None,
                    power_on,
                    failure: None,
                    timer: Some(power_on),
                    done: false,
                }
            })
            .collect();
        let mut report = Report::new();
        report.phones = phones.len() as u64;
        Ok(Self {
            left: slots.len(),
            slots,
            timers,
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("making an epoll")?,
            limit: started + options.limit,
            progress,
            report,
            out: Vec::with_capacity(256),
            started,
        })
    }

    fn run(mut self) -> Result<Report> {
        let mut events = vec![EpollEvent::empty(); 1024];
        let mut incoming = vec![0; 65_536];
        let cpu_before = thread_cpu()?;
        while self.left > 0 {
            let now = Instant::now();
            if now >= self.limit || interrupted() {
                break;
            }
            self.run_timers(now)?;
            // Never longer than this, so that an interruption is seen.
            let mut wait = Duration::from_millis(200);
            if let Some(Reverse((next, _))) = self.timers.peek() {
                wait = wait.min(next.saturating_duration_since(now));
            }
            // Rounded up: a deadline that is not quite reached would spin.
            let wait = EpollTimeout::try_from(wait + Duration::from_micros(999))
                .unwrap_or(EpollTimeout::ZERO);
            let ready = match self.epoll.wait(&mut events, wait) {
                Ok(ready) => ready,
                Err(nix::errno::Errno::EINTR) => 0,
                Err(error) => return Err(error).context("waiting for datagrams"),
            };
            for event in &events[..ready] {
                let index = (event.data() & !CONNECTION) as usize;
                match event.data() & CONNECTION {
                    0 => self.receive(index, &mut incoming)?,
                    _ => self.read(index, &mut incoming)?,
                }
            }
        }
        for slot in self.slots.iter().filter(|slot| !slot.done) {
            let file = slot.phone.file().unwrap_or("nothing");
            let reason = slot.failure.clone();
            let reason = reason.unwrap_or_else(|| format!("still waits for {file}"));
            self.report.failed(&slot.phone.spec().device, reason);
            Progress::add(&self.progress.failed, 1);
        }
        self.report.took = self.started.elapsed();
        self.report.cpu = thread_cpu()? - cpu_before;
        Ok(self.report)
    }

    fn run_timers(&mut self, now: Instant) -> Result<()> {
        while let Some(&Reverse((at, index))) = self.timers.peek() {
            if at > now {
                break;
            }
            self.timers.pop();
            let slot = &mut self.slots[index];
            if slot.done || slot.timer != Some(at) {
                continue;
            }
            slot.timer = None;
            match slot.phone.deadline() {
                None => {
                    Progress::add(&self.progress.started, 1);
                    self.next_file(index, now)?;
                }
                Some(_) => {
                    let action = slot.phone.on_deadline(now);
                    self.act(index, action, now)?;
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self, index: usize, incoming: &mut [u8]) -> Result<()> {
        let slot = &mut self.slots[index];
        let Some(socket) = &slot.socket else {
            return Ok(());
        };
        let (len, from) = match socket.recv_from(incoming) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            // ICMP in answer to what we sent; the phone asks again.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(()),
            Err(error) => return Err(error).context("receiving"),
        };
        let now = Instant::now();
        let action = slot.phone.on_datagram(now, from, &incoming[..len]);
        self.act(index, action, now)
    }

    fn act(&mut self, index: usize, action: Action, now: Instant) -> Result<()> {
        match action {
            Action::Wait => {}
            Action::Send => self.send(index)?,
            Action::SendThenNext => {
                self.send(index)?;
                return self.file_ended(index, now);
            }
            Action::Next => return self.file_ended(index, now),
            Action::FallBack => {
                self.slots[index].connection = None;
                return self.begin(index, now);
            }
        }
        self.schedule(index);
        Ok(())
    }

    fn file_ended(&mut self, index: usize, now: Instant) -> Result<()> {
        let slot = &mut self.slots[index];
        if let Some(result) = slot.phone.take_result(now) {
            Progress::add(&self.progress.files[result.stage as usize], 1);
            Progress::add(&self.progress.bytes, result.tally.bytes);
            Progress::add(&self.progress.resends, result.tally.resends.into());
            self.report.file(&result);
            if slot.failure.is_none() {
                slot.failure = result.failure;
            }
        }
        self.next_file(index, now)
    }

    fn next_file(&mut self, index: usize, now: Instant) -> Result<()> {
        let slot = &mut self.slots[index];
        slot.socket = None;
        if !slot.phone.next_file(now) {
            slot.done = true;
            self.left -= 1;
            match slot.failure.take() {
                None => {
                    self.report
                        .booted(now.saturating_duration_since(slot.power_on));
                    Progress::add(&self.progress.booted, 1);
                }
                Some(reason) => {
                    self.report.failed(&slot.phone.spec().device, reason);
                    Progress::add(&self.progress.failed, 1);
                }
            }
            return Ok(());
        }
        self.begin(index, now)
    }

    /// Asks for the file that has just begun.
    fn begin(&mut self, index: usize, now: Instant) -> Result<()> {
        let slot = &mut self.slots[index];
        let address = slot.phone.spec().address;
        if let Some((server, request)) = slot.phone.http_request() {
            let asked = match &mut slot.connection {
                Some(connection) => connection.ask(&request),
                none => {
                    let data = index as u64 | CONNECTION;
                    Connection::open(address, server, &self.epoll, data)
                        .and_then(|connection| none.insert(connection).ask(&request))
                }
            };
            if asked.is_err() {
                return self.connection_ended(index, now);
            }
            self.schedule(index);
            return Ok(());
        }
        let socket = bind(address).with_context(|| format!("binding a phone to {address}"))?;
        let event = EpollEvent::new(EpollFlags::EPOLLIN, index as u64);
        self.epoll
            .add(&socket, event)
            .context("watching a socket")?;
        slot.socket = Some(socket);
        self.send(index)?;
        self.schedule(index);
        Ok(())
    }

    /// Reads what has come over a phone's connection, which may be more than one answer.
    fn read(&mut self, index: usize, incoming: &mut [u8]) -> Result<()> {
        loop {
            let slot = &mut self.slots[index];
            let Some(connection) = &mut slot.connection else {
                return Ok(());
            };
            let come = connection.flush().and_then(|()| connection.read(incoming));
            let now = Instant::now();
            let action = match come {
                Ok(None) => return Ok(()),
                Ok(Some(bytes)) if !bytes.is_empty() => slot.phone.on_http_bytes(now, bytes),
                Ok(Some(_)) | Err(_) => return self.connection_ended(index, now),
            };
            if action == Action::Next {
                connection.answers += 1;
                if !slot.phone.keeps_connection() {
                    slot.connection = None;
                }
            }
            self.act(index, action, now)?;
        }
    }

    /// A connection has ended or could not be made. One that was kept open may end at any time: a
    /// phone that has asked just then makes a new one.
    fn connection_ended(&mut self, index: usize, now: Instant) -> Result<()> {
        let slot = &mut self.slots[index];
        let was_kept = slot.connection.take().is_some_and(|it| it.answers > 0);
        if was_kept && slot.phone.is_http_untouched() {
            return self.begin(index, now);
        }
        let action = slot.phone.on_http_end(now);
        self.act(index, action, now)
    }

    fn send(&mut self, index: usize) -> Result<()> {
        let slot = &self.slots[index];
        let (Some(socket), Some(to)) = (&slot.socket, slot.phone.transmit(&mut self.out)) else {
            return Ok(());
        };
        match socket.send_to(&self.out, to) {
            Ok(_) => Ok(()),
            // As good as lost on the wire: the phone's own timer covers it.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionRefused
                ) || error.raw_os_error() == Some(libc::ENOBUFS) =>
            {
                Ok(())
            }
            Err(error) => Err(error).with_context(|| format!("sending to {to}")),
        }
    }

    /// Makes sure that the heap wakes the phone no later than its deadline. Deadlines mostly move
    /// back with every packet, so an entry that is early is left in place and moved when it is due.
    fn schedule(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        let Some(deadline) = slot.phone.deadline() else {
            return;
        };
        if slot.timer.is_none_or(|at| at > deadline) {
            slot.timer = Some(deadline);
            self.timers.push(Reverse((deadline, index)));
        }
    }
}

fn bind(address: std::net::IpAddr) -> io::Result<UdpSocket> {
    let address = SocketAddr::new(address, 0);
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM.nonblocking(),
        Some(Protocol::UDP),
    )?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn thread_cpu() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    let time = |time: TimeVal| {
        Duration::new(time.tv_sec() as u64, 0) + Duration::from_micros(time.tv_usec() as u64)
    };
    Ok(time(usage.user_time()) + time(usage.system_time()))
}

/// One socket for each phone under way is more than most shells allow.
fn raise_open_files(wanted: u64) -> Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= wanted {
        return Ok(());
    }
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).with_context(|| {
        format!("{wanted} open files are needed and {hard} allowed: raise `ulimit -n`, or boot fewer phones")
    })
}
