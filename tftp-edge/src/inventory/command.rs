//! `tftp-edge inventory …`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{
    DeviceName, ImportError, ImportMode, Inventory, KEYS, Models, Protocol, SettingError, Settings,
    Site, Snapshot, StoreError, Summary, element_help, import, parse_csv, settings, text,
};

#[derive(Debug, Subcommand)]
pub enum InventoryCommand {
    /// Read devices from a CSV file; nothing is applied unless every row is right
    Import(ImportArgs),
    /// Show the devices
    List(ListArgs),
    /// Remove devices
    Remove {
        /// Device names, such as SEP001122334455
        #[arg(required = true)]
        names: Vec<DeviceName>,
    },
    /// What the phones of a site have in common
    #[command(subcommand)]
    Site(SiteCommand),
    /// The phone models, and the firmware they are to run
    #[command(subcommand)]
    Model(ModelCommand),
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Columns name, model, protocol, lines; and if wanted auth_name, secret, site, load, description
    pub file: PathBuf,
    /// Remove the devices the file does not name
    #[arg(long)]
    pub replace: bool,
    /// Check the file and say what would change
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// One JSON object for each device, one a line (secrets are left out)
    #[arg(long)]
    pub json: bool,
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
    /// Show the models
    List,
}

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("{path}: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{path}: {source}", path = path.display())]
    Import { path: PathBuf, source: ImportError },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("site {site}: {source}")]
    Setting { site: String, source: SettingError },
    #[error("{0:?} is no name for a site: {1}")]
    SiteName(String, String),
    #[error("{0:?} is no known model; `tftp-edge inventory model list` shows them")]
    UnknownModel(String),
    #[error("{0}; expected sip=LOAD or sccp=LOAD")]
    Load(String),
    #[error("a {0} reads no {1} configuration")]
    WrongProtocol(String, Protocol),
    #[error("not in the inventory: {}; the others were removed", names(.0))]
    NotThere(Vec<DeviceName>),
    #[error("output: {0}")]
    Output(#[from] io::Error),
}

fn names(names: &[DeviceName]) -> String {
    let names: Vec<_> = names.iter().map(DeviceName::to_string).collect();
    names.join(", ")
}

fn key_value(argument: &str) -> Result<(String, String), String> {
    match argument.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err("expected key=value".into()),
    }
}

fn site_help() -> String {
    let mut help = String::from("Settings:\n");
    for (key, expected) in KEYS {
        help += &format!("  {key:<24} {expected}\n");
    }
    help + &element_help()
}

impl InventoryCommand {
    /// Runs the command on the database of the settings, and writes to `out`.
    pub fn run(self, settings: &Settings, out: &mut dyn Write) -> Result<(), CommandError> {
        let mut out = BufWriter::new(out);
        match self {
            Self::Import(args) => run_import(&args, settings, &mut out)?,
            Self::List(args) => {
                let snapshot = Inventory::open(settings)?.snapshot()?;
                list(&snapshot, args.json, &mut out)?;
            }
            Self::Remove { names } => {
                let missing = Inventory::open(settings)?.store().remove(&names)?;
                if !missing.is_empty() {
                    return Err(CommandError::NotThere(missing));
                }
                writeln!(out, "{} removed", names.len())?;
            }
            Self::Site(command) => command.run(settings, &mut out)?,
            Self::Model(command) => command.run(settings, &mut out)?,
        }
        Ok(out.flush()?)
    }
}

fn run_import(
    args: &ImportArgs,
    settings: &Settings,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let file = File::open(&args.file).map_err(|source| CommandError::File {
        path: args.file.clone(),
        source,
    })?;
    let devices = parse_csv(io::BufReader::new(file)).map_err(|source| CommandError::Import {
        path: args.file.clone(),
        source,
    })?;
    let mode = match args.replace {
        true => ImportMode::Replace,
        false => ImportMode::Upsert,
    };
    let summary = Inventory::open(settings)?
        .store()
        .import(&devices, mode, args.dry_run)?;
    let Summary {
        added,
        changed,
        removed,
        unchanged,
    } = summary;
    let tense = match args.dry_run {
        true => " (dry run: nothing was written)",
        false => "",
    };
    writeln!(
        out,
        "{added} added, {changed} changed, {removed} removed, {unchanged} unchanged{tense}"
    )?;
    Ok(())
}

fn list(snapshot: &Snapshot, json: bool, out: &mut dyn Write) -> io::Result<()> {
    for device in snapshot.devices.values() {
        if json {
            serde_json::to_writer(&mut *out, device.as_ref())?;
            writeln!(out)?;
            continue;
        }
        let numbers: Vec<_> = device
            .lines
            .iter()
            .map(|line| line.number.as_str())
            .collect();
        writeln!(
            out,
            "{}  {:<7} {:<4}  {:<16} {:<24} {}",
            device.name,
            device.model,
            device.protocol.as_str(),
            device.site,
            numbers.join(";"),
            device.description
        )?;
    }
    Ok(())
}

impl SiteCommand {
    fn run(self, settings: &Settings, out: &mut dyn Write) -> Result<(), CommandError> {
        let mut inventory = Inventory::open(settings)?;
        match self {
            Self::Set {
                name,
                settings: pairs,
            } => {
                let name = name.trim().to_owned();
                if name.is_empty() {
                    return Err(CommandError::SiteName(name, "it is empty".into()));
                }
                text::value(&name, 50)
                    .map_err(|problem| CommandError::SiteName(name.clone(), problem))?;
                let mut site = Site::default();
                let changes = pairs
                    .into_iter()
                    .map(|(key, value)| {
                        let value = Some(value).filter(|value| !value.is_empty());
                        // Keys are checked for removal too: with the value it has by default.
                        match &value {
                            Some(value) => site.set(&key, value)?,
                            None if KEYS.iter().any(|(known, _)| *known == key) => {}
                            None => return Err(SettingError::UnknownKey { key }),
                        }
                        Ok((key, value))
                    })
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|source| CommandError::Setting {
                        site: name.clone(),
                        source,
                    })?;
                inventory.store().set_site(&name, &changes)?;
                writeln!(out, "{name}: {} set", changes.len())?;
            }
            Self::List => {
                let contents = inventory.store().read()?;
                for (name, settings) in &contents.sites {
                    writeln!(out, "{name}")?;
                    for (key, value) in settings {
                        writeln!(out, "  {key} = {}", settings::shown(key, value))?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl ModelCommand {
    fn run(self, settings: &Settings, out: &mut dyn Write) -> Result<(), CommandError> {
        let mut inventory = Inventory::open(settings)?;
        match self {
            Self::Set { model, loads } => {
                let models = inventory.snapshot()?.models;
                let Some(model) = models.find(&model) else {
                    return Err(CommandError::UnknownModel(model));
                };
                let mut changes = Vec::new();
                for (protocol, load) in loads {
                    let protocol: Protocol = protocol
                        .parse()
                        .map_err(|()| CommandError::Load(format!("{protocol:?} is no protocol")))?;
                    if !model.speaks(protocol) {
                        return Err(CommandError::WrongProtocol(
                            model.name.to_string(),
                            protocol,
                        ));
                    }
                    changes.push((protocol, import::load(&load).map_err(CommandError::Load)?));
                }
                for (protocol, load) in changes {
                    inventory
                        .store()
                        .set_load(&model.name, protocol, load.as_deref())?;
                }
                writeln!(out, "{} set", model.name)?;
            }
            Self::List => {
                let contents = inventory.store().read()?;
                writeln!(out, "model    lines  firmware")?;
                for model in Models::new(contents.models.clone().into_values()).iter() {
                    let loads: Vec<_> = [Protocol::Sip, Protocol::Sccp]
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
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;
    use tempfile::TempDir;

    use super::*;
    use crate::phonefile::command::RenderArgs;

    #[derive(Debug, Parser)]
    enum Cli {
        #[command(subcommand)]
        Inventory(InventoryCommand),
        Render(RenderArgs),
    }

    struct Shell {
        folder: TempDir,
        settings: Settings,
    }

    impl Shell {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let settings = Settings {
                database: folder.path().join("inventory.db"),
                ..Settings::default()
            };
            Self { folder, settings }
        }

        fn run(&self, arguments: &[&str]) -> Result<String, String> {
            let mut out = Vec::new();
            let arguments = std::iter::once("tftp-edge").chain(arguments.iter().copied());
            match Cli::try_parse_from(arguments).map_err(|error| error.to_string())? {
                Cli::Inventory(command) => command
                    .run(&self.settings, &mut out)
                    .map_err(|error| error.to_string())?,
                Cli::Render(args) => {
                    let folder = self.folder.path();
                    args.run(&self.settings, folder, &folder.join("none"), &mut out)
                        .map_err(|error| error.to_string())?
                }
            }
            Ok(String::from_utf8(out).unwrap())
        }

        fn file(&self, content: &str) -> String {
            let path = self.folder.path().join("phones.csv");
            fs::write(&path, content).unwrap();
            path.to_str().unwrap().to_owned()
        }
    }

    const PHONES: &str = "name,model,protocol,lines,secret,site\n\
                          sep00aabbccddee,8851,sip,1001:Alice,hush,hq\n\
                          SEP00AABBCCDDEF,7941,sccp,1002,,hq\n";

    #[test]
    fn an_import_is_listed_rendered_and_removed_again() {
        let shell = Shell::new();
        let file = shell.file(PHONES);
        let import = ["inventory", "import", &file];
        let dry = shell.run(&[&import[..], &["--dry-run"]].concat()).unwrap();
        assert_eq!(
            dry,
            "2 added, 0 changed, 0 removed, 0 unchanged (dry run: nothing was written)\n"
        );
        assert_eq!(shell.run(&["inventory", "list"]).unwrap(), "");
        assert_eq!(
            shell.run(&import).unwrap(),
            "2 added, 0 changed, 0 removed, 0 unchanged\n"
        );

        let list = shell.run(&["inventory", "list", "--json"]).unwrap();
        assert!(!list.contains("hush"), "secrets are not listed");
        let first: serde_json::Value = serde_json::from_str(list.lines().next().unwrap()).unwrap();
        assert_eq!(first["name"], "SEP00AABBCCDDEE");
        assert_eq!(first["lines"][0]["label"], "Alice");

        shell
            .run(&["inventory", "site", "set", "hq", "servers=10.9.8.7"])
            .unwrap();
        for name in ["SEP00AABBCCDDEE", "sep00aabbccddee.cnf.xml"] {
            let file = shell.run(&["render", name]).unwrap();
            assert!(
                file.contains("<processNodeName>10.9.8.7</processNodeName>"),
                "{file}"
            );
        }
        let default = shell.run(&["render", "XMLDefault.cnf.xml"]).unwrap();
        assert!(default.contains("<Default>"), "{default}");

        let error = shell
            .run(&["inventory", "remove", "SEP00AABBCCDDEE", "SEP000000000000"])
            .unwrap_err();
        assert!(error.contains("SEP000000000000"), "{error}");
        let error = shell.run(&["render", "SEP00AABBCCDDEE"]).unwrap_err();
        assert!(error.contains("not in the inventory"), "{error}");
    }

    #[test]
    fn one_bad_row_keeps_the_whole_file_out() {
        let shell = Shell::new();
        let file = shell.file(&format!("{PHONES}SEP00AABBCCDDF0,7941,h323,1003,,\n"));
        let error = shell.run(&["inventory", "import", &file]).unwrap_err();
        assert!(
            error.contains("line 4, column protocol: \"h323\"; expected sip or sccp"),
            "{error}"
        );
        assert_eq!(shell.run(&["inventory", "list"]).unwrap(), "");
    }

    #[test]
    fn the_firmware_of_a_model_is_set_for_what_it_speaks() {
        let shell = Shell::new();
        shell
            .run(&[
                "inventory",
                "model",
                "set",
                "cp-7941",
                "sccp=SCCP41.9-4-2SR3-1S.loads",
            ])
            .unwrap();
        let list = shell.run(&["inventory", "model", "list"]).unwrap();
        assert!(list.contains("sip= sccp=SCCP41.9-4-2SR3-1S\n"), "{list}");
        let default = shell.run(&["render", "XMLDefault.cnf.xml"]).unwrap();
        assert!(
            default.contains(">SCCP41.9-4-2SR3-1S</loadInformation115>"),
            "{default}"
        );
        let error = shell
            .run(&["inventory", "model", "set", "8851", "sccp=x"])
            .unwrap_err();
        assert_eq!(error, "a 8851 reads no sccp configuration");
    }

    #[test]
    fn the_passwords_of_a_site_are_not_shown() {
        let shell = Shell::new();
        let set = ["phone_password=hush", "ssh_password=hush", "ssh_user=admin"];
        shell
            .run(&[&["inventory", "site", "set", "hq"], &set[..]].concat())
            .unwrap();
        assert_eq!(
            shell.run(&["inventory", "site", "list"]).unwrap(),
            "hq\n  phone_password = (set, not shown)\n  ssh_password = (set, not shown)\n  \
             ssh_user = admin\n"
        );
    }

    #[test]
    fn a_mistake_in_a_secret_is_told_without_it() {
        let shell = Shell::new();
        let file = shell.file(
            "name,model,protocol,lines,secret\n\
             SEP00AABBCCDDEE,8851,sip,1001;1002,s1;'hush'hush\n\
             SEP00AABBCCDDEF,8851,sip,1001;1002,'hush\n\
             SEP00AABBCCDDF0,8851,sip,1001;1002,hush;hush;hush\n\
             SEP00AABBCCDDF1,8851,sip,1001;1002,hush\u{1};s2\n",
        );
        let error = shell.run(&["inventory", "import", &file]).unwrap_err();
        assert_eq!(error.matches("column secret").count(), 4, "{error}");
        assert!(!error.contains("hush"), "{error}");
    }

    #[test]
    fn a_site_shows_what_it_sets_and_an_empty_value_takes_it_back() {
        let shell = Shell::new();
        let set = |setting| shell.run(&["inventory", "site", "set", "hq", setting]);
        set("voicemail=8500").unwrap();
        let list = || shell.run(&["inventory", "site", "list"]).unwrap();
        assert_eq!(list(), "hq\n  voicemail = 8500\n");
        set("voicemail=").unwrap();
        assert_eq!(list(), "hq\n");
        assert!(
            set("colour=red")
                .unwrap_err()
                .contains("no setting \"colour\"")
        );
        assert!(
            set("web_access=perhaps")
                .unwrap_err()
                .contains("expected true or false")
        );
    }
}
