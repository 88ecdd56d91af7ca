//! A phone's connection: for HTTP, kept from one file to the next while the server keeps it, or to a
//! registrar.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use socket2::Type;

use crate::client::stream;

/// A connection that never blocks. Events of it are told once, so each is read to its end.
pub(super) struct Connection {
    stream: TcpStream,
    /// What has not gone out yet: a request waits for the connection to be made.
    out: Vec<u8>,
    /// Answers that have come over it.
    pub(super) answers: u32,
}

impl Connection {
    pub(super) fn open(from: IpAddr, to: SocketAddr, epoll: &Epoll, data: u64) -> io::Result<Self> {
        let stream = stream(from, to, Type::STREAM.nonblocking())?;
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        epoll.add(&stream, EpollEvent::new(flags, data))?;
        Ok(Self {
            stream,
            out: Vec::new(),
            answers: 0,
        })
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.extend_from_slice(bytes);
        self.flush()
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(written) => drop(self.out.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The address of ours, once the connection is made; an error if it could not be.
    pub(super) fn local_if_made(&self) -> io::Result<Option<SocketAddr>> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => self.stream.local_addr().map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What has come; none if there is nothing more at the moment, nothing in it at the end.
    pub(super) fn read<'b>(&mut self, buffer: &'b mut [u8]) -> io::Result<Option<&'b [u8]>> {
        match self.stream.read(buffer) {
            Ok(len) => Ok(Some(&buffer[..len])),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}
