//! Rules of the engine that need time to pass, stepped by hand.

mod live;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use nix::sys::eventfd::EventFd;
use parking_lot::Mutex;
use tftp_ebpf::stage::Stage;

use super::*;
use crate::content::{Lookup, Query, Version};
use crate::inventory::DeviceName;
use crate::journal::{Event, Fact, Outcome, What};
use crate::misses::Misses;

const MS: Duration = Duration::from_millis(1);
const REQUEST_SOCKET: SocketId = SocketId(0);

/// One file of 5,000 bytes under every name but those that begin with `loading`, `absent` or
/// `refused`.
struct OneFile(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Catalog for OneFile {
    fn lookup(&self, query: Query<'_>) -> Lookup {
        let raw = query.name;
        if raw.starts_with(b"loading") {
            return Lookup::Loading;
        }
        if raw.starts_with(b"absent") {
            return Lookup::Absent;
        }
        if raw.starts_with(b"refused") {
            return Lookup::Refused;
        }
        Lookup::Found(Arc::new(Version {
            name: String::from_utf8_lossy(raw).into(),
            stage: Stage::Other,
            generation: 1,
            published: std::time::SystemTime::UNIX_EPOCH,
            bytes: Bytes::from(vec![7; 5000]),
        }))
    }

    fn when_ready(&self, _query: Query<'_>, wake: Box<dyn FnOnce() + Send>) {
        *self.0.lock() = Some(wake);
    }
}

struct Mtu(Option<u32>);

impl PathMtu for Mtu {
    fn path_mtu(&mut self, _client: Client) -> Option<u32> {
        self.0
    }
}

struct Bench {
    engine: Engine,
    catalog: Arc<OneFile>,
    client: Client,
    now: Instant,
    mtu: Mtu,
}

impl Bench {
    fn new(settings: Settings) -> Self {
        let catalog = Arc::new(OneFile(Mutex::default()));
        let shared = Shared {
            access: Live::default(),
            catalog: catalog.clone(),
            counters: Arc::default(),
            sources: Arc::new(Sources::new(&settings.budget)),
            misses: Arc::new(Misses::new(&settings.budget, None)),
            journal: Arc::default(),
            running: AtomicUsize::new(0),
            settings: settings.into(),
        };
        let sockets = TransferSockets {
            v4: vec![SocketId(1)],
            v6: vec![SocketId(2)],
        };
        let ready = Arc::new(Ready::new(EventFd::new().unwrap()));
        let client = SocketAddr::from(([10, 0, 0, 1], 2000));
        let fact = Fact::Ordered(crate::register::Order::Reset);
        shared.journal.tell(&Event::fact(device(), client, fact));
        Self {
            engine: Engine::new(Arc::new(shared), sockets, ready),
            catalog,
            client: client.into(),
            now: Instant::now(),
            mtu: Mtu(None),
        }
    }

    fn send(&mut self, socket: SocketId, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut packet = [0xaa; PACKET_LEN];
        packet[..bytes.len()].copy_from_slice(bytes);
        let datagram = Datagram {
            from: self.client,
            to: Local {
                ip: [10, 0, 0, 254].into(),
                interface: 1,
            },
            broadcast: false,
            packet: &packet,
            len: bytes.len(),
            stamp: None,
        };
        if socket == REQUEST_SOCKET {
            self.engine
                .on_request_packet(socket, &datagram, self.now, &mut self.mtu);
        } else {
            self.engine.on_transfer_packet(socket, &datagram, self.now);
        }
        self.sent()
    }

    /// Reads from the request socket.
    fn request(&mut self, request: &[u8]) -> Vec<Vec<u8>> {
        self.send(REQUEST_SOCKET, request)
    }

    fn ack(&mut self, block: u16) -> Vec<Vec<u8>> {
        let number = block.to_be_bytes();
        self.send(SocketId(1), &[0, 4, number[0], number[1]])
    }

    fn wait(&mut self, wait: Duration) -> Vec<Vec<u8>> {
        self.now += wait;
        while self.engine.on_timers(self.now) {}
        self.sent()
    }

    fn sent(&mut self) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        self.engine.outbox().drain(|_, run, arena| {
            sent.extend(
                run.iter()
                    .map(|queued| arena[queued.range.clone()].to_vec()),
            );
        });
        sent
    }

    /// What the journal has of the client's requests, after the phone there has named itself.
    fn told(&self) -> Vec<(String, Outcome)> {
        let phone = self.engine.shared.journal.phone(&device()).unwrap();
        let entries = phone.boots.into_iter().flat_map(|boot| boot.entries);
        let told = entries.filter_map(|entry| match entry.what {
            What::File(file) => Some((file.name.to_string(), file.outcome)),
            What::Fact(_) => None,
        });
        told.collect()
    }

    fn counted(&self, reason: Reason) -> u64 {
        self.engine.shared.counters.tally().reason(reason)
    }
}

fn device() -> DeviceName {
    "SEP001122334455".parse().unwrap()
}

const RRQ: &[u8] = b"\0\x01f\0octet\0";

#[test]
fn hundreds_of_acks_cost_a_handful_of_timers() {
    let mut bench = Bench::new(Settings::default());
    bench.request(b"\0\x01f\0octet\0blksize\x008\0");
    for block in 0..=600 {
        bench.now += MS;
        assert_eq!(bench.ack(block).len(), 1);
    }
    assert!(bench.engine.timers.len() < 20);
    assert!(bench.wait(250 * MS).is_empty());
    assert_eq!(bench.wait(51 * MS).len(), 1, "block 601 comes again");
}

#[test]
fn the_timers_of_a_transfer_that_ended_do_nothing() {
    let mut bench = Bench::new(Settings::default());
    bench.request(RRQ);
    for block in 1..=10 {
        bench.ack(block);
    }
    assert_eq!(bench.counted(Reason::Complete), 1);
    assert!(bench.wait(10_000 * MS).is_empty());
    assert_eq!(bench.engine.deadline(), None);
}

#[test]
fn a_client_that_went_silent_is_given_up_in_bounded_time() {
    let mut bench = Bench::new(Settings::default());
    bench.request(RRQ);
    bench.ack(1);
    let mut sends = 0;
    for _ in 0..400 {
        sends += bench.wait(100 * MS).len();
    }
    assert_eq!(sends, 15);
    assert_eq!(bench.counted(Reason::TimedOut), 1);
    assert_eq!(bench.engine.shared.running.load(Ordering::Relaxed), 0);
}

#[test]
fn a_request_repeated_after_a_second_of_silence_begins_anew() {
    let mut bench = Bench::new(Settings::default());
    bench.request(RRQ);
    bench.ack(1);
    bench.now += 999 * MS;
    assert!(bench.request(RRQ).is_empty());
    bench.now += MS;
    assert_eq!(bench.request(RRQ)[0][..4], [0, 3, 0, 1]);
    assert_eq!(bench.counted(Reason::Superseded), 1);
}

#[test]
fn the_same_file_asked_for_again_waits_for_the_last_ack_in_another_queue() {
    let mut bench = Bench::new(Settings::default());
    bench.request(RRQ);
    for block in 1..=9 {
        bench.ack(block);
    }
    // The client has sent ACK 10 and then asked again, but the request is read first.
    assert!(bench.request(RRQ).is_empty());
    bench.ack(10);
    bench.engine.on_ready(bench.now, &mut bench.mtu);
    assert_eq!(bench.sent()[0][..4], [0, 3, 0, 1]);
    assert_eq!(bench.counted(Reason::Complete), 1);
    assert_eq!(bench.counted(Reason::LateRequest), 0);
    // With no ACK 10 in the queue it was a late copy after all.
    for block in 1..=9 {
        bench.ack(block);
    }
    bench.request(RRQ);
    bench.engine.on_ready(bench.now, &mut bench.mtu);
    assert!(bench.sent().is_empty());
    assert_eq!(bench.counted(Reason::LateRequest), 1);
}

#[test]
fn a_repeated_request_is_answered_out_of_the_same_budget() {
    let mut settings = Settings::default();
    (
        settings.budget.first_burst,
        settings.budget.first_per_second,
    ) = (3, 0);
    let mut bench = Bench::new(settings);
    let answers: usize = (0..10).map(|_| bench.request(RRQ).len()).sum();
    assert_eq!(answers, 3);
    assert_eq!(bench.counted(Reason::FirstBudget), 7);
}

#[test]
fn a_block_fits_the_path_unless_the_clamp_is_off() {
    let request = b"\0\x01f\0octet\0blksize\x008192\0";
    let oack = |clamp: bool, mtu: Option<u32>| {
        let mut bench = Bench::new(Settings {
            mtu_clamp: clamp,
            ..Settings::default()
        });
        bench.mtu = Mtu(mtu);
        String::from_utf8(bench.request(request).remove(0)).unwrap()
    };
    assert_eq!(oack(true, Some(1500)), "\0\x06blksize\x001468\0");
    assert_eq!(oack(true, Some(68)), "\0\x06blksize\x0036\0");
    assert_eq!(oack(true, Some(0)), "\0\x06blksize\x008\0");
    assert_eq!(oack(true, None), "\0\x06blksize\x008192\0");
    assert_eq!(oack(false, Some(1500)), "\0\x06blksize\x008192\0");
}

#[test]
fn a_client_that_waited_too_long_for_a_file_is_not_answered() {
    let mut bench = Bench::new(Settings::default());
    bench.request(b"\0\x01loading\0octet\0");
    let wake = bench.catalog.0.lock().take();
    bench.now += 11_000 * MS;
    wake.expect("the engine asked to be woken")();
    bench.engine.on_ready(bench.now, &mut bench.mtu);
    assert!(bench.sent().is_empty());
    assert_eq!(bench.counted(Reason::LateRequest), 1);
}

#[test]
fn a_file_that_must_be_read_costs_a_token_once_and_before() {
    let mut settings = Settings::default();
    (
        settings.budget.first_burst,
        settings.budget.first_per_second,
    ) = (2, 0);
    let mut bench = Bench::new(settings);
    // The same request again is the same wait.
    for port in [1000, 1000, 1001, 1002] {
        bench.client.port = port;
        bench.request(b"\0\x01loading\0octet\0");
    }
    assert_eq!(bench.counted(Reason::LateRequest), 1);
    assert_eq!(bench.counted(Reason::FirstBudget), 1);
}

#[test]
fn a_file_there_is_no_room_for_meets_silence_until_it_is_asked_for_again() {
    let mut bench = Bench::new(Settings::default());
    for round in 1..=2 {
        bench.request(b"\0\x01loading\0octet\0");
        let wake = bench.catalog.0.lock().take();
        wake.expect("the file is to be read")();
        bench.engine.on_ready(bench.now, &mut bench.mtu);
        assert!(bench.sent().is_empty());
        assert_eq!(bench.counted(Reason::Shed), round);
        assert!(bench.catalog.0.lock().is_none(), "read again for nothing");
    }
}

#[test]
fn one_source_has_so_many_transfers_even_when_it_is_known() {
    let mut settings = Settings::default();
    settings.budget.max_transfers_per_source = 3;
    let mut bench = Bench::new(settings);
    let mut ask = |ip: [u8; 4], port: u16| {
        (bench.client.ip, bench.client.port) = (ip.into(), port);
        let answers = bench.request(RRQ).len();
        bench.ack(1);
        answers
    };
    let one = [10, 0, 0, 1];
    let answers: Vec<_> = (1000..1005).map(|port| ask(one, port)).collect();
    assert_eq!(answers, [1, 1, 1, 0, 0]);
    assert_eq!(ask([10, 0, 0, 2], 1000), 1);
    assert_eq!(bench.counted(Reason::Shed), 2);
    // Transfers that end make room.
    bench.wait(61_000 * MS);
    (bench.client.ip, bench.client.port) = (one.into(), 2000);
    assert_eq!(bench.request(RRQ).len(), 1);
}

#[test]
fn limits_may_change_while_the_daemon_runs() {
    let mut bench = Bench::new(Settings::default());
    let ask = |bench: &mut Bench| {
        bench.client.port += 1;
        let answers = bench.request(b"\0\x01f\0octet\0blksize\x001024\0windowsize\x008\0");
        answers.concat()
    };
    let holds = |packet: &[u8], option: &[u8]| packet.windows(option.len()).any(|it| it == option);
    let oack = ask(&mut bench);
    assert!(holds(&oack, b"windowsize\x008\0") && holds(&oack, b"blksize\x001024\0"));
    bench.engine.shared.settings.set(Settings {
        windowsize: 4,
        max_blksize: 512,
        ..Settings::default()
    });
    let oack = ask(&mut bench);
    assert!(holds(&oack, b"windowsize\x004\0") && holds(&oack, b"blksize\x00512\0"));
    bench.engine.shared.settings.set(Settings {
        max_transfers: 1,
        ..Settings::default()
    });
    assert!(ask(&mut bench).is_empty());
}

#[test]
fn impossible_sources_are_not_answered() {
    let mut bench = Bench::new(Settings::default());
    for source in ["255.255.255.255", "224.0.0.1", "0.0.0.0", "ff02::1", "::"] {
        bench.client.ip = source.parse().unwrap();
        assert!(bench.request(RRQ).is_empty(), "{source}");
    }
    assert_eq!(bench.counted(Reason::SourceAddress), 5);
    bench.client.ip = [10, 0, 0, 1].into();
    // An answer to another server's request port could be answered in turn.
    for port in [0, 69] {
        bench.client.port = port;
        assert!(bench.request(RRQ).is_empty());
        assert!(bench.send(SocketId(1), &[0, 4, 0, 1]).is_empty());
    }
    assert_eq!(bench.counted(Reason::SourcePort), 4);
}

#[test]
fn a_site_of_2000_phones_behind_one_address_is_served_whole() {
    let mut bench = Bench::new(Settings::default());
    for port in 1000..3000 {
        bench.client.port = port;
        assert_eq!(bench.request(RRQ).len(), 1, "port {port}");
    }
    assert_eq!(bench.engine.shared.running.load(Ordering::Relaxed), 2000);
}

proptest::proptest! {
    #[test]
    fn no_datagram_does_harm(
        packets in proptest::collection::vec(
            (0u16..3, proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80)), 1..40),
    ) {
        let mut bench = Bench::new(Settings::default());
        bench.request(RRQ);
        for (socket, mut packet) in packets {
            // Most random bytes are no opcode: make half of them one.
            if let [first, second, ..] = &mut packet[..] && *second % 2 == 0 {
                (*first, *second) = (0, *second % 8);
            }
            let answers = bench.send(SocketId(socket), &packet);
            // Nothing is amplified by more than the block and its header.
            proptest::prop_assert!(answers.iter().map(Vec::len).sum::<usize>() <= 516);
        }
    }
}

#[test]
fn the_journal_has_how_each_transfer_ended() {
    type Play = fn(&mut Bench);
    let plays: [(Outcome, Play); 7] = [
        (Outcome::Pending, |bench| {
            bench.ack(1);
        }),
        (Outcome::Complete, |bench| {
            (1..=10).for_each(|block| drop(bench.ack(block)));
        }),
        (Outcome::Unheard, |bench| {
            bench.wait(20_000 * MS);
            bench.wait(20_000 * MS);
        }),
        (Outcome::TimedOut, |bench| {
            bench.ack(1);
            (0..400).for_each(|_| drop(bench.wait(200 * MS)));
        }),
        (Outcome::Unconfirmed, |bench| {
            (1..=9).for_each(|block| drop(bench.ack(block)));
            (0..400).for_each(|_| drop(bench.wait(200 * MS)));
        }),
        (Outcome::Aborted, |bench| {
            bench.ack(1);
            bench.send(SocketId(1), &[0, 5, 0, 3, 0]);
        }),
        (Outcome::Unreachable, |bench| {
            let (client, now) = (bench.client, bench.now);
            bench.engine.on_unreachable(SocketId(1), client, now);
        }),
    ];
    for (outcome, play) in plays {
        let mut bench = Bench::new(Settings::default());
        bench.request(RRQ);
        play(&mut bench);
        assert_eq!(bench.told(), [("f".to_owned(), outcome)]);
    }
}

#[test]
fn the_journal_has_what_was_answered_without_a_file_and_what_was_not_answered() {
    let mut bench = Bench::new(Settings {
        max_transfers: 1,
        ..Settings::default()
    });
    bench.request(b"\0\x01absent.XML\0octet\0");
    bench.request(b"\0\x01refused\0octet\0");
    bench.request(b"\0\x01loading\0octet\0");
    let ready = bench.catalog.0.lock().take().unwrap();
    ready();
    let now = bench.now;
    bench.engine.on_ready(now, &mut Mtu(None));
    bench.request(b"\0\x01f\0octet\0tsize\x000\0");
    bench.send(SocketId(1), &[0, 5, 0, 8, 0]);
    bench.request(RRQ);
    bench.client.port += 1;
    bench.request(b"\0\x01g\0octet\0");
    bench.client.port -= 1;
    bench.request(b"\0\x01absent\0octet\0");
    let told = bench.told();
    let told: Vec<_> = told.iter().map(|(name, end)| (&**name, *end)).collect();
    assert_eq!(
        told,
        [
            ("absent.xml", Outcome::Absent),
            ("refused", Outcome::Refused),
            ("loading", Outcome::Overload),
            ("f", Outcome::Probe),
            ("f", Outcome::Superseded),
            ("g", Outcome::Overload),
            ("absent", Outcome::Absent),
        ]
    );
}
