//! The registration edge: phones register here over SCCP and SIP, and a storm of them stays orderly.
//!
//! ```text
//! sccp::Server ─┐             ┌─ Directory   who there is, from the inventory
//! sip::Server  ─┼─▶ Desk ─────┼─ Storm       may it come in now, or when
//!               │             ├─ Table       who is registered, from where, until when
//!               └── Order ◀───┴─ …           reset, restart, apply-config
//! ```
//!
//! Protocol code is sans-IO: bytes and time in, bytes and deadlines out; sockets are in one thin
//! loop for each protocol. What both protocols need is the [`Desk`]. The kernel program classifies
//! what comes to the ports and holds back newcomers in a storm; [`Guard`] is all that is known of
//! it here.

pub mod bans;
mod binding;
mod by_user;
mod departure;
mod desk;
mod directory;
pub mod export;
pub mod front;
mod guard;
mod keeper;
pub mod newcomers;
mod order;
pub mod pacer;
mod refusal;
pub mod sccp;
mod service;
mod settings;
mod sighting;
pub mod sip;
mod start;
pub mod store;
pub mod storm;
mod table;
mod ticker;
mod told;

pub use binding::{Binding, ConnectionId, Registration, Transport};
pub use departure::Departure;
pub use desk::Desk;
pub use directory::{Directory, OwnLine};
pub use guard::{Guard, KernelMode, NoGuard};
pub use keeper::Keeper;
pub use order::{Dispatch, NotSent, Order};
pub use refusal::Refusal;
pub use service::{Places, Service};
pub use settings::{Mode, Settings};
pub use sighting::{Sighting, Watch};
pub use start::{Registrars, Snapshot, StartError};
pub use table::{Change, Counts, Edit, Event, MAX_REGISTRATIONS, SHARDS, Table};
pub use ticker::Behind;
