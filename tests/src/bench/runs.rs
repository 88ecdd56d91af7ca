//! What processes and their BPF programs have used.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::lab::Runs;

/// `BPF_PROG_TYPE_*` of `linux/bpf.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Tc = 3,
    Xdp = 6,
}

/// A program that a process holds.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    pub id: u32,
    kind: u64,
    pub runs: Runs,
}

/// The programs a process holds, each once.
pub fn programs_of(pid: u32) -> Result<Vec<Program>> {
    let mut programs = HashMap::new();
    for info in descriptors_of(pid)? {
        let field = |name: &str| field(&info, name);
        let (Some(id), Some(kind)) = (field("prog_id"), field("prog_type")) else {
            continue;
        };
        let runs = Runs {
            count: field("run_cnt").unwrap_or(0),
            time: Duration::from_nanos(field("run_time_ns").unwrap_or(0)),
        };
        let id = id as u32;
        programs.insert(id, Program { id, kind, runs });
    }
    Ok(programs.into_values().collect())
}

/// The program of that kind a process holds; the daemon has one of each.
pub fn program_of(pid: u32, kind: Kind) -> Result<Program> {
    programs_of(pid)?
        .into_iter()
        .find(|program| program.kind == kind as u64)
        .with_context(|| format!("process {pid} has no {kind:?} program"))
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
