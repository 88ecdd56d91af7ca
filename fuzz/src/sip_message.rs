//! SIP, as datagrams and as a stream.
//!
//! Input: datagram or stream and how many cuts, where each is, then bytes. A message that is read
//! can be asked for everything in it; the registrar's answer can be read, has one header for each it
//! should have, and to somebody who has proved nothing it is little more than what was asked. A
//! stream means the same wherever it is cut.

use std::net::SocketAddr;
use std::time::Instant;

use tftp_edge::register::sip::message::{Message, Name, NameAddr, Request, StartLine, Values, Via};
use tftp_edge::register::sip::stream::{Broken, Event, Framer};
use tftp_edge::register::sip::{Core, Glance, Incoming, Outgoing, Settings};
use tftp_edge::register::{ConnectionId, Transport};

use crate::memory::within;
use crate::registrar::desk;
use crate::script::Script;

/// What an answer may have beside what it repeats of its question: two challenges, what is allowed
/// and accepted, dates and tags.
const ANSWER_BYTES: usize = 1200;

/// Of a stream: the longest head and body, doubled as the memory of a message grows.
const HELD_MAX: usize = 2 * ((16 << 10) + (64 << 10));

pub fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let how = script.byte();
    let count = usize::from(how >> 1) % 8;
    let cuts: Vec<_> = (0..count).map(|_| usize::from(script.word())).collect();
    let bytes = script.rest();
    if how & 1 == 0 {
        check_message(bytes);
        check_answers(bytes);
    } else {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        cuts.sort_unstable();
        check_stream(bytes, &cuts);
    }
    Glance::of(bytes);
}

/// Reads all of a message. What is read lies within it.
fn check_message(bytes: &[u8]) {
    let Ok(message) = Message::scan(bytes) else {
        return;
    };
    let _ = message.start();
    assert!(message.body().is_ok_and(|body| body.len() <= bytes.len()) || message.body().is_err());
    for via in message.values(Name::Via) {
        if let Some(via) = Via::parse(via) {
            check_params(via.params);
            via.branch();
            via.wants_rport();
        }
    }
    for name in [Name::From, Name::To, Name::Contact, Name::ReferTo] {
        for value in message.values(name) {
            let Some(address) = NameAddr::parse(value) else {
                continue;
            };
            address.tag();
            if let Some(uri) = address.uri() {
                // Contacts are compared, and are no longer than this.
                let is_short = address.uri.len() <= 512;
                assert!(
                    !is_short || !uri.is_sip() || uri.is_same(&uri),
                    "a URI is the same as itself"
                );
                uri.user_text();
                uri.address();
                check_params(uri.params);
            }
        }
    }
    if let Ok(request) = Request::check(&message) {
        assert!(message.defect().is_none() && message.repeated().is_none());
        assert!((1..=256).contains(&request.call_id.len()));
        assert_eq!(request.cseq.method, request.method_name);
        assert!(request.from.uri().is_some() && request.to.uri().is_some());
        assert!(request.body.len() <= bytes.len());
        let has_nul = |name| message.all(name).any(|value| value.contains(&0));
        assert!(
            ![Name::Via, Name::Contact, Name::From, Name::Other]
                .into_iter()
                .any(has_nul)
        );
    }
}

fn check_params(params: tftp_edge::register::sip::message::Params<'_>) {
    let parts = params.iter().map(|param| {
        assert!(!param.name.is_empty());
        param.raw.len() + 1
    });
    assert!(parts.sum::<usize>() <= params.raw().len());
}

/// A registrar's answers to a datagram, from an address that may be forged.
fn check_answers(bytes: &[u8]) {
    let now = Instant::now();
    let core = Core::new(Settings::default(), desk());
    let source = SocketAddr::from(([10, 0, 0, 9], 49_152));
    let incoming = Incoming {
        bytes,
        transport: Transport::Udp,
        source,
        local: ([10, 0, 0, 1], 5060).into(),
        connection: None,
        arrived: now,
    };
    let mut out = Vec::new();
    within(bytes, 8, 64 << 10, || {
        core.receive(&incoming, now, &mut out)
    });
    assert!(out.len() <= 2, "{} answers", out.len());
    for answer in &out {
        assert_eq!(answer.to.to.ip(), source.ip(), "back to where it came from");
        check_answer(bytes, answer);
    }
    let sent: usize = out.iter().map(|answer| answer.bytes.len()).sum();
    let allowed = 2 * bytes.len() + ANSWER_BYTES;
    assert!(sent <= allowed, "{sent} bytes for {}", bytes.len());
    // The same again, over a connection, gets no more.
    let incoming = Incoming {
        transport: Transport::Tcp,
        connection: Some(ConnectionId(1)),
        ..incoming
    };
    out.clear();
    core.receive(&incoming, now, &mut out);
    core.closed(ConnectionId(1), now);
}

/// An answer is a response, sound, and repeats what it must.
fn check_answer(asked: &[u8], answer: &Outgoing) {
    let shown = || String::from_utf8_lossy(&answer.bytes).into_owned();
    let asked = Message::scan(asked).expect("what is answered was read");
    let given =
        Message::scan(&answer.bytes).unwrap_or_else(|defect| panic!("{defect}: {}", shown()));
    let start = given
        .start()
        .unwrap_or_else(|defect| panic!("{defect}: {}", shown()));
    let StartLine::Response { code, .. } = start else {
        panic!("no response: {}", shown());
    };
    assert!((100..700).contains(&code));
    assert_eq!(given.defect(), None, "{}", shown());
    assert_eq!(given.repeated(), None, "{}", shown());
    assert!(given.body().is_ok(), "{}", shown());
    let one_line = |value: &[u8]| -> Vec<u8> {
        let spaced = value.iter().map(|byte| match byte {
            b'\r' | b'\n' | 0 => b' ',
            byte => *byte,
        });
        let spaced: Vec<u8> = spaced.collect();
        spaced.trim_ascii().to_vec()
    };
    for name in [Name::CallId, Name::CSeq, Name::From] {
        let expected = asked.first(name).map(one_line);
        assert_eq!(
            given.first(name),
            expected.as_deref(),
            "{name:?} of {}",
            shown()
        );
    }
    let hops = |message: &Message<'_>| {
        message
            .all(Name::Via)
            .map(|it| Values::of(it).count())
            .sum()
    };
    let (asked, given): (usize, usize) = (hops(&asked), hops(&given));
    assert_eq!(given, asked, "the way back in {}", shown());
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Message(Vec<u8>),
    Ping,
}

fn feed(framer: &mut Framer, bytes: &[u8], seen: &mut Vec<Seen>) -> Result<(), Broken> {
    framer.feed(bytes, |event| {
        seen.push(match event {
            Event::Message(message) => Seen::Message(message.to_vec()),
            Event::Ping => Seen::Ping,
        });
    })
}

fn check_stream(stream: &[u8], cuts: &[usize]) {
    let (mut whole, mut whole_seen) = (Framer::default(), Vec::new());
    let whole_end = feed(&mut whole, stream, &mut whole_seen);
    let (mut framer, mut seen) = (Framer::default(), Vec::new());
    let mut end = Ok(());
    let mut from = 0;
    for &to in cuts.iter().chain([&stream.len()]) {
        end = feed(&mut framer, &stream[from..to], &mut seen);
        from = to;
        assert!(framer.held() <= HELD_MAX.max(2 * stream.len()));
        if end.is_err() {
            break;
        }
    }
    // A broken stream is broken wherever it is cut; what was whole before that was shown.
    assert_eq!(
        end.is_err(),
        whole_end.is_err(),
        "{end:?}, and {whole_end:?}"
    );
    assert_eq!(seen, whole_seen, "cut at {cuts:?}");
    if end.is_ok() {
        assert_eq!(framer.is_inside(), whole.is_inside());
    }
    for message in &seen {
        if let Seen::Message(message) = message {
            check_message(message);
        }
    }
}
