//! Storms and noise, packet by packet, on the host.

use std::collections::HashMap;

use crate::classify::{Class, Decision};
use crate::testing::datagram::{Datagram, Endpoint};
use crate::testing::random::Random;
use crate::testing::segment::{SYN, Segment};
use crate::testing::site::map;
use crate::testing::{MemoryFrame, MemoryMaps, Site, host};

const SECOND: u64 = 1_000_000_000;

/// A SYN to the port of SCCP from this address.
fn syn(from: [u8; 4]) -> Segment {
    let plain = Segment::default();
    Segment {
        flags: SYN,
        around: Datagram {
            from: Endpoint {
                address: from.into(),
                ..plain.around.from
            },
            ..plain.around
        },
        ..plain
    }
}

fn decide(maps: &MemoryMaps, segment: &Segment, now_ns: u64) -> (Class, Decision) {
    let frame = segment.frame();
    let outcome = host::run::<0>(maps, MemoryFrame::new(frame.clone()), now_ns);
    assert_eq!(outcome.frame, frame, "not as it came");
    let classified = outcome.classified.expect("it is of a registration");
    (classified.class, classified.decision)
}

/// Ten tokens, five of them for those who boot here, and one more each second.
#[test]
fn in_a_storm_the_registered_come_first_then_who_boots_here_then_strangers() {
    let maps = MemoryMaps::new(Site::new());
    let (registered, known, stranger) = ([10, 1, 0, 1], [10, 1, 0, 2], [10, 1, 0, 3]);
    maps.registered.borrow_mut().insert(map(registered.into()));
    maps.known
        .borrow_mut()
        .insert(map(known.into()), host::NOW_NS);
    let mut came: HashMap<[u8; 4], u32> = HashMap::new();
    // Strangers knock first and most often, and a minute passes.
    for step in 0..600 {
        let now = host::NOW_NS + step * SECOND / 10;
        for from in [stranger, stranger, known, registered] {
            if step % 20 != 0 && from == registered {
                continue;
            }
            let (class, decision) = decide(&maps, &syn(from), now);
            assert_eq!(class, Class::Syn);
            *came.entry(from).or_default() += u32::from(decision == Decision::Pass);
        }
    }
    assert_eq!(came[&registered], 30);
    // A few at the beginning, and none while the others keep the bucket below the reserve.
    assert!((1..=5).contains(&came[&stranger]), "{came:?}");
    // The rest: ten tokens, and one each second. Who is registered pays only while there are some.
    let tokens = 10 + 60;
    assert!(came[&known] >= tokens - 30 - came[&stranger], "{came:?}");
    assert!(came[&known] + came[&stranger] <= tokens, "{came:?}");
}

#[test]
fn many_phones_behind_one_address_are_no_worse_than_many_addresses() {
    let site = Site::new();
    let count = |addresses: u8| {
        let maps = MemoryMaps::new(site.clone());
        let decisions = (0..100).map(|number| {
            let from = [10, 1, 0, number % addresses];
            decide(&maps, &syn(from), host::NOW_NS).1
        });
        decisions.filter(|it| *it == Decision::Pass).count()
    };
    assert_eq!(count(1), count(100));
    assert_eq!(count(1), 5);
}

/// Whatever stands behind the headers: one class, and no packet of a connection is dropped.
#[test]
fn noise_over_a_connection_is_passed_as_it_came() {
    let maps = MemoryMaps::new(Site::new());
    let mut random = Random::new(0x51f);
    let mut seen: HashMap<Class, u32> = HashMap::new();
    for _ in 0..5_000 {
        let len = random.below(64);
        // Small numbers and the letters of start lines are met often enough to mean something.
        let alphabet: &[u8] = match random.below(3) {
            0 => &[0, 1, 4, 8, 0x20, 0x29, 0x81, 0xff],
            1 => b"REGISTER SIP/2.0 123\r\nCSeq:",
            _ => &[],
        };
        let payload: Vec<u8> = (0..len)
            .map(|_| match alphabet {
                [] => random.word() as u8,
                letters => letters[random.below(letters.len())],
            })
            .collect();
        let port = [2000, 5060, 5061][random.below(3)];
        let segment = syn([10, 1, 0, 1]).with(&payload);
        let segment = Segment {
            flags: random.word() as u8 & !SYN,
            around: Datagram {
                to: Endpoint {
                    port,
                    ..segment.around.to
                },
                ..segment.around
            },
            ..segment
        };
        let (class, decision) = decide(&maps, &segment, host::NOW_NS);
        assert_eq!(decision, Decision::Pass);
        *seen.entry(class).or_default() += 1;
    }
    for class in [
        Class::TcpControl,
        Class::Encrypted,
        Class::SccpContinuation,
        Class::SipContinuation,
    ] {
        assert!(seen[&class] > 50, "{seen:?}");
    }
}
