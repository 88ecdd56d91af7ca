//! Which packets of which interface are taken from the packet socket, so that none is told twice.
//!
//! One packet may pass several interfaces of the host: a VLAN's and the one below it, a bridge's and
//! its port's. It is told by the one that has the kernel program, else by the lowest.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::packet::{Direction, Via};
use super::told::Source;
use crate::kernel::{InterfaceStatus, Mode};

/// Interfaces that may be remembered.
const KNOWN_MAX: usize = 4096;

/// Asks where the program is attached.
pub type Attached = Box<dyn Fn() -> Vec<InterfaceStatus> + Send>;

#[derive(Default)]
pub struct Interfaces {
    attached: Option<Attached>,
    /// Where the program is attached, by name, and which.
    mirrored: HashMap<String, Via>,
    /// Members of a bond where XDP sees what comes in; the bond tells it.
    members: HashSet<String>,
    known: HashMap<u32, Interface>,
}

#[derive(Clone, Debug)]
struct Interface {
    name: String,
    /// Who tells what comes in; `None` if another interface tells all of it.
    incoming: Option<Via>,
    has_xdp: bool,
}

impl Interfaces {
    pub fn new(attached: Attached) -> Self {
        let mut interfaces = Self {
            attached: Some(attached),
            ..Self::default()
        };
        interfaces.look_again();
        interfaces
    }

    /// The interfaces may have changed, and where the program is attached.
    pub fn look_again(&mut self) {
        self.known.clear();
        let Some(attached) = &self.attached else {
            return;
        };
        self.mirrored.clear();
        self.members.clear();
        for status in attached() {
            let via = match status.mode {
                Mode::Xdp => Via::Xdp,
                Mode::Tc => Via::Tc,
                Mode::Off => continue,
            };
            self.mirrored.insert(status.name, via);
            self.members.extend(status.members);
        }
    }

    /// Who tells of which packets, for those who read the trace.
    pub fn sources(&self) -> Vec<Source> {
        let mut sources: Vec<_> = self
            .mirrored
            .iter()
            .map(|(interface, via)| Source {
                interface: interface.clone(),
                incoming: *via,
                outgoing: match via {
                    Via::Xdp => vec![Via::Xdp, Via::Host],
                    Via::Tc | Via::Host => vec![Via::Host],
                },
            })
            .collect();
        sources.sort_unstable_by(|one, other| one.interface.cmp(&other.interface));
        sources
    }

    pub fn name(&mut self, ifindex: u32) -> String {
        self.get(ifindex).name.clone()
    }

    /// Whether XDP sees what comes in on an interface before TC does.
    pub fn has_xdp(&mut self, ifindex: u32) -> bool {
        self.get(ifindex).has_xdp
    }

    /// Whether a packet of the packet socket is told by it.
    pub fn takes(&mut self, ifindex: u32, direction: Direction, is_loopback: bool) -> bool {
        match (self.get(ifindex).incoming, direction) {
            (None, _) => false,
            (Some(via), Direction::In) => via == Via::Host,
            // What leaves by the loopback comes in there at once, and is told then.
            (Some(_), Direction::Out) => !is_loopback,
        }
    }

    fn get(&mut self, ifindex: u32) -> &Interface {
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        let (mirrored, members) = (&self.mirrored, &self.members);
        let fresh = || {
            let name = nix::net::if_::if_indextoname(ifindex).ok();
            let name = name.and_then(|name| name.into_string().ok());
            let name = name.unwrap_or_else(|| format!("if{ifindex}"));
            let neighbours = |kind| neighbours(&name, ifindex, kind);
            let incoming = teller(mirrored, &name, neighbours);
            let has_xdp = incoming == Some(Via::Xdp) || members.contains(&name);
            Interface {
                name,
                incoming,
                has_xdp,
            }
        };
        self.known.entry(ifindex).or_insert_with(fresh)
    }
}

/// The interfaces that one lies on, and those that lie on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Lower,
    Upper,
}

/// Who tells what comes in on an interface, given its neighbours.
fn teller(
    mirrored: &HashMap<String, Via>,
    name: &str,
    neighbours: impl Fn(Kind) -> Vec<String>,
) -> Option<Via> {
    if let Some(via) = mirrored.get(name) {
        return Some(*via);
    }
    let is_told_above = || {
        let uppers = neighbours(Kind::Upper);
        uppers.iter().any(|upper| mirrored.contains_key(upper))
    };
    match neighbours(Kind::Lower).is_empty() && !is_told_above() {
        true => Some(Via::Host),
        false => None,
    }
}

/// From `/sys`, if that is of our network namespace; else there are none, and a packet may be told
/// twice rather than never.
fn neighbours(name: &str, ifindex: u32, kind: Kind) -> Vec<String> {
    let prefix = match kind {
        Kind::Lower => "lower_",
        Kind::Upper => "upper_",
    };
    let folder = Path::new("/sys/class/net").join(name);
    let index = std::fs::read_to_string(folder.join("ifindex")).unwrap_or_default();
    if index.trim().parse() != Ok(ifindex) {
        return Vec::new();
    }
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let names = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        name.strip_prefix(prefix).map(str::to_owned)
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn mirrored(name: &str, via: Via) -> HashMap<String, Via> {
        HashMap::from([(name.to_owned(), via)])
    }

    /// eth0 carries the VLAN eth0.110 and is a port of br0.
    fn stack(name: &str) -> impl Fn(Kind) -> Vec<String> {
        let (lower, upper): (&[&str], &[&str]) = match name {
            "eth0" => (&[], &["eth0.110", "br0"]),
            "eth0.110" | "br0" => (&["eth0"], &[]),
            _ => (&[], &[]),
        };
        let owned = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
        let (lower, upper) = (owned(lower), owned(upper));
        move |kind| match kind {
            Kind::Lower => lower.clone(),
            Kind::Upper => upper.clone(),
        }
    }

    fn tellers(mirrored: &HashMap<String, Via>) -> Vec<Option<Via>> {
        let names = ["eth0", "eth0.110", "br0", "eth1"];
        let of = |name| teller(mirrored, name, stack(name));
        names.into_iter().map(of).collect()
    }

    #[test]
    fn a_packet_that_passes_several_interfaces_is_told_by_one() {
        let host = Some(Via::Host);
        assert_eq!(tellers(&HashMap::new()), [host, None, None, host]);
        let below = mirrored("eth0", Via::Xdp);
        assert_eq!(tellers(&below), [Some(Via::Xdp), None, None, host]);
        // The program is on the bridge: its port does not tell what the bridge tells.
        let above = mirrored("br0", Via::Tc);
        assert_eq!(tellers(&above), [None, None, Some(Via::Tc), host]);
    }

    #[test]
    fn the_loopback_tells_what_comes_in() {
        let mut interfaces = Interfaces::default();
        let lo = nix::net::if_::if_nametoindex("lo").unwrap();
        assert_eq!(interfaces.name(lo), "lo");
        assert!(interfaces.takes(lo, Direction::In, true));
        assert!(!interfaces.takes(lo, Direction::Out, true));
    }

    #[test]
    fn what_the_program_sees_come_in_is_left_to_it() {
        let attached = || vec![InterfaceStatus::new("lo", Mode::Tc)];
        let mut interfaces = Interfaces::new(Box::new(attached));
        let lo = nix::net::if_::if_nametoindex("lo").unwrap();
        assert!(!interfaces.takes(lo, Direction::In, false));
        assert!(interfaces.takes(lo, Direction::Out, false));
        assert_eq!(interfaces.sources()[0].incoming, Via::Tc);
    }

    #[test]
    fn an_interface_that_comes_back_is_told_by_the_program_again() {
        let is_there = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_there);
        let attached = move || match seen.load(Ordering::Relaxed) {
            true => vec![InterfaceStatus::new("lo", Mode::Xdp)],
            false => vec![InterfaceStatus::new("lo", Mode::Off)],
        };
        let mut interfaces = Interfaces::new(Box::new(attached));
        let lo = nix::net::if_::if_nametoindex("lo").unwrap();
        assert!(interfaces.takes(lo, Direction::In, false) && !interfaces.has_xdp(lo));
        is_there.store(true, Ordering::Relaxed);
        interfaces.look_again();
        assert!(!interfaces.takes(lo, Direction::In, false) && interfaces.has_xdp(lo));
    }

    #[test]
    fn xdp_on_a_member_of_a_bond_comes_before_the_bond() {
        let attached = || {
            vec![InterfaceStatus {
                members: vec!["lo".to_owned()],
                ..InterfaceStatus::new("bond0", Mode::Xdp)
            }]
        };
        let mut interfaces = Interfaces::new(Box::new(attached));
        let lo = nix::net::if_::if_nametoindex("lo").unwrap();
        assert!(interfaces.has_xdp(lo));
    }
}
