//! Keeps the ports of the kernel's transfers to ourselves.
//!
//! No socket is bound to them, so the kernel would give them to the next program that asks for any
//! port, and answer stray packets to them with ICMP.
//!
//! The list of reserved ports is the host's, and others have theirs in it: what is given back is what
//! was added. What that was is recorded beside the pins, for whoever comes after a daemon that was
//! killed.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::pins::Pins;
use crate::port_range::PortRange;

/// `net.ipv4.ip_local_reserved_ports` of the network namespace of the thread that opens it.
pub(super) const RESERVED: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";

/// Ports that are reserved as long as this lives.
#[derive(Debug)]
pub struct Reservation {
    list: PathBuf,
    range: PortRange,
    /// Those of the range that nobody had reserved before.
    ours: Ports,
    /// Where they are recorded, if they are.
    pins: Option<Arc<Pins>>,
}

impl Reservation {
    /// Adds the range to the host's list; needs the right to write sysctls.
    pub fn take(range: PortRange, pins: Option<&Arc<Pins>>) -> io::Result<Self> {
        Self::take_in(Path::new(RESERVED), range, pins)
    }

    fn take_in(list: &Path, range: PortRange, pins: Option<&Arc<Pins>>) -> io::Result<Self> {
        let listed = Ports::parse(&fs::read_to_string(list)?);
        let before = pins.map(|pins| pins.ports()).unwrap_or_default();
        let wanted = Ports(range.ports().collect());
        // What a daemon before has reserved is in the list, and ours all the same.
        let ours = wanted.without(&listed.without(&before));
        let mut reservation = Self {
            list: list.to_owned(),
            range,
            ours,
            pins: pins.cloned(),
        };
        // First the record: a port in it that was never reserved does no harm.
        if let Some(pins) = pins
            && let Err(error) = pins.record_ports(&reservation.ours)
        {
            tracing::warn!(event = "kernel.ports_unrecorded", %range, %error, "if the daemon is killed, the ports of kernel.tid_ports stay reserved");
        }
        let new = listed.without(&before).with(&wanted);
        if new == listed {
            return Ok(reservation);
        }
        new.write(list).inspect_err(|_| {
            // Else whoever comes next would give back what others have reserved meanwhile.
            if let Some(pins) = pins
                && let Err(error) = pins.record_ports(&before)
            {
                tracing::warn!(event = "kernel.ports_unrecorded", %range, %error, "the record has ports that were not reserved");
            }
            reservation.ours = Ports::default();
        })?;
        Ok(reservation)
    }

    /// What a daemon before has reserved, as far as that is on record: it goes with this.
    pub fn left_over(range: PortRange, pins: Option<&Arc<Pins>>) -> Self {
        Self {
            list: RESERVED.into(),
            range,
            ours: pins.map(|pins| pins.ports()).unwrap_or_default(),
            pins: pins.cloned(),
        }
    }

    /// The ports stay reserved, for the daemon that comes next.
    pub fn keep(mut self) {
        self.ours = Ports::default();
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.ours.is_empty() {
            return;
        }
        match give_back(&self.list, &self.ours) {
            Ok(()) => {
                if let Some(pins) = &self.pins {
                    // Recorded or not, they are not reserved any more.
                    let _ = pins.record_ports(&Ports::default());
                }
            }
            Err(error) => {
                tracing::warn!(event = "kernel.ports_kept", range = %self.range, %error, file = %self.list.display(), "the ports stay reserved");
            }
        }
    }
}

/// Takes ports off a list; what others have there stays.
pub(super) fn give_back(list: &Path, ports: &Ports) -> io::Result<()> {
    let listed = Ports::parse(&fs::read_to_string(list)?);
    let left = listed.without(ports);
    match left == listed {
        true => Ok(()),
        false => left.write(list),
    }
}

/// A set of ports, written as the kernel does: `8080,57344-65535`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ports(BTreeSet<u16>);

impl Ports {
    /// What is no port is left out.
    pub fn parse(list: &str) -> Self {
        let parts = list.trim().split(',').filter(|part| !part.is_empty());
        let ranges = parts.filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.trim().parse::<u16>().ok()?..=last.trim().parse().ok()?)
        });
        Self(ranges.flatten().collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn with(&self, other: &Self) -> Self {
        Self(&self.0 | &other.0)
    }

    fn without(&self, other: &Self) -> Self {
        Self(&self.0 - &other.0)
    }

    /// Each range as text. The kernel merges ranges that touch, and so does this.
    pub fn ranges(&self) -> Vec<String> {
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for port in &self.0 {
            match ranges.last_mut() {
                Some((_, last)) if u32::from(*last) + 1 == u32::from(*port) => *last = *port,
                _ => ranges.push((*port, *port)),
            }
        }
        let text = |(first, last): &(u16, u16)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        ranges.iter().map(text).collect()
    }

    fn write(&self, list: &Path) -> io::Result<()> {
        // An empty write is ignored: a line end clears the list.
        fs::write(list, format!("{self}\n"))
    }
}

impl std::fmt::Display for Ports {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.ranges().join(","))
    }
}

/// UDP ports of the range that some socket of this host is bound to.
pub fn bound_in(range: PortRange) -> Vec<u16> {
    let mut bound: Vec<u16> = ["/proc/net/udp", "/proc/net/udp6"]
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .flat_map(|table| {
            table
                .lines()
                .skip(1)
                .filter_map(local_port)
                .collect::<Vec<_>>()
        })
        .filter(|port| range.ports().contains(port))
        .collect();
    bound.sort_unstable();
    bound.dedup();
    bound
}

/// The local port in a line of `/proc/net/udp`: `sl  local_address rem_address …`.
fn local_port(line: &str) -> Option<u16> {
    let (_, port) = line.split_whitespace().nth(1)?.rsplit_once(':')?;
    u16::from_str_radix(port, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: PortRange = PortRange {
        first: 57_344,
        last: 65_535,
    };

    /// A list as the host has it, and pins beside it.
    struct Host {
        _folder: tempfile::TempDir,
        list: PathBuf,
        pins: Arc<Pins>,
    }

    impl Host {
        fn new(list: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let host = Self {
                list: folder.path().join("reserved"),
                pins: Arc::new(Pins::in_folder(&folder.path().join("pins"))),
                _folder: folder,
            };
            host.reserve(list);
            host
        }

        fn reserve(&self, list: &str) {
            fs::write(&self.list, list).unwrap();
        }

        fn reserved(&self) -> String {
            fs::read_to_string(&self.list).unwrap()
        }

        fn take(&self) -> Reservation {
            Reservation::take_in(&self.list, RANGE, Some(&self.pins)).unwrap()
        }
    }

    #[test]
    fn the_range_is_added_to_what_was_reserved_and_taken_out_again() {
        for (before, with) in [
            ("\n", "57344-65535\n"),
            ("8080,9148\n", "8080,9148,57344-65535\n"),
            // The kernel merges ranges that touch.
            ("57000-57343\n", "57000-65535\n"),
        ] {
            let host = Host::new(before);
            let reservation = host.take();
            assert_eq!(host.reserved(), with);
            assert_eq!(host.pins.ports().to_string(), "57344-65535");
            drop(reservation);
            assert_eq!(host.reserved(), before);
            assert!(host.pins.ports().is_empty());
        }
    }

    #[test]
    fn what_others_have_in_the_range_stays_theirs() {
        let before = "57000-57400,60000\n";
        let host = Host::new(before);
        let reservation = host.take();
        assert_eq!(host.reserved(), "57000-65535\n");
        let ours = host.pins.ports();
        assert_eq!(ours.ranges(), ["57401-59999", "60001-65535"]);
        drop(reservation);
        assert_eq!(host.reserved(), before);
    }

    #[test]
    fn what_a_daemon_before_has_reserved_is_given_back_by_the_next() {
        let host = Host::new("8080,60000\n");
        // It was killed, and somebody has added a port since.
        host.take().keep();
        host.reserve("8080,9148,57344-65535\n");
        let reservation = host.take();
        assert_eq!(host.reserved(), "8080,9148,57344-65535\n");
        drop(reservation);
        assert_eq!(host.reserved(), "8080,9148,60000\n");
    }

    #[test]
    fn without_a_record_nothing_is_given_back_that_may_be_anothers() {
        let host = Host::new("57344-65535\n");
        let reservation = Reservation::take_in(&host.list, RANGE, None).unwrap();
        drop(reservation);
        assert_eq!(host.reserved(), "57344-65535\n");
    }

    #[test]
    fn what_cannot_be_given_back_stays_on_record() {
        let host = Host::new("8080\n");
        let reservation = host.take();
        fs::remove_file(&host.list).unwrap();
        drop(reservation);
        assert_eq!(host.pins.ports().to_string(), "57344-65535");
    }

    #[test]
    fn what_could_not_be_reserved_is_not_on_record() {
        let host = Host::new("8080\n");
        host.take().keep();
        let before = host.pins.ports();
        let other = PortRange {
            first: 40_000,
            last: 40_100,
        };
        // A file that even root cannot write, with no port in it.
        let list = Path::new("/proc/version");
        Reservation::take_in(list, other, Some(&host.pins)).unwrap_err();
        assert_eq!(host.pins.ports(), before);
    }

    #[test]
    fn a_list_that_is_as_it_has_to_be_is_not_written() {
        let host = Host::new("57344-65535");
        drop(host.take());
        // A line end would have been written behind it.
        assert_eq!(host.reserved(), "57344-65535");
    }

    #[test]
    fn a_bound_port_is_found() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert_eq!(
            bound_in(PortRange {
                first: port,
                last: port
            }),
            [port]
        );
    }
}
