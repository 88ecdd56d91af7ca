//! The session as a specification: time is stepped by hand.

mod busy;
mod departures;
mod framing;
mod journal;
mod live;
mod pacing;
mod refusals;
mod registration;

use std::net::SocketAddr;
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::super::counters::Snapshot;
use super::super::testing::*;
use super::super::wire::Outgoing;
use super::*;
use crate::inventory::Contents;
use crate::register::{Departure, Registration};

/// 2026-01-15 12:00 in Greenwich.
const NOON_S: u64 = 1_768_478_400;

/// A registrar with its inventory, and a clock that stands.
struct Lab {
    registrar: Registrar,
    now: Moment,
}

/// A phone's side of a connection.
struct Phone {
    session: Session,
    connection: ConnectionId,
    flow: Flow,
}

impl Lab {
    fn new() -> Self {
        Self::with(contents(), settings())
    }

    fn with(contents: Contents, settings: super::super::Settings) -> Self {
        Self {
            registrar: Registrar::new(&settings, std::sync::Arc::new(desk(contents))),
            now: Moment {
                instant: Instant::now(),
                wall: UNIX_EPOCH + Duration::from_secs(NOON_S),
                steady: UNIX_EPOCH + Duration::from_secs(NOON_S),
            },
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now.instant += time;
        self.now.wall += time;
        self.now.steady += time;
    }

    fn connect(&self, peer: &str) -> Phone {
        let peer: SocketAddr = peer.parse().unwrap();
        let local = "10.0.0.1:2000".parse().unwrap();
        let (connection, _) = self.registrar.connections.open();
        let now = self.now.instant;
        Phone {
            session: Session::new(&self.registrar, connection, peer, local, now),
            connection,
            flow: Flow::Open,
        }
    }

    /// What the phone hears when it sends this.
    fn send(&self, phone: &mut Phone, bytes: &[u8]) -> Vec<u8> {
        self.turn(phone, |session, turn| session.receive(bytes, turn))
    }

    fn turn(
        &self,
        phone: &mut Phone,
        act: impl FnOnce(&mut Session, &mut Turn<'_>) -> Flow,
    ) -> Vec<u8> {
        let mut out = Vec::new();
        let mut turn = Turn {
            registrar: &self.registrar,
            now: self.now,
            out: &mut out,
        };
        phone.flow = act(&mut phone.session, &mut turn);
        out
    }

    /// Lets the time come for whatever is next; says how long that took.
    fn wait(&mut self, phone: &mut Phone) -> (Duration, Vec<u8>) {
        let next = phone.session.next(&self.registrar);
        let passed = next.saturating_duration_since(self.now.instant);
        self.pass(passed);
        (passed, self.turn(phone, Session::expire))
    }

    /// A phone that has registered, with what it was granted.
    fn registered(&self, peer: &str) -> Phone {
        let mut phone = self.connect(peer);
        let answer = self.send(&mut phone, &register(PHONE, TYPE_7941, 17));
        assert_eq!(
            kinds(&answer),
            [Outgoing::RegisterAck, Outgoing::CapabilitiesReq]
        );
        self.send(&mut phone, &capabilities());
        phone
    }

    fn in_table(&self) -> Option<std::sync::Arc<Registration>> {
        self.registrar.desk.table.get(&PHONE.parse().unwrap())
    }

    fn counts(&self) -> Snapshot {
        self.registrar.counters.snapshot()
    }
}

/// The text of a RegisterReject.
fn reject_text(answer: &[u8]) -> String {
    let [(Outgoing::RegisterReject, body)] = &messages(answer)[..] else {
        panic!("one RegisterReject is expected: {:?}", kinds(answer));
    };
    let text = body.split(|byte| *byte == 0).next().unwrap();
    String::from_utf8(text.to_vec()).unwrap()
}

fn number_at(body: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(body[at..at + 4].try_into().unwrap())
}
