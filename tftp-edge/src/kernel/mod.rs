//! The kernel side: loading, attaching, publishing, sweeping. The only place that names `aya`.
//!
//! The rest of the daemon sees a [`Kernel`]: a [`Listener`] that takes in what changed, and a
//! [`Snapshot`] of how it is doing. Without the kernel program it is there all the same, takes
//! nothing in, and says why.
//!
//! [`object`], [`slabs`], [`directory`], [`mirror`] and [`programs`] are public for the tests and
//! benchmarks of the kernel program, which load it as the daemon does.

mod adoption;
mod attach;
mod banks;
mod budgets;
mod clients;
mod counts;
pub mod directory;
mod engine;
mod error;
mod events;
mod extents;
mod fill;
mod follower;
mod gate;
mod host;
mod interfaces;
mod lease;
pub mod mirror;
mod neighbourhood;
pub mod object;
pub mod pins;
mod policy;
mod ports;
mod prepare;
mod privileges;
pub mod programs;
mod resend;
mod samples;
mod services;
mod settings;
pub mod slabs;
mod snapshot;
mod sweeper;
mod sys;
mod verifier;
mod worker;

use std::sync::Arc;

pub use error::Error;
pub use fill::{BoundedMap, Fill};
pub use gate::GateStatus;
pub use mirror::{Mirror, Mirrors};
pub use pins::{Claim, ClaimError, PinsStatus};
pub use settings::{Ladder, Settings};
pub use snapshot::{InterfaceStatus, Mode, Registrations, Snapshot, Wanted};

use crate::access::Access;
use crate::content::{Change, Listener};
use crate::journal::Journal;
use crate::misses::Ledger;
use crate::register::{self, Guard, NoGuard, Watch};
use crate::tftp;
use engine::Engine;
use pins::Pinning;

/// The kernel side, or the reason why there is none.
pub struct Kernel(Inner);

enum Inner {
    On(Arc<Engine>),
    Off {
        problem: Option<String>,
        wanted: Wanted,
    },
}

impl Kernel {
    /// Climbs the ladder. That a rung cannot be had is no error: it shows in the snapshot.
    /// The kernel answers as the sockets do, so it takes its rules from `[tftp]` and `[access]`.
    pub fn start(settings: &Settings, tftp: &tftp::Settings, access: &Access) -> Self {
        let register = register::Settings::default();
        let journal = Arc::default();
        Self::start_with(settings, tftp, access, &register, journal, Claim::default())
    }

    /// The same, and registrations are classified where phones register by these settings: there is
    /// work for the program then even if it has no share in TFTP. The journal is told of all that
    /// the program answers. With a claim on a pin path, the program goes on while the daemon is
    /// away, and what a daemon before has left there is taken over.
    pub fn start_with(
        settings: &Settings,
        tftp: &tftp::Settings,
        access: &Access,
        register: &register::Settings,
        journal: Arc<Journal>,
        claim: Claim,
    ) -> Self {
        for interface in &settings.interfaces {
            attach::remove_stale(interface);
        }
        let pinning = Pinning::open(claim);
        if settings.mode == Ladder::Off || settings.interfaces.is_empty() {
            tracing::info!(
                event = "kernel.not_asked",
                "no kernel path was asked for: kernel.interfaces names those for it"
            );
            return Self::off(settings, None, &pinning);
        }
        let silent = no_answers(tftp);
        if silent.is_some() && register.places().is_empty() {
            return Self::off(settings, silent.map(str::to_owned), &pinning);
        }
        match Engine::start(
            settings,
            tftp,
            access,
            register,
            silent,
            journal,
            pinning.clone(),
        ) {
            Ok(engine) => Self(Inner::On(engine)),
            Err(error) => Self::off(settings, Some(error.to_string()), &pinning),
        }
    }

    fn off(settings: &Settings, problem: Option<String>, pinning: &Pinning) -> Self {
        pinning.clear("of a kernel path that is off now");
        let wanted = Wanted::new(settings);
        Self(Inner::Off { problem, wanted })
    }

    /// From now on [`shutdown`](Self::shutdown) leaves programs and maps in place for the daemon that
    /// comes next, or takes them off again. Those of a daemon before are left to the next one until
    /// this has been called once.
    pub fn keep(&self, is_kept: bool) {
        if let Inner::On(engine) = &self.0 {
            engine.keep(is_kept);
        }
    }

    /// Whether any interface has the program.
    pub fn is_on(&self) -> bool {
        matches!(self.0, Inner::On(_))
    }

    /// From now on the daemon serves names that it does not publish, as those of upstream servers
    /// are: the program then leaves every name it does not know to the daemon, whoever asks.
    pub fn expect_other_names(&self) {
        if let Inner::On(engine) = &self.0 {
            engine.expect_other_names();
        }
    }

    /// The program's side of what sources have asked for in vain, if it runs.
    pub fn ledger(&self) -> Option<Arc<dyn Ledger>> {
        match &self.0 {
            Inner::On(engine) => Some(engine.ledger()),
            Inner::Off { .. } => None,
        }
    }

    /// The registrars' hold on the program; without one it holds nothing.
    pub fn guard(&self) -> Arc<dyn Guard> {
        match &self.0 {
            Inner::On(engine) => engine.gate(),
            Inner::Off { .. } => Arc::new(NoGuard),
        }
    }

    /// What was counted of registrations.
    pub fn registrations(&self) -> Registrations {
        match &self.0 {
            Inner::On(engine) => engine.registrations(),
            Inner::Off { .. } => Registrations::default(),
        }
    }

    /// The program's side of traces, if it runs.
    pub fn mirrors(&self) -> Option<Arc<Mirrors>> {
        match &self.0 {
            Inner::On(engine) => Some(engine.mirrors()),
            Inner::Off { .. } => None,
        }
    }

    /// From now on `watcher` is told what the program sees of registrations.
    pub fn watch(&self, watcher: Arc<dyn Watch>) {
        if let Inner::On(engine) = &self.0 {
            engine.watch(watcher);
        }
    }

    pub fn snapshot(&self) -> Snapshot {
        match &self.0 {
            Inner::On(engine) => engine.snapshot(),
            Inner::Off { problem, wanted } => Snapshot {
                problem: problem.clone(),
                wanted: *wanted,
                ..Snapshot::default()
            },
        }
    }

    /// How each interface of the configuration is served.
    pub fn interfaces(&self) -> Vec<InterfaceStatus> {
        match &self.0 {
            Inner::On(engine) => engine.interfaces(),
            Inner::Off { .. } => Vec::new(),
        }
    }

    /// Tries every interface once more that is not on the rung it is to be on.
    pub fn climb_again(&self) {
        if let Inner::On(engine) = &self.0 {
            engine.climb_again();
        }
    }

    /// Whether [`Self::allow`] would find room; what is wrong if not.
    pub fn has_room_for(&self, access: &Access) -> Result<(), String> {
        match &self.0 {
            Inner::On(engine) => engine.clients().has_room_for(access),
            Inner::Off { .. } => Ok(()),
        }
    }

    /// From now on the program answers these networks.
    ///
    /// # Errors
    /// There is no room for them; then nothing has changed.
    pub fn allow(&self, access: &Access) -> Result<(), Error> {
        match &self.0 {
            Inner::On(engine) => engine.clients().allow(access),
            Inner::Off { .. } => Ok(()),
        }
    }

    /// From now on the program's transfers go by these settings, and its budgets; ports and DSCP stay.
    pub fn follow(&self, tftp: &tftp::Settings) {
        if let Inner::On(engine) = &self.0 {
            engine.follow(tftp);
        }
    }

    /// Detaches everything and gives the ports back, unless it is [kept](Self::keep). Transfers in
    /// flight end with their clients asking again.
    pub fn shutdown(&self) {
        if let Inner::On(engine) = &self.0 {
            engine.shutdown();
        }
    }
}

/// Why the program cannot answer TFTP as the sockets do, if it cannot.
fn no_answers(tftp: &tftp::Settings) -> Option<&'static str> {
    if tftp.single_port {
        return Some("tftp.single_port is on: the kernel program answers from ports of its own");
    }
    if follower::served(tftp).next().is_none() {
        return Some(
            "no address of tftp.listen is at port 69: the kernel program answers at no other",
        );
    }
    None
}

impl Listener for Kernel {
    fn changed(&self, changes: &[Change]) {
        if let Inner::On(engine) = &self.0 {
            engine.changed(changes);
        }
    }

    fn settled(&self) {
        if let Inner::On(engine) = &self.0 {
            engine.settled();
        }
    }
}
