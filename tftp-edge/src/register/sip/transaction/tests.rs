//! The timers of RFC 3261 17.1.2.2, stepped by hand.

use super::*;
use crate::register::{ConnectionId, Transport};

const BRANCH: &str = "z9hG4bKours";

fn notify(transport: Transport) -> Outgoing {
    Outgoing {
        to: Destination {
            transport,
            to: ([10, 0, 0, 2], 5060).into(),
            from: ([10, 0, 0, 1], 5060).into(),
            connection: transport.has_connections().then_some(ConnectionId(1)),
        },
        bytes: b"NOTIFY sip:1001@10.0.0.2 SIP/2.0\r\n\r\n".to_vec(),
        branch: Some(BRANCH.into()),
    }
}

fn begun(transport: Transport, now: Instant) -> Transactions {
    let mut transactions = Transactions::new(8);
    transactions.begin(BRANCH, &notify(transport), now).unwrap();
    transactions
}

fn answer(status: u16, method: Method) -> Answer<'static> {
    Answer {
        status,
        branch: BRANCH,
        method,
    }
}

/// Milliseconds after the start at which the request is sent again, and at which it ends.
fn run(transactions: &mut Transactions, start: Instant) -> (Vec<u128>, Option<u128>) {
    let (mut resent, mut ended) = (Vec::new(), None);
    while let Some(at) = transactions.deadline() {
        while let Some(due) = transactions.due(at) {
            let ms = (at - start).as_millis();
            match due {
                Due::Resend(to, bytes) => {
                    assert_eq!(
                        (to, bytes),
                        (notify(Transport::Udp).to, notify(Transport::Udp).bytes)
                    );
                    resent.push(ms);
                }
                Due::Unanswered(branch) => {
                    assert_eq!(&*branch, BRANCH);
                    ended = Some(ms);
                }
            }
        }
    }
    (resent, ended)
}

#[test]
fn over_udp_a_request_is_repeated_ten_times_and_given_up_after_32_seconds() {
    let start = Instant::now();
    let (resent, ended) = run(&mut begun(Transport::Udp, start), start);
    // 500, 1000, 2000 and then 4000 ms apart, as the RFC counts them up.
    let expected = [
        500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500,
    ];
    assert_eq!(resent, expected);
    assert_eq!(ended, Some(32_000));
}

#[test]
fn over_a_stream_nothing_is_repeated() {
    for transport in [Transport::Tcp, Transport::Tls] {
        let start = Instant::now();
        let (resent, ended) = run(&mut begun(transport, start), start);
        assert_eq!((resent, ended), (vec![], Some(32_000)));
    }
}

#[test]
fn a_final_answer_ends_it() {
    let start = Instant::now();
    let mut transactions = begun(Transport::Udp, start);
    let ok = answer(200, Method::Notify);
    assert_eq!(transactions.heard(&ok), Heard::Final(Method::Notify));
    assert_eq!(transactions.heard(&ok), Heard::Stray, "repeated");
    assert_eq!(run(&mut transactions, start), (vec![], None));
    assert!(transactions.is_empty());
}

#[test]
fn while_the_phone_works_on_it_it_is_repeated_rarely() {
    let start = Instant::now();
    let mut transactions = begun(Transport::Udp, start);
    let trying = answer(100, Method::Notify);
    assert_eq!(transactions.heard(&trying), Heard::Provisional);
    let (resent, ended) = run(&mut transactions, start);
    let expected = [500, 4500, 8500, 12_500, 16_500, 20_500, 24_500, 28_500];
    assert_eq!(resent, expected);
    assert_eq!(ended, Some(32_000));
}

#[test]
fn an_answer_to_another_method_or_branch_is_none() {
    let mut transactions = begun(Transport::Udp, Instant::now());
    assert_eq!(
        transactions.heard(&answer(200, Method::Options)),
        Heard::Stray
    );
    let other = Answer {
        branch: "z9hG4bKtheirs",
        ..answer(200, Method::Notify)
    };
    assert_eq!(transactions.heard(&other), Heard::Stray);
    assert_eq!(transactions.len(), 1);
}

#[test]
fn there_are_never_more_than_the_limit() {
    let now = Instant::now();
    let mut transactions = Transactions::new(2);
    let request = notify(Transport::Udp);
    for branch in ["a", "b"] {
        transactions.begin(branch, &request, now).unwrap();
    }
    assert_eq!(transactions.begin("c", &request, now), Err(Full));
    // The timer of an answered one counts until its time comes.
    let a = Answer {
        branch: "a",
        ..answer(200, Method::Notify)
    };
    transactions.heard(&a);
    assert_eq!(transactions.begin("c", &request, now), Err(Full));
    assert!(matches!(transactions.due(now + T1), Some(Due::Resend(..))));
    assert_eq!(transactions.begin("c", &request, now), Ok(()));
}
