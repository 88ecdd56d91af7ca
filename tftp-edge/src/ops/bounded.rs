//! A listener for a port that is not the daemon's business: few connections, none for long.
//!
//! One connection over the bound waits here for a place, and others in the system's queue; one that lives too long is ended,
//! whatever it is doing. No client can tie up memory or tasks by sending slowly, or not at all.
//! Only who writes a stream to a reader that keeps up takes a [`Lease`]: the connection then lasts.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// How many leases there are on a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Leases(Arc<AtomicUsize>);

impl Leases {
    pub(super) fn take(&self) -> Lease {
        self.0.fetch_add(1, Ordering::Relaxed);
        Lease(self.clone())
    }

    fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// While it is held, its connection may live longer than others.
#[derive(Debug)]
pub(super) struct Lease(Leases);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) struct Bounded {
    listener: TcpListener,
    slots: Arc<Semaphore>,
    lifetime: Duration,
}

impl Bounded {
    pub(super) fn new(listener: TcpListener, connections: usize, lifetime: Duration) -> Self {
        Self {
            listener,
            slots: Arc::new(Semaphore::new(connections)),
            lifetime,
        }
    }
}

impl Bounded {
    /// The next connection, once there is a place for it; `waits` is told if it has to wait for one.
    pub(super) async fn accept(&mut self, waits: impl FnOnce()) -> (Connection, SocketAddr) {
        let (stream, peer) = axum::serve::Listener::accept(&mut self.listener).await;
        let slots = || Arc::clone(&self.slots);
        let slot = match slots().try_acquire_owned() {
            Ok(slot) => slot,
            Err(_) => {
                waits();
                let slot = slots().acquire_owned().await;
                slot.expect("the semaphore is never closed")
            }
        };
        let connection = Connection {
            stream,
            end: Box::pin(tokio::time::sleep(self.lifetime)),
            lifetime: self.lifetime,
            leases: Leases::default(),
            heard: Arc::default(),
            _slot: slot,
        };
        (connection, peer)
    }
}

pub(super) struct Connection {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    lifetime: Duration,
    leases: Leases,
    heard: Arc<AtomicBool>,
    _slot: OwnedSemaphorePermit,
}

impl Connection {
    pub(super) fn leases(&self) -> Leases {
        self.leases.clone()
    }

    /// Set when something comes in.
    pub(super) fn heard(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.heard)
    }

    fn alive(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while self.end.as_mut().poll(context).is_ready() {
            if !self.leases.any() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.end.as_mut().reset(Instant::now() + self.lifetime);
        }
        Ok(())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.alive(context)?;
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.heard.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.alive(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.alive(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
