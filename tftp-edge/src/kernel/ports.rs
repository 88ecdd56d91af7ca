//! Keeps the ports of the kernel's transfers to ourselves.
//!
//! No socket is bound to them, so the kernel would give them to the next program that asks for any
//! port, and answer stray packets to them with ICMP.

use std::fs;
use std::io;

use crate::port_range::PortRange;

const RESERVED: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";

/// A range that is reserved as long as this lives.
#[derive(Debug)]
pub struct Reservation {
    range: PortRange,
}

impl Reservation {
    /// Adds the range to the host's list; needs the right to write sysctls.
    pub fn take(range: PortRange) -> io::Result<Self> {
        let list = fs::read_to_string(RESERVED)?;
        fs::write(RESERVED, with(&list, range))?;
        Ok(Self { range })
    }

    /// The ports stay reserved, for the daemon that comes next.
    pub fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let restored = fs::read_to_string(RESERVED)
            .and_then(|list| fs::write(RESERVED, without(&list, self.range)));
        if let Err(error) = restored {
            tracing::warn!(event = "kernel.ports_kept", range = %self.range, %error, file = RESERVED, "the ports stay reserved");
        }
    }
}

fn with(list: &str, range: PortRange) -> String {
    match list.trim() {
        "" => range.to_string(),
        list => format!("{list},{range}"),
    }
}

/// The list without the range. The kernel merges ranges that touch, so ports are counted one by
/// one: 65,536 at most.
fn without(list: &str, range: PortRange) -> String {
    let mut ports: Vec<u16> = list
        .trim()
        .split(',')
        .filter(|part| !part.is_empty())
        .filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.trim().parse::<u16>().ok()?..=last.trim().parse().ok()?)
        })
        .flatten()
        .filter(|port| !range.ports().contains(port))
        .collect();
    ports.sort_unstable();
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for port in ports {
        match ranges.last_mut() {
            Some((_, last)) if u32::from(*last) + 1 >= u32::from(port) => *last = port,
            _ => ranges.push((port, port)),
        }
    }
    let text = |(first, last): &(u16, u16)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    };
    // An empty write is ignored: a line end clears the list.
    ranges.iter().map(text).collect::<Vec<_>>().join(",") + "\n"
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

    #[test]
    fn the_range_is_added_to_what_was_reserved_and_taken_out_again() {
        assert_eq!(with("\n", RANGE), "57344-65535");
        assert_eq!(with("8080,9148\n", RANGE), "8080,9148,57344-65535");
        assert_eq!(without("8080,9148,57344-65535\n", RANGE), "8080,9148\n");
        assert_eq!(without("57344-65535\n", RANGE), "\n");
    }

    #[test]
    fn a_range_the_kernel_merged_comes_out_clean() {
        assert_eq!(without("57000-65535\n", RANGE), "57000-57343\n");
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
