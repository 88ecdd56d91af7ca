//! How many series there are does not depend on how many phones there are, nor on what they do.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use super::*;
use crate::alarms::{AlarmKind, Alarms};
use crate::inventory::{DeviceName, Protocol};
use crate::ops::sources::Devices;
use crate::register::bans::Bans;
use crate::register::storm::{self, Applicant, Storm};
use crate::register::{self, Binding, Edit, NoGuard, Registration, Table, Transport};

const PHONES: u32 = 100_000;

/// Metric and labels of each sample, without the values.
fn series(sources: Sources) -> BTreeSet<String> {
    let text = edge_text(sources);
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
        .collect()
}

/// Every other one over SIP, each from an address of its own.
fn registration(number: u32, now: SystemTime) -> Registration {
    let device: DeviceName = format!("SEP{number:012X}").parse().unwrap();
    let address = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number));
    let (protocol, transport) = match number % 2 {
        0 => (Protocol::Sip, Transport::Udp),
        _ => (Protocol::Sccp, Transport::Tcp),
    };
    let expires = now + Duration::from_secs(3_600);
    let line = Binding {
        line: number.to_string().into(),
        contact: format!("sip:{number}@{address}").into(),
        call_id: device.as_str().into(),
        cseq: 1,
        expires,
        all_lines: false,
    };
    Registration {
        device,
        protocol,
        transport,
        source: SocketAddr::new(address, 5060),
        connection: None,
        type_id: Some(308),
        load: None,
        version: 0,
        since: now,
        expires,
        bindings: match protocol {
            Protocol::Sip => vec![line],
            Protocol::Sccp => Vec::new(),
        },
    }
}

#[test]
fn a_hundred_thousand_phones_add_no_series() {
    let alarms = Arc::new(Alarms::default());
    let before = series(Sources::default());

    let table = Table::new(PHONES as usize, Arc::new(NoGuard), Arc::clone(&alarms));
    let (storm, bans) = (Storm::new(storm::Settings::default()), Bans::default());
    let (instant, now) = (Instant::now(), SystemTime::now());
    for number in 0..PHONES {
        let registration = registration(number, now);
        let (device, source) = (registration.device, registration.source.ip());
        let applicant = Applicant {
            device: &device,
            protocol: registration.protocol,
            is_refresh: false,
            arrived: instant,
        };
        storm.ask(&applicant, instant);
        table.edit(&device, |_| ((), Edit::Put(registration)));
        if number % 100 == 0 {
            bans.guessed(source, device.as_str(), true, instant);
            alarms.raise(AlarmKind::Firmware, device.as_str(), "not here");
        }
    }
    let counts = table.counts();
    let (storm, bans) = (storm.snapshot(instant), bans.snapshot(instant));
    let busy = Sources {
        alarms,
        devices: Arc::new(|| Devices {
            sip: u64::from(PHONES / 2),
            sccp: u64::from(PHONES / 2),
            ..Devices::default()
        }),
        register: Arc::new(move || register::Snapshot {
            mode: register::Mode::Registrar,
            table: counts,
            storm: storm.clone(),
            bans: bans.clone(),
            ..register::Snapshot::default()
        }),
        ..Sources::default()
    };
    let text = edge_text(busy.clone());
    for protocol in Protocol::ALL {
        let label = protocol.as_str();
        let registered = format!("tftp_edge_registrations{{protocol=\"{label}\"}}");
        assert_eq!(sample(&text, &registered), f64::from(PHONES / 2));
    }
    assert_eq!(series(busy), before);
}

/// No label has what a client chose. Names of interfaces and upstream servers are the operator's.
#[test]
fn labels_hold_no_address_and_no_name_of_a_phone_or_file() {
    let text = whole_text();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, _)) = line.rsplit_once('}') else {
            continue;
        };
        let labels = series.split_once('{').unwrap().1;
        for label in labels.split(',') {
            let (name, value) = label.split_once('=').unwrap();
            let value = value.trim_matches('"');
            if ["server", "interface", "version", "commit", "rustc", "le"].contains(&name) {
                continue;
            }
            let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
            assert!(value.bytes().all(is_word) && value.len() < 40, "{line}");
            let hexadecimal = value.bytes().filter(u8::is_ascii_hexdigit).count();
            assert!(hexadecimal < 12 || hexadecimal < value.len(), "{line}");
        }
    }
}
