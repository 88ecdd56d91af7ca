//! One record at a time: `inventory list|show|set|unset|remove`, and the same for devices under
//! `phones`.

use std::borrow::Cow;
use std::io::{self, Write};

use clap::{Args, Subcommand};

use super::super::records::hides;
use super::super::{
    Contents, DEFAULT_SITE, DeviceName, Edit, EditError, Inventory, Mistake, Models, Origin, Place,
    Record, Row, Settings, StoreError, Table, Want,
};
use super::import::counts;
use super::print::{json_line, print_record, print_row, table_help};
use super::{CommandError, key_value, table};

#[derive(Debug, Args)]
pub struct ListArgs {
    /// The table; without it, the devices
    #[arg(value_parser = table)]
    pub table: Option<Table>,
    /// One JSON object for each record, one a line (secrets are left out)
    #[arg(long)]
    pub json: bool,
    /// How many records each table has
    #[arg(long, conflicts_with_all = ["table", "json"])]
    pub tables: bool,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    #[arg(value_parser = table)]
    pub table: Table,
    /// Of a load, MODEL/PROTOCOL
    pub name: String,
    /// One JSON object (secrets are left out)
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_long_help = table_help(&Table::ALL))]
pub struct SetArgs {
    #[arg(value_parser = table)]
    pub table: Table,
    /// Of a load, MODEL/PROTOCOL
    pub name: String,
    /// COLUMN=VALUE; columns that are not named stay as they are, an empty value clears one, and
    /// the value - of a secret is read from standard input
    #[arg(required = true, value_parser = key_value)]
    pub values: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub struct UnsetArgs {
    #[arg(value_parser = table)]
    pub table: Table,
    pub name: String,
    #[arg(required = true)]
    pub columns: Vec<String>,
}

#[derive(Debug, Args)]
pub struct RemoveArgs {
    #[arg(value_parser = table)]
    pub table: Table,
    #[arg(required = true)]
    pub names: Vec<String>,
}

/// Devices of the inventory, one at a time.
#[derive(Debug, Subcommand)]
pub enum DeviceCommand {
    /// Add a device
    #[command(after_long_help = table_help(&[Table::Devices]))]
    Add(DeviceArgs),
    /// Change some columns of a device
    #[command(after_long_help = table_help(&[Table::Devices]))]
    Edit(DeviceArgs),
    /// Remove devices
    Remove {
        /// Device names, such as SEP001122334455
        #[arg(required = true)]
        names: Vec<DeviceName>,
    },
    /// Show the devices, one a line
    List(DeviceFilter),
}

#[derive(Debug, Args)]
pub struct DeviceArgs {
    /// Such as SEP001122334455
    pub name: DeviceName,
    /// COLUMN=VALUE, such as model=7962 lines='1001:Alice;1002'; an empty value clears a column,
    /// and secret=- is read from standard input
    #[arg(required = true, value_parser = key_value)]
    pub values: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub struct DeviceFilter {
    /// Only those of this site
    #[arg(long)]
    pub site: Option<String>,
    /// Only those of this profile
    #[arg(long)]
    pub profile: Option<String>,
    /// Only those of this model
    #[arg(long)]
    pub model: Option<String>,
    /// Only those with a line of this directory number
    #[arg(long)]
    pub number: Option<String>,
    /// One JSON object for each device, one a line (secrets are left out)
    #[arg(long)]
    pub json: bool,
}

/// The keys of a record as the command line has them in one word.
fn keys(table: Table, name: &str) -> Vec<String> {
    match table.keys().count() {
        1 => vec![name.into()],
        _ => name.split('/').map(Into::into).collect(),
    }
}

type Fields = Vec<(Cow<'static, str>, String)>;

/// The columns that are named, with secrets from standard input where they are asked for.
fn fields(table: Table, values: Vec<(String, String)>) -> Result<Fields, CommandError> {
    let mut fields = Fields::new();
    for (name, value) in values {
        let column = column(table, &name)?;
        if fields.iter().any(|(known, _)| *known == column) {
            return Err(CommandError::Column(format!("{column} is there twice")));
        }
        let value = match value.as_str() {
            "-" if hides(&column) => secret_from_input(&column)?,
            _ => value,
        };
        fields.push((column, value));
    }
    Ok(fields)
}

fn column(table: Table, name: &str) -> Result<Cow<'static, str>, CommandError> {
    let column = table.column(name);
    let column = column.filter(|column| !table.keys().any(|key| key == *column));
    column.ok_or_else(|| {
        CommandError::Column(format!(
            "{table} have no column {name:?} to be set; {}",
            table.expected_columns(name)
        ))
    })
}

fn secret_from_input(column: &str) -> Result<String, CommandError> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    match line.trim_end_matches(['\r', '\n']) {
        "" => Err(CommandError::Column(format!(
            "{column}: standard input is empty"
        ))),
        secret => Ok(secret.into()),
    }
}

/// Applies what the command line says to some records.
fn apply(
    settings: &Settings,
    how: &str,
    rows: impl IntoIterator<Item = (Table, Want, Vec<String>, Fields)>,
) -> Result<(), CommandError> {
    let rows = rows.into_iter().map(|(table, want, keys, fields)| Row {
        table,
        want,
        keys,
        fields,
        place: Place::CommandLine,
    });
    let edit = Edit {
        rows: rows.collect(),
        ..Edit::default()
    };
    let mut inventory = Inventory::open(settings)?;
    match inventory.apply(&edit, &Origin::of_process(how), false) {
        Ok(_) => Ok(()),
        Err(EditError::Store(error)) => Err(error.into()),
        Err(EditError::Rows(errors)) => Err(CommandError::Refused(errors)),
    }
}

impl SetArgs {
    pub(super) fn run(self, settings: &Settings, out: &mut dyn Write) -> Result<(), CommandError> {
        let Self {
            table,
            name,
            values,
        } = self;
        let fields = fields(table, values)?;
        let count = fields.len();
        apply(
            settings,
            "inventory set",
            [(table, Want::Upsert, keys(table, &name), fields)],
        )?;
        Ok(writeln!(out, "{name}: {count} set")?)
    }
}

/// An empty load goes: a model without one has no record.
pub(super) fn set_loads(
    settings: &Settings,
    model: &str,
    loads: Vec<(String, String)>,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let contents = Inventory::open(settings)?.store().read()?;
    let models = Models::new(contents.models.into_values());
    let Some(model) = models.find(model) else {
        return Err(CommandError::UnknownModel(model.into()));
    };
    let rows = loads.into_iter().filter_map(|(protocol, load)| {
        let keys = vec![model.name.to_string(), protocol.clone()];
        let is_set = contents
            .loads
            .keys()
            .any(|(name, of)| *name == model.name && of.as_str() == protocol);
        let row = match load.trim() {
            "" if !is_set => return None,
            "" => (Want::Gone, Fields::new()),
            _ => (Want::Upsert, vec![("load".into(), load)]),
        };
        Some((Table::Loads, row.0, keys, row.1))
    });
    apply(settings, "inventory model set", rows)?;
    Ok(writeln!(out, "{} set", model.name)?)
}

impl UnsetArgs {
    pub(super) fn run(self, settings: &Settings, out: &mut dyn Write) -> Result<(), CommandError> {
        let table = self.table;
        let columns = self.columns.into_iter().map(|name| (name, String::new()));
        let fields = fields(table, columns.collect())?;
        let count = fields.len();
        let keys = keys(table, &self.name);
        apply(
            settings,
            "inventory unset",
            [(table, Want::Existing, keys, fields)],
        )?;
        Ok(writeln!(out, "{}: {count} unset", self.name)?)
    }
}

impl RemoveArgs {
    pub(super) fn run(self, settings: &Settings, out: &mut dyn Write) -> Result<(), CommandError> {
        remove(settings, "inventory remove", self.table, &self.names, out)
    }
}

fn remove(
    settings: &Settings,
    how: &str,
    table: Table,
    names: &[String],
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let gone = |name: &String| (table, Want::Gone, keys(table, name), Fields::new());
    apply(settings, how, names.iter().map(gone))?;
    Ok(writeln!(out, "{} removed", names.len())?)
}

impl ListArgs {
    pub(super) fn run(self, settings: &Settings, out: &mut dyn Write) -> Result<(), CommandError> {
        let contents = Inventory::open(settings)?.store().read()?;
        if self.tables {
            for (table, count) in counts(&contents) {
                writeln!(out, "{table:<16} {count}")?;
            }
            return Ok(());
        }
        for record in records(self.table.unwrap_or(Table::Devices), contents) {
            match self.json {
                true => json_line(&record.json(), out)?,
                false => print_row(&record, out)?,
            }
        }
        Ok(())
    }
}

fn records(table: Table, contents: Contents) -> Vec<Record> {
    match table {
        Table::Devices => {
            let devices = contents.devices.into_iter();
            devices
                .map(|device| Record::Device(device.into()))
                .collect()
        }
        table => contents.shared(table),
    }
}

fn not_there(table: Table, name: &str) -> CommandError {
    CommandError::NotThere(format!(
        "there is no {} {name:?}; `tftp-edge inventory list {table}` shows those there are",
        table.noun()
    ))
}

/// What there is to a device.
pub fn device_record(settings: &Settings, name: &DeviceName) -> Result<Option<Record>, StoreError> {
    let contents = Inventory::open(settings)?.store().read()?;
    let mut devices = contents.devices.into_iter();
    let device = devices.find(|device| device.name == *name);
    Ok(device.map(|device| Record::Device(device.into())))
}

fn show(
    settings: &Settings,
    table: Table,
    name: &str,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let contents = Inventory::open(settings)?.store().read()?;
    let models = Models::new(contents.models.values().cloned());
    let keys = keys(table, name);
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let blank = Record::blank(table, &keys, &models);
    let wrong = |Mistake { column, problem }| {
        CommandError::Column(format!("{} {name}, {column}: {problem}", table.noun()))
    };
    let key = blank.map_err(wrong)?.key();
    let found = records(table, contents)
        .into_iter()
        .find(|record| record.key() == key);
    let Some(record) = found else {
        return Err(not_there(table, &key));
    };
    match json {
        true => json_line(&record.json(), out)?,
        false => print_record(&record, out)?,
    }
    Ok(())
}

impl ShowArgs {
    pub(super) fn run(self, settings: &Settings, out: &mut dyn Write) -> Result<(), CommandError> {
        show(settings, self.table, &self.name, self.json, out)
    }
}

impl DeviceCommand {
    /// Runs the command on the database of the settings, and writes to `out`.
    pub fn run(self, settings: &Settings, out: &mut dyn Write) -> Result<(), CommandError> {
        let table = Table::Devices;
        let mut out = io::BufWriter::new(out);
        let out = &mut out;
        let set = |how, want, args: DeviceArgs| {
            let name = args.name.to_string();
            let fields = fields(table, args.values)?;
            apply(settings, how, [(table, want, vec![name], fields)])
        };
        match self {
            Self::Add(args) => {
                let name = args.name;
                set("phones add", Want::New, args)?;
                writeln!(out, "{name} added")?;
            }
            Self::Edit(args) => {
                let name = args.name;
                set("phones edit", Want::Existing, args)?;
                writeln!(out, "{name} changed")?;
            }
            Self::Remove { names } => {
                let names: Vec<_> = names.iter().map(DeviceName::to_string).collect();
                remove(settings, "phones remove", table, &names, out)?;
            }
            Self::List(filter) => filter.run(settings, out)?,
        }
        Ok(out.flush()?)
    }
}

impl DeviceFilter {
    fn run(self, settings: &Settings, out: &mut dyn Write) -> Result<(), CommandError> {
        let contents = Inventory::open(settings)?.store().read()?;
        let models = Models::new(contents.models.values().cloned());
        let model = match self.model {
            Some(model) => match models.find(&model) {
                Some(model) => Some(model.name.to_string()),
                None => return Err(CommandError::UnknownModel(model)),
            },
            None => None,
        };
        let (site, profile) = (self.site.as_deref(), self.profile.as_deref());
        if let Some(name) =
            site.filter(|name| *name != DEFAULT_SITE && !contents.sites.contains_key(*name))
        {
            return Err(not_there(Table::Sites, name));
        }
        if let Some(name) = profile.filter(|name| !contents.profiles.contains_key(*name)) {
            return Err(not_there(Table::Profiles, name));
        }
        let is = |wanted: &Option<String>, value: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == value)
        };
        for device in contents.devices {
            let number = &self.number;
            let has_number = number.is_none() || device.lines.iter().any(|l| is(number, &l.number));
            let profile = device.profile.as_deref().unwrap_or_default();
            if !has_number
                || !is(&model, &device.model)
                || !is(&self.site, &device.site)
                || !is(&self.profile, profile)
            {
                continue;
            }
            let record = Record::Device(device.into());
            match self.json {
                true => json_line(&record.json(), out)?,
                false => print_row(&record, out)?,
            }
        }
        Ok(())
    }
}
