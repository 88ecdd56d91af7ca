//! Gives the receiving side of an interface threads of its own, so that its work can be told from
//! that of whoever sent the frames: on veth it is otherwise done in the sender's name.

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::runs::cpu_time;
use crate::lab::Namespace;

/// The threads that receive for one interface.
pub struct Napi {
    threads: Vec<u32>,
}

impl Napi {
    pub fn threaded(namespace: &Namespace, interface: &str) -> Result<Self> {
        // veth has NAPI only with GRO or XDP. GRO itself joins nothing here: no socket asks for it.
        namespace.run("ethtool", ["-K", interface, "gro", "on"])?;
        let before: HashSet<u32> = threads(interface).into_iter().collect();
        // The namespace's own view of /sys is the one of a process in it.
        let enable = format!("echo 1 > /sys/class/net/{interface}/threaded");
        namespace.run("sh", ["-c", &enable])?;
        let threads: Vec<u32> = threads(interface)
            .into_iter()
            .filter(|pid| !before.contains(pid))
            .collect();
        ensure!(
            !threads.is_empty(),
            "{interface} has no threads of its own: this kernel is older than 5.12"
        );
        Ok(Self { threads })
    }

    /// What they have used so far.
    pub fn cpu_time(&self) -> Result<Duration> {
        self.threads.iter().map(|&pid| cpu_time(pid)).sum()
    }
}

/// Kernel threads are named `napi/INTERFACE-NUMBER`, cut to 15 characters.
fn threads(interface: &str) -> Vec<u32> {
    let prefix = format!("napi/{interface}-");
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|it| it.starts_with(&prefix))
        })
        .collect()
}
