//! What the kernel program tells of requests, read from its ring and told to the journal.
//!
//! The program tells of the first answer to a request, and of the end of each transfer that it ends
//! itself; what the sweep ends is told from here. A record has a file by its number and, where a
//! [pattern](tftp_ebpf::name::PATTERNS) answered, the digits of the name that was asked for.
//!
//! A ring that is full is never waited for: the program counts what found no room, and that count is
//! what the journal shows as a time of which something is unknown.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aya::maps::{MapData, PerCpuArray, RingBuf};
use tftp_ebpf::abi::{Address, Event, Transfer, TransferKey};
use tftp_ebpf::name::DEVICE_DIGITS;
use tftp_ebpf::stage::Stage;
use tftp_ebpf::verdict::{Reason, Rung};

use crate::clock::monotonic_ns;
use crate::journal::{self, Answer, Happening, Heard, Journal, Outcome, Request};
use crate::stats::Path;

/// Records that are taken out of the ring at once: their names are looked up under one lock, which
/// is given back before the journal is told.
pub(super) const BATCH: usize = 256;

/// Batches of one turn: as much as the ring holds, so that a flood ends no turn of the worker.
pub(super) const BATCHES: usize = 64;

/// Stands for the digits of a device in the name of a pattern.
const DIGITS: &str = "<MAC>";

/// The ring, and who is told.
pub(super) struct Events {
    ring: RingBuf<MapData>,
    lost: Lost,
    journal: Arc<Journal>,
    batch: Vec<Event>,
}

/// `EVENTS_LOST`, read by the snapshot too.
pub(super) type LostCounter = Arc<PerCpuArray<MapData, u64>>;

struct Lost {
    counter: LostCounter,
    before: u64,
    /// When it was read last.
    read_at: SystemTime,
}

impl Events {
    /// `told` says what a daemon before has told of the losses, and until when.
    pub(super) fn new(
        ring: RingBuf<MapData>,
        lost: LostCounter,
        journal: Arc<Journal>,
        told: Option<(u64, SystemTime)>,
    ) -> Self {
        let (before, read_at) = told.unwrap_or_else(|| (total(&lost), SystemTime::now()));
        Self {
            ring,
            lost: Lost {
                before,
                counter: lost,
                read_at,
            },
            journal,
            batch: Vec::with_capacity(BATCH),
        }
    }

    /// The next records of the ring, none if it is empty.
    pub(super) fn next_batch(&mut self) -> &[Event] {
        self.batch.clear();
        while self.batch.len() < BATCH
            && let Some(record) = self.ring.next()
        {
            self.batch.extend(parse(&record));
        }
        &self.batch
    }

    /// Tells of the batch that was read last, whose names these are.
    pub(super) fn tell(&self, names: &[Option<Arc<str>>]) {
        let clock = Clock::now();
        for (event, name) in self.batch.iter().zip(names) {
            let Some(name) = name else {
                continue;
            };
            if let Some(told) = told(event, name, clock) {
                self.journal.tell(&told);
            }
        }
    }

    /// The sweep has ended a transfer.
    pub(super) fn ended(
        &self,
        (key, transfer): (&TransferKey, &Transfer),
        name: &Arc<str>,
        reason: Reason,
        now_ns: u64,
    ) {
        self.journal.tell(&journal::Event {
            at: SystemTime::now(),
            device: None,
            source: source(&key.client, key.client_port, key.scope),
            what: Happening::Answered(
                Request {
                    name: Arc::clone(name),
                    stage: Stage::from_index(transfer.stage),
                    path: path(transfer.rung),
                    generation: Some(transfer.generation),
                    len_bytes: transfer.length.into(),
                },
                Answer {
                    outcome: match Outcome::of_tftp(reason, heard(transfer)) {
                        Some(outcome) => outcome,
                        None => return,
                    },
                    took: Duration::from_nanos(now_ns.saturating_sub(transfer.started_ns)),
                    resends: transfer.resends,
                },
            ),
        });
    }

    /// Tells what was lost since this was looked at before.
    /// Returns how many were lost so far.
    pub(super) fn look_for_losses(&mut self) -> u64 {
        let (now, lost) = (SystemTime::now(), total(&self.lost.counter));
        let more = lost.saturating_sub(self.lost.before);
        if more > 0 {
            self.journal.lost(more, self.lost.read_at, now);
        }
        (self.lost.before, self.lost.read_at) = (lost.max(self.lost.before), now);
        self.lost.before
    }
}

/// Over all processors; what cannot be read has not grown.
pub(super) fn total(lost: &PerCpuArray<MapData, u64>) -> u64 {
    lost.get(&0, 0).map_or(0, |each| each.iter().sum())
}

/// One moment on both clocks.
#[derive(Clone, Copy)]
struct Clock {
    wall: SystemTime,
    ns: u64,
}

impl Clock {
    /// The closest of a few pairs of readings: a thread that loses its processor between two of them
    /// would make all that happened seem later than it was.
    fn now() -> Self {
        const READINGS: u32 = 8;
        const CLOSE_NS: u64 = 20_000;
        let (mut closest, mut apart) = (Self::read(), u64::MAX);
        for _ in 0..READINGS {
            let read = Self::read();
            let between = monotonic_ns().saturating_sub(read.ns);
            if between < apart {
                (closest, apart) = (read, between);
            }
            if apart <= CLOSE_NS {
                break;
            }
        }
        closest
    }

    fn read() -> Self {
        Self {
            ns: monotonic_ns(),
            wall: SystemTime::now(),
        }
    }

    fn wall(self, at_ns: u64) -> SystemTime {
        let ago = Duration::from_nanos(self.ns.saturating_sub(at_ns));
        self.wall.checked_sub(ago).unwrap_or(self.wall)
    }
}

fn parse(record: &[u8]) -> Option<Event> {
    if record.len() < size_of::<Event>() {
        return None;
    }
    // SAFETY: the record is long enough, and every bit pattern is a valid event.
    Some(unsafe { std::ptr::read_unaligned(record.as_ptr().cast()) })
}

/// A record as the journal has it; none if it is of no reason that the program tells.
fn told(event: &Event, name: &Arc<str>, clock: Clock) -> Option<journal::Event> {
    let reason = *Reason::ALL.get(usize::from(event.reason))?;
    let request = Request {
        name: asked_for(name, &event.device),
        stage: Stage::from_index(event.stage),
        path: path(event.rung),
        generation: generation(event),
        len_bytes: event.length.into(),
    };
    let what = match reason {
        Reason::FirstData | Reason::Oack => Happening::Requested(request),
        reason => {
            let answer = Answer {
                // The program has no timers: it gives nothing up.
                outcome: Outcome::of_tftp(reason, Heard::Some)?,
                took: Duration::from_nanos(event.took_ns),
                resends: event.resends,
            };
            Happening::Answered(request, answer)
        }
    };
    Some(journal::Event {
        at: clock.wall(event.at_ns),
        device: None,
        source: source(&event.client, event.client_port, 0),
        what,
    })
}

/// Of the version that is served; none for a name that is absent.
fn generation(event: &Event) -> Option<u64> {
    (event.generation != 0).then_some(event.generation)
}

/// The name of a pattern with the digits in their place, any other as it is.
fn asked_for(name: &Arc<str>, device: &[u8; DEVICE_DIGITS]) -> Arc<str> {
    match (name.split_once(DIGITS), std::str::from_utf8(device)) {
        (Some((before, behind)), Ok(digits)) => format!("{before}{digits}{behind}").into(),
        _ => Arc::clone(name),
    }
}

fn path(rung: u8) -> Path {
    let rung = Rung::ALL.get(usize::from(rung));
    Path::Rung(rung.copied().unwrap_or(Rung::Tc))
}

/// What had come back of a transfer.
fn heard(transfer: &Transfer) -> Heard {
    if transfer.is_fresh() {
        Heard::Nothing
    } else if transfer.block == transfer.last_block() {
        Heard::AllButTheLast
    } else {
        Heard::Some
    }
}

fn source(address: &Address, port: [u8; 2], scope: u32) -> SocketAddr {
    let port = u16::from_be_bytes(port);
    match unmapped(address) {
        IpAddr::V4(v4) => (v4, port).into(),
        IpAddr::V6(v6) => SocketAddrV6::new(v6, port, 0, scope).into(),
    }
}

/// An address of the maps, IPv4 as such.
pub(super) fn unmapped(address: &Address) -> IpAddr {
    let [a, b, c, d] = address.map(u32::from_be).map(u128::from);
    let bits = a << 96 | b << 64 | c << 32 | d;
    match Ipv6Addr::from_bits(bits).to_ipv4_mapped() {
        Some(v4) => IpAddr::V4(Ipv4Addr::from(v4.octets())),
        None => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::inventory::DeviceName;
    use crate::journal::{File, What};
    use crate::kernel::host::map_address;

    const CONFIG: &str = "sep001122334455.cnf.xml";

    /// At 1,000 s by the wall, when the other clock had 50 s.
    fn clock() -> Clock {
        Clock {
            wall: UNIX_EPOCH + Duration::from_secs(1_000),
            ns: 50_000_000_000,
        }
    }

    fn record(reason: Reason, at_ms: u64) -> Event {
        Event {
            at_ns: at_ms * 1_000_000,
            took_ns: 3_000_000,
            client: map_address([10, 0, 0, 9].into()),
            client_port: 49_152_u16.to_be_bytes(),
            length: 6_000,
            resends: 2,
            reason: reason as u8,
            rung: Rung::Xdp as u8,
            stage: Stage::Config as u8,
            ..Event::default()
        }
    }

    /// Files of the phone, after these records of it.
    fn files(records: &[(Event, &str)]) -> Vec<File> {
        let journal = Journal::default();
        for (record, name) in records {
            journal.tell(&told(record, &(*name).into(), clock()).unwrap());
        }
        let device: DeviceName = "SEP001122334455".parse().unwrap();
        let phone = journal.phone(&device).unwrap();
        let entries = phone.boots.into_iter().flat_map(|boot| boot.entries);
        let file = |what| match what {
            What::File(file) => file,
            What::Fact(fact) => panic!("{fact:?}"),
        };
        entries.map(|entry| file(entry.what)).collect()
    }

    #[test]
    fn the_first_answer_is_the_request_and_the_end_its_answer() {
        let began = (record(Reason::Oack, 49_000), CONFIG);
        assert_eq!(files(&[began])[0].outcome, Outcome::Pending);
        for (reason, outcome) in [
            (Reason::Complete, Outcome::Complete),
            (Reason::Probe, Outcome::Probe),
            (Reason::ClientError, Outcome::Aborted),
        ] {
            let files = files(&[began, (record(reason, 49_003), CONFIG)]);
            let [file] = &files[..] else {
                panic!("{files:?}")
            };
            assert_eq!(&*file.name, CONFIG);
            assert_eq!(file.outcome, outcome);
            assert_eq!(
                (file.len_bytes, file.took_us, file.resends),
                (6_000, 3_000, 2)
            );
            assert_eq!(
                (file.stage(), file.path()),
                (Stage::Config, Path::Rung(Rung::Xdp))
            );
        }
    }

    #[test]
    fn the_digits_of_a_record_complete_the_name_of_a_pattern() {
        let absent = Event {
            device: *b"001122334455",
            stage: Stage::Trust as u8,
            ..record(Reason::Absent, 49_000)
        };
        let files = files(&[(absent, "ctlsep<MAC>.tlv")]);
        assert_eq!(&*files[0].name, "ctlsep001122334455.tlv");
        assert_eq!(files[0].outcome, Outcome::Absent);
    }

    #[test]
    fn a_record_is_as_long_ago_as_the_other_clock_says() {
        let told = told(&record(Reason::Oack, 47_500), &CONFIG.into(), clock()).unwrap();
        assert_eq!(told.at, UNIX_EPOCH + Duration::from_millis(997_500));
        assert_eq!(told.source, "10.0.0.9:49152".parse().unwrap());
    }

    #[test]
    fn what_no_record_can_say_is_left_out() {
        for reason in [Reason::Data as u8, Reason::Shed as u8, 250] {
            let record = Event {
                reason,
                ..record(Reason::Oack, 49_000)
            };
            assert!(told(&record, &CONFIG.into(), clock()).is_none());
        }
        assert!(parse(&[0; size_of::<Event>() - 1]).is_none());
    }

    #[test]
    fn a_transfer_tells_what_had_come_back_of_it() {
        let transfer = |block, oack| Transfer {
            length: 1_000,
            block_len: 512,
            block,
            oack,
            ..Transfer::EMPTY
        };
        for (block, oack, expected) in [
            (0, 1, Heard::Nothing),
            (1, 0, Heard::Nothing),
            (1, 1, Heard::Some),
            (2, 0, Heard::AllButTheLast),
        ] {
            assert_eq!(heard(&transfer(block, oack)), expected, "block {block}");
        }
    }
}
