//! The socket of a [`Download`].

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tftp_ebpf::wire::tftp::ErrorCode;
use tokio::net::UdpSocket;
use tokio::time::timeout_at;

use super::download::{Download, Reaction, error};
use crate::content::upstream::outcome::{Failure, Outcome};
use crate::content::upstream::pace::Pace;
use crate::content::upstream::room::Room;

/// More than any datagram we ask for, so that a longer one is seen to be longer.
const PACKET_LEN: usize = 2048;

/// Reads a file. The socket has a port of its own, chosen by the system at random (RFC 1350
/// section 4), and hears nobody but the server.
pub(crate) async fn fetch(
    server: SocketAddr,
    name: &[u8],
    max_len: u64,
    patience: Duration,
    room: &mut Room,
) -> Outcome {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await.map_err(|_| Failure::NoRoom)?;
    let mut download = Download::new(name, max_len, patience, Instant::now());
    let mut pace = Pace::new(patience, Instant::now());
    let mut buffer = [0; PACKET_LEN];
    send(&socket, &download, server).await?;
    loop {
        let reaction = match receive(&socket, &mut buffer, download.deadline()).await {
            Ok((len, from)) if from.ip() == server.ip() => {
                let reaction = download.on_packet(from.port(), &buffer[..len], Instant::now());
                if reaction == Reaction::Complain {
                    // Lost or not, the transfer goes on.
                    let _ = socket.send_to(&error(ErrorCode::UnknownTid), from).await;
                }
                reaction
            }
            // Anybody can send to a port.
            Ok(_) => Reaction::Wait,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                download.on_timer(Instant::now())
            }
            Err(_) => Reaction::Failed(Failure::Unreachable),
        };
        if !room.hold(download.len()) {
            return Err(Failure::NoRoom);
        }
        if !pace.keeps_up(download.len(), Instant::now()) {
            return Err(Failure::Timeout);
        }
        match reaction {
            Reaction::Wait | Reaction::Complain => {}
            Reaction::Send => send(&socket, &download, server).await?,
            Reaction::Complete => {
                // If it is lost, the server's last block finds no socket and that tells it.
                let _ = send(&socket, &download, server).await;
                let mut body = download.into_body();
                body.shrink_to_fit();
                return Ok(Bytes::from(body));
            }
            Reaction::Failed(failure) => {
                let _ = send(&socket, &download, server).await;
                return Err(failure);
            }
        }
    }
}

async fn receive(
    socket: &UdpSocket,
    buffer: &mut [u8],
    deadline: Instant,
) -> io::Result<(usize, SocketAddr)> {
    match timeout_at(deadline.into(), socket.recv_from(buffer)).await {
        Ok(received) => received,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn send(socket: &UdpSocket, download: &Download, server: SocketAddr) -> Result<(), Failure> {
    if download.packet().is_empty() {
        return Ok(());
    }
    let port = download.tid().unwrap_or(server.port());
    let to = SocketAddr::new(server.ip(), port);
    match socket.send_to(download.packet(), to).await {
        Ok(_) => Ok(()),
        Err(_) => Err(Failure::Unreachable),
    }
}
