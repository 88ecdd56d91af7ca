//! Whole transfers to a client that knows nothing but RFC 1350 and 2347, over a line that loses and
//! doubles what it carries.

use proptest::prelude::*;

use super::check_with_etherparse;
use crate::testing::random::Random;
use crate::testing::site::Site;
use crate::testing::{Datagram, MemoryFrame, MemoryMaps, host};
use crate::verdict::{Reason, Verdict};

/// A round trip, and how long the client waits before it repeats itself.
const ROUND_TRIP_NS: u64 = 3_000_000;
const TIMEOUT_NS: u64 = 1_500_000_000;

/// A line that loses and doubles packets, one in so many.
#[derive(Clone, Copy, Debug)]
struct Line {
    loses: usize,
    doubles: usize,
}

const PERFECT: Line = Line {
    loses: usize::MAX,
    doubles: usize::MAX,
};

/// What the client got, and how it ended.
#[derive(Debug)]
struct Fetched {
    bytes: Vec<u8>,
    /// The reason of every packet that reached the program.
    reasons: Vec<Reason>,
}

struct Client<'maps> {
    maps: &'maps MemoryMaps,
    line: Line,
    random: Random,
    now_ns: u64,
    reasons: Vec<Reason>,
}

impl Client<'_> {
    /// Sends a packet; returns the answers that arrive.
    fn send(&mut self, packet: &Datagram) -> Vec<Vec<u8>> {
        self.now_ns += ROUND_TRIP_NS;
        let mut answers = Vec::new();
        for frame in self.carry(packet.frame()) {
            let outcome = host::run(self.maps, MemoryFrame::<0>::new(frame), self.now_ns);
            self.reasons.push(outcome.reason);
            match outcome.reason.verdict() {
                Verdict::Answer => {
                    check_with_etherparse(&outcome.frame);
                    answers.extend(self.carry(outcome.frame));
                }
                Verdict::Drop => {}
                Verdict::Pass | Verdict::Classify => panic!("passed: {:?}", outcome.reason),
            }
        }
        answers
    }

    fn carry(&mut self, frame: Vec<u8>) -> Vec<Vec<u8>> {
        if self.random.one_in(self.line.loses) {
            Vec::new()
        } else if self.random.one_in(self.line.doubles) {
            vec![frame.clone(), frame]
        } else {
            vec![frame]
        }
    }

    /// Fetches a file with a block size, or without options.
    fn fetch(mut self, name: &str, blksize: Option<usize>) -> Fetched {
        let options = blksize.map(|size| format!("blksize {size}"));
        let request =
            Datagram::default().read(name, "octet", options.as_deref().unwrap_or_default());
        let block_len = blksize.unwrap_or(512);
        let mut outgoing = request;
        let mut server = None;
        let mut bytes = Vec::new();
        let mut expected = 1_u16;
        let mut is_complete = false;
        // Nobody tries for ever: far more than the losses of any test.
        for _ in 0..200_000 {
            let answers = self.send(&outgoing);
            if is_complete {
                break;
            }
            let before = outgoing.payload.clone();
            for answer in answers {
                let packet = etherparse::SlicedPacket::from_ethernet(&answer).expect("an answer");
                let Some(etherparse::TransportSlice::Udp(udp)) = packet.transport else {
                    panic!("an answer that is not UDP");
                };
                // The first answer fixes the server's port; all others come from it.
                let port = *server.get_or_insert(udp.source_port());
                assert_eq!(udp.source_port(), port);
                outgoing.to.port = port;
                match udp.payload() {
                    [0, 6, options @ ..] => {
                        let size = block_len.to_string();
                        assert_eq!(options, [b"blksize\0", size.as_bytes(), b"\0"].concat());
                        if bytes.is_empty() {
                            outgoing.payload = vec![0, 4, 0, 0];
                        }
                    }
                    [0, 3, high, low, data @ ..] => {
                        let number = u16::from_be_bytes([*high, *low]);
                        if number == expected && !is_complete {
                            bytes.extend_from_slice(data);
                            outgoing.payload = vec![0, 4, *high, *low];
                            expected = expected.wrapping_add(1);
                            is_complete = data.len() < block_len;
                        } else {
                            assert_eq!(number, expected.wrapping_sub(1), "a block too far");
                        }
                    }
                    other => panic!("an answer of {other:02x?}"),
                }
            }
            if outgoing.payload == before {
                self.now_ns += TIMEOUT_NS;
            }
        }
        assert!(is_complete, "no end: {:?}", self.reasons.last());
        Fetched {
            bytes,
            reasons: self.reasons,
        }
    }
}

fn fetch(site: &Site, line: Line, seed: u64, name: &str, blksize: Option<usize>) -> Fetched {
    let maps = MemoryMaps::new(site.clone());
    let client = Client {
        maps: &maps,
        line,
        random: Random::new(seed),
        now_ns: host::NOW_NS,
        reasons: Vec::new(),
    };
    client.fetch(name, blksize)
}

fn times(fetched: &Fetched, reason: Reason) -> usize {
    fetched
        .reasons
        .iter()
        .filter(|&&given| given == reason)
        .count()
}

#[test]
fn on_a_perfect_line_each_packet_is_sent_once() {
    let site = Site::new();
    let fetched = fetch(&site, PERFECT, 1, "ringlist.xml", None);
    assert_eq!(fetched.bytes, site.bytes(site.file("ringlist.xml")));
    assert_eq!(
        fetched.reasons,
        [
            Reason::FirstData,
            Reason::Data,
            Reason::Data,
            Reason::Complete
        ]
    );
}

#[test]
fn more_than_65535_blocks_arrive_whole() {
    let site = Site::new();
    let fetched = fetch(&site, PERFECT, 1, "firmware/cp78xx.sbn", Some(8));
    assert_eq!(fetched.bytes, site.bytes(site.file("firmware/cp78xx.sbn")));
    assert_eq!(times(&fetched, Reason::Data), 75_001);
    assert_eq!(fetched.reasons.last(), Some(&Reason::Complete));
}

#[test]
fn a_doubled_ack_is_not_answered_twice() {
    let site = Site::new();
    let doubling = Line {
        doubles: 1,
        ..PERFECT
    };
    let fetched = fetch(&site, doubling, 1, "sep001122334455.cnf.xml", Some(8));
    assert_eq!(
        fetched.bytes,
        site.bytes(site.file("sep001122334455.cnf.xml"))
    );
    // 150 full blocks and the empty one, each sent once though each ACK came twice.
    assert_eq!(times(&fetched, Reason::Data), 151);
    assert_eq!(times(&fetched, Reason::DuplicateAck), 151);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_file_arrives_whole_over_any_line(
        seed: u64,
        loses in 4_usize..40,
        doubles in 4_usize..40,
        file in 0_usize..5,
        blksize in prop::option::of(8_usize..1469),
    ) {
        let site = Site::new();
        let name = site.files[file].name;
        // The long file in small blocks is for the test of the wrap.
        let blksize = if file == 4 { blksize.map(|size| size.max(900)) } else { blksize };
        let fetched = fetch(&site, Line { loses, doubles }, seed, name, blksize);
        prop_assert_eq!(&fetched.bytes, site.bytes(&site.files[file]));
    }
}
