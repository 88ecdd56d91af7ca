//! SCCP over a connection, from its first byte on.
//!
//! Input: how many cuts there are, where each is, then the stream. The stream means the same
//! wherever it is cut, for the framing and for a whole session with a registrar behind it; messages
//! are read in place, and what is written in answer can be read.

use std::net::SocketAddr;
use std::time::{Duration, Instant, UNIX_EPOCH};

use tftp_edge::register::ConnectionId;
use tftp_edge::register::sccp::session::{Flow, HIGH_WATER, Session, Turn};
use tftp_edge::register::sccp::wire::{
    Frame, HEADER_LEN, Incoming, MAX_FRAME, Outgoing, Register, Request, Unframed, Version,
};
use tftp_edge::register::sccp::{Moment, Registrar, Settings};

use crate::memory::within;
use crate::registrar::desk;
use crate::script::Script;

/// 2026-01-15 12:00 in Greenwich.
const NOON_S: u64 = 1_768_478_400;

/// The most that is written before an answer is waited for: one answer beyond the mark.
const MOST_WRITTEN: usize = HIGH_WATER + 4 * MAX_FRAME;

/// What a session keeps beside the bytes it waits for, with answers, a registration and its place in
/// the journal.
const SESSION_BYTES: usize = 256 << 10;

pub fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let count = usize::from(script.byte() % 8);
    let cuts: Vec<_> = (0..count).map(|_| usize::from(script.word())).collect();
    let stream = script.rest();
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    cuts.sort_unstable();
    check_frames(stream, &cuts);
    check_session(stream, &cuts);
}

/// The messages of a stream, and why there is no further one.
fn frames(mut stream: &[u8]) -> (Vec<Frame<'_>>, Result<usize, Unframed>) {
    let mut frames = Vec::new();
    loop {
        match Frame::first(stream) {
            Ok(Some((frame, len))) => {
                assert_eq!(len, HEADER_LEN + frame.body.len());
                assert!(len <= MAX_FRAME);
                frames.push(frame);
                stream = &stream[len..];
            }
            Ok(None) => return (frames, Ok(stream.len())),
            Err(unframed) => return (frames, Err(unframed)),
        }
    }
}

fn check_frames(stream: &[u8], cuts: &[usize]) {
    let (whole, end) = frames(stream);
    for &cut in cuts {
        let (part, end_of_part) = frames(&stream[..cut]);
        assert!(whole.starts_with(&part), "cut at {cut}");
        match end_of_part {
            // What is no message stays none, whatever follows.
            Err(_) => assert_eq!((part.len(), end_of_part), (whole.len(), end)),
            Ok(waiting) => assert!(waiting < MAX_FRAME, "{waiting} bytes wait"),
        }
    }
    for frame in &whole {
        if let Some(message) = Incoming::of_id(frame.id)
            && let Ok(request) = Request::parse(message, frame.body)
        {
            check_request(&request, frame.body);
        }
    }
}

/// Every field of a message can be asked for.
fn check_request(request: &Request<'_>, body: &[u8]) {
    match request {
        Request::Register(register) => check_register(register, body),
        Request::Token(token) | Request::SpcpToken(token) => {
            assert!(token.name().len() <= 16);
            token.device_type();
        }
        Request::Alarm(alarm) => {
            assert!(alarm.text().len() <= 80);
            let code = alarm.code();
            alarm.severity();
            assert!(code.as_str().is_ascii());
        }
        Request::Capabilities(capabilities) => {
            assert!(capabilities.iter().count() <= body.len() / 16);
        }
        Request::XmlAlarm(xml) => assert_eq!(*xml, body),
        _ => {}
    }
}

fn check_register(register: &Register<'_>, body: &[u8]) {
    assert!(register.name().len() <= 16);
    assert!(
        register
            .load()
            .is_none_or(|load| load.len() <= 32 && load.len() <= body.len())
    );
    register.address();
    register.max_streams();
    register.max_lines();
    register.charset();
    let (claimed, type_id) = (register.version(), register.device_type());
    if let Some(version) = Version::negotiate(claimed, type_id) {
        // Old adapters claim what they do not speak, and get the oldest.
        assert!(version.number() <= claimed.max(Version::OLDEST.number()));
    }
}

/// What came of a stream: the messages in answer, and how the connection ended.
#[derive(Debug, PartialEq, Eq)]
struct Heard {
    answers: Vec<u32>,
    flow: Flow,
}

fn check_session(stream: &[u8], cuts: &[usize]) {
    let registrar = || Registrar::new(Settings::default(), desk());
    let one = registrar();
    let whole = within(stream, 4, SESSION_BYTES, || converse(&one, stream, &[]));
    if !cuts.is_empty() {
        assert_eq!(
            converse(&registrar(), stream, cuts),
            whole,
            "cut at {cuts:?}"
        );
    }
}

/// Sends a stream in pieces, all at one moment, to a registrar that has no other phones.
fn converse(registrar: &Registrar, stream: &[u8], cuts: &[usize]) -> Heard {
    let now = Moment {
        instant: Instant::now(),
        wall: UNIX_EPOCH + Duration::from_secs(NOON_S),
        steady: UNIX_EPOCH + Duration::from_secs(NOON_S),
    };
    let peer = SocketAddr::from(([10, 0, 0, 9], 51_000));
    let local = SocketAddr::from(([10, 0, 0, 1], 2000));
    let mut session = Session::new(registrar, ConnectionId(1), peer, local, now.instant);
    let mut heard = Heard {
        answers: Vec::new(),
        flow: Flow::Open,
    };
    let mut from = 0;
    for &to in cuts.iter().chain([&stream.len()]) {
        let mut piece = &stream[from..to];
        from = to;
        loop {
            let mut out = Vec::new();
            let mut turn = Turn {
                registrar,
                now,
                out: &mut out,
            };
            heard.flow = session.receive(piece, &mut turn);
            assert!(out.len() <= MOST_WRITTEN, "{} bytes are written", out.len());
            let (answers, end) = frames(&out);
            assert_eq!(end, Ok(0), "what is written are whole messages");
            let ids = answers.iter().map(|answer| answer.id);
            heard.answers.extend(ids);
            if heard.flow != Flow::Open {
                return heard;
            }
            if !session.is_held_up() {
                break;
            }
            // They have gone out, and the messages that were held up are read.
            piece = &[];
        }
        assert!(session.next(registrar) >= now.instant);
    }
    let is_ours = |id: &u32| Outgoing::of_id(*id).is_some();
    assert!(heard.answers.iter().all(is_ours));
    heard
}
