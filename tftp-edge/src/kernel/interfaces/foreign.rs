//! What can be told of a program that somebody else has attached.

use std::fmt;

use aya::programs::loaded_programs;

use super::link::{Link, XdpPlace};
use crate::kernel::sys;

/// A program by its number, and its name where that may be asked: `CAP_SYS_ADMIN` is needed to open
/// a program of another process, and the daemon as a service does not have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub id: u32,
    pub name: Option<String>,
}

impl Program {
    pub fn with_id(id: u32) -> Self {
        let name = loaded_programs()
            .map_while(Result::ok)
            .find(|info| info.id() == id)
            .and_then(|info| info.name_as_str().map(str::to_owned))
            .filter(|name| !name.is_empty());
        Self { id, name }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(out, "{name} (id {})", self.id),
            None => write!(out, "with id {}", self.id),
        }
    }
}

/// What stands in the way of our XDP program on an interface, and what to do about it.
pub fn xdp_in_the_way(link: &Link, ours: &[u32]) -> Option<String> {
    let theirs = link.xdp.iter().find(|it| !ours.contains(&it.id))?;
    let program = Program::with_id(theirs.id);
    let place = theirs.place.as_str();
    let name = &link.name;
    // What libxdp attaches in the place of the programs it runs one after another.
    let is_dispatcher = program.name.as_deref() == Some("xdp_dispatcher");
    let off = match theirs.place {
        XdpPlace::Native => "xdp off",
        XdpPlace::Generic => "xdpgeneric off",
        XdpPlace::Hardware => "xdpoffload off",
    };
    let advice = match is_dispatcher {
        true => format!(
            "libxdp runs several programs under it: `xdp-loader status {name}` lists them, \
             `xdp-loader unload {name} --all` takes them off"
        ),
        false => format!(
            "`ip link show dev {name}` shows it, `bpftool net` who has it; if nobody needs it, \
             `ip link set dev {name} {off}`"
        ),
    };
    Some(format!(
        "the {place} XDP program {program} is attached to {name} already, and there can be but one; {advice}"
    ))
}

/// Programs of others that see what comes in on an interface under TC before ours does, in their
/// order; none where the kernel has no such order (before Linux 6.6) or does not tell.
pub fn tc_programs_before(ifindex: u32, ours: &[u32]) -> Vec<u32> {
    let ids = sys::tcx_ingress_programs(ifindex).unwrap_or_default();
    match ids.iter().position(|id| ours.contains(id)) {
        Some(at) => ids[..at].to_vec(),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::link::XdpProgram;
    use super::*;

    fn link(id: u32, place: XdpPlace) -> Link {
        Link {
            name: "eth0".to_owned(),
            xdp: vec![XdpProgram { id, place }],
            ..Link::default()
        }
    }

    #[test]
    fn our_own_program_is_not_in_the_way() {
        assert_eq!(xdp_in_the_way(&link(7, XdpPlace::Native), &[6, 7]), None);
        assert_eq!(xdp_in_the_way(&Link::default(), &[]), None);
    }

    #[test]
    fn what_cannot_be_named_has_its_number() {
        // The kernel counts upwards: it will not have loaded so many programs.
        let text = xdp_in_the_way(&link(u32::MAX, XdpPlace::Generic), &[7]).unwrap();
        assert!(
            text.contains("generic XDP program with id 4294967295"),
            "{text}"
        );
        assert!(
            text.contains("ip link set dev eth0 xdpgeneric off"),
            "{text}"
        );
    }

    #[test]
    fn a_name_stands_before_the_number() {
        let program = Program {
            id: 12,
            name: Some("xdp_firewall".to_owned()),
        };
        assert_eq!(program.to_string(), "xdp_firewall (id 12)");
    }
}
