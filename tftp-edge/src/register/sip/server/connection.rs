//! One connection, from its first byte to its end.
//!
//! It holds no buffer while nothing comes: what is read lands on the stack of the thread that reads
//! it, and only half a message stays.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use super::counters::End;
use super::hub::Hub;
use super::link::{Link, Reach};
use crate::register::sip::stream::{Event, Framer};
use crate::register::sip::{Incoming, Outgoing};

/// What is read at once, in bytes.
const CHUNK: usize = 8 << 10;

/// How long the last words of a connection may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// RFC 5626 3.5.1.
const PONG: &[u8] = b"\r\n";

/// Takes messages in and sends what there is to send, until one of the two sides ends it.
pub(super) async fn serve<S>(mut stream: S, link: Arc<Link>, hub: &Hub) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut reader = Reader {
        link: &link,
        hub,
        framer: Framer::default(),
        held: 0,
        is_flushed: true,
    };
    let end = std::future::poll_fn(|context| reader.poll(&mut stream, context)).await;
    reader.hub.room.resize(reader.held, 0);
    if !matches!(end, End::Lost | End::SlowReader) {
        let _ = tokio::time::timeout(FAREWELL, stream.shutdown()).await;
    }
    end
}

struct Reader<'c> {
    link: &'c Arc<Link>,
    hub: &'c Hub,
    framer: Framer,
    /// Memory of the framer, as it was told to the room.
    held: usize,
    /// Whether TLS has passed on all it was given.
    is_flushed: bool,
}

impl Reader<'_> {
    fn poll<S>(&mut self, stream: &mut S, context: &mut Context<'_>) -> Poll<End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            if let Some(end) = self.link.watch(context.waker()) {
                return Poll::Ready(end);
            }
            if self.write(stream, context).is_err() {
                return Poll::Ready(End::Lost);
            }
            if self.link.is_backed_up() {
                return Poll::Pending;
            }
            if let Err(end) = ready!(self.read(stream, context)) {
                return Poll::Ready(end);
            }
        }
    }

    fn write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        context: &mut Context<'_>,
    ) -> io::Result<()> {
        let is_flushed = &mut self.is_flushed;
        let all = self.link.drain(Instant::now(), |bytes| {
            *is_flushed = false;
            match Pin::new(&mut *stream).poll_write(context, bytes) {
                Poll::Ready(Ok(0)) => Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(result) => result,
                Poll::Pending => Ok(0),
            }
        })?;
        if all && !self.is_flushed {
            match Pin::new(stream).poll_flush(context) {
                Poll::Ready(result) => {
                    result?;
                    self.is_flushed = true;
                }
                Poll::Pending => {}
            }
        }
        Ok(())
    }

    fn read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), End>> {
        let mut memory = [MaybeUninit::uninit(); CHUNK];
        let mut buffer = ReadBuf::uninit(&mut memory);
        match ready!(Pin::new(stream).poll_read(context, &mut buffer)) {
            Err(_) => return Poll::Ready(Err(End::Lost)),
            Ok(()) if buffer.filled().is_empty() => return Poll::Ready(Err(End::Closed)),
            Ok(()) => {}
        }
        Poll::Ready(self.take(buffer.filled()))
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), End> {
        let now = Instant::now();
        let mut pinged = false;
        let mut ended = false;
        let mut out = Vec::new();
        let (link, hub) = (self.link, self.hub);
        let fed = self.framer.feed(bytes, |event| {
            ended = true;
            match event {
                Event::Message(message) => {
                    let incoming = incoming(link, message, now);
                    hub.receive(&incoming, Instant::now(), &mut out, |outgoing| {
                        send(hub, link, outgoing);
                    });
                }
                Event::Ping => {
                    pinged = true;
                    hub.counters.keepalives.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        // One for all of this read: it says that the connection holds.
        if pinged {
            let _ = link.push(PONG);
        }
        if let Err(broken) = fed {
            hub.garbage(&incoming(link, bytes, now), broken.into(), now);
            return Err(End::Unreadable);
        }
        let reach = match (self.framer.is_inside(), ended) {
            (false, _) => Reach::Whole,
            (true, true) => Reach::Next,
            (true, false) => Reach::Same,
        };
        link.heard(now, reach);
        let held = self.framer.held();
        let before = std::mem::replace(&mut self.held, held);
        match hub.room.resize(before, held) {
            true => Ok(()),
            false => Err(End::Memory),
        }
    }
}

fn incoming<'m>(link: &Link, bytes: &'m [u8], arrived: Instant) -> Incoming<'m> {
    Incoming {
        bytes,
        transport: link.transport,
        source: link.peer,
        local: link.local,
        connection: Some(link.id),
        arrived,
    }
}

/// A phone that has more answers waiting than anybody leaves there does not read: it is cut off.
fn send(hub: &Hub, link: &Link, outgoing: &Outgoing) {
    if outgoing.to.connection != Some(link.id) {
        // Its failure is counted.
        let _ = hub.send(outgoing);
    } else if link.push(&outgoing.bytes).is_err() {
        hub.counters.send_errors.fetch_add(1, Ordering::Relaxed);
        link.end(End::SlowReader);
    }
}
