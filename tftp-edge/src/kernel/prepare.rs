//! What is done before the programs are attached: maps and programs are loaded, or taken over from the
//! daemon before, and told who may ask.

use ipnet::IpNet;

use super::error::Error;
use super::host;
use super::object::{Object, Sizes, client_key};
use super::pins::Pinning;
use super::ports::{self, Reservation};
use super::settings::Settings;
use crate::access::Access;
use crate::tftp;

/// Loads maps and programs, and pins the maps.
pub(super) fn load(
    settings: &Settings,
    sizes: Sizes,
    pinning: &mut Pinning,
) -> Result<Object, Error> {
    pinning.clear("of a daemon that ended");
    let mut object = Object::load(settings, sizes)?;
    if let Some(pins) = &pinning.pins {
        match pins.create().and_then(|()| object.pin(&pins.maps())) {
            Ok(()) => object.banks.pin_in(pins.banks()),
            Err(error) => {
                pins.failed("the maps", &error.to_string());
                pinning.give_up();
            }
        }
    }
    Ok(object)
}

/// Room for what there is, and for members of bonds.
pub(super) fn sizes(settings: &Settings, tftp: &tftp::Settings, access: &Access) -> Sizes {
    let at_least_one = |count: usize| u32::try_from(count.max(1)).unwrap_or(u32::MAX);
    Sizes {
        interfaces: at_least_one(settings.interfaces.len() * 16),
        clients: at_least_one(access.nets().len()),
        sources: at_least_one(tftp.budget.sources),
        ..Sizes::default()
    }
}

pub(super) fn allow(object: &mut Object, clients: &[IpNet]) -> Result<(), Error> {
    for net in clients {
        // IPv4 prefixes count within the mapped form.
        let offset = if net.addr().is_ipv4() { 96 } else { 0 };
        let key = client_key(host::map_address(net.addr()), net.prefix_len() + offset);
        object
            .clients
            .insert(&key, 1, 0)
            .map_err(|error| Error::map("CLIENTS", "written", error))?;
    }
    Ok(())
}

/// That the ports cannot be reserved is said, and no reason to do without the kernel path.
pub(super) fn reserve(settings: &Settings) -> Option<Reservation> {
    let range = settings.tid_ports;
    let bound = ports::bound_in(range);
    if !bound.is_empty() {
        tracing::warn!(event = "kernel.ports_taken", %range, ports = ?bound, "some ports of kernel.tid_ports are in use; choose another range");
    }
    Reservation::take(range)
        .inspect_err(|error| {
            tracing::warn!(event = "kernel.ports_unreserved", %range, %error, "the ports of kernel.tid_ports could not be reserved");
        })
        .ok()
}
