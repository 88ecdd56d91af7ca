//! `tftp-edge inventory …` and `tftp-edge phones …`.

mod history;
mod import;
mod print;
mod records;
mod repair;

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Subcommand;

use super::{
    Inventory, KEYS, Models, Protocol, RowErrors, SITE_KEYS, Settings, StoreError, Table,
    element_help,
};
use history::{HistoryArgs, UndoArgs};
use import::{DiffArgs, ExportArgs, ImportArgs};
pub use print::print_record;
pub use records::{DeviceCommand, device_record};
use records::{ListArgs, RemoveArgs, SetArgs, ShowArgs, UnsetArgs};
use repair::RepairArgs;

#[derive(Debug, Subcommand)]
pub enum InventoryCommand {
    /// Read records from CSV files; nothing is applied unless every row of all of them is right
    ///
    /// The first row names the columns, in any order. A column that is not in the file leaves what
    /// is there as it is, an empty field clears it. `tftp-edge inventory export` writes files that
    /// can be read again, and shows by example what they look like.
    #[command(after_long_help = print::table_help(&Table::ALL))]
    Import(ImportArgs),
    /// Write CSV files that `import` reads; they hold passwords
    Export(ExportArgs),
    /// Show how CSV files differ from the inventory: what `import --replace` would change
    Diff(DiffArgs),
    /// Show the records of a table, without passwords
    List(ListArgs),
    /// Show one record, without passwords
    Show(ShowArgs),
    /// Set columns of a record, and make the record if it is not there
    Set(SetArgs),
    /// Clear columns of a record
    Unset(UnsetArgs),
    /// Remove records; refused while others refer to them
    Remove(RemoveArgs),
    /// Show who changed what, and when
    History(HistoryArgs),
    /// Take changes of the history back
    Undo(UndoArgs),
    /// Check the database, and save what can be saved of one that is damaged
    ///
    /// A database that is sound is left alone. Else a new one is made of all that can be read, with
    /// what is missing taken from the last good copy that the daemon keeps beside it; the damaged
    /// file is kept, too. The daemon need not be stopped: it goes on with the new one by itself.
    Repair(RepairArgs),
    /// What the phones of a site have in common
    #[command(subcommand)]
    Site(SiteCommand),
    /// The phone models, and the firmware they are to run
    #[command(subcommand)]
    Model(ModelCommand),
}

#[derive(Debug, Subcommand)]
pub enum SiteCommand {
    /// Set keys of a site; an empty value goes back to the default
    #[command(after_long_help = site_help())]
    Set {
        /// The site; `default` holds for every other site too
        name: String,
        /// key=value
        #[arg(required = true, value_parser = key_value)]
        settings: Vec<(String, String)>,
    },
    /// Show what each site sets (passwords are left out)
    List,
}

#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// Name the firmware of a model; an empty value leaves the phones what they run
    Set {
        /// Such as 7941
        model: String,
        /// sip=LOAD or sccp=LOAD, without .loads
        #[arg(required = true, value_parser = key_value)]
        loads: Vec<(String, String)>,
    },
    /// Show the models, those of the operator too
    List,
}

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("{path}: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{path}: {source}", path = path.display())]
    Import { path: PathBuf, source: RowErrors },
    #[error("{path}: there is no file in it whose name ends in .csv", path = .0.display())]
    NoFiles(PathBuf),
    #[error("all tables do not fit into one file; name a folder, or one of them with --table")]
    NoTable,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Column(String),
    /// The command is right, but not for what there is.
    #[error("{0}")]
    Refused(RowErrors),
    #[error("{0}")]
    NotUndone(String),
    #[error("{0}")]
    NotThere(String),
    #[error("{0:?} is no known model; `tftp-edge inventory model list` shows them")]
    UnknownModel(String),
    #[error("output: {0}")]
    Output(#[from] io::Error),
}

fn key_value(argument: &str) -> Result<(String, String), String> {
    match argument.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err("expected key=value".into()),
    }
}

fn table(argument: &str) -> Result<Table, String> {
    argument.parse()
}

fn protocol(argument: &str) -> Result<Protocol, String> {
    argument.parse().map_err(|()| "expected sip or sccp".into())
}

fn site_help() -> String {
    let mut help = String::from("Settings:\n");
    for (key, expected) in KEYS.iter().chain(SITE_KEYS) {
        help += &format!("  {key:<26} {expected}\n");
    }
    help + &element_help()
}

impl InventoryCommand {
    /// Runs the command on the database of the settings, and writes to `out`.
    pub fn run(self, settings: &Settings, out: &mut dyn Write) -> Result<(), CommandError> {
        let mut out = BufWriter::new(out);
        match self {
            Self::Import(args) => args.run(settings, &mut out)?,
            Self::Export(args) => args.run(settings, &mut out)?,
            Self::Diff(args) => args.run(settings, &mut out)?,
            Self::List(args) => args.run(settings, &mut out)?,
            Self::Show(args) => args.run(settings, &mut out)?,
            Self::Set(args) => args.run(settings, &mut out)?,
            Self::Unset(args) => args.run(settings, &mut out)?,
            Self::Remove(args) => args.run(settings, &mut out)?,
            Self::History(args) => args.run(settings, &mut out)?,
            Self::Undo(args) => args.run(settings, &mut out)?,
            Self::Repair(args) => args.run(settings, &mut out)?,
            Self::Site(command) => command.run(settings, &mut out)?,
            Self::Model(command) => command.run(settings, &mut out)?,
        }
        Ok(out.flush()?)
    }
}

impl SiteCommand {
    fn run(self, settings: &Settings, out: &mut dyn Write) -> Result<(), CommandError> {
        let table = Table::Sites;
        match self {
            Self::Set {
                name,
                settings: values,
            } => SetArgs {
                table,
                name,
                values,
            }
            .run(settings, out),
            Self::List => ListArgs {
                table: Some(table),
                json: false,
                tables: false,
            }
            .run(settings, out),
        }
    }
}

impl ModelCommand {
    fn run(self, settings: &Settings, out: &mut dyn Write) -> Result<(), CommandError> {
        match self {
            Self::Set { model, loads } => records::set_loads(settings, &model, loads, out),
            Self::List => {
                let contents = Inventory::open(settings)?.store().read()?;
                writeln!(out, "model    lines  firmware")?;
                for model in Models::new(contents.models.clone().into_values()).iter() {
                    let loads: Vec<_> = Protocol::ALL
                        .into_iter()
                        .filter(|protocol| model.speaks(*protocol))
                        .map(|protocol| {
                            let load = contents.loads.get(&(model.name.to_string(), protocol));
                            format!("{protocol}={}", load.map_or("", String::as_str))
                        })
                        .collect();
                    writeln!(
                        out,
                        "{:<8} {:>5}  {}",
                        model.name,
                        model.lines,
                        loads.join(" ")
                    )?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
