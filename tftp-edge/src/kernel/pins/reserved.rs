//! The record of the ports that are reserved for the kernel's transfers: a directory for each range,
//! as a BPF file system has no files.

use std::fs;
use std::io;
use std::path::Path;

use super::{NAMESPACE, Pins, names_in, namespace};
use crate::kernel::ports::{self, Ports};

/// The folder of the ranges.
pub(super) const PORTS: &str = "ports";

impl Pins {
    /// The ports that are recorded.
    pub fn ports(&self) -> Ports {
        recorded(&self.path)
    }

    /// Records these, and no others.
    pub fn record_ports(&self, ports: &Ports) -> io::Result<()> {
        let folder = self.path.join(PORTS);
        let wanted = ports.ranges();
        for range in &wanted {
            fs::create_dir_all(folder.join(range))?;
        }
        for other in names_in(&folder) {
            if !wanted.contains(&other) {
                fs::remove_dir(folder.join(other))?;
            }
        }
        Ok(())
    }
}

fn recorded(version: &Path) -> Ports {
    Ports::parse(&names_in(&version.join(PORTS)).join(","))
}

/// Ports that stay reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub(super) ports: Ports,
    /// They are of another network namespace, which has a list of its own.
    pub(super) is_elsewhere: bool,
    /// Why, and what to do.
    pub(super) error: String,
}

/// Gives back the ports that are recorded in the directory of a version, if there are any.
pub(super) fn give_back(version: &Path) -> Result<Ports, Kept> {
    let ports = recorded(version);
    if ports.is_empty() {
        return Ok(ports);
    }
    let file = ports::RESERVED;
    let given = match namespace() {
        Ok(here) if names_in(&version.join(NAMESPACE)) == [&*here] => {
            ports::give_back(Path::new(file), &ports)
        }
        Ok(_) => {
            let error = format!("of another network namespace: take them off {file} there");
            return Err(Kept {
                ports,
                is_elsewhere: true,
                error,
            });
        }
        Err(error) => Err(error),
    };
    match given {
        Ok(()) => Ok(ports),
        Err(error) => Err(Kept {
            ports,
            is_elsewhere: false,
            error: format!("{file}: {error}"),
        }),
    }
}

impl std::fmt::Display for Kept {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { ports, error, .. } = self;
        write!(formatter, "the ports {ports} stay reserved: {error}")
    }
}
