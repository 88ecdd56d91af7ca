//! Sockets that the service manager has opened for us: sd_listen_fds(3).
//!
//! The service manager keeps them over a restart of the daemon. What comes meanwhile waits in them,
//! and the next daemon answers it: nothing is lost, and no privilege is needed to bind them.
//!
//! A socket is matched to the configuration by its kind and its address; its name is for messages
//! alone. The workers of UDP have sockets of their own at one port (`SO_REUSEPORT`) as a rule. Such a
//! group cannot be joined here: the kernel wants every member to be of the same user, and the service
//! manager is root. Nor should it: what waits in a worker's own socket is lost when the worker ends.
//! So all workers read the one socket that was handed in, each over a descriptor of its own; the
//! kernel wakes one of those that wait (`EPOLLEXCLUSIVE`). Where the service manager has opened a
//! group of them (`ReusePort=yes`), all workers read all.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::path::Path;

use parking_lot::Mutex;
use socket2::{Domain, Socket, Type};

use super::addresses::Place;

/// Those of this process.
static OF_PROCESS: Sockets = Sockets(Mutex::new(Vec::new()));

/// What was handed in, for as long as the process runs: an address that is listened on again, after
/// a reload, has its socket again.
#[derive(Debug)]
struct Sockets(Mutex<Vec<HandedIn>>);

#[derive(Debug)]
struct HandedIn {
    /// `FileDescriptorName=` of its unit.
    name: String,
    what: What,
    socket: Socket,
}

/// What a descriptor turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Listens(Place),
    /// An IPv6 socket that takes IPv4 as well.
    DualStack(Place),
    /// `Accept=yes` hands in connections.
    Connection,
    Other,
}

/// A descriptor that fits nothing, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Misfit {
    name: String,
    what: What,
    /// The setting whose address is nearest.
    near: Option<(Place, &'static str)>,
}

impl fmt::Display for Misfit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the socket `{}` of the service manager ", self.name)?;
        match &self.what {
            What::Listens(place) => {
                write!(out, "is {place}, and no setting has that address")?;
                match &self.near {
                    Some((near, key)) => {
                        write!(out, "; {key} has {}: ", near.address())?;
                        let directive = near.directive();
                        write!(
                            out,
                            "set {directive}{} in its unit, or {key}",
                            near.address()
                        )
                    }
                    None => write!(
                        out,
                        "; take {}{} out of its unit, or configure what is to listen there",
                        place.directive(),
                        place.address()
                    ),
                }
            }
            What::DualStack(place) => write!(
                out,
                "is {place} and takes IPv4 too, which has an address of its own here; set \
                 BindIPv6Only=ipv6-only in its unit"
            ),
            What::Connection => {
                write!(
                    out,
                    "is a connection, not a listener; set Accept=no in its unit"
                )
            }
            What::Other => write!(
                out,
                "is no socket this daemon listens on (UDP, TCP, or a unix stream); take it out of \
                 its unit"
            ),
        }
    }
}

/// Takes over what was handed in. Once, and before anything else opens a descriptor.
pub fn take_over() -> io::Result<()> {
    let descriptors: Vec<_> = match sd_notify::listen_fds_with_names() {
        Ok(descriptors) => descriptors.collect(),
        // Names that do not go with the descriptors are no reason to lose these.
        Err(_) => {
            let unnamed = |descriptor| (descriptor, "unknown".to_owned());
            sd_notify::listen_fds()?.map(unnamed).collect()
        }
    };
    let take = |(descriptor, name)| {
        // SAFETY: the service manager has opened it for this process, as `LISTEN_PID` says, and
        // nobody has taken it before: this is called once, before any other descriptor is made.
        let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
        let socket = Socket::from(owned);
        let what = examine(&socket);
        HandedIn { name, what, socket }
    };
    OF_PROCESS
        .0
        .lock()
        .extend(descriptors.into_iter().map(take));
    Ok(())
}

fn examine(socket: &Socket) -> What {
    let Ok(local) = socket.local_addr() else {
        return What::Other;
    };
    // Neither of them says whether it is the one or the other of its kind, as UDP and UDP-Lite.
    let (Ok(kind), protocol) = (socket.r#type(), socket.protocol().ok().flatten()) else {
        return What::Other;
    };
    let is_protocol = |wanted| protocol.is_none_or(|it| it == wanted);
    let place = if let Some(address) = local.as_socket() {
        match kind {
            Type::DGRAM if is_protocol(socket2::Protocol::UDP) => Place::Udp(address),
            Type::STREAM if is_protocol(socket2::Protocol::TCP) => Place::Tcp(address),
            _ => return What::Other,
        }
    } else if let (Type::STREAM, Some(path)) = (kind, local.as_pathname()) {
        Place::Unix(path.to_owned())
    } else {
        return What::Other;
    };
    if socket.peer_addr().is_ok() {
        return What::Connection;
    }
    let is_v6 = socket.domain().is_ok_and(|it| it == Domain::IPV6);
    if is_v6 && !socket.only_v6().unwrap_or(true) {
        return What::DualStack(place);
    }
    What::Listens(place)
}

impl Sockets {
    fn fit(&self, places: &[(Place, &'static str)]) -> Vec<Misfit> {
        let fits = |it: &HandedIn| match &it.what {
            What::Listens(place) => places.iter().any(|(wanted, _)| wanted == place),
            What::DualStack(_) | What::Connection | What::Other => false,
        };
        let mut handed_in = self.0.lock();
        let all = std::mem::take(&mut *handed_in);
        let (fitting, others): (Vec<_>, Vec<_>) = all.into_iter().partition(fits);
        *handed_in = fitting;
        let misfit = |it: HandedIn| Misfit {
            near: near(&it.what, places),
            name: it.name,
            what: it.what,
        };
        others.into_iter().map(misfit).collect()
    }

    /// Those that stand for a place, each as a descriptor of its own that does not block.
    fn at(&self, place: &Place) -> io::Result<Vec<Socket>> {
        let handed_in = self.0.lock();
        let is_there = |it: &&HandedIn| it.what == What::Listens(place.clone());
        let again = |it: &HandedIn| {
            it.socket.set_nonblocking(true)?;
            it.socket.try_clone()
        };
        handed_in.iter().filter(is_there).map(again).collect()
    }

    fn has(&self, place: &Place) -> bool {
        let handed_in = self.0.lock();
        handed_in
            .iter()
            .any(|it| it.what == What::Listens(place.clone()))
    }
}

/// Keeps those that stand for one of these places, and closes the others: what is sent to them waits
/// with the service manager. To be called before anything listens.
pub fn fit(places: &[(Place, &'static str)]) -> Vec<Misfit> {
    OF_PROCESS.fit(places)
}

fn near(what: &What, places: &[(Place, &'static str)]) -> Option<(Place, &'static str)> {
    let What::Listens(place) = what else {
        return None;
    };
    places.iter().find(|(it, _)| it.is_near(place)).cloned()
}

/// What was handed in for an address of UDP: one socket, or a whole group.
pub fn udp(address: SocketAddr) -> io::Result<Vec<Socket>> {
    OF_PROCESS.at(&Place::Udp(address))
}

/// What was handed in for an address of TCP.
pub fn tcp(address: SocketAddr) -> io::Result<Option<Socket>> {
    Ok(OF_PROCESS.at(&Place::Tcp(address))?.into_iter().next())
}

/// A listener for an address of TCP: the one that was handed in, or one of our own.
pub async fn listener(address: SocketAddr) -> io::Result<tokio::net::TcpListener> {
    match tcp(address)? {
        Some(socket) => tokio::net::TcpListener::from_std(TcpListener::from(socket)),
        None => tokio::net::TcpListener::bind(address).await,
    }
}

/// What was handed in for a path.
pub fn unix(path: &Path) -> io::Result<Option<Socket>> {
    let sockets = OF_PROCESS.at(&Place::Unix(path.to_owned()))?;
    Ok(sockets.into_iter().next())
}

/// Whether one was handed in for an address of UDP.
pub fn has_udp(address: SocketAddr) -> bool {
    OF_PROCESS.has(&Place::Udp(address))
}

/// How many are in use, for status.
pub fn count() -> usize {
    OF_PROCESS.0.lock().len()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpStream, UdpSocket};
    use std::os::unix::net::UnixListener;

    use super::*;

    fn hand_in(name: &str, socket: impl Into<Socket>) -> HandedIn {
        let socket = socket.into();
        HandedIn {
            name: name.to_owned(),
            what: examine(&socket),
            socket,
        }
    }

    fn any() -> SocketAddr {
        ([127, 0, 0, 1], 0).into()
    }

    #[test]
    fn a_descriptor_is_known_by_what_it_is() {
        let udp = UdpSocket::bind(any()).unwrap();
        let address = udp.local_addr().unwrap();
        assert_eq!(examine(&udp.into()), What::Listens(Place::Udp(address)));
        let tcp = Socket::from(TcpListener::bind(any()).unwrap());
        let address = tcp.local_addr().unwrap().as_socket().unwrap();
        let client = TcpStream::connect(address).unwrap();
        assert_eq!(examine(&tcp), What::Listens(Place::Tcp(address)));
        // Open still: a connection that was reset has no other end.
        assert_eq!(examine(&client.into()), What::Connection);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let unix = UnixListener::bind(&path).unwrap();
        assert_eq!(examine(&unix.into()), What::Listens(Place::Unix(path)));
        let (pair, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(examine(&pair.into()), What::Other);
        let file = tempfile::tempfile().unwrap();
        assert_eq!(examine(&Socket::from(OwnedFd::from(file))), What::Other);
        let both = Socket::new(Domain::IPV6, Type::DGRAM, None).unwrap();
        both.set_only_v6(false).unwrap();
        let any_v6 = SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 0));
        both.bind(&any_v6.into()).unwrap();
        assert!(matches!(examine(&both), What::DualStack(_)));
    }

    #[test]
    fn what_fits_is_kept_and_what_does_not_is_told_with_what_to_do() {
        let tftp = UdpSocket::bind(any()).unwrap();
        let wanted = tftp.local_addr().unwrap();
        let other = UdpSocket::bind(any()).unwrap();
        let unwanted = other.local_addr().unwrap();
        let web = TcpListener::bind(any()).unwrap();
        let port = web.local_addr().unwrap().port();
        let configured = Place::Tcp(([127, 0, 0, 2], port).into());
        let sockets = Sockets(Mutex::new(vec![
            hand_in("tftp", tftp),
            hand_in("old", other),
            hand_in("web", web),
        ]));
        let places = [
            (Place::Udp(wanted), "tftp.listen"),
            (configured, "web.address"),
        ];
        let told: Vec<_> = sockets
            .fit(&places)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            told,
            [
                format!(
                    "the socket `old` of the service manager is UDP {unwanted}, and no setting has \
                     that address; take ListenDatagram={unwanted} out of its unit, or configure \
                     what is to listen there"
                ),
                format!(
                    "the socket `web` of the service manager is TCP 127.0.0.1:{port}, and no \
                     setting has that address; web.address has 127.0.0.2:{port}: set \
                     ListenStream=127.0.0.2:{port} in its unit, or web.address"
                ),
            ]
        );
        // Closed, and so free for others.
        UdpSocket::bind(unwanted).unwrap();
        // Each worker has its own descriptor of the same socket.
        let place = Place::Udp(wanted);
        let [first, second] = [(); 2].map(|()| sockets.at(&place).unwrap());
        assert_eq!((first.len(), second.len()), (1, 1));
        let client = UdpSocket::bind(any()).unwrap();
        client.send_to(b"request", wanted).unwrap();
        drop(first);
        let receiver = UdpSocket::from(second.into_iter().next().unwrap());
        receiver.set_nonblocking(false).unwrap();
        let mut bytes = [0; 16];
        assert_eq!(receiver.recv(&mut bytes).unwrap(), 7);
        assert!(sockets.at(&Place::Udp(unwanted)).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_listener_of_ours_is_told_with_the_line_for_its_unit() {
        let told = |what| {
            let misfit = Misfit {
                name: "x".to_owned(),
                what,
                near: None,
            };
            misfit.to_string()
        };
        let place = Place::Udp("[::]:69".parse().unwrap());
        assert!(told(What::DualStack(place)).ends_with("set BindIPv6Only=ipv6-only in its unit"));
        assert!(told(What::Connection).ends_with("set Accept=no in its unit"));
        assert!(told(What::Other).ends_with("take it out of its unit"));
    }
}
