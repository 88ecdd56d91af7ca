use std::collections::BTreeMap;
use std::time::Instant;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;

use super::board::{Board, Flow, Sort, View};
use super::draw;
use super::poll::{Question, Sample};
use crate::alarms::AlarmKind;
use crate::inventory::Protocol;
use crate::journal::{
    BootView, Cause, EntryView, FailureView, Finding, Outcome, Overview, PhoneRow, PhoneView,
    SiteRow, Stage, WhatView,
};
use crate::ops::control::ClientError;
use crate::ops::sources::Sources;
use crate::ops::status::Status;
use crate::register::{self, storm};

/// Unix milliseconds.
const NOW_MS: u64 = 1_795_440_000_000;

fn row(device: &str, site: &str, stage: Stage) -> PhoneRow {
    PhoneRow {
        device: device.parse().unwrap(),
        known: true,
        description: "Reception".to_owned(),
        model: Some("8851".to_owned()),
        protocol: Some(Protocol::Sip),
        site: site.to_owned(),
        lines: vec!["4001".to_owned()],
        stage,
        since_ms: Some(NOW_MS - 5_000),
        heard_ms: Some(NOW_MS - 1_000),
        address: Some([10, 1, 2, 3].into()),
        registered_ms: None,
        load: Some("sip88xx.14-2-1".to_owned()),
        inventory_load: None,
        boots: 2,
        stuck: None,
        last_failure: None,
    }
}

fn finding() -> Finding {
    Finding {
        cause: Cause::LoadMissing,
        stage: Stage::Firmware,
        since_ms: NOW_MS - 754_000,
        text: "asks again and again for sip88xx.14-3-1.loads, which is not here".to_owned(),
        advice: "Put the firmware into content.root, or give the model another load.".to_owned(),
        is_uncertain: false,
    }
}

/// Three phones under way, of which one is stuck.
fn phones() -> Vec<PhoneRow> {
    let mut stuck = row("SEP001122334455", "hamburg", Stage::Firmware);
    stuck.stuck = Some(finding());
    let mut failed = row("SEP001122334466", "berlin", Stage::Config);
    failed.last_failure = Some(FailureView {
        at_ms: NOW_MS - 3_000,
        text: "dialplan.xml: timed out".to_owned(),
    });
    vec![
        row("SEP001122334400", "berlin", Stage::Register),
        failed,
        stuck,
    ]
}

fn sample(phones: Vec<PhoneRow>) -> Sample {
    let sources = Sources::default();
    sources
        .alarms
        .raise(AlarmKind::Firmware, "sip88xx.14-3-1", "is not here");
    let mut reading = sources.read();
    reading.sockets.bound = vec![([0, 0, 0, 0], 69).into()];
    reading.content.settled = true;
    reading.register = register::Snapshot {
        mode: register::Mode::Registrar,
        storm: storm::Snapshot {
            state: storm::State::Storm,
            arrivals_per_second: 612.3,
            served_per_second: 199.6,
            waiting: 5_000,
            longest_wait: std::time::Duration::from_secs(95),
            ..storm::Snapshot::default()
        },
        ..register::Snapshot::default()
    };
    let mut status = Status::new(&reading);
    (status.version, status.pid) = ("0.0.0".to_owned(), 4711);
    status.uptime_seconds = 3_725;
    let site = |site: &str, stuck| SiteRow {
        site: site.to_owned(),
        expected: 2_000,
        booting: 40,
        registered: 1_950,
        stuck,
    };
    let sites = ["berlin", "hamburg", "köln", "leipzig", "münchen", "rostock"];
    let sites = sites.map(|it| site(it, u64::from(it == "hamburg")));
    let stages = [
        (Stage::Dhcp, 60),
        (Stage::Config, 1),
        (Stage::Firmware, 1),
        (Stage::Register, 238),
        (Stage::Registered, 11_700),
    ];
    Sample {
        at: Instant::now(),
        status,
        overview: Overview {
            at_ms: NOW_MS,
            expected: 12_000,
            stages: BTreeMap::from(stages),
            stuck: BTreeMap::from([("load_missing".to_owned(), 1)]),
            sites: sites.to_vec(),
            ..Overview::default()
        },
        phones,
        more: 0,
        phone: None,
    }
}

fn board() -> Board {
    let mut board = Board::new(false);
    board.take(Ok(Box::new(sample(phones()))));
    board
}

fn drawn(board: &mut Board, columns: u16, lines: u16) -> TestBackend {
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).unwrap();
    terminal.draw(|frame| draw::draw(board, frame)).unwrap();
    terminal.backend().clone()
}

fn press(board: &mut Board, keys: &[KeyCode]) -> Flow {
    let mut flow = Flow::Stay;
    for &key in keys {
        flow = board.key(KeyEvent::new(key, KeyModifiers::NONE));
    }
    flow
}

fn letters(text: &str) -> Vec<KeyCode> {
    text.chars().map(KeyCode::Char).collect()
}

fn shown(board: &mut Board) -> String {
    drawn(board, 80, 24).to_string()
}

/// One phone's boots.
fn timeline() -> PhoneView {
    let file = |at_ms, stage, name: &str, outcome, resends| EntryView {
        at_ms,
        last_ms: None,
        times: if outcome == Outcome::Absent { 7 } else { 1 },
        stage,
        what: WhatView::File {
            name: name.to_owned(),
            class: stage.as_str().to_owned(),
            version: Some(3),
            path: "xdp".to_owned(),
            len_bytes: 6_144,
            took_us: 12_345,
            resends,
            outcome,
        },
    };
    let began = NOW_MS - 760_000;
    let boot = BootView {
        number: 2,
        began_ms: began,
        last_ms: NOW_MS - 1_000,
        stage: Stage::Firmware,
        registered: false,
        entries: vec![
            file(
                began,
                Stage::Trust,
                "CTLSEP001122334455.tlv",
                Outcome::Absent,
                0,
            ),
            file(
                began + 312,
                Stage::Config,
                "SEP001122334455.cnf.xml",
                Outcome::Complete,
                2,
            ),
            file(
                began + 900,
                Stage::Firmware,
                "sip88xx.14-3-1.loads",
                Outcome::TimedOut,
                0,
            ),
        ],
        left_out: 0,
    };
    let mut phone = row("SEP001122334455", "hamburg", Stage::Firmware);
    phone.stuck = Some(finding());
    PhoneView {
        phone,
        boots: vec![boot],
        gaps: Vec::new(),
        findings: vec![finding()],
    }
}

#[test]
fn a_storm_on_the_smallest_terminal() {
    insta::assert_snapshot!(drawn(&mut board(), 80, 24));
}

#[test]
fn a_storm_on_a_large_terminal() {
    insta::assert_snapshot!(drawn(&mut board(), 132, 36));
}

#[test]
fn nobody_is_busy() {
    let mut board = Board::new(false);
    let mut sample = sample(Vec::new());
    sample.overview.stuck.clear();
    sample.status.register = None;
    sample.status.alarms.clear();
    board.take(Ok(Box::new(sample)));
    insta::assert_snapshot!(drawn(&mut board, 80, 24));
}

#[test]
fn the_timeline_of_a_phone_that_is_stuck() {
    let mut board = board();
    assert_eq!(press(&mut board, &[KeyCode::Enter]), Flow::Ask);
    assert!(shown(&mut board).contains("nothing is known of it yet"));
    let mut sample = sample(phones());
    sample.phone = Some(timeline());
    board.take(Ok(Box::new(sample)));
    insta::assert_snapshot!(drawn(&mut board, 80, 24));
    press(&mut board, &[KeyCode::Esc]);
    assert_eq!(board.view, View::Overview);
}

#[test]
fn a_timeline_longer_than_the_terminal_moves_to_its_end_and_no_further() {
    let mut board = board();
    press(&mut board, &[KeyCode::Enter]);
    let mut sample = sample(phones());
    sample.phone = Some(timeline());
    board.take(Ok(Box::new(sample)));
    press(&mut board, &[KeyCode::End]);
    let last = drawn(&mut board, 80, 6).to_string();
    assert!(last.contains("14-3-1.loads"), "{last}");
    press(&mut board, &[KeyCode::Up]);
    assert_ne!(drawn(&mut board, 80, 6).to_string(), last);
    press(&mut board, &[KeyCode::Down, KeyCode::Down, KeyCode::Down]);
    assert_eq!(drawn(&mut board, 80, 6).to_string(), last);
}

#[test]
fn all_stages_at_once_find_room() {
    let mut board = Board::new(false);
    let mut sample = sample(phones());
    sample.overview.stages = Stage::ALL.map(|stage| (stage, 1_234)).into();
    board.take(Ok(Box::new(sample)));
    let text = shown(&mut board);
    for stage in Stage::ALL {
        assert!(text.contains(&format!("{stage} 1234")), "{stage}: {text}");
    }
}

#[test]
fn help_stands_in_the_smallest_terminal() {
    let mut board = board();
    press(&mut board, &letters("?"));
    let text = shown(&mut board);
    assert!(
        text.contains("another order") && text.contains("phones why"),
        "{text}"
    );
    press(&mut board, &letters("x"));
    assert_eq!(board.view, View::Overview);
}

#[test]
fn who_is_stuck_comes_first_until_another_order_is_asked_for() {
    let mut board = board();
    let mut first = |keys: &[KeyCode]| {
        press(&mut board, keys);
        (board.sort, board.phones()[0].device.to_string())
    };
    let sort = letters("s");
    assert_eq!(first(&[]), (Sort::Trouble, "SEP001122334455".into()));
    assert_eq!(first(&sort), (Sort::Name, "SEP001122334400".into()));
    assert_eq!(first(&sort), (Sort::Site, "SEP001122334400".into()));
    assert_eq!(first(&sort), (Sort::Stage, "SEP001122334400".into()));
    assert_eq!(first(&sort).0, Sort::Trouble);
}

#[test]
fn the_choice_follows_its_phone_and_stays_within_the_list() {
    let mut board = board();
    press(&mut board, &[KeyCode::Up]);
    assert_eq!(board.chosen(), Some(0));
    press(
        &mut board,
        &[KeyCode::Down, KeyCode::Down, KeyCode::Down, KeyCode::Down],
    );
    assert_eq!(board.chosen(), Some(2));
    let device = board.phones()[2].device;
    press(&mut board, &letters("s"));
    assert_eq!(board.phones()[board.chosen().unwrap()].device, device);
    // It has registered, and is not in the list any more.
    let others = phones()
        .into_iter()
        .filter(|it| it.device != device)
        .collect();
    board.take(Ok(Box::new(sample(others))));
    assert_eq!(board.chosen(), Some(0));
    board.take(Ok(Box::new(sample(Vec::new()))));
    assert_eq!(board.chosen(), None);
    assert_eq!(
        press(&mut board, &[KeyCode::Down, KeyCode::Enter]),
        Flow::Stay
    );
}

#[test]
fn a_search_is_asked_for_letter_by_letter_and_forgotten_with_escape() {
    let mut board = board();
    press(&mut board, &letters("/"));
    assert_eq!(press(&mut board, &letters("berq")), Flow::Ask);
    press(&mut board, &[KeyCode::Backspace]);
    let asked = |board: &Board| board.question().search;
    assert_eq!(asked(&board).as_deref(), Some("ber"));
    assert!(shown(&mut board).contains("/ber_"));
    press(&mut board, &[KeyCode::Enter]);
    assert!(shown(&mut board).contains("ber (esc: all)"));
    assert_eq!(press(&mut board, &[KeyCode::Esc]), Flow::Ask);
    assert_eq!(board.question(), Question::default());
    press(&mut board, &letters("/"));
    press(&mut board, &letters(&"x".repeat(500)));
    assert_eq!(asked(&board).map(|it| it.len()), Some(64));
}

#[test]
fn rates_are_of_what_happened_between_two_answers() {
    let mut board = board();
    assert!(board.rates.paths.is_empty());
    let mut next = sample(phones());
    next.at = board.sample.as_ref().unwrap().at + std::time::Duration::from_secs(2);
    next.status.rungs[0].requests += 5_000;
    next.status
        .register
        .as_mut()
        .unwrap()
        .table
        .as_mut()
        .unwrap()
        .sccp += 30;
    let mut restarted = next.clone();
    board.take(Ok(Box::new(next)));
    assert_eq!(board.rates.paths[0].requests, 2_500.0);
    assert_eq!(board.rates.registered, Some([0.0, 15.0]));
    assert!(shown(&mut board).contains("2500"));
    // Counters begin anew with another process.
    restarted.at += std::time::Duration::from_secs(2);
    restarted.status.pid += 1;
    board.take(Ok(Box::new(restarted)));
    assert!(board.rates.paths.is_empty());
}

#[test]
fn a_daemon_that_is_gone_is_told_and_what_was_last_known_stays() {
    let mut board = board();
    let gone = ClientError::NoDaemon {
        socket: "/run/tftp-edge/control.sock".into(),
        source: std::io::ErrorKind::ConnectionRefused.into(),
    };
    board.take(Err(gone));
    let text = shown(&mut board);
    assert!(text.contains("no daemon answers"), "{text}");
    assert!(text.contains("SEP001122334455"), "{text}");
    board.take(Ok(Box::new(sample(phones()))));
    assert!(!shown(&mut board).contains("no daemon answers"));
}

#[test]
fn without_colour_none_is_used_and_nothing_is_lost() {
    let colours = |has_colour| {
        let mut board = board();
        board.has_colour = has_colour;
        let backend = drawn(&mut board, 80, 24);
        let cells = backend.buffer().content().iter();
        let coloured = cells.filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset);
        (coloured.count(), backend.to_string())
    };
    let (none, plain) = colours(false);
    let (some, coloured) = colours(true);
    assert_eq!(none, 0);
    assert!(some > 0);
    assert_eq!(plain, coloured);
}

#[test]
fn what_a_phone_calls_itself_cannot_write_to_the_terminal() {
    let mut board = Board::new(false);
    let mut phones = phones();
    phones[0].description = "\u{1b}[2J\u{7}evil".to_owned();
    phones[0].stuck = None;
    board.take(Ok(Box::new(sample(phones))));
    let text = shown(&mut board);
    assert!(
        text.contains("evil") && !text.contains(['\u{1b}', '\u{7}']),
        "{text}"
    );
}

#[test]
fn a_terminal_of_any_size_is_drawn_on() {
    let mut board = board();
    for (columns, lines) in [(1, 1), (10, 3), (40, 10), (79, 23), (400, 120)] {
        drawn(&mut board, columns, lines);
    }
}

#[test]
fn q_and_control_c_quit_from_everywhere() {
    for keys in ["", "?"] {
        let mut board = board();
        press(&mut board, &letters(keys));
        assert_eq!(press(&mut board, &letters("q")), Flow::Quit);
    }
    let mut board = board();
    press(&mut board, &[KeyCode::Enter]);
    assert_eq!(press(&mut board, &letters("q")), Flow::Quit);
    press(&mut board, &letters("/"));
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(board.key(control_c), Flow::Quit);
}
