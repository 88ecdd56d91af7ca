//! The interfaces of the host: which there are, where the programs go, and what is in the way.
//!
//! [`netlink`] follows the host; [`table`] and [`link`] are what it knows of it. [`plan`] decides
//! from that where the programs of an interface belong, [`standing`] brings them there whenever it
//! changes, and [`foreign`] tells of programs of others.

mod foreign;
mod link;
mod netlink;
mod plan;
mod standing;
mod table;

pub use netlink::Monitor;
pub use plan::{Device, Plan};
pub use standing::Interfaces;

/// The interfaces that programs may be at for those of the configuration: these, and the members of
/// bonds among them.
pub fn with_members(interfaces: &[String]) -> Vec<String> {
    let mut all = interfaces.to_vec();
    // Whoever follows the interfaces later says why that is not possible.
    if let Ok(monitor) = Monitor::open() {
        let links = monitor.links();
        let bonds = interfaces.iter().filter_map(|name| links.named(name));
        let members = bonds
            .filter(|link| link.kind == "bond")
            .flat_map(|bond| links.members(bond.index));
        all.extend(members.map(|link| link.name.clone()));
    }
    all
}
