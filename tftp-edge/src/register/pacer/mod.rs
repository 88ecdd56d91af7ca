//! Orders to phones, at a pace: reset, restart, apply-config.
//!
//! A phone that is told to restart fetches its files and registers again. A thousand told at once
//! are a storm of our own making, and a site that is told all at once has no phone that rings. So
//! orders wait in a queue: so many go out a second in all and for one site, sites in turn.
//!
//! - A device has one order at a time. A second one joins the first, and the stronger one counts:
//!   reset before restart before apply-config.
//! - An order is dropped when the phone has left, or has registered anew since: then it has booted
//!   and read its configuration. After a change of the configuration it may have read the old one
//!   just before, so that only counts a while later (`BOOT`).
//! - A phone that cannot be told now is tried again: its queue is full, or it was restored after a
//!   restart of the daemon and has not come back yet.
//!
//! Orders come from two sides: `tftp-edge phones reset|restart`, and changes of the content. A
//! device whose configuration was published anew is told to apply it, and so are those that refer
//! to a dial plan, soft keys or a feature policy that changed. A phone that leaves the inventory is
//! reset, and its registration ends.

mod command;
mod listen;
mod orders;
mod queue;
mod settings;
#[cfg(test)]
mod tests;

pub use command::{Command, Ordered, Which};
pub use orders::{Orders, Progress, Running, Snapshot};
pub use settings::Settings;

use std::time::Duration;

/// The longest that a phone takes from reading its configuration to registering.
const BOOT: Duration = Duration::from_secs(60);
