//! The registrar as phones see it: bytes in, bytes out, time stepped by hand.

mod busy;
mod cisco;
mod contacts;
mod dissector;
mod forged;
mod journal;
mod ordering;
mod passwords;
mod phone;
mod refusing;
mod registering;
mod way_back;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::core::{Core, Incoming, Outgoing, Received};
use super::settings::RequireDigest;
use super::{Event, Settings};
use crate::access::Access;
use crate::alarms::Alarms;
use crate::clock::Reading;
use crate::inventory::{Contents, Device, DeviceName, Site, Snapshot, parse_csv};
use crate::register::storm::Storm;
use crate::register::{ConnectionId, Desk, Directory, NoGuard, Registration, Table, Transport};
pub use phone::{Answered, Phone};

/// Two phones of the enterprise series, one old one that says no name, one of SCCP.
const INVENTORY: &str = "name,model,protocol,lines\n\
    SEP0011223344FF,8851,sip,1001;1002\n\
    SEP001122334400,8851,sip,1003\n\
    SIP001122334477,7960,sip,1007\n\
    SEP001122334488,7961,sccp,1008\n";

/// Each line has its own.
fn give_secret(device: &mut Device) {
    for line in &mut device.lines {
        line.secret = format!("secret of {}", line.number);
    }
}

/// A registrar and its clocks.
pub struct Edge {
    pub core: Core,
    pub desk: Arc<Desk>,
    pub now: Instant,
    pub wall: SystemTime,
    pub steady: SystemTime,
}

impl Edge {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::of(INVENTORY, change, give_secret)
    }

    pub fn without_digest() -> Self {
        Self::with(|settings| settings.digest.require = RequireDigest::Never)
    }

    /// Where something of the desk is another.
    pub fn at(edit: impl FnOnce(&mut Desk)) -> Self {
        Self::made(INVENTORY, |_| {}, give_secret, edit)
    }

    pub fn of(
        inventory: &str,
        change: impl FnOnce(&mut Settings),
        edit: impl FnMut(&mut Device),
    ) -> Self {
        Self::made(inventory, change, edit, |_| {})
    }

    pub fn made(
        inventory: &str,
        change: impl FnOnce(&mut Settings),
        edit: impl FnMut(&mut Device),
        furnish: impl FnOnce(&mut Desk),
    ) -> Self {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.validate().unwrap();
        let mut devices = parse_csv(inventory.as_bytes()).unwrap();
        devices.iter_mut().for_each(edit);
        let contents = Contents {
            devices,
            ..Contents::default()
        };
        let directory = Directory::default();
        directory.update(Arc::new(Snapshot::new(contents, &Site::default())));
        let mut desk = Desk {
            access: Access::default().into(),
            alarms: Arc::new(Alarms::default()),
            bans: Arc::default(),
            directory: Arc::new(directory),
            guard: Arc::new(NoGuard),
            journal: Arc::default(),
            newcomers: Arc::default(),
            storm: Arc::new(Storm::new(crate::register::storm::Settings::default())),
            table: Arc::new(Table::default()),
        };
        let table = Table::default().telling(Arc::clone(&desk.journal));
        desk.table = Arc::new(table);
        furnish(&mut desk);
        let desk = Arc::new(desk);
        Self {
            core: Core::new(&settings, Arc::clone(&desk)),
            desk,
            now: Instant::now(),
            // A Monday.
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_392_000),
            steady: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_392_000),
        }
    }

    pub fn clocks(&self) -> Reading {
        Reading {
            wall: self.wall,
            steady: self.steady,
        }
    }

    pub fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.wall += Duration::from_secs(seconds);
        self.steady += Duration::from_secs(seconds);
    }

    /// What is sent back for bytes that come in.
    pub fn receive(&self, from: &Phone, bytes: &[u8]) -> (Received, Vec<Outgoing>) {
        let incoming = Incoming {
            bytes,
            transport: from.transport,
            source: from.source,
            local: local(),
            connection: from.connection,
            arrived: self.now,
        };
        let mut out = Vec::new();
        let received = self
            .core
            .receive_at(&incoming, self.now, self.clocks(), &mut out);
        (received, out)
    }

    /// The one answer to a message.
    pub fn answer(&self, from: &Phone, text: &str) -> Answered {
        let (received, mut out) = self.receive(from, text.as_bytes());
        assert_eq!(received, Received::Done);
        assert_eq!(out.len(), 1, "one answer to\n{text}");
        Answered::new(out.remove(0))
    }

    pub fn registered(&self, device: &str) -> Option<Arc<Registration>> {
        let device: DeviceName = device.parse().unwrap();
        self.desk.table.get(&device)
    }

    pub fn count(&self, event: Event) -> u64 {
        self.core.counts().event(event)
    }
}

pub fn local() -> SocketAddr {
    ([10, 0, 0, 1], 5060).into()
}

pub const CONNECTION: ConnectionId = ConnectionId(7);

pub fn udp() -> Phone {
    Phone::new(Transport::Udp, ([10, 0, 0, 9], 49_152).into(), None)
}

pub fn tcp() -> Phone {
    Phone::new(
        Transport::Tcp,
        ([10, 0, 0, 9], 51_778).into(),
        Some(CONNECTION),
    )
}
