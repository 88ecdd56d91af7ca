use std::sync::atomic::AtomicUsize;

use nix::sys::eventfd::EventFd;

use super::*;
use crate::content::{Catalog, Lookup, Query};
use crate::live::Live;
use crate::misses::Misses;
use crate::tftp::sources::Sources;

struct Nothing;

impl Catalog for Nothing {
    fn lookup(&self, _query: Query<'_>) -> Lookup {
        Lookup::Absent
    }

    fn when_ready(&self, _query: Query<'_>, _wake: Box<dyn FnOnce() + Send>) {}
}

fn worker() -> Worker {
    let settings = Settings {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        ports_per_worker: 4,
        ..Settings::default()
    };
    let sockets = Sockets::open(&settings, &settings.listen).unwrap();
    let shared = Shared {
        sources: Arc::new(Sources::new(&settings.budget)),
        misses: Arc::new(Misses::new(&settings.budget, None)),
        journal: Arc::default(),
        settings: settings.into(),
        access: Live::default(),
        catalog: Arc::new(Nothing),
        counters: Arc::default(),
        running: AtomicUsize::new(0),
    };
    let control = Control {
        ready: Arc::new(Ready::new(EventFd::new().unwrap())),
        stop: AtomicBool::new(false),
        overflows: Arc::default(),
        listening: Arc::default(),
    };
    Worker::new(Arc::new(shared), Arc::new(control), sockets).unwrap()
}

fn transfer_addresses(worker: &Worker) -> Vec<SocketAddr> {
    let sockets = worker.sockets.open.iter();
    sockets
        .filter(|open| open.role == Role::Transfer)
        .map(|open| open.socket.local_addr().unwrap().as_socket().unwrap())
        .collect()
}

#[test]
fn idle_transfer_sockets_move_to_other_ports_in_turn() {
    let mut worker = worker();
    let before = transfer_addresses(&worker);
    let listening: Vec<_> = worker.sockets.listening().collect();
    for _ in 0..4 {
        worker.move_idle_socket();
    }
    let after = transfer_addresses(&worker);
    assert_eq!(after.len(), 4);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.ip(), after.ip());
        assert_ne!(before.port(), after.port());
    }
    assert_eq!(worker.sockets.listening().collect::<Vec<_>>(), listening);
}

#[test]
fn a_socket_that_moved_is_still_read() {
    let mut worker = worker();
    for _ in 0..4 {
        worker.move_idle_socket();
    }
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for address in transfer_addresses(&worker) {
        stranger.send_to(&[0, 4, 0, 1], address).unwrap();
    }
    let mut events = [EpollEvent::empty(); BATCH];
    let count = worker.epoll.wait(&mut events, 1000_u16).unwrap();
    worker.turn(&events[..count]);
    assert_eq!(worker.shared.counters.tally().reason(Reason::UnknownTid), 4);
}
