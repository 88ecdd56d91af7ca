//! A connection that ends when its client takes too little, and tells what goes over it.
//!
//! A client that reads a byte now and then makes progress all the time; so what counts is how much
//! it takes in a window of time. A window begins when nothing more can be sent, and ends well as
//! soon as enough has gone out.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::link::Link;

/// What a client has to take in a window. The system lets us write again when about a third of the
/// socket's buffer is free, which is several times this.
const ENOUGH: usize = 16 << 10;

pub(super) struct Watched<S> {
    stream: S,
    link: Arc<Link>,
    limit: Duration,
    window: Option<Window>,
}

struct Window {
    end: Pin<Box<Sleep>>,
    taken: usize,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, link: Arc<Link>, limit: Duration) -> Self {
        Self {
            stream,
            link,
            limit,
            window: None,
        }
    }

    /// Some bytes have gone out.
    fn went(&mut self, bytes: usize) {
        if let Some(window) = &mut self.window {
            window.taken += bytes;
            // One that is over belongs to an earlier answer: had the client been waited for, the
            // timer would have ended it.
            if window.taken >= ENOUGH || window.end.deadline() <= Instant::now() {
                self.window = None;
            }
        }
    }

    /// Nothing can be sent at the moment.
    fn wait<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let limit = self.limit;
        let window = self.window.get_or_insert_with(|| Window {
            end: Box::pin(tokio::time::sleep(limit)),
            taken: 0,
        });
        match window.end.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                self.link.stall();
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    fn after_write(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => {
                self.went(bytes);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.wait(context),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.link.heard();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.after_write(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.after_write(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes when it has written all it has.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_flush(context) {
            Poll::Ready(Ok(())) => {
                self.link.flushed();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // TLS records that found no room.
            Poll::Pending => self.wait(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_shutdown(context) {
            Poll::Pending => self.wait(context),
            ready => ready,
        }
    }
}
