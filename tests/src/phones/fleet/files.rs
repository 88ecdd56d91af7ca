//! The files of a boot, over TFTP and HTTP.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Instant;

use anyhow::{Context as _, Result};
use nix::sys::epoll::{EpollEvent, EpollFlags};
use socket2::{Domain, Protocol, Socket, Type};

use super::connection::Connection;
use super::slots::{CONNECTION, Loop};
use crate::phones::{Action, Progress};

impl Loop<'_, '_> {
    pub(super) fn receive(&mut self, index: usize, incoming: &mut [u8]) -> Result<()> {
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

    pub(super) fn act(&mut self, index: usize, action: Action, now: Instant) -> Result<()> {
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
            // What is told of stages is told of the boot, not of restarts that were ordered.
            if !slot.phone.is_again() {
                Progress::add(&self.progress.files[result.stage as usize], 1);
                Progress::add(&self.progress.bytes, result.tally.bytes);
                Progress::add(&self.progress.resends, result.tally.resends.into());
                self.report.file(&result);
            }
            if slot.failure.is_none() {
                slot.failure = result.failure;
            }
        }
        self.next_file(index, now)
    }

    pub(super) fn next_file(&mut self, index: usize, now: Instant) -> Result<()> {
        let slot = &mut self.slots[index];
        slot.socket = None;
        if !slot.phone.next_file(now) {
            return self.booted(index, now);
        }
        self.begin(index, now)
    }

    /// All files are there.
    fn booted(&mut self, index: usize, now: Instant) -> Result<()> {
        let slot = &mut self.slots[index];
        slot.connection = None;
        if let Some(reason) = slot.failure.take() {
            self.done(index, Some(reason));
            return Ok(());
        }
        if !std::mem::replace(&mut slot.has_booted, true) {
            let took = now.saturating_duration_since(slot.power_on);
            self.report.booted(took);
            self.last_boot = now;
            Progress::add(&self.progress.booted, 1);
        }
        match self.options.registration {
            Some(registering) => self.register(index, registering, now),
            None => {
                self.done(index, None);
                Ok(())
            }
        }
    }

    /// Asks for the file that has just begun.
    fn begin(&mut self, index: usize, now: Instant) -> Result<()> {
        let slot = &mut self.slots[index];
        let address = slot.phone.spec().address;
        if let Some((server, request)) = slot.phone.http_request() {
            let asked = match &mut slot.connection {
                Some(connection) => connection.send(request.as_bytes()),
                none => {
                    let data = index as u64 | CONNECTION;
                    Connection::open(address, server, &self.epoll, data)
                        .and_then(|connection| none.insert(connection).send(request.as_bytes()))
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
    pub(super) fn read(&mut self, index: usize, incoming: &mut [u8]) -> Result<()> {
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
}

/// A socket of the phone with this address, with any port.
fn bind(address: IpAddr) -> io::Result<UdpSocket> {
    bound((address, 0).into(), false)
}

/// A socket with a port of the phone's that it may have had just before. What we have closed stays
/// open for a moment in a child that is being started, until that has become another program.
pub(super) fn bind_again(address: SocketAddr) -> io::Result<UdpSocket> {
    bound(address, true)
}

fn bound(address: SocketAddr, is_shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM.nonblocking(),
        Some(Protocol::UDP),
    )?;
    socket.set_reuse_address(is_shared)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}
