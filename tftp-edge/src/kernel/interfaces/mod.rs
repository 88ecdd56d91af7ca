//! The interfaces of the host: which there are, where the programs go, and what is in the way.
//!
//! [`netlink`] follows the host; [`table`] and [`link`] are what it knows of it. [`plan`] decides
//! from that where the programs of an interface belong, [`standing`] brings them there whenever it
//! changes, or when it is time for a [`retry`], and [`foreign`] tells of programs of others.

mod foreign;
mod link;
mod netlink;
mod plan;
mod refusal;
mod retry;
mod standing;
mod table;

pub use netlink::Monitor;
pub use plan::{Device, Plan};
pub use standing::Interfaces;
