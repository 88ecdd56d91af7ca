//! The table against the simplest thing that could be right, under random edits and time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::register::Transport;

const ROOM: usize = 5;
const LINES: [&str; 3] = ["1001", "1002", "1003"];

#[derive(Clone, Debug)]
enum Step {
    /// A device, its address, and how long each of its lines has; SCCP if there is none.
    Put(u8, u8, Vec<(usize, u64)>),
    Touch(u8, u64),
    Remove(u8),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let lines = prop::collection::btree_map(0..LINES.len(), 1..40_u64, 0..3);
    let lines = lines.prop_map(|lines| lines.into_iter().collect());
    prop_oneof![
        4 => (0..8_u8, 0..3_u8, lines).prop_map(|(device, from, lines)| Step::Put(device, from, lines)),
        3 => (0..8_u8, 1..40_u64).prop_map(|(device, seconds)| Step::Touch(device, seconds)),
        1 => (0..8_u8).prop_map(Step::Remove),
        2 => (1..30_u64).prop_map(Step::Wait),
    ]
}

fn at(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(2_000_000_000 + second)
}

fn device(number: u8) -> DeviceName {
    format!("SEP{number:012X}").parse().unwrap()
}

/// SCCP phones live for 20 s.
fn registration(number: u8, from: u8, lines: &[(usize, u64)], now: u64) -> Registration {
    let bindings = lines.iter().map(|&(line, seconds)| Binding {
        line: LINES[line].into(),
        contact: "sip:phone@10.0.0.1".into(),
        call_id: "call".into(),
        cseq: 1,
        expires: at(now + seconds),
        all_lines: false,
    });
    let bindings: Vec<_> = bindings.collect();
    let longest = bindings.iter().map(|it| it.expires).max();
    Registration {
        device: device(number),
        protocol: match bindings.is_empty() {
            true => Protocol::Sccp,
            false => Protocol::Sip,
        },
        transport: Transport::Udp,
        source: SocketAddr::from(([10, 0, 0, from], 5060)),
        connection: None,
        type_id: None,
        load: None,
        version: 0,
        since: at(0),
        expires: longest.unwrap_or(at(now + 20)),
        bindings,
    }
}

/// Plain scans over a map.
#[derive(Default)]
struct Model {
    devices: BTreeMap<DeviceName, Registration>,
    sources: BTreeSet<IpAddr>,
    refused: u64,
}

impl Model {
    fn put(&mut self, registration: Registration) {
        if self.devices.len() < ROOM || self.devices.contains_key(&registration.device) {
            self.devices.insert(registration.device, registration);
        } else {
            self.refused += 1;
        }
    }

    fn sweep(&mut self, now: SystemTime) {
        self.devices.retain(|_, it| {
            let is_sip = !it.bindings.is_empty();
            it.bindings.retain(|binding| binding.expires > now);
            it.expires > now && (!is_sip || !it.bindings.is_empty())
        });
    }

    fn of_user(&self, user: &str) -> Vec<DeviceName> {
        let has = |it: &&Registration| it.bindings.iter().any(|binding| &*binding.line == user);
        self.devices
            .values()
            .filter(has)
            .map(|it| it.device)
            .collect()
    }
}

struct Listening(Mutex<BTreeSet<IpAddr>>);

impl Guard for Listening {
    fn admit(&self, _newcomers: Option<crate::misses::Rate>) {}
    fn registered(&self, source: IpAddr) {
        assert!(self.0.lock().insert(source), "registered twice");
    }
    fn left(&self, source: IpAddr) {
        assert!(self.0.lock().remove(&source), "left and was not there");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_table_does_as_plain_scans_over_a_map_would(steps in prop::collection::vec(step(), 1..120)) {
        let guard = Arc::new(Listening(Mutex::default()));
        let table = Table::new(ROOM, Arc::clone(&guard) as _, Arc::default());
        table.set_store(true);
        let mut changes = table.changes();
        let mut model = Model::default();
        // What a reader of the changes believes, and what a store would hold.
        let mut followed: BTreeMap<DeviceName, Arc<Registration>> = BTreeMap::new();
        let mut stored: BTreeMap<DeviceName, Arc<Registration>> = BTreeMap::new();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Put(number, from, lines) => {
                    let registration = registration(number, from, &lines, now);
                    model.put(registration.clone());
                    table.edit(&device(number), |_| ((), Edit::Put(registration)));
                }
                Step::Touch(number, seconds) => {
                    let touched = table.touch(&device(number), None, at(now + seconds));
                    let known = model.devices.get_mut(&device(number));
                    prop_assert_eq!(touched, known.is_some());
                    if let Some(known) = known {
                        known.expires = at(now + seconds);
                    }
                }
                Step::Remove(number) => {
                    model.devices.remove(&device(number));
                    table.edit(&device(number), |_| ((), Edit::Remove(Departure::Reset)));
                }
                Step::Wait(seconds) => {
                    now += seconds;
                    model.sweep(at(now));
                    table.sweep(at(now));
                }
            }
            while let Ok(change) = changes.try_recv() {
                match change {
                    Change::New(it) => prop_assert!(followed.insert(it.device, it).is_none()),
                    Change::Moved { now, .. } => prop_assert!(followed.insert(now.device, now).is_some()),
                    Change::Left { was, .. } => prop_assert!(followed.remove(&was.device).is_some()),
                }
            }
            let pages = (0..).map_while(|page| table.page(page)).flatten();
            let all: BTreeMap<_, _> = pages.map(|it| (it.device, Registration::clone(&it))).collect();
            prop_assert_eq!(&all, &model.devices);
            prop_assert!(followed.keys().eq(model.devices.keys()));
            for protocol in Protocol::ALL {
                let of_protocol = model.devices.values().filter(|it| it.protocol == protocol);
                prop_assert_eq!(table.count(protocol), of_protocol.count());
            }
            for user in LINES {
                let found: BTreeSet<_> = table.of_user(user).iter().map(|it| it.device).collect();
                prop_assert!(found.into_iter().eq(model.of_user(user)));
            }
            model.sources = model.devices.values().map(|it| it.source.ip()).collect();
            prop_assert_eq!(&*guard.0.lock(), &model.sources);
            prop_assert_eq!(table.counts().refused, model.refused);
        }
        for (device, state) in (0..SHARDS).flat_map(|shard| table.take_dirt(shard)) {
            match state {
                Some(it) => { stored.insert(device, it); }
                None => { stored.remove(&device); }
            }
        }
        prop_assert!(stored.keys().eq(model.devices.keys()));
        for shard in &table.shards {
            prop_assert!(shard.lock().is_sound());
        }
    }
}
