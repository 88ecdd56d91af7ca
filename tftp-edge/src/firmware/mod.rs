//! Firmware: whether every load that phones are told to run is here with all its images.
//!
//! A phone whose configuration names a load it does not run fetches `<load>.loads`, then every
//! image that file names, and reboots. If one of them is not here it reboots all the same, and
//! begins again: a load that is missing or incomplete is a loop for every phone that is told to run
//! it. So it is looked for before phones do: `tftp-edge firmware check`, and an alarm of the daemon.
//!
//! Phones ask for bare names: firmware lies in the root itself, not in a folder of it.

mod check;
mod loads;
mod needs;
mod report;
mod upgrade;

pub use check::{Checker, Complete, Elsewhere, Fault, Listed};
pub use loads::{Image, Loads, LoadsError};
pub use needs::{Need, Needs};
pub(crate) use report::counted;
pub use report::{LoadReport, Report, State};

#[cfg(test)]
mod tests;
