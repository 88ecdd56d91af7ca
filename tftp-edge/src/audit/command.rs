//! `tftp-edge firmware …` and `tftp-edge files …`.

use std::io::{self, BufWriter, Write};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{AuditError, Report, elsewhere};
use crate::config::Config;
use crate::content::Survey;
use crate::firmware::{self, Checker, Needs, counted};
use crate::inventory::{Inventory, Snapshot};
use crate::ops::exit;

#[derive(Debug, Subcommand)]
pub enum FirmwareCommand {
    /// Whether every load that the inventory names is here with all its images
    #[command(after_help = exit::HELP)]
    Check(FormatArgs),
    /// Show every load that is named or here, and its images
    List(FormatArgs),
}

#[derive(Debug, Subcommand)]
pub enum FilesCommand {
    /// Firmware, locales, rings and background pictures: what is missing, and what does not fit
    #[command(after_help = exit::HELP)]
    Check(FormatArgs),
}

#[derive(Debug, Args)]
pub struct FormatArgs {
    /// One JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

impl FirmwareCommand {
    /// False if phones are told to run what is not here.
    pub fn run(self, config: &Config, out: &mut dyn Write) -> Result<bool, AuditError> {
        let (snapshot, survey) = look(config)?;
        let mut checker = Checker::new(elsewhere(&config.upstream));
        let report = firmware::Report::of_all(&mut checker, &Needs::of(&snapshot), &survey);
        let mut out = BufWriter::new(out);
        let is_whole = match self {
            Self::Check(format) => {
                match format.json {
                    true => json(&report, &mut out)?,
                    false => write!(out, "{report}")?,
                }
                !report.has_faults()
            }
            Self::List(format) => {
                match format.json {
                    true => json(&report, &mut out)?,
                    false => {
                        for load in &report.loads {
                            load.write_images(&mut out)?;
                        }
                    }
                }
                true
            }
        };
        out.flush()?;
        Ok(is_whole)
    }
}

impl FilesCommand {
    /// False if phones are told to run what is not here; all else is a warning.
    pub fn run(self, config: &Config, out: &mut dyn Write) -> Result<bool, AuditError> {
        let Self::Check(format) = self;
        let (snapshot, survey) = look(config)?;
        let report = Report::new(&snapshot, &survey, elsewhere(&config.upstream));
        let mut out = BufWriter::new(out);
        match format.json {
            true => json(&report, &mut out)?,
            false => text(&report, &mut out)?,
        }
        out.flush()?;
        Ok(!report.firmware.has_faults())
    }
}

fn look(config: &Config) -> Result<(Snapshot, Survey), AuditError> {
    let survey = Survey::of(&config.content.root)?;
    let snapshot = Inventory::open(&config.inventory)?.snapshot()?;
    Ok((snapshot, survey))
}

fn json(report: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    writeln!(out)
}

fn text(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Firmware\n{}", report.firmware)?;
    writeln!(out, "Locales")?;
    for fault in &report.locales {
        writeln!(out, "warning     {}", fault.alarm())?;
    }
    if report.locales.is_empty() {
        writeln!(out, "Every locale that phones are told to use is here.")?;
    }
    writeln!(out, "\nRings and background pictures")?;
    for remark in &report.remarks {
        let state = match remark.left_out {
            true => "left out",
            false => "warning",
        };
        writeln!(out, "{state:<11} {}: {}", remark.file, remark.problem)?;
    }
    match &report.lists[..] {
        [] => writeln!(out, "No list is written: no ring or picture fits one.")?,
        lists => {
            let what = counted(lists.len(), "list");
            writeln!(
                out,
                "Written from what is here, {what}: {}.",
                lists.join(", ")
            )?;
        }
    }
    Ok(())
}
