//! SIP phones over UDP: many behind few sockets, so that datagrams go out and come in by batches.

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};

use super::population;
use super::sip::{Answer, Common, SipPhone};
use super::talk::{Progress, Tally, Watch};
use crate::lab::interrupted;

/// Sockets, each with an address of its own.
const SOCKETS: usize = 64;

/// Phones of one socket that follow each other.
const BURST: usize = 16;

/// The port the phones send from. Not the registrar's, which may be bound to all addresses.
const PORT: u16 = 5062;

/// Datagrams of one system call.
const BATCH: usize = 64;

/// Larger than any answer.
const DATAGRAM_LEN: usize = 2048;

/// T1 of RFC 3261: until a request is sent again. It is not doubled, for the loopback is not slow.
const T1: Duration = Duration::from_millis(500);

/// How often a request is sent before its phone gives up.
const SENDINGS: u8 = 10;

/// What the phones do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// Register, or refresh with what is known from before.
    Register,
    /// Refresh without a nonce, so that each is challenged.
    Challenged,
}

/// The phones with their sockets.
pub struct UdpPhones {
    common: Common,
    phones: Vec<Phone>,
    sockets: Vec<Socket>,
    window: usize,
}

struct Phone {
    sip: SipPhone,
    /// Zero while it waits for nothing.
    sendings: u8,
    sent: Instant,
}

struct Socket {
    socket: UdpSocket,
    from: SocketAddr,
    /// What is to go out, and where each datagram is in it.
    outgoing: Vec<u8>,
    datagrams: Vec<Range<usize>>,
}

/// Buffers of a run, on the thread that runs.
struct Buffers {
    headers: Headers,
    incoming: Vec<[u8; DATAGRAM_LEN]>,
}

type Headers = MultiHeaders<SockaddrIn>;

/// Requests without an answer so far, the oldest first.
type Waiting = VecDeque<(Instant, u32)>;

impl UdpPhones {
    /// The calling thread must be in the registrar's namespace. At most `window` phones are at it
    /// at a time.
    pub fn new(registrar: SocketAddr, phones: u32, window: usize) -> Result<Self> {
        let socket = |index: usize| {
            let from = SocketAddr::from((population::address(index as u32), PORT));
            let socket = UdpSocket::bind(from).with_context(|| format!("binding to {from}"))?;
            socket.connect(registrar)?;
            Ok(Socket {
                socket,
                from,
                outgoing: Vec::new(),
                datagrams: Vec::new(),
            })
        };
        let phone = |number| Phone {
            sip: SipPhone::new(number),
            sendings: 0,
            sent: Instant::now(),
        };
        Ok(Self {
            common: Common {
                registrar: registrar.ip().to_string(),
                transport: "UDP",
            },
            phones: (0..phones).map(phone).collect(),
            sockets: (0..SOCKETS).map(socket).collect::<Result<_>>()?,
            window,
        })
    }

    pub fn all(&self) -> Range<u32> {
        0..self.phones.len() as u32
    }

    /// Lets the phones of `numbers` register, or refresh what they have registered.
    pub fn play(&mut self, numbers: Range<u32>, round: Round) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut next = numbers.clone();
        let mut under_way = 0;
        let mut waiting = Waiting::new();
        let mut buffers = Buffers {
            headers: MultiHeaders::preallocate(BATCH, None),
            incoming: vec![[0; DATAGRAM_LEN]; BATCH],
        };
        let watch = Watch::start()?;
        loop {
            let now = Instant::now();
            // As in a real storm, phones do not stop at one that waits long.
            for number in next.by_ref().take(self.window - under_way) {
                let phone = &mut self.phones[number as usize];
                if round == Round::Challenged {
                    phone.sip.forget_nonce();
                }
                phone.sip.begin();
                under_way += 1;
                self.write(number, now, &mut waiting);
            }
            self.flush(&mut buffers.headers)?;
            if under_way == 0 {
                break;
            }
            let ended = self.receive(now, &mut buffers, &mut waiting, &mut tally)?;
            under_way -= ended;
            under_way -= self.resend(&mut waiting, &mut tally);
            anyhow::ensure!(!interrupted(), "interrupted");
        }
        watch.stop(&mut tally)?;
        Ok(tally)
    }

    fn write(&mut self, number: u32, now: Instant, waiting: &mut Waiting) {
        let phone = &mut self.phones[number as usize];
        let socket = &mut self.sockets[socket_of(number)];
        let start = socket.outgoing.len();
        phone
            .sip
            .write(&self.common, socket.from, &mut socket.outgoing);
        socket.datagrams.push(start..socket.outgoing.len());
        phone.sendings = phone.sendings.saturating_add(1);
        phone.sent = now;
        waiting.push_back((now, number));
    }

    fn flush(&mut self, headers: &mut Headers) -> Result<()> {
        for socket in &mut self.sockets {
            socket.flush(headers)?;
        }
        Ok(())
    }

    /// Waits for answers and takes them; returns how many phones are through.
    fn receive(
        &mut self,
        now: Instant,
        buffers: &mut Buffers,
        waiting: &mut Waiting,
        tally: &mut Tally,
    ) -> Result<usize> {
        let ready = {
            let mut fds: Vec<PollFd<'_>> = self
                .sockets
                .iter()
                .map(|socket| PollFd::new(socket.socket.as_fd(), PollFlags::POLLIN))
                .collect();
            match poll(&mut fds, PollTimeout::from(20u8)) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error).context("waiting for answers"),
            }
            let ready = fds.iter().map(|fd| fd.any().unwrap_or(false));
            ready.collect::<Vec<bool>>()
        };
        let mut ended = 0;
        for (at, _) in ready.into_iter().enumerate().filter(|&(_, ready)| ready) {
            let lens = self.sockets[at].receive(buffers)?;
            for (buffer, len) in buffers.incoming.iter().zip(lens) {
                ended += self.take(&buffer[..len], now, waiting, tally)?;
            }
        }
        Ok(ended)
    }

    fn take(
        &mut self,
        datagram: &[u8],
        now: Instant,
        waiting: &mut Waiting,
        tally: &mut Tally,
    ) -> Result<usize> {
        let answer = Answer::parse(datagram)?;
        let number = SipPhone::number_of(&answer).context("an answer to a Call-ID not ours")?;
        let phone = &mut self.phones[number as usize];
        if phone.sendings == 0 {
            // It was answered before it was sent again.
            return Ok(0);
        }
        match phone.sip.take(&self.common, &answer)? {
            Progress::Wait => return Ok(0),
            Progress::Again => {
                phone.sendings = 0;
                self.write(number, now, waiting);
                return Ok(0);
            }
            Progress::Done => tally.done += 1,
            Progress::Refused(why) => *tally.refused.entry(why).or_default() += 1,
        }
        phone.sendings = 0;
        Ok(1)
    }

    /// Sends what has waited too long once more; returns how many phones give up.
    fn resend(&mut self, waiting: &mut Waiting, tally: &mut Tally) -> usize {
        let now = Instant::now();
        let mut lost = 0;
        while let Some(&(sent, number)) = waiting.front() {
            let phone = &mut self.phones[number as usize];
            // Answered meanwhile, or sent again.
            let is_old = phone.sendings == 0 || phone.sent != sent;
            if !is_old && now < sent + T1 {
                break;
            }
            waiting.pop_front();
            if is_old {
                continue;
            }
            if phone.sendings == SENDINGS {
                phone.sendings = 0;
                tally.lost += 1;
                lost += 1;
            } else {
                tally.resent += 1;
                self.write(number, now, waiting);
            }
        }
        lost
    }
}

fn socket_of(number: u32) -> usize {
    number as usize / BURST % SOCKETS
}

impl Socket {
    fn flush(&mut self, headers: &mut Headers) -> Result<()> {
        let mut at = 0;
        while at < self.datagrams.len() {
            let slices: Vec<[IoSlice<'_>; 1]> = self.datagrams[at..]
                .iter()
                .take(BATCH)
                .map(|range| [IoSlice::new(&self.outgoing[range.clone()])])
                .collect();
            let to = vec![None; slices.len()];
            let fd = self.socket.as_raw_fd();
            let flags = MsgFlags::empty();
            at += match sendmmsg(fd, headers, &slices, to, [], flags) {
                Ok(sent) => sent.count(),
                Err(Errno::EINTR) => 0,
                Err(error) => return Err(error).context("sending to the registrar"),
            };
        }
        self.datagrams.clear();
        self.outgoing.clear();
        Ok(())
    }

    /// The lengths of the datagrams that are there, which are in the first buffers.
    fn receive(&mut self, buffers: &mut Buffers) -> Result<Vec<usize>> {
        let Buffers { headers, incoming } = buffers;
        let mut slices: Vec<[IoSliceMut<'_>; 1]> = incoming
            .iter_mut()
            .map(|buffer| [IoSliceMut::new(buffer)])
            .collect();
        let fd = self.socket.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        match recvmmsg(fd, headers, slices.iter_mut(), flags, None) {
            Ok(received) => Ok(received.map(|message| message.bytes).collect()),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(Vec::new()),
            Err(error) => Err(error).context("receiving from the registrar"),
        }
    }
}
