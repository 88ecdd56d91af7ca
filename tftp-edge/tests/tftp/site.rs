//! A server with a few files in memory, and a bare client that sees every packet.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tftp_ebpf::name;
use tftp_ebpf::stage::Stage;
use tftp_ebpf::verdict::Reason;
use tftp_edge::access::Access;
use tftp_edge::content::{Catalog, Lookup, Query, Version};
use tftp_edge::misses::Misses;
use tftp_edge::stats::{Counters, Tally};
use tftp_edge::tftp::sources::Sources;
use tftp_edge::tftp::{Server, Settings};

/// As long as an answer may take on a busy machine; nothing waits as long unless something is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

type Wake = Box<dyn FnOnce() + Send>;

/// Files by normalised name. `loading/x` is being read until [`Files::loaded`]; `slow/x` keeps the
/// worker busy for a while, which a true catalog must never do.
#[derive(Default)]
pub(crate) struct Files {
    versions: Mutex<HashMap<String, Arc<Version>>>,
    waiting: Mutex<Vec<Wake>>,
}

impl Files {
    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) {
        let version = Version {
            name: name.into(),
            stage: Stage::of_name(name.as_bytes()),
            generation: 1,
            published: std::time::SystemTime::UNIX_EPOCH,
            bytes: Bytes::from(bytes),
        };
        let mut versions = self.versions.lock().unwrap();
        versions.insert(name.into(), Arc::new(version));
    }

    /// How many requests wait for a file.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.lock().unwrap().len()
    }

    pub(crate) fn loaded(&self) {
        for wake in std::mem::take(&mut *self.waiting.lock().unwrap()) {
            wake();
        }
    }
}

impl Catalog for Files {
    fn lookup(&self, query: Query<'_>) -> Lookup {
        let mut buffer = [0; 255];
        let Ok(name) = name::normalise(query.name, &mut buffer) else {
            return Lookup::Refused;
        };
        let name = std::str::from_utf8(name).unwrap();
        if name.starts_with("slow/") {
            std::thread::sleep(Duration::from_millis(300));
        }
        match self.versions.lock().unwrap().get(name) {
            Some(version) => Lookup::Found(version.clone()),
            None if name.starts_with("loading/") => Lookup::Loading,
            None => Lookup::Absent,
        }
    }

    fn when_ready(&self, _query: Query<'_>, wake: Wake) {
        self.waiting.lock().unwrap().push(wake);
    }
}

/// Bytes that differ from block to block.
pub(crate) fn content(len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect()
}

pub(crate) struct Site {
    pub(crate) files: Arc<Files>,
    pub(crate) server: Server,
    counters: Arc<Counters>,
}

impl Site {
    /// Nothing is lost on loopback, so nothing is sent again while a test looks for silence.
    pub(crate) fn settings() -> Settings {
        let mut settings = Settings {
            listen: vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()],
            ..Settings::default()
        };
        (settings.resend.first_ms, settings.resend.min_ms) = (2000, 2000);
        settings
    }

    pub(crate) fn start() -> Self {
        Self::with(Self::settings())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self::with_access(settings, Access::default())
    }

    pub(crate) fn with_access(settings: Settings, access: Access) -> Self {
        let (files, counters) = (Arc::new(Files::default()), Arc::new(Counters::default()));
        let misses = Arc::new(Misses::new(&settings.budget, None));
        let sources = Arc::new(Sources::new(&settings.budget));
        let server = Server::start(
            &settings,
            access.into(),
            files.clone(),
            counters.clone(),
            sources,
            misses,
            Arc::default(),
        )
        .unwrap();
        Self {
            files,
            server,
            counters,
        }
    }

    pub(crate) fn address(&self, ip: &str) -> SocketAddr {
        let ip: IpAddr = ip.parse().unwrap();
        let addresses = self.server.local_addrs();
        *addresses.iter().find(|address| address.ip() == ip).unwrap()
    }

    pub(crate) fn v4(&self) -> SocketAddr {
        self.address("127.0.0.1")
    }

    pub(crate) fn tally(&self) -> Tally {
        self.counters.tally()
    }

    /// Waits until a reason was counted so often: an answer may be here before its count is.
    pub(crate) fn wait_for(&self, reason: Reason, count: u64) {
        let until = Instant::now() + PATIENCE;
        while self.tally().reason(reason) < count {
            assert!(
                Instant::now() < until,
                "{reason:?} was counted {} times, expected {count}",
                self.tally().reason(reason)
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(self.tally().reason(reason), count, "{reason:?}");
    }
}

/// Binds a socket, once more where the port that the system has just chosen is somebody else's by
/// then.
fn bind(address: &str) -> UdpSocket {
    const MOST: usize = 20;
    for _ in 0..MOST {
        match UdpSocket::bind(address) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            bound => return bound.unwrap(),
        }
    }
    panic!("no port at {address} is free");
}

/// A socket that is a client.
pub(crate) struct Phone {
    pub(crate) socket: UdpSocket,
}

impl Phone {
    pub(crate) fn new() -> Self {
        Self::at("127.0.0.1:0")
    }

    pub(crate) fn at(address: &str) -> Self {
        let socket = bind(address);
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket }
    }

    pub(crate) fn send(&self, to: SocketAddr, bytes: &[u8]) {
        self.socket.send_to(bytes, to).unwrap();
    }

    pub(crate) fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = vec![0; 70_000];
        let (len, from) = loop {
            match self.socket.recv_from(&mut buffer) {
                // A receive with a timeout is not taken up again after a signal (signal(7)).
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                received => break received.expect("an answer"),
            }
        };
        buffer.truncate(len);
        (buffer, from)
    }

    pub(crate) fn ask(&self, to: SocketAddr, bytes: &[u8]) -> (Vec<u8>, SocketAddr) {
        self.send(to, bytes);
        self.receive()
    }

    /// Nothing comes for as long as an answer takes many times over.
    #[track_caller]
    pub(crate) fn expect_silence(&self) {
        self.socket
            .set_read_timeout(Some(Duration::from_millis(150)))
            .unwrap();
        let mut buffer = [0; 2048];
        loop {
            match self.socket.recv_from(&mut buffer) {
                Ok((len, _)) => panic!("expected silence, got {:?}", &buffer[..len]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }

    /// Reads a whole file with a request as given; acknowledges windows of this many blocks.
    pub(crate) fn fetch(
        &self,
        to: SocketAddr,
        request: &[u8],
        block_len: usize,
        window: u64,
    ) -> Vec<u8> {
        let (mut packet, tid) = self.ask(to, request);
        if packet[1] == 6 {
            self.send(tid, &[0, 4, 0, 0]);
            packet = self.receive().0;
        }
        let (mut bytes, mut block) = (Vec::new(), 1_u64);
        loop {
            assert_eq!(packet[..2], [0, 3], "DATA expected");
            assert_eq!(packet[2..4], (block as u16).to_be_bytes());
            bytes.extend_from_slice(&packet[4..]);
            let last = packet.len() - 4 < block_len;
            if last || block % window == 0 {
                let number = (block as u16).to_be_bytes();
                self.send(tid, &[0, 4, number[0], number[1]]);
            }
            if last {
                return bytes;
            }
            block += 1;
            let (next, from) = self.receive();
            assert_eq!(from, tid, "a transfer keeps its TID");
            packet = next;
        }
    }
}

/// An RRQ in octet mode; `options` with their NULs.
pub(crate) fn rrq(name: &str, options: &[u8]) -> Vec<u8> {
    [b"\0\x01", name.as_bytes(), b"\0octet\0", options].concat()
}
