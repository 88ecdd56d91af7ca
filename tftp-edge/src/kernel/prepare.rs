//! What is done before the programs are attached: maps and programs are loaded, or taken over from the
//! daemon before, and told who may ask.

use std::sync::Arc;

use super::adoption;
use super::clients;
use super::error::Error;
use super::object::{Object, Sizes};
use super::pins::{Pinning, Pins};
use super::ports::{self, Reservation};
use super::settings::Settings;
use crate::access::Access;
use crate::{register, tftp};

/// Loads maps and programs, and pins the maps.
pub(super) fn load(
    settings: &Settings,
    sizes: Sizes,
    pinning: &mut Pinning,
) -> Result<Object, Error> {
    if let Some(pins) = pinning.pins.clone()
        && pins.are_there()
    {
        match adoption::load(settings, sizes, &pins) {
            Ok(object) => {
                pinning.status.adopted = true;
                return Ok(object);
            }
            Err(why) => pinning.clear(&why),
        }
    }
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

/// Maps are made larger than they have to be: another allow list, and one more interface, fit those
/// that are there. Of both allow lists there is room for the old one beside the new.
const MIN_INTERFACES: usize = 64;
const MIN_CLIENTS: usize = 1024;

/// The most addresses of registered phones that the kernel is told. Its table of them takes memory when
/// it is made; a phone beyond is a newcomer there, and counted.
const MAX_REGISTERED: usize = 1 << 20;

/// Room for what there is, for interfaces that come and go, and for members of bonds; and for all phones
/// that may be registered, should each have an address of its own.
pub(super) fn sizes(
    settings: &Settings,
    tftp: &tftp::Settings,
    access: &Access,
    register: &register::Settings,
) -> Sizes {
    let at_least_one = |count: usize| u32::try_from(count.max(1)).unwrap_or(u32::MAX);
    Sizes {
        interfaces: at_least_one((settings.interfaces.len() * 16).max(MIN_INTERFACES)),
        clients: at_least_one(
            (clients::entries_for(access) * 2)
                .next_power_of_two()
                .max(MIN_CLIENTS),
        ),
        sources: at_least_one(tftp.budget.sources),
        registered: at_least_one(registered(register)),
    }
}

fn registered(register: &register::Settings) -> usize {
    let phones = match register.mode {
        register::Mode::Front => register.front.max_phones as usize,
        register::Mode::Registrar => register.max_registrations,
        // Nobody tells the kernel of any.
        register::Mode::Off => 0,
    };
    phones.min(MAX_REGISTERED)
}

/// That the ports cannot be reserved is said, and no reason to do without the kernel path.
/// One that answers nothing has no use for them, and a daemon before may have had.
pub(super) fn reserve(
    settings: &Settings,
    is_silent: bool,
    pins: Option<&Arc<Pins>>,
) -> Option<Reservation> {
    let range = settings.tid_ports;
    if is_silent {
        drop(Reservation::left_over(range, pins));
        return None;
    }
    let bound = ports::bound_in(range);
    if !bound.is_empty() {
        tracing::warn!(event = "kernel.ports_taken", %range, ports = ?bound, "some ports of kernel.tid_ports are in use; choose another range");
    }
    Reservation::take(range, pins)
        .inspect_err(|error| {
            tracing::warn!(event = "kernel.ports_unreserved", %range, %error, "the ports of kernel.tid_ports could not be reserved");
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_told_of_as_many_phones_as_may_register_up_to_a_bound() {
        let room = |mode, max_registrations| {
            registered(&register::Settings {
                mode,
                max_registrations,
                ..register::Settings::default()
            })
        };
        assert_eq!(room(register::Mode::Registrar, 300), 300);
        assert_eq!(room(register::Mode::Registrar, usize::MAX), MAX_REGISTERED);
        assert_eq!(room(register::Mode::Off, 300), 0);
    }
}
