//! Running as a service: what the daemon and the service manager tell each other, and what the
//! daemon may do.
//!
//! - [`notify`] says when the daemon is ready, what it does, and that it lives (sd_notify(3)).
//! - [`pulse`] knows of every loop whether it goes round; [`attendant`] looks every second.
//! - [`sockets`] has the sockets the service manager opened for us (sd_listen_fds(3)).
//! - [`capabilities`] gives each thread the privileges that its work needs, and no others.
//!
//! All of it belongs to the process: there is one service manager, one set of descriptors handed in
//! and one set of loops. Without a service manager every part does nothing, or does as well alone.

use std::time::Instant;

pub mod addresses;
pub mod attendant;
pub mod capabilities;
pub mod notify;
pub mod pulse;
pub mod sockets;

pub use attendant::{Service, stopping};
pub use capabilities::Role;
pub use pulse::Beat;

use crate::config::Config;
use pulse::{LoopStatus, Pulse};

/// What the daemon does first, while it has one thread: it takes over the sockets that were opened for
/// it, and tells of those that fit nothing in the configuration.
pub fn begin(config: &Config) {
    if let Err(error) = sockets::take_over() {
        tracing::warn!(event = "service.sockets_unusable", %error, "the sockets of the service manager cannot be taken over");
    }
    for misfit in sockets::fit(&addresses::of(config)) {
        tracing::warn!(event = "service.socket_unused", "{misfit}");
    }
    capabilities::confine(config.kernel.keep_privileges);
}

/// How every loop is.
pub fn loops() -> Vec<LoopStatus> {
    Pulse::of_process().look(Instant::now())
}

/// What a thread of ours does first: it puts down the privileges it has no use for, and takes a
/// heartbeat by its name. `role` says what its work needs, and how long one round may take.
pub fn enter(name: impl Into<String>, role: Role) -> Beat {
    capabilities::settle(role);
    beat(name, role)
}

/// A heartbeat for a loop whose thread comes later.
pub fn beat(name: impl Into<String>, role: Role) -> Beat {
    Beat::new(name, role.patience(notify::watchdog()))
}

/// Has a runtime of tokio beat as long as it runs: a task comes round every second. One that is not
/// driven any more, or whose threads all block, does not.
pub fn enter_runtime(runtime: &tokio::runtime::Runtime, name: &str, role: Role) {
    let beat = beat(name, role);
    runtime.spawn(async move {
        loop {
            beat.pass();
            tokio::time::sleep(pulse::LONGEST_WAIT).await;
        }
    });
}
