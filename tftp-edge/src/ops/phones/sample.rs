//! Phones for the tests of what is printed.

use super::PhonesError;
use crate::inventory::Protocol;
use crate::journal::{
    BootView, Cause, EntryView, Fact, FailureView, Finding, Gap, Outcome, PhoneRow, PhoneView,
    Stage, WhatView,
};
use crate::register::Transport;

/// 2026-11-23T07:30:00Z.
pub(super) const NOW_MS: u64 = 1_795_419_000_000;

fn finding(cause: Cause) -> Finding {
    Finding {
        cause,
        stage: Stage::Firmware,
        since_ms: NOW_MS - 723_000,
        text: "it asked 3 times for sip88xx.14-1.loads, and there is no such file in 2 boots: it \
               restarts again and again for it; the inventory tells it to run sip88xx.14-1"
            .to_owned(),
        advice: "unpack the whole load into content.root itself, not a folder of it; `tftp-edge \
                 firmware check` lists what is missing"
            .to_owned(),
        is_uncertain: true,
    }
}

fn row(device: &str, stage: Stage) -> PhoneRow {
    PhoneRow {
        device: device.parse().unwrap(),
        known: true,
        description: "=HYPERLINK(\"x\"), \"kitchen\"".to_owned(),
        model: Some("8851".to_owned()),
        protocol: Some(Protocol::Sip),
        site: "berlin".to_owned(),
        lines: vec!["1001".to_owned(), "1002".to_owned()],
        stage,
        since_ms: Some(NOW_MS - 723_000),
        heard_ms: Some(NOW_MS - 3_000),
        address: Some([10, 1, 0, 5].into()),
        registered_ms: (stage == Stage::Registered).then_some(NOW_MS - 723_000),
        load: Some("sip88xx.12-5".to_owned()),
        inventory_load: Some("sip88xx.14-1".to_owned()),
        boots: 2,
        stuck: (stage != Stage::Registered).then(|| finding(Cause::LoadMissing)),
        last_failure: Some(FailureView {
            at_ms: NOW_MS - 90_000,
            text: "sip88xx.14-1.loads: absent".to_owned(),
        }),
    }
}

pub(super) fn rows() -> Vec<PhoneRow> {
    let unheard = PhoneRow {
        description: String::new(),
        stage: Stage::Dhcp,
        since_ms: None,
        heard_ms: None,
        address: None,
        registered_ms: None,
        load: None,
        inventory_load: None,
        boots: 0,
        stuck: None,
        last_failure: None,
        ..row("SEP001122334466", Stage::Dhcp)
    };
    let stranger = PhoneRow {
        known: false,
        description: String::new(),
        model: None,
        protocol: None,
        lines: Vec::new(),
        stuck: Some(finding(Cause::UnknownDevice)),
        address: Some("fd00::1:5".parse().unwrap()),
        ..row("SEP0011223344FF", Stage::Config)
    };
    vec![
        row("SEP001122334455", Stage::Firmware),
        unheard,
        row("SEP001122334477", Stage::Registered),
        stranger,
    ]
}

fn file(name: &str, outcome: Outcome, len_bytes: u32) -> WhatView {
    WhatView::File {
        name: name.to_owned(),
        class: "config".to_owned(),
        version: (len_bytes > 0).then_some(41),
        path: "xdp".to_owned(),
        len_bytes,
        took_us: len_bytes / 2,
        resends: u32::from(outcome == Outcome::TimedOut) * 3,
        outcome,
    }
}

/// A phone in a boot after one that was whole.
pub(super) fn view() -> PhoneView {
    let fact = |fact: Fact| WhatView::Fact {
        text: crate::journal::view::fact_text(&fact),
        bad: false,
        fact,
    };
    let registered = Fact::Registered {
        protocol: Protocol::Sip,
        transport: Transport::Tcp,
        load: Some("sip88xx.12-5".into()),
    };
    let entry = |at_ms, stage, what| EntryView {
        at_ms,
        last_ms: None,
        times: 1,
        stage,
        what,
    };
    let (first, second) = (NOW_MS - 7_200_000, NOW_MS - 733_000);
    let boots = vec![
        BootView {
            number: 1,
            began_ms: first,
            last_ms: first + 4_200,
            stage: Stage::Registered,
            registered: true,
            entries: vec![
                entry(
                    first,
                    Stage::Trust,
                    file("ctlsep001122334455.tlv", Outcome::Absent, 0),
                ),
                entry(
                    first + 12,
                    Stage::Config,
                    file("sep001122334455.cnf.xml", Outcome::Complete, 6_123),
                ),
                entry(first + 4_200, Stage::Registered, fact(registered)),
            ],
            left_out: 0,
        },
        BootView {
            number: 2,
            began_ms: second,
            last_ms: second + 63_000,
            stage: Stage::Firmware,
            registered: false,
            entries: vec![
                entry(
                    second,
                    Stage::Config,
                    file("sep001122334455.cnf.xml", Outcome::Complete, 6_123),
                ),
                EntryView {
                    last_ms: Some(second + 40_000),
                    times: 3,
                    ..entry(
                        second + 10_000,
                        Stage::Firmware,
                        file("sip88xx.14-1.loads", Outcome::Absent, 0),
                    )
                },
                entry(
                    second + 63_000,
                    Stage::Firmware,
                    file("rootfs88xx.14-1.sbn", Outcome::TimedOut, 61_700_000),
                ),
            ],
            left_out: 12,
        },
    ];
    let gaps = vec![Gap {
        from_ms: second + 2_000,
        until_ms: second + 3_500,
        events: 17,
    }];
    PhoneView {
        phone: row("SEP001122334455", Stage::Firmware),
        boots,
        gaps,
        findings: vec![finding(Cause::LoadMissing), finding(Cause::TransferStops)],
    }
}

#[test]
fn errors_say_what_to_do() {
    let nobody = PhonesError::Nobody("SEP001122334455".parse().unwrap());
    assert!(nobody.to_string().contains("phones unknown"), "{nobody}");
}
