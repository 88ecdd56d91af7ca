//! Phones over TCP, each on a connection of its own that stays, as desk phones do it.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::Type;

use super::population;
use super::talk::{Progress, Talk, Tally, Watch};
use crate::client::stream;
use crate::lab::interrupted;

/// Events of one system call.
const EVENTS: usize = 256;

/// How long a phone waits for the end of what it began. TCP brings what can be brought.
const PATIENCE: Duration = Duration::from_secs(10);

/// The phones with their connections.
pub struct Streams<T> {
    registrar: SocketAddr,
    epoll: Epoll,
    phones: Vec<Phone<T>>,
    window: usize,
    buffer: Vec<u8>,
}

struct Phone<T> {
    talk: T,
    /// None before its first registration.
    stream: Option<TcpStream>,
    incoming: Vec<u8>,
    /// What has not gone out yet.
    outgoing: Vec<u8>,
    busy: bool,
}

impl<T: Talk> Streams<T> {
    /// At most `window` phones are at it at a time.
    pub fn new(
        registrar: SocketAddr,
        phones: impl Iterator<Item = T>,
        window: usize,
    ) -> Result<Self> {
        let phone = |talk| Phone {
            talk,
            stream: None,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            busy: false,
        };
        Ok(Self {
            registrar,
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            phones: phones.map(phone).collect(),
            window,
            buffer: vec![0; 65_536],
        })
    }

    /// Connects every phone and lets it register. The calling thread must be in the registrar's
    /// namespace.
    pub fn register(&mut self) -> Result<Tally> {
        self.play(|streams, number| streams.connect(number))
    }

    /// Lets every phone tell that it is still there.
    pub fn refresh(&mut self) -> Result<Tally> {
        self.play(|streams, number| {
            let phone = &mut streams.phones[number];
            phone.talk.refresh(&mut phone.outgoing);
            phone.flush().context("sending a refresh")
        })
    }

    /// The phones themselves, to change something about all of them.
    pub fn talks(&mut self) -> impl Iterator<Item = &mut T> {
        self.phones.iter_mut().map(|phone| &mut phone.talk)
    }

    fn connect(&mut self, number: usize) -> Result<()> {
        let from = population::address(number as u32);
        let stream = stream(from.into(), self.registrar, Type::STREAM.nonblocking())
            .with_context(|| format!("connecting from {from}"))?;
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        self.epoll
            .add(&stream, EpollEvent::new(flags, number as u64))?;
        let phone = &mut self.phones[number];
        phone
            .talk
            .register(stream.local_addr()?, &mut phone.outgoing);
        phone.stream = Some(stream);
        // It goes out when the connection is made, which is an event.
        Ok(())
    }

    fn play(&mut self, begin: impl Fn(&mut Self, usize) -> Result<()>) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut next = 0..self.phones.len();
        let mut under_way = 0;
        let mut waiting = VecDeque::new();
        let mut events = vec![EpollEvent::empty(); EVENTS];
        let watch = Watch::start()?;
        loop {
            for number in next.by_ref().take(self.window - under_way) {
                self.phones[number].busy = true;
                begin(self, number)?;
                under_way += 1;
                waiting.push_back((Instant::now(), number));
            }
            if under_way == 0 {
                break;
            }
            let ready = match self.epoll.wait(&mut events, EpollTimeout::from(20u8)) {
                Ok(ready) => ready,
                Err(Errno::EINTR) => 0,
                Err(error) => return Err(error).context("waiting for connections"),
            };
            for event in &events[..ready] {
                let number = event.data() as usize;
                under_way -= usize::from(self.progress(number, &mut tally)?);
            }
            under_way -= self.give_up(&mut waiting, &mut tally);
            anyhow::ensure!(!interrupted(), "interrupted");
        }
        watch.stop(&mut tally)?;
        Ok(tally)
    }

    /// Moves what can be moved; returns whether the phone is through with what it began.
    fn progress(&mut self, number: usize, tally: &mut Tally) -> Result<bool> {
        let phone = &mut self.phones[number];
        let Some(stream) = &mut phone.stream else {
            return Ok(false);
        };
        let mut is_open = true;
        loop {
            match stream.read(&mut self.buffer) {
                Ok(0) => {
                    is_open = false;
                    break;
                }
                Ok(len) => phone.incoming.extend_from_slice(&self.buffer[..len]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // The connection is still being made.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => break,
                Err(error) => return Err(error).with_context(|| format!("phone {number}")),
            }
        }
        let progress = match phone.incoming.is_empty() {
            true => Progress::Wait,
            false => phone
                .talk
                .take(&mut phone.incoming, &mut phone.outgoing)
                .with_context(|| format!("phone {number}"))?,
        };
        phone.flush().with_context(|| format!("phone {number}"))?;
        let was_busy = phone.busy;
        match progress {
            _ if !was_busy => {}
            Progress::Done => tally.done += 1,
            Progress::Refused(why) => *tally.refused.entry(why).or_default() += 1,
            Progress::Wait | Progress::Again => {
                if !is_open {
                    bail!("phone {number}: the registrar has closed its connection");
                }
                return Ok(false);
            }
        }
        phone.busy = false;
        if !is_open {
            phone.stream = None;
        }
        Ok(was_busy)
    }

    /// Those that have waited too long; returns how many.
    fn give_up(&mut self, waiting: &mut VecDeque<(Instant, usize)>, tally: &mut Tally) -> usize {
        let mut lost = 0;
        while let Some(&(began, number)) = waiting.front() {
            let phone = &mut self.phones[number];
            if phone.busy && began.elapsed() < PATIENCE {
                break;
            }
            waiting.pop_front();
            lost += usize::from(phone.busy);
            phone.busy = false;
        }
        tally.lost += lost as u64;
        lost
    }
}

impl<T> Phone<T> {
    fn flush(&mut self) -> io::Result<()> {
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        while !self.outgoing.is_empty() {
            match stream.write(&self.outgoing) {
                Ok(written) => drop(self.outgoing.drain(..written)),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected
                    ) =>
                {
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
