//! One trace: reads its sources, and tells what they have in order, until a bound is met.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tftp_ebpf::abi::trace::TRACE_ADDRESSES;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::decode::decode;
use super::interfaces::Interfaces;
use super::merge::Merge;
use super::packet::Packet;
use super::tap::Tap;
use super::told::{Ending, Lost, Told, TracedPacket, to_hex};
use super::tracer::{Addresses, Target};
use crate::clock::monotonic_ns;
use crate::kernel::{Error, Mirror};

/// How often the sources are read.
const TICK: Duration = Duration::from_millis(20);
/// How long a packet may take from its time to where it is read: a program that was interrupted has
/// its record written later than others that began after it.
const LAG: Duration = Duration::from_millis(20);
/// How often addresses and interfaces are looked up again.
const FOLLOW: Duration = Duration::from_secs(1);

/// When a trace is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub time: Duration,
    pub packets: u64,
    /// Of frames.
    pub bytes: u64,
}

/// Everything a trace needs. It tells by `out`, and ends when nobody listens there any more.
pub struct Session {
    pub target: Target,
    pub addresses: Addresses,
    pub bounds: Bounds,
    /// Whether the frames themselves are told.
    pub has_frames: bool,
    /// The kernel program's side, if there is one.
    pub mirror: Option<Mirror>,
    pub tap: Tap,
    pub interfaces: Interfaces,
    pub out: Sender<Told>,
    /// Whether the daemon still runs.
    pub runs: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// What a session has told.
#[derive(Debug, Default)]
struct Tally {
    packets: u64,
    bytes: u64,
    lost: Lost,
    /// What was told of it while the trace ran.
    lost_told: Lost,
}

impl Session {
    pub fn run(mut self) {
        let mut merge = Merge::default();
        let mut tally = Tally::default();
        let because = match self.tell_all(&mut merge, &mut tally) {
            Ok(Some(because)) => because,
            // Nobody listens.
            Ok(None) => return,
            Err(error) => Ending::Failed(error.to_string()),
        };
        let ended = Told::Ended {
            because,
            packets: tally.packets,
            bytes: tally.bytes,
            lost: tally.lost,
        };
        // Whoever has gone meanwhile need not know.
        let _ = self.out.blocking_send(ended);
    }

    fn tell_all(
        &mut self,
        merge: &mut Merge,
        tally: &mut Tally,
    ) -> Result<Option<Ending>, SessionError> {
        let deadline = Instant::now() + self.bounds.time;
        let mut watched: Option<Vec<IpAddr>> = None;
        let mut followed: Option<Instant> = None;
        loop {
            if followed.is_none_or(|at| at.elapsed() >= FOLLOW) {
                followed = Some(Instant::now());
                self.interfaces.look_again();
                if !self.follow(&mut watched)? {
                    return Ok(None);
                }
            }
            let is_over = Instant::now() >= deadline;
            let runs = (self.runs)();
            let until = epoch_ns(SystemTime::now()).saturating_sub(LAG.as_nanos() as u64);
            self.read(merge)?;
            // Before the packets: they may be the last that are told.
            if !self.tell_lost(merge, tally) {
                return Ok(None);
            }
            let packets: Vec<_> = match is_over || !runs {
                true => merge.rest().collect(),
                false => merge.until(until).collect(),
            };
            for packet in packets {
                if let Some(ending) = self.bounds.met(tally) {
                    return Ok(Some(ending));
                }
                if !self.tell(packet, tally) {
                    return Ok(None);
                }
            }
            match (self.bounds.met(tally), is_over, runs) {
                (Some(ending), _, _) => return Ok(Some(ending)),
                (None, _, false) => return Ok(Some(Ending::Stopped)),
                (None, true, true) => return Ok(Some(Ending::Time)),
                (None, false, true) => std::thread::sleep(TICK),
            }
        }
    }

    /// Looks where the phone is now. `false`: nobody listens.
    fn follow(&mut self, watched: &mut Option<Vec<IpAddr>>) -> Result<bool, SessionError> {
        let mut addresses = match &self.target {
            Target::Address(address) => vec![*address],
            Target::Device(device) => (self.addresses)(device),
        };
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(TRACE_ADDRESSES);
        let told = match (&watched, &self.target) {
            // A phone that boots is not registered: it is still where it was.
            (Some(before), _) if addresses.is_empty() || *before == addresses => None,
            (None, Target::Device(device)) if addresses.is_empty() => {
                *watched = Some(Vec::new());
                Some(Told::Waiting { device: *device })
            }
            _ => {
                if let Some(mirror) = &mut self.mirror {
                    mirror.watch(&addresses)?;
                }
                self.tap.watch(&addresses)?;
                *watched = Some(addresses.clone());
                Some(Told::Watching {
                    addresses,
                    sources: self.interfaces.sources(),
                })
            }
        };
        Ok(match told {
            Some(told) => self.out.blocking_send(told).is_ok(),
            None => !self.out.is_closed(),
        })
    }

    fn read(&mut self, merge: &mut Merge) -> Result<(), SessionError> {
        let epoch_ns = epoch_ns(SystemTime::now()).wrapping_sub(monotonic_ns());
        let interfaces = &mut self.interfaces;
        if let Some(mirror) = &mut self.mirror {
            mirror.read(|record, frame| {
                let Some(packet) = Packet::of(record, frame, epoch_ns) else {
                    return;
                };
                let is_of_tc = packet.via == super::Via::Tc;
                match is_of_tc && interfaces.has_xdp(packet.ifindex) {
                    true => merge.push_behind_xdp(packet),
                    false => merge.push(packet),
                }
            });
        }
        self.tap.read(|seen| {
            if !interfaces.takes(seen.ifindex, seen.direction, seen.is_loopback) {
                return;
            }
            merge.push(Packet {
                time_ns: seen.time_ns,
                ifindex: seen.ifindex,
                direction: seen.direction,
                via: super::Via::Host,
                frame: seen.frame,
                len: seen.len,
                decisions: Vec::new(),
            });
        })?;
        Ok(())
    }

    /// `false`: nobody listens.
    fn tell(&mut self, packet: Packet, tally: &mut Tally) -> bool {
        let decoded = decode(&packet.frame);
        let bytes = packet.frame.len() as u64;
        let told = TracedPacket {
            time_ns: packet.time_ns,
            interface: self.interfaces.name(packet.ifindex),
            direction: packet.direction,
            via: packet.via,
            len: packet.len,
            vlan: decoded.vlan,
            from: decoded.from,
            to: decoded.to,
            protocol: decoded.protocol.to_owned(),
            summary: decoded.summary,
            decisions: packet.decisions,
            frame: self.has_frames.then(|| to_hex(&packet.frame)),
        };
        match self.out.try_send(Told::Packet(Box::new(told))) {
            Ok(()) => {
                tally.packets += 1;
                tally.bytes += bytes;
                true
            }
            Err(TrySendError::Full(_)) => {
                tally.lost.reader += 1;
                true
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }

    /// Tells of lost packets, once for each reading that has lost some. `false`: nobody listens.
    fn tell_lost(&mut self, merge: &Merge, tally: &mut Tally) -> bool {
        let lost = Lost {
            ring: self.mirror.as_ref().map_or(0, Mirror::lost),
            socket: self.tap.dropped() + merge.lost,
            reader: tally.lost.reader,
        };
        tally.tell_lost(lost, &self.out)
    }
}

impl Tally {
    /// Notes what is lost by now, and tells it if there is room; else a later reading does, and the
    /// end. `false`: nobody listens.
    fn tell_lost(&mut self, lost: Lost, out: &Sender<Told>) -> bool {
        self.lost = lost;
        if lost == self.lost_told {
            return true;
        }
        match out.try_send(Told::Lost(lost)) {
            Ok(()) => {
                self.lost_told = lost;
                true
            }
            Err(TrySendError::Full(_)) => true,
            Err(TrySendError::Closed(_)) => false,
        }
    }
}

impl Bounds {
    /// The bound that what was told has met.
    fn met(&self, tally: &Tally) -> Option<Ending> {
        if tally.packets >= self.packets {
            Some(Ending::Packets)
        } else if tally.bytes >= self.bytes {
            Some(Ending::Bytes)
        } else {
            None
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error(transparent)]
    Kernel(#[from] Error),
    #[error("the packet socket of the trace: {0}")]
    Socket(#[from] std::io::Error),
}

fn epoch_ns(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost_is_told_once_as_soon_as_there_is_room() {
        let (out, mut told) = tokio::sync::mpsc::channel(1);
        let mut tally = Tally::default();
        let lost = |ring, reader| Lost {
            ring,
            reader,
            ..Lost::default()
        };
        let mut next = || match told.try_recv() {
            Ok(Told::Lost(lost)) => Some(lost),
            _ => None,
        };
        assert!(tally.tell_lost(lost(1, 0), &out));
        // Noted, but there is no room to tell it.
        assert!(tally.tell_lost(lost(2, 7), &out));
        assert_eq!(tally.lost, lost(2, 7));
        assert_eq!(next(), Some(lost(1, 0)));
        for _ in 0..2 {
            assert!(tally.tell_lost(lost(2, 7), &out));
        }
        assert_eq!((next(), next()), (Some(lost(2, 7)), None));
        drop(told);
        assert!(!tally.tell_lost(lost(3, 7), &out));
    }

    #[test]
    fn a_trace_ends_at_the_first_bound_it_meets() {
        let bounds = Bounds {
            time: Duration::from_secs(60),
            packets: 3,
            bytes: 1_000,
        };
        let told = |packets, bytes| Tally {
            packets,
            bytes,
            ..Tally::default()
        };
        assert_eq!(bounds.met(&told(2, 999)), None);
        assert_eq!(bounds.met(&told(3, 10)), Some(Ending::Packets));
        assert_eq!(bounds.met(&told(1, 1_000)), Some(Ending::Bytes));
    }
}
