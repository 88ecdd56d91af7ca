//! What is done to a registration, and what others hear of it.

use std::sync::Arc;

use crate::register::{Departure, Registration};

/// What happened to one device.
#[derive(Clone, Debug)]
pub enum Change {
    New(Arc<Registration>),
    /// Registered before, and something but its time is another now.
    Moved {
        before: Arc<Registration>,
        now: Arc<Registration>,
    },
    Left {
        was: Arc<Registration>,
        why: Departure,
    },
}

/// What becomes of a registration.
#[derive(Debug)]
pub enum Edit {
    Keep,
    Put(Registration),
    Remove(Departure),
}

/// Whether one is a refresh of the other: the same phone at the same place, for longer.
pub(super) fn is_refresh(before: &Registration, now: &Registration) -> bool {
    let Registration {
        device,
        protocol,
        transport,
        source,
        connection,
        type_id,
        load,
        version,
        since,
        expires: _,
        bindings,
    } = now;
    let binding = |(before, now): (&super::Binding, &super::Binding)| {
        // The sequence number grows with every refresh.
        before.line == now.line
            && before.contact == now.contact
            && before.call_id == now.call_id
            && before.all_lines == now.all_lines
    };
    before.device == *device
        && before.protocol == *protocol
        && before.transport == *transport
        && before.source == *source
        && before.connection == *connection
        && before.type_id == *type_id
        && before.load == *load
        && before.version == *version
        && before.since == *since
        && before.bindings.len() == bindings.len()
        && before.bindings.iter().zip(bindings).all(binding)
}
