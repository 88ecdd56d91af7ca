//! What processes and their BPF programs have used.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use aya::programs::loaded_programs;
use tftp_edge::kernel::programs::{TC_PROGRAM, XDP_PROGRAM};

use crate::lab::Runs;

/// Where a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Tc,
    Xdp,
}

/// A program that a process holds.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    pub id: u32,
    pub runs: Runs,
}

/// The programs a process holds, each once.
pub fn programs_of(pid: u32) -> Result<Vec<Program>> {
    let mut programs = HashMap::new();
    for info in descriptors_of(pid)? {
        let field = |name: &str| field(&info, name);
        // A link's has the number of its program, and no counts.
        let (Some(id), Some(count)) = (field("prog_id"), field("run_cnt")) else {
            continue;
        };
        let time = Duration::from_nanos(field("run_time_ns").unwrap_or(0));
        let runs = Runs { count, time };
        let id = id as u32;
        programs.insert(id, Program { id, runs });
    }
    Ok(programs.into_values().collect())
}

/// The program a daemon attaches there. Those that it calls from there have no runs of their own.
pub fn program_of(pid: u32, kind: Kind) -> Result<Program> {
    let name = match kind {
        Kind::Tc => TC_PROGRAM,
        Kind::Xdp => XDP_PROGRAM,
    };
    let named = loaded_programs().flatten();
    let named = named.filter(|info| info.name_as_str() == Some(name));
    let named: Vec<u32> = named.map(|info| info.id()).collect();
    programs_of(pid)?
        .into_iter()
        .find(|program| named.contains(&program.id))
        .with_context(|| format!("process {pid} has no program {name}"))
}

/// Bytes of the BPF maps this process holds, by map id, as the kernel accounts them.
pub fn maps_of(pid: u32) -> Result<HashMap<u32, u64>> {
    let maps = descriptors_of(pid)?.into_iter().filter_map(|info| {
        let id = field(&info, "map_id")?;
        Some((id as u32, field(&info, "memlock")?))
    });
    Ok(maps.collect())
}

/// CPU time of all threads a process has now. Finer than clock ticks, which a kernel path that
/// leaves the daemon idle would round to nothing.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    cpu_time_where(pid, |_| true)
}

/// The same of its threads of this name.
pub fn cpu_time_of(pid: u32, thread: &str) -> Result<Duration> {
    cpu_time_where(pid, |task| {
        fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim_end() == thread)
    })
}

fn cpu_time_where(pid: u32, is_counted: impl Fn(&Path) -> bool) -> Result<Duration> {
    let folder = format!("/proc/{pid}/task");
    let mut total = 0;
    for task in fs::read_dir(&folder).with_context(|| format!("reading {folder}"))? {
        let task = task?.path();
        if !is_counted(&task) {
            continue;
        }
        // A thread may end between the two.
        let Ok(text) = fs::read_to_string(task.join("schedstat")) else {
            continue;
        };
        let ran: Option<u64> = text
            .split_whitespace()
            .next()
            .and_then(|ns| ns.parse().ok());
        total += ran.unwrap_or(0);
    }
    Ok(Duration::from_nanos(total))
}

fn descriptors_of(pid: u32) -> Result<Vec<String>> {
    let folder = format!("/proc/{pid}/fdinfo");
    let entries = fs::read_dir(&folder).with_context(|| format!("reading {folder}"))?;
    // A descriptor may be closed between the two.
    Ok(entries
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        .collect())
}

fn field(info: &str, name: &str) -> Option<u64> {
    info.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key == name).then(|| value.trim().parse().ok())?
    })
}
