//! Where messages begin and end, and what becomes of a connection when they do not.

use proptest::prelude::*;

use super::*;

/// A whole registration in one stream.
fn stream() -> Vec<u8> {
    let mut stream = register(PHONE, TYPE_7941, 17);
    stream.extend(questions().concat());
    stream.extend(message(0x0000, &[]));
    stream
}

#[test]
fn a_stream_cut_at_every_byte_is_answered_as_the_whole_one() {
    let stream = stream();
    let answers = |cuts: &[&[u8]]| {
        let lab = Lab::new();
        let mut phone = lab.connect("10.0.0.7:50000");
        let answers: Vec<u8> = cuts
            .iter()
            .flat_map(|part| lab.send(&mut phone, part))
            .collect();
        assert_eq!(phone.flow, Flow::Open);
        assert!(phone.session.inbox.is_empty());
        kinds(&answers)
    };
    let whole = answers(&[&stream]);
    assert_eq!(whole.len(), 17);
    for cut in 0..stream.len() {
        let (first, second) = stream.split_at(cut);
        assert_eq!(answers(&[first, second]), whole, "cut at {cut}");
    }
    let single: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(answers(&single), whole);
}

#[test]
fn a_connection_keeps_no_memory_between_messages() {
    let lab = Lab::new();
    let mut phone = lab.connect("10.0.0.7:50000");
    let stream = stream();
    lab.send(&mut phone, &stream[..50]);
    assert_eq!(phone.session.inbox.len(), 50);
    lab.send(&mut phone, &stream[50..]);
    assert_eq!(phone.session.inbox.capacity(), 0);
}

#[test]
fn answers_that_nobody_takes_hold_up_further_questions() {
    let lab = Lab::new();
    let mut phone = lab.registered("10.0.0.7:50000");
    // Each is answered with more than 600 bytes.
    let questions = message(0x0025, &[]).repeat(300);
    let mut answers = lab.send(&mut phone, &questions);
    assert!(phone.session.is_held_up());
    assert!(answers.len() < HIGH_WATER + 1024, "{}", answers.len());
    assert!(phone.session.inbox.len() <= questions.len());
    while phone.session.is_held_up() {
        answers.extend(lab.send(&mut phone, &[]));
    }
    let sets = kinds(&answers);
    let sets = sets.iter().filter(|it| **it == Outgoing::SoftKeySetRes);
    assert_eq!(sets.count(), 300);
    assert_eq!(phone.session.inbox.capacity(), 0);
}

/// What is expected of a bad frame.
#[derive(Debug, PartialEq)]
enum Then {
    /// The connection ends without a word.
    Ends,
    /// A RegisterReject, then the connection ends.
    Refused,
    /// It is left out.
    GoesOn,
}

/// What comes, and what it is counted as.
type Case = (&'static str, Vec<u8>, Counted, Then);
type Counted = (Option<BadFrame>, Option<Refusal>);

#[test]
fn each_of_20_kinds_of_bad_frames_is_counted_by_its_reason() {
    let raw =
        |length: u32, version: u32, id: u32| [length, version, id].map(u32::to_le_bytes).concat();
    let mut nameless = register("", TYPE_7941, 17);
    nameless[12] = 0;
    let mut wild = register(PHONE, TYPE_7941, 17);
    wild[12..15].copy_from_slice(b"\xFF\xFE/");
    let mut path = register(PHONE, TYPE_7941, 17);
    path[12..28].copy_from_slice(b"../../etc/passwd");
    let many = |count: u32| message(0x0010, &[&count.to_le_bytes()[..], &[0; 64]].concat());
    let bad = |bad| (Some(bad), None);
    let malformed = (None, Some(Refusal::Malformed));
    let cases: [Case; 20] = [
        (
            "no length",
            raw(0, 0, 0),
            bad(BadFrame::LengthTooShort),
            Then::Ends,
        ),
        (
            "a length without an id",
            raw(3, 0, 0),
            bad(BadFrame::LengthTooShort),
            Then::Ends,
        ),
        (
            "one over the bound",
            raw(4097, 0, 1),
            bad(BadFrame::LengthTooLong),
            Then::Ends,
        ),
        (
            "the largest length",
            raw(u32::MAX, 0, 0),
            bad(BadFrame::LengthTooLong),
            Then::Ends,
        ),
        (
            "a length in network order",
            raw(4_u32.swap_bytes(), 0, 0),
            bad(BadFrame::LengthTooLong),
            Then::Ends,
        ),
        (
            "HTTP",
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            bad(BadFrame::LengthTooLong),
            Then::Ends,
        ),
        (
            "TLS",
            vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3, 0],
            bad(BadFrame::LengthTooLong),
            Then::Ends,
        ),
        (
            "SIP",
            b"REGISTER sip:10.0.0.1 SIP/2.0\r\n".to_vec(),
            bad(BadFrame::LengthTooLong),
            Then::Ends,
        ),
        (
            "a wild header version",
            raw(4, 0x1_0000, 0),
            bad(BadFrame::HeaderVersion),
            Then::Ends,
        ),
        (
            "a server's message",
            message(0x0081, &[0; 20]),
            bad(BadFrame::WrongDirection),
            Then::Ends,
        ),
        (
            "a server's KeepAliveAck",
            message(0x0100, &[]),
            bad(BadFrame::WrongDirection),
            Then::Ends,
        ),
        (
            "Register without a body",
            message(0x0001, &[]),
            (Some(BadFrame::ShortBody), Some(Refusal::Malformed)),
            Then::Refused,
        ),
        (
            "Register that ends in its version",
            message(0x0001, &[1; 43]),
            (Some(BadFrame::ShortBody), Some(Refusal::Malformed)),
            Then::Refused,
        ),
        (
            "Register without a name",
            nameless,
            malformed,
            Then::Refused,
        ),
        (
            "Register with a name of no characters",
            wild,
            malformed,
            Then::Refused,
        ),
        ("Register with a path", path, malformed, Then::Refused),
        (
            "a token that ends early",
            message(0x0029, &[0; 31]),
            bad(BadFrame::ShortBody),
            Then::GoesOn,
        ),
        (
            "an alarm without a text",
            message(0x0020, &[0; 4]),
            bad(BadFrame::ShortBody),
            Then::GoesOn,
        ),
        (
            "more codecs than there is room",
            many(19),
            bad(BadFrame::Count),
            Then::GoesOn,
        ),
        (
            "codecs that are not there",
            many(18),
            bad(BadFrame::ShortBody),
            Then::GoesOn,
        ),
    ];
    for (name, frame, (bad, refusal), then) in cases {
        let lab = Lab::new();
        let mut phone = lab.connect("10.0.0.7:50000");
        let answer = lab.send(&mut phone, &frame);
        let counts = lab.counts();
        for it in BadFrame::ALL {
            assert_eq!(counts.bad(it), u64::from(Some(it) == bad), "{name}: {it:?}");
        }
        for it in Refusal::ALL {
            assert_eq!(
                counts.refused(it),
                u64::from(Some(it) == refusal),
                "{name}: {it:?}"
            );
        }
        let came = match (phone.flow, answer.is_empty()) {
            (Flow::Close(Ending::BadFrame), true) => Then::Ends,
            (Flow::Close(Ending::Refused), false) => Then::Refused,
            (Flow::Open, true) => Then::GoesOn,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(came, then, "{name}");
        if then == Then::GoesOn {
            let answer = lab.send(&mut phone, &message(0x0000, &[]));
            assert_eq!(kinds(&answer), [Outgoing::KeepAliveAck], "{name}");
        }
    }
}

#[test]
fn a_message_nobody_knows_is_counted_and_left_out() {
    let lab = Lab::new();
    let mut phone = lab.registered("10.0.0.7:50000");
    let stream = [message(0x0999, &[1; 40]), message(0x0000, &[])].concat();
    let answer = lab.send(&mut phone, &stream);
    assert_eq!(kinds(&answer), [Outgoing::KeepAliveAck]);
    assert_eq!(lab.counts().unknown, 1);
}

#[test]
fn a_message_that_does_not_end_in_time_ends_the_connection() {
    let mut lab = Lab::new();
    let mut phone = lab.registered("10.0.0.7:50000");
    lab.send(&mut phone, &message(0x0000, &[])[..7]);
    lab.pass(Duration::from_secs(9));
    // One byte more does not make it a new message.
    lab.send(&mut phone, &[0]);
    let (passed, _) = lab.wait(&mut phone);
    assert_eq!(passed, Duration::from_secs(1));
    assert_eq!(phone.flow, Flow::Close(Ending::SlowMessage));
    assert!(lab.in_table().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever comes, in whatever pieces, nothing panics and what is kept stays small.
    #[test]
    fn any_bytes_are_survived_in_bounded_memory(
        registers in any::<bool>(),
        messages in prop::collection::vec(
            (prop_oneof![0_u32..0x60, 0x80_u32..0x160, any::<u32>()], prop::collection::vec(any::<u8>(), 0..300)),
            0..40,
        ),
        noise in prop::collection::vec(any::<u8>(), 0..200),
        piece in 1_usize..500,
    ) {
        let mut lab = Lab::new();
        let mut phone = lab.connect("10.0.0.7:50000");
        if registers {
            lab.send(&mut phone, &register(PHONE, TYPE_7941, 22));
        }
        let mut stream: Vec<u8> = messages.iter().flat_map(|(id, body)| message(*id, body)).collect();
        stream.extend(noise);
        for bytes in stream.chunks(piece) {
            if phone.flow != Flow::Open {
                break;
            }
            let out = lab.send(&mut phone, bytes);
            prop_assert!(out.len() < 2 * HIGH_WATER);
            prop_assert!(phone.session.inbox.len() <= super::super::super::wire::MAX_FRAME + piece);
        }
        lab.pass(Duration::from_secs(3600));
        if phone.flow == Flow::Open {
            lab.turn(&mut phone, Session::expire);
            prop_assert!(phone.flow != Flow::Open);
        }
        prop_assert!(lab.in_table().is_none());
        prop_assert_eq!(lab.counts().registered, 0);
    }
}
