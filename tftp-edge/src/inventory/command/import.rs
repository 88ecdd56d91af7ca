//! `tftp-edge inventory import|diff|export`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::super::bat::{self, BatDefaults, LeftOut};
use super::super::table_file::{self, About};
use super::super::{
    Contents, Edit, EditError, Inventory, Origin, Plan, Protocol, Record, Settings, Table,
};
use super::print::print_changes;
use super::{CommandError, protocol, table};

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// A CSV file, or a folder of them
    pub file: PathBuf,
    /// The table the file is of; told by its name or its columns otherwise
    #[arg(long, value_parser = table)]
    pub table: Option<Table>,
    /// Make the tables what the files say: remove what they do not name, clear columns they do
    /// not have
    #[arg(long)]
    pub replace: bool,
    /// Check the files and say what would change
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run: one JSON object for each change, one a line
    #[arg(long, requires = "dry_run")]
    pub json: bool,
    #[command(flatten)]
    pub bat: BatArgs,
}

#[derive(Debug, Args)]
pub struct BatArgs {
    /// The file is one of phones for Cisco's Bulk Administration Tool, or exported by it
    #[arg(long, conflicts_with_all = ["table", "replace"])]
    pub bat: bool,
    /// With --bat: the model of phones for which the file has no DEVICE TYPE
    #[arg(long, requires = "bat")]
    pub model: Option<String>,
    /// With --bat: the protocol of phones for which the file has no DEVICE PROTOCOL
    #[arg(long, requires = "bat", value_parser = protocol)]
    pub protocol: Option<Protocol>,
    /// With --bat: the site of the phones
    #[arg(long, requires = "bat")]
    pub site: Option<String>,
    /// With --bat: take DEVICE POOL as the name of the site
    #[arg(long, requires = "bat", conflicts_with = "site")]
    pub pool_is_site: bool,
}

#[derive(Debug, Args)]
pub struct DiffArgs {
    /// A CSV file, or a folder of them
    pub file: PathBuf,
    /// The table the file is of; told by its name or its columns otherwise
    #[arg(long, value_parser = table)]
    pub table: Option<Table>,
    /// One JSON object for each difference, one a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// This table alone
    #[arg(long, value_parser = table)]
    pub table: Option<Table>,
    /// The folder to write a file for each table to, made if it is not there; - for standard
    /// output, with --table
    #[arg(default_value = "-")]
    pub to: PathBuf,
}

impl ImportArgs {
    pub(super) fn run(self, settings: &Settings, out: &mut dyn Write) -> Result<(), CommandError> {
        let mut inventory = Inventory::open(settings)?;
        let mut left_out = LeftOut::default();
        let edit = match self.bat.bat {
            true => {
                let defaults = BatDefaults {
                    model: self.bat.model,
                    protocol: self.bat.protocol,
                    site: self.bat.site,
                    pool_is_site: self.bat.pool_is_site,
                };
                let models = inventory.snapshot()?.models;
                let input = open(&self.file)?;
                bat::read(input, &defaults, &models, &mut left_out)
                    .map_err(|source| file_error(&self.file, source))?
            }
            false => read_files(&self.file, self.table, self.replace)?,
        };
        let origin = Origin::of_process(format!("import {}", self.file.display()));
        let plan = apply(&mut inventory, &edit, &origin, self.dry_run, &self.file)?;
        if self.dry_run {
            print_changes(&plan.changes, self.json, out)?;
        }
        if !self.json {
            write!(out, "{left_out}")?;
            write_summary(&plan, self.dry_run, out)?;
        }
        Ok(())
    }
}

impl DiffArgs {
    pub(super) fn run(self, settings: &Settings, out: &mut dyn Write) -> Result<(), CommandError> {
        let mut inventory = Inventory::open(settings)?;
        let edit = read_files(&self.file, self.table, true)?;
        let origin = Origin::of_process("diff");
        let plan = apply(&mut inventory, &edit, &origin, true, &self.file)?;
        Ok(print_changes(&plan.changes, self.json, out)?)
    }
}

fn apply(
    inventory: &mut Inventory,
    edit: &Edit,
    origin: &Origin,
    dry_run: bool,
    file: &Path,
) -> Result<Plan, CommandError> {
    inventory
        .apply(edit, origin, dry_run)
        .map_err(|error| match error {
            EditError::Rows(source) => CommandError::Import {
                path: file.into(),
                source,
            },
            EditError::Store(error) => CommandError::Store(error),
        })
}

fn write_summary(plan: &Plan, dry_run: bool, out: &mut dyn Write) -> io::Result<()> {
    let super::super::Summary {
        added,
        changed,
        removed,
        unchanged,
    } = plan.summary();
    let tense = match dry_run {
        true => " (dry run: nothing was written)",
        false => "",
    };
    writeln!(
        out,
        "{added} added, {changed} changed, {removed} removed, {unchanged} unchanged{tense}"
    )
}

fn file_error(path: &Path, source: io::Error) -> CommandError {
    CommandError::File {
        path: path.into(),
        source,
    }
}

fn open(path: &Path) -> Result<BufReader<File>, CommandError> {
    let file = File::open(path).map_err(|source| file_error(path, source))?;
    Ok(BufReader::new(file))
}

/// The rows of a file, or of all files of a folder whose names end in `.csv`.
fn read_files(path: &Path, table: Option<Table>, replace: bool) -> Result<Edit, CommandError> {
    let mut edit = Edit::default();
    if !path.is_dir() {
        read_file(path, table, None, replace, &mut edit)?;
        return Ok(edit);
    }
    let mut files = fs::read_dir(path)
        .and_then(|entries| {
            let paths = entries.map(|entry| Ok(entry?.path()));
            paths.collect::<io::Result<Vec<_>>>()
        })
        .map_err(|source| file_error(path, source))?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "csv"));
    files.sort_unstable();
    if files.is_empty() {
        return Err(CommandError::NoFiles(path.into()));
    }
    for file in files {
        let shown = file.file_name().unwrap_or_default().to_string_lossy();
        read_file(&file, table, Some(shown.into()), replace, &mut edit)?;
    }
    Ok(edit)
}

fn read_file(
    path: &Path,
    table: Option<Table>,
    shown: Option<Arc<str>>,
    replace: bool,
    edit: &mut Edit,
) -> Result<(), CommandError> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let about = About {
        table,
        stem: Some(stem.into()),
        shown,
    };
    let rows = table_file::read(open(path)?, &about, &mut edit.errors)
        .map_err(|source| file_error(path, source))?;
    if let Some((table, mut rows)) = rows {
        edit.rows.append(&mut rows);
        if replace {
            edit.replaced.insert(table);
        }
    }
    Ok(())
}

impl ExportArgs {
    pub(super) fn run(self, settings: &Settings, out: &mut dyn Write) -> Result<(), CommandError> {
        let mut contents = Inventory::open(settings)?.store().read()?;
        let devices = std::mem::take(&mut contents.devices).into_iter();
        let devices: Vec<_> = devices
            .map(|device| Record::Device(device.into()))
            .collect();
        if self.to == Path::new("-") {
            let Some(table) = self.table else {
                return Err(CommandError::NoTable);
            };
            return Ok(export(table, &contents, &devices, out)?);
        }
        let wrong = |source| file_error(&self.to, source);
        fs::create_dir_all(&self.to).map_err(wrong)?;
        for table in Table::ALL {
            if self.table.is_some_and(|only| only != table) {
                continue;
            }
            let path = self.to.join(format!("{table}.csv"));
            // It holds passwords. Written beside the old one first: nobody is left with half.
            let new = self.to.join(format!(".{table}.csv.new"));
            fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&new)
                .and_then(|file| {
                    let mut file = BufWriter::new(file);
                    export(table, &contents, &devices, &mut file)?;
                    file.flush()
                })
                .and_then(|()| fs::rename(&new, &path))
                .map_err(|source| file_error(&path, source))?;
        }
        Ok(())
    }
}

fn export(
    table: Table,
    contents: &Contents,
    devices: &[Record],
    out: &mut dyn Write,
) -> io::Result<()> {
    match table {
        Table::Devices => table_file::write(table, devices, out),
        table => table_file::write(table, &contents.shared(table), out),
    }
}

/// How many records each table has, for `list` without a table.
pub(super) fn counts(contents: &Contents) -> BTreeMap<Table, usize> {
    let count = |table| match table {
        Table::Devices => contents.devices.len(),
        table => contents.shared(table).len(),
    };
    Table::ALL.map(|table| (table, count(table))).into()
}
