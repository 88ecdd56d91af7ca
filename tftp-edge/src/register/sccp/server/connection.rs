//! One connection: brings bytes to its session, and what the session answers to the phone.
//!
//! There are as many as phones, and nearly all of them are idle. So a connection has no buffer of
//! its own: it reads into one of its thread, and keeps only the beginning of a message that is not
//! whole, or the end of an answer that the phone has not taken.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep_until, timeout};

use crate::places::Place;
use crate::register::ConnectionId;
use crate::register::sccp::connections::{Letter, Mailbox};
use crate::register::sccp::counters::Ending;
use crate::register::sccp::registrar::{Moment, Registrar};
use crate::register::sccp::session::{Flow, HIGH_WATER, Session, Turn};

/// What is read at once: a burst of questions is a few hundred bytes.
const READ: usize = 8 << 10;

/// How long a phone that is refused may take to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// Of one thread; used between two waits, never over one.
struct Scratch {
    input: Box<[u8]>,
    out: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        input: vec![0; READ].into(),
        out: Vec::with_capacity(HIGH_WATER),
    });
}

pub(super) struct Connection {
    link: Link,
    mailbox: Arc<Mailbox>,
    _entry: Entry,
    _place: Place,
}

/// The connection's entry among all, taken out however it ends.
struct Entry {
    registrar: Arc<Registrar>,
    id: ConnectionId,
    ending: Option<Ending>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registrar.connections.close(self.id);
        self.registrar.counters.closed(self.ending);
    }
}

/// The two ends.
struct Link {
    registrar: Arc<Registrar>,
    stream: TcpStream,
    session: Session,
    /// What the phone has not taken yet, from `taken` on.
    unsent: Vec<u8>,
    taken: usize,
    /// When it is cut off unless it takes something.
    cut_off_at: Option<Instant>,
}

impl Connection {
    /// None if the phone has gone already.
    pub(super) fn new(
        registrar: Arc<Registrar>,
        stream: TcpStream,
        peer: SocketAddr,
        place: Place,
    ) -> Option<Self> {
        let local = stream.local_addr().ok()?;
        let (id, mailbox) = registrar.connections.open();
        registrar.counters.opened();
        let session = Session::new(&registrar, id, peer, local, Instant::now());
        Some(Self {
            mailbox,
            _entry: Entry {
                registrar: Arc::clone(&registrar),
                id,
                ending: None,
            },
            link: Link {
                registrar,
                stream,
                session,
                unsent: Vec::new(),
                taken: 0,
                cut_off_at: None,
            },
            _place: place,
        })
    }

    pub(super) async fn serve(mut self) {
        let ending = self.run().await;
        // Before anything that takes time: the phone may be back on another connection by then.
        self._entry.ending = Some(ending);
        self._entry.registrar.connections.close(self._entry.id);
        if matches!(
            ending,
            Ending::Refused | Ending::Throttled | Ending::Removed
        ) {
            let _ = timeout(FAREWELL, self.link.say_farewell()).await;
        }
    }

    async fn run(&mut self) -> Ending {
        let (link, mailbox) = (&mut self.link, &self.mailbox);
        let mut timer = pin!(sleep_until(link.deadline().into()));
        loop {
            let flow = tokio::select! {
                flow = poll_fn(|cx| link.poll(cx)) => flow,
                () = &mut timer => Flow::Open,
                () = mailbox.arrived() => link.deliver(mailbox),
            };
            let flow = match flow {
                Flow::Open if timer.is_elapsed() => link.expire(),
                flow => flow,
            };
            if let Flow::Close(ending) = flow {
                return ending;
            }
            mailbox.set_blocked(link.is_blocked());
            rearm(timer.as_mut(), link.deadline());
        }
    }
}

/// Deadlines mostly move away: then the timer goes off in vain once, instead of being set at every
/// message.
fn rearm(timer: Pin<&mut Sleep>, deadline: Instant) {
    if timer.is_elapsed() || deadline < timer.deadline().into_std() {
        timer.reset(deadline.into());
    }
}

impl Link {
    fn is_blocked(&self) -> bool {
        self.taken < self.unsent.len()
    }

    fn deadline(&self) -> Instant {
        let session = self.session.next(&self.registrar);
        self.cut_off_at.map_or(session, |at| at.min(session))
    }

    /// Does one thing that can be done. As long as the phone takes nothing it is not read from, so
    /// that what waits for it does not grow.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Flow> {
        let flow = if self.is_blocked() {
            match ready!(self.poll_flush(cx)) {
                Ok(()) => Flow::Open,
                Err(_) => self.end(Ending::Peer),
            }
        } else if self.session.is_held_up() {
            // There is room for the answers now.
            self.act(|session, turn| session.receive(&[], turn))
        } else {
            match ready!(self.poll_read(cx)) {
                Ok(flow) => flow,
                Err(_) => self.end(Ending::Peer),
            }
        };
        Poll::Ready(flow)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Flow>> {
        SCRATCH.with_borrow_mut(|Scratch { input, out }| {
            let mut buffer = ReadBuf::new(input);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            Poll::Ready(Ok(match buffer.filled() {
                [] => self.turn(out, |session, turn| session.end(Ending::Peer, turn)),
                bytes => self.turn(out, |session, turn| session.receive(bytes, turn)),
            }))
        })
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.is_blocked() {
            let rest = &self.unsent[self.taken..];
            self.taken += ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            self.cut_off_at = Some(Instant::now() + self.patience());
        }
        self.unsent = Vec::new();
        self.taken = 0;
        self.cut_off_at = None;
        Poll::Ready(Ok(()))
    }

    fn patience(&self) -> Duration {
        self.registrar.settings.get().write_timeout()
    }

    /// Has the session do something, and sends what it says.
    fn turn(
        &mut self,
        out: &mut Vec<u8>,
        act: impl FnOnce(&mut Session, &mut Turn<'_>) -> Flow,
    ) -> Flow {
        out.clear();
        let mut turn = Turn {
            registrar: &self.registrar,
            now: Moment::now(),
            out,
        };
        let flow = act(&mut self.session, &mut turn);
        let sent = match turn.out.is_empty() || self.is_blocked() {
            true => 0,
            false => match self.stream.try_write(turn.out) {
                Ok(sent) => sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(_) if flow == Flow::Open => return self.session.end(Ending::Peer, &mut turn),
                Err(_) => return flow,
            },
        };
        if sent < turn.out.len() {
            self.unsent.extend_from_slice(&turn.out[sent..]);
            let cut_off_at = Instant::now() + self.patience();
            self.cut_off_at.get_or_insert(cut_off_at);
        }
        flow
    }

    fn act(&mut self, act: impl FnOnce(&mut Session, &mut Turn<'_>) -> Flow) -> Flow {
        SCRATCH.with_borrow_mut(|scratch| self.turn(&mut scratch.out, act))
    }

    fn end(&mut self, ending: Ending) -> Flow {
        self.act(|session, turn| session.end(ending, turn))
    }

    fn expire(&mut self) -> Flow {
        match self.cut_off_at {
            Some(at) if at <= Instant::now() => self.end(Ending::SlowReader),
            _ => self.act(Session::expire),
        }
    }

    fn deliver(&mut self, mailbox: &Mailbox) -> Flow {
        for letter in mailbox.take() {
            match letter {
                Letter::Superseded => return self.end(Ending::Superseded),
                Letter::Order(order) => {
                    self.act(|session, turn| {
                        session.order(order, turn);
                        Flow::Open
                    });
                }
            }
        }
        Flow::Open
    }

    /// Lets the phone read what it was told: closing with something of its own unread would reset
    /// the connection, and the answer with it.
    async fn say_farewell(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.unsent[self.taken..]).await?;
        self.stream.shutdown().await?;
        let mut rest = [0; 512];
        while self.stream.read(&mut rest).await? > 0 {}
        Ok(())
    }
}
