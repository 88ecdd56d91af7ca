//! A daemon that stands still, in the middle of a storm.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tftp_ebpf::classify::{Class, Decision};
use tftp_ebpf::stage::Stage;
use tftp_ebpf::verdict::Reason;

use crate::content::{Regenerations, upstream};
use crate::http::{self, Refusal, Traffic};
use crate::inventory::Protocol;
use crate::kernel::{
    BoundedMap, Fill, GateStatus, InterfaceStatus, Ladder, Mode, Registrations, Snapshot, Wanted,
};
use crate::misses::Rate;
use crate::ops::reload;
use crate::ops::sources::{Content, Devices, Sockets, Sources};
use crate::register;
use crate::register::bans::Offence;
use crate::register::sip::message::Method;
use crate::register::sip::{self, Bad, End};
use crate::register::storm::{self, Applicant, Storm};
use crate::register::{Refusal as Refused, Transport, front};
use crate::stats::{Counters, LOG2_BUCKETS, StageCounter, Unserved};

/// Six configurations, three dial rules, one list of soft keys.
const STAGES_OF_FILES: [u64; Stage::COUNT] = [0, 6, 0, 0, 3, 0, 1, 0, 0];

fn one_bucket(bucket: usize, count: u64) -> [u64; LOG2_BUCKETS] {
    let mut buckets = [0; LOG2_BUCKETS];
    buckets[bucket] = count;
    buckets
}

fn fills() -> [Fill; BoundedMap::COUNT] {
    let mut fills = [Fill::default(); BoundedMap::COUNT];
    for (map, entries, capacity) in [
        (BoundedMap::Files, 7, 131_072),
        (BoundedMap::Registered, 900, 131_072),
        (BoundedMap::Known, 40, 32_768),
    ] {
        fills[map as usize] = Fill { entries, capacity };
    }
    fills
}

fn socket_counters() -> Counters {
    let counters = Counters::default();
    counters.count(Reason::FirstData);
    counters.count(Reason::Refused);
    counters.add(Stage::Config, StageCounter::Requests, 3);
    counters.add(Stage::Config, StageCounter::Blocks, 36);
    counters.add(Stage::Config, StageCounter::Bytes, 18_000);
    counters.add(Stage::Trust, StageCounter::NotFound, 2);
    counters.completed(Stage::Config, Duration::from_micros(100));
    counters.completed(Stage::Config, Duration::from_micros(300));
    counters.completed(Stage::Config, Duration::from_secs(3_600));
    counters.add(Stage::Firmware, StageCounter::Aborted, 1);
    counters.ended(Stage::Firmware, Unserved::Shed);
    counters.first_byte(Stage::Config, Duration::from_micros(90));
    counters
}

fn registrations() -> Registrations {
    let mut seen = Registrations {
        gate: GateStatus {
            budget: Some(Rate::new(200, 50)),
            sources: 900,
            sources_limit: 131_072,
            overflow: 1,
        },
        samples_skipped: 6,
        samples_lost: 4,
        ..Registrations::default()
    };
    let xdp = &mut seen.packets[0].packets;
    xdp[Class::Syn as usize][Decision::Pass as usize] = 40;
    xdp[Class::Syn as usize][Decision::Drop as usize] = 7;
    let tc = &mut seen.packets[1].packets;
    tc[Class::SipRegister as usize][Decision::WouldDrop as usize] = 2;
    seen
}

fn snapshot() -> Snapshot {
    let swept = Counters::default();
    swept.count(Reason::TimedOut);
    swept.ended(Stage::Firmware, Unserved::TimedOut);
    let mut latency_ns = [[0; LOG2_BUCKETS]; 2];
    latency_ns[0][8] = 1_000;
    latency_ns[1][LOG2_BUCKETS - 1] = 1;
    Snapshot {
        interfaces: vec![
            InterfaceStatus::new("eth0", Mode::Xdp),
            InterfaceStatus {
                problem: Some("no native XDP".to_owned()),
                ..InterfaceStatus::new("br0", Mode::Tc)
            },
        ],
        sweeper: swept.tally(),
        latency_ns,
        names: 7,
        files: 5,
        content_bytes: 30_000,
        slab_bytes: 65_536,
        slab_bytes_limit: 1_048_576,
        map_bytes: 2_000_000,
        fills: fills(),
        wanted: Wanted {
            mode: Ladder::Auto,
            interfaces: 2,
        },
        transfers: 12,
        transfers_limit: 65_536,
        evicted: 1,
        refused: 2,
        events_lost: 3,
        registrations: registrations(),
        ..Snapshot::default()
    }
}

pub(super) fn fixed() -> Sources {
    let counters = socket_counters();
    Sources {
        configuration: Arc::new(|| reload::Snapshot {
            loaded: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000),
            successes: 3,
            failures: 1,
            ..reload::Snapshot::default()
        }),
        socket: Arc::new(move || counters.tally()),
        kernel: Arc::new(snapshot),
        sockets: Arc::new(|| Sockets {
            bound: vec![([127, 0, 0, 1], 69).into()],
            transfers: 4,
            transfers_limit: 20_000,
            receive_errors: 9,
            ..Sockets::default()
        }),
        http: Arc::new(|| {
            let counters = Counters::default();
            counters.add(Stage::Config, StageCounter::Requests, 4);
            counters.add(Stage::Config, StageCounter::Bytes, 24_000);
            counters.completed(Stage::Config, Duration::from_micros(500));
            let mut refused = [0; Refusal::COUNT];
            refused[Refusal::SlowReader as usize] = 2;
            let plain = Traffic {
                tally: counters.tally(),
                refused,
                connections: 3,
                in_progress: 1,
            };
            http::Snapshot {
                traffic: [plain, Traffic::default()],
                connections_limit: 4_096,
                ..http::Snapshot::default()
            }
        }),
        content: Arc::new(|| Content {
            settled: true,
            on_disk: 20,
            generated: 15,
            absent: 11,
            refused: 2,
            clashes: 1,
            memory_bytes: 123_456,
            memory_limit_bytes: 1_073_741_824,
            evicted: 3,
            last_regeneration: Duration::from_millis(250),
            regenerations: Regenerations {
                runs: [1, 4, 0],
                files: STAGES_OF_FILES,
                last_files: STAGES_OF_FILES,
                took_us: one_bucket(18, 5),
                took_us_sum: 900_000,
            },
            ..Content::default()
        }),
        devices: Arc::new(|| Devices {
            sip: 8,
            sccp: 6,
            unknown: 3,
            forgotten: 1,
            windows_open: Some(2),
        }),
        register: Arc::new(registering),
        ..Sources::default()
    }
}

/// In the middle of a storm.
fn registering() -> register::Snapshot {
    let start = Instant::now();
    let settings = storm::Settings {
        max_registrations_per_second: 2,
        ..storm::Settings::default()
    };
    let storm = Storm::new(&settings);
    for number in 0..6 {
        let device = format!("SEP{number:012X}").parse().unwrap();
        let applicant = Applicant {
            device: &device,
            protocol: Protocol::Sip,
            is_refresh: number == 0,
            arrived: start,
        };
        storm.ask(&applicant, start + Duration::from_millis(1));
    }
    let mut register = register::Snapshot {
        mode: register::Mode::Registrar,
        storm: storm.snapshot(start),
        store: register::store::Snapshot {
            pending: 3,
            oldest_pending: Duration::from_millis(1_500),
            flushes: 40,
            rows: 900,
            failures: 1,
            dropped: [2, 1, 0],
            took_us: one_bucket(12, 40),
            took_us_sum: 120_000,
            ..register::store::Snapshot::default()
        },
        orders: register::pacer::Snapshot {
            waiting: 5,
            limit: 200_000,
            sent: [1, 2, 3],
            superseded: 4,
            failed: 6,
            no_room: 7,
        },
        table: register::Table::default().counts(),
        ..register::Snapshot::default()
    };
    // What depends on the clock of this machine.
    register.storm.arrivals_per_second = 0.0;
    register.storm.longest_wait = Duration::from_secs(2);
    register.storm.state = storm::State::Storm;
    register.storm.storms = 1;
    register.storm.kernel_budget = Some(50);
    register.bans.bans[Offence::Guess as usize] = 3;
    register.bans.limit = 4_096;
    register.newcomers.taken_in = 7;
    register.sccp.received[0] = 11;
    register.sip = sip();
    register.sccp.refused[Refused::Storm as usize] = 3;
    register
}

fn sip() -> sip::Snapshot {
    let mut sip = sip::Snapshot {
        connections_limit: 50_000,
        buffered_bytes: 700,
        buffered_bytes_limit: 67_108_864,
        transactions: 2,
        transactions_limit: 65_536,
        ..sip::Snapshot::default()
    };
    let (udp, tcp) = (Transport::Udp as usize, Transport::Tcp as usize);
    let (register, notify) = (Method::Register as usize, Method::Notify as usize);
    sip.traffic.requests[udp][register] = 40;
    sip.traffic.requests[tcp][register] = 30;
    sip.traffic.responses[register] = [0, 35, 0, 30, 5, 0];
    sip.traffic.sent[notify] = 4;
    sip.traffic.answers[1] = 3;
    sip.traffic.register_us[1] = one_bucket(9, 28);
    sip.traffic.register_us_sum[1] = 9_000;
    sip.traffic.bad[udp][Bad::NotSip as usize] = 6;
    sip.traffic.ends[End::Idle as usize] = 8;
    sip.traffic.connections[tcp] = 25;
    sip.traffic.receive_overflows = 12;
    sip.traffic.resent = 1;
    sip.counts.events[sip::Event::Challenged as usize] = 28;
    sip.counts.refusals[Refused::Storm as usize] = 5;
    sip.counts.defects[0] = 2;
    sip
}

/// The same, with what is only there if it was asked for: upstream servers, and servers that phones
/// register at behind this host.
pub(super) fn whole() -> Sources {
    Sources {
        upstream: Arc::new(upstream_servers),
        register: Arc::new(|| {
            let mut stages = [0; front::Stage::ALL.len()];
            stages[0] = 3;
            register::Snapshot {
                front: Some(front::Snapshot {
                    stages,
                    phones_limit: 200_000,
                    forgotten: 1,
                    ..front::Snapshot::default()
                }),
                ..registering()
            }
        }),
        ..fixed()
    }
}

pub(super) fn upstream_servers() -> upstream::Snapshot {
    let server = |server: &str, is_up, found| upstream::ServerSnapshot {
        server: server.to_owned(),
        is_up,
        problem: None,
        fetches: [("found".to_owned(), found)].into(),
    };
    upstream::Snapshot {
        servers: vec![
            server("http://10.1.1.10:6970", true, 7),
            server("tftp://10.1.1.11:69", false, 0),
        ],
        hits: 5,
        stale_hits: 2,
        bytes: 70_000,
        ..upstream::Snapshot::default()
    }
}
