//! `tftp-edge inventory repair`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use clap::Args;

use super::super::{Report, Settings, repair_database};
use super::CommandError;

/// Rows of one kind that are told one by one.
const TOLD: usize = 50;

#[derive(Debug, Args)]
pub struct RepairArgs {
    /// Only say what is wrong and what can be saved; change nothing
    #[arg(long)]
    pub dry_run: bool,
}

impl RepairArgs {
    pub(super) fn run(self, settings: &Settings, out: &mut dyn Write) -> Result<(), CommandError> {
        let report = repair_database(&settings.database, self.dry_run)?;
        Ok(print(&report, settings, self.dry_run, out)?)
    }
}

fn print(
    report: &Report,
    settings: &Settings,
    dry_run: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let database = settings.database.display();
    if report.problems.is_empty() {
        return writeln!(out, "{database}: sound, {} devices", report.devices);
    }
    writeln!(out, "{database}: damaged")?;
    for problem in &report.problems {
        writeln!(out, "  {problem}")?;
    }
    writeln!(out, "table               read  from the copy")?;
    for table in &report.tables {
        let state = match table.is_whole {
            true => "whole",
            false => "not whole",
        };
        writeln!(
            out,
            "{:<16} {:>7}  {:>13}  {state}",
            table.table, table.read, table.from_copy
        )?;
    }
    let mut losses = BTreeMap::<_, Vec<_>>::new();
    for loss in &report.losses {
        losses
            .entry((&loss.table, &loss.why))
            .or_default()
            .push(&*loss.row);
    }
    for ((table, why), rows) in losses {
        let told = rows.iter().take(TOLD).copied().collect::<Vec<_>>();
        let more = match rows.len().saturating_sub(TOLD) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        writeln!(out, "lost, {table}, {why}: {}{more}", told.join(", "))?;
    }
    if report.tables.iter().any(|it| !it.is_whole) {
        match report.copy_made {
            Some(made) => writeln!(
                out,
                "what was changed since {} in a table that is not whole may be lost, and what was \
                 removed from it may be back",
                humantime::format_rfc3339_seconds(made)
            )?,
            None => writeln!(
                out,
                "there is no last good copy: rows that could not be read are lost, and nobody knows \
                 how many"
            )?,
        }
    }
    let devices = report.devices;
    match (&report.aside, dry_run) {
        (_, true) => writeln!(out, "would be left: {devices} devices; nothing was changed"),
        (Some(aside), false) => writeln!(
            out,
            "repaired: {devices} devices; the damaged file is kept as {}",
            aside.display()
        ),
        (None, false) => writeln!(out, "repaired: {devices} devices"),
    }
}
