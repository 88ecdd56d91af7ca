//! The sockets of TFTP: whether their ports are free, and those for transfers.

use std::io;
use std::net::SocketAddr;

use rand::RngExt;
use socket2::Socket;

use super::server::StartError;
use super::settings::Settings;
use crate::port_owner;
use crate::port_range::PortRange;
use crate::service;
use crate::udp::socket::open;
pub use crate::udp::socket::{Options, listen, listeners, may_come_later};

impl From<&Settings> for Options {
    fn from(settings: &Settings) -> Self {
        Self {
            dscp: settings.dscp,
            buffer: settings.socket_buffer,
            stamps: false,
        }
    }
}

/// Those of a socket for requests: how long one waited is told.
pub fn for_requests(settings: &Settings) -> Options {
    Options {
        stamps: true,
        ..settings.into()
    }
}

/// Whether nobody holds the port yet. `SO_REUSEPORT` would let a second daemon of the same user
/// take half of the requests without a word.
pub fn check_free(address: SocketAddr, options: Options) -> Result<(), StartError> {
    // One that was handed in is bound, and ours.
    if address.port() == 0 || service::sockets::has_udp(address) {
        return Ok(());
    }
    let attempt = open(address, options).and_then(|socket| socket.bind(&address.into()));
    match attempt {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(StartError::Taken {
            address,
            owner: port_owner::of_udp_port(address.port()),
        }),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(StartError::Permission { address })
        }
        _ => Ok(()),
    }
}

/// A socket for transfers: at the address of `home`, on a random port of the range.
pub fn transfer(home: SocketAddr, range: PortRange, options: Options) -> io::Result<Socket> {
    let mut rng = rand::rng();
    // A range with a free port in fifty is as good as used up.
    let mut attempts = 200;
    loop {
        let mut address = home;
        address.set_port(rng.random_range(range.ports()));
        let socket = open(address, options)?;
        match socket.bind(&address.into()) {
            Ok(()) => return Ok(socket),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {
                attempts -= 1;
            }
            Err(error) => return Err(error),
        }
    }
}
