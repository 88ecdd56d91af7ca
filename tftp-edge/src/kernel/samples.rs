//! Reads what the kernel program has seen of registrations, and tells who wants to know.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aya::maps::{MapData, RingBuf};
use parking_lot::RwLock;
use tftp_ebpf::abi::registration::Sample;
use tftp_ebpf::classify::{Class, Decision};
use tftp_ebpf::wire::ip;

use super::events::unmapped;
use crate::clock::monotonic_ns;
use crate::register::{Sighting, Transport, Watch};

/// Everybody who is told.
pub type Watchers = Arc<RwLock<Vec<Arc<dyn Watch>>>>;

/// Reads the ring to its end.
pub fn read(ring: &mut RingBuf<MapData>, watchers: &Watchers) {
    let watchers = watchers.read();
    while let Some(record) = ring.next() {
        let Some(sample) = parse(&record) else {
            continue;
        };
        let Some(sighting) = sighting(&sample, Instant::now(), monotonic_ns()) else {
            continue;
        };
        tracing::trace!(
            peer = %sighting.source,
            address = %sighting.destination,
            class = sighting.class.as_str(),
            verdict = sighting.decision.as_str(),
            device = %String::from_utf8_lossy(sighting.name),
            "registration seen"
        );
        for watcher in &*watchers {
            watcher.seen(&sighting);
        }
    }
}

/// A record ends with its head.
fn parse(record: &[u8]) -> Option<Sample> {
    if !(Sample::FIXED_LEN..=size_of::<Sample>()).contains(&record.len()) {
        return None;
    }
    let mut sample = Sample::EMPTY;
    // SAFETY: the record is no longer than a sample, which is valid for every bit pattern.
    unsafe {
        let place = (&raw mut sample).cast::<u8>();
        place.copy_from_nonoverlapping(record.as_ptr(), record.len());
    }
    let head_len = usize::from(sample.head_len);
    (record.len() == Sample::FIXED_LEN + head_len).then_some(sample)
}

fn sighting(sample: &Sample, now: Instant, now_ns: u64) -> Option<Sighting<'_>> {
    let ago = Duration::from_nanos(now_ns.saturating_sub(sample.at_ns));
    let name_len = sample.device.iter().position(|&byte| byte == 0);
    Some(Sighting {
        at: now.checked_sub(ago).unwrap_or(now),
        source: SocketAddr::new(
            unmapped(&sample.source),
            u16::from_be_bytes(sample.source_port),
        ),
        destination: SocketAddr::new(
            unmapped(&sample.destination),
            u16::from_be_bytes(sample.destination_port),
        ),
        transport: match sample.protocol {
            ip::UDP => Transport::Udp,
            _ => Transport::Tcp,
        },
        class: Class::from_index(sample.class)?,
        decision: Decision::from_index(sample.decision)?,
        vlan: (sample.vlan != 0).then_some(sample.vlan),
        name: &sample.device[..name_len.unwrap_or(sample.device.len())],
        head: sample.head.get(..usize::from(sample.head_len))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::host::map_address;

    fn sample(head: &[u8]) -> Sample {
        let mut sample = Sample {
            at_ns: 900,
            source: map_address([10, 0, 0, 9].into()),
            destination: map_address("fd00::1".parse().unwrap()),
            source_port: 49_152_u16.to_be_bytes(),
            destination_port: 5060_u16.to_be_bytes(),
            vlan: 110,
            head_len: head.len() as u16,
            class: Class::SipRegister as u8,
            protocol: 17,
            ..Sample::EMPTY
        };
        sample.head[..head.len()].copy_from_slice(head);
        sample
    }

    fn record(sample: &Sample) -> Vec<u8> {
        let len = Sample::FIXED_LEN + usize::from(sample.head_len);
        // SAFETY: no longer than the sample, which has no padding.
        unsafe { std::slice::from_raw_parts((&raw const *sample).cast::<u8>(), len) }.to_vec()
    }

    #[test]
    fn a_sample_is_read_as_it_was_written() {
        let written = sample(b"REGISTER");
        let read = parse(&record(&written)).unwrap();
        let now = Instant::now();
        let sighting = sighting(&read, now, 1_900).unwrap();
        assert_eq!(now - sighting.at, Duration::from_nanos(1_000));
        assert_eq!(sighting.source, "10.0.0.9:49152".parse().unwrap());
        assert_eq!(sighting.destination, "[fd00::1]:5060".parse().unwrap());
        assert_eq!(sighting.transport, Transport::Udp);
        assert_eq!(
            (sighting.class, sighting.vlan),
            (Class::SipRegister, Some(110))
        );
        assert_eq!((sighting.name, sighting.head), (&b""[..], &b"REGISTER"[..]));
    }

    #[test]
    fn what_is_no_sample_is_left_out() {
        let whole = record(&sample(b"REGISTER"));
        assert!(parse(&whole[..whole.len() - 1]).is_none());
        assert!(parse(&whole[..Sample::FIXED_LEN - 1]).is_none());
        let unknown = Sample {
            class: 200,
            ..sample(b"")
        };
        assert!(sighting(&unknown, Instant::now(), 0).is_none());
    }
}
