//! `tftp-edge check` and `tftp-edge config`.

use std::io::{self, Write};
use std::path::Path;

use clap::Subcommand;
use serde::Serialize;

use super::{Config, ConfigError, Effect, Key, SHIPPED, Section, fragments, warnings};

/// What there is to see of the configuration.
#[derive(Subcommand, Clone, Debug)]
pub enum ConfigCommand {
    /// Show what is set, and in which file and line.
    Show {
        /// Everything that is in force, defaults included.
        #[arg(long)]
        effective: bool,
        /// One JSON object instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Print the commented file that ships with the program: every key with its default.
    Defaults,
}

/// Why nothing is shown.
#[derive(Debug, thiserror::Error)]
pub enum ConfigCommandError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// What `config show --json` prints.
#[derive(Serialize)]
struct Told<'c> {
    files: Vec<&'c Path>,
    sections: Vec<Section>,
}

impl ConfigCommand {
    pub fn run(&self, file: &Path, out: &mut dyn Write) -> Result<(), ConfigCommandError> {
        let (effective, json) = match self {
            Self::Show { effective, json } => (*effective, *json),
            Self::Defaults => return Ok(out.write_all(SHIPPED.as_bytes())?),
        };
        let config = Config::load(file)?;
        let is_told = |key: &Key| effective || key.from.is_some();
        let sections = config.shown.sections.iter().map(|section| Section {
            keys: section
                .keys
                .iter()
                .filter(|it| is_told(it))
                .cloned()
                .collect(),
            ..section.clone()
        });
        let told = Told {
            files: config.written.files().collect(),
            sections: sections.filter(|it| !it.keys.is_empty()).collect(),
        };
        match json {
            true => {
                let text = serde_json::to_string_pretty(&told).map_err(io::Error::from)?;
                writeln!(out, "{text}")?;
            }
            false => show(&told, out)?,
        }
        Ok(())
    }
}

/// As TOML that could be read again, but for passwords; where each value is from stands behind it.
fn show(told: &Told<'_>, out: &mut dyn Write) -> io::Result<()> {
    for file in &told.files {
        writeln!(out, "# read {}", file.display())?;
    }
    for Section { name, keys, .. } in &told.sections {
        writeln!(out, "\n[{name}]")?;
        for key in keys {
            let from = key.from.as_deref().unwrap_or("default");
            let effect = match key.effect {
                Effect::Live => "",
                Effect::Restart => ", restart",
            };
            let name = written(&key.key);
            writeln!(out, "{name} = {}  # {from}{effect}", key.value)?;
        }
    }
    Ok(())
}

/// A key as it stands in a file: one with dots is in quotes.
fn written(key: &str) -> String {
    match key.contains('.') {
        true => format!("{key:?}"),
        false => key.to_owned(),
    }
}

/// Checks everything a daemon reads, and tells of what is surely not meant.
///
/// # Errors
/// What is wrong.
pub fn check(file: &Path, out: &mut dyn Write) -> Result<(), ConfigCommandError> {
    let config = Config::load(file)?;
    for file in config.written.files() {
        writeln!(out, "read {}", file.display())?;
    }
    for other in fragments::ignored(&config.shown.file) {
        let other = other.display();
        writeln!(
            out,
            "ignored {other}: its name does not end in .toml, or it is hidden"
        )?;
    }
    for warning in warnings(&config) {
        writeln!(out, "warning: {warning}")?;
    }
    config.try_files().map_err(ConfigError::Invalid)?;
    writeln!(out, "{}: ok", file.display())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn run(folder: &Path, command: &ConfigCommand) -> String {
        let mut out = Vec::new();
        command.run(&folder.join("edge.toml"), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.replace(&folder.display().to_string(), "DIR")
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("conf.d")).unwrap();
        let text = "[tftp]\nworkers = 2\n[inventory.defaults]\nssh_password = \"sw0rdf1sh\"\n\
                    \"xml.dndReminderTimer\" = 10\n";
        fs::write(folder.path().join("edge.toml"), text).unwrap();
        let fragment = folder.path().join("conf.d/10.toml");
        fs::write(fragment, "tftp.workers = 3\nlog.level = \"info\"\n").unwrap();
        folder
    }

    #[test]
    fn what_is_set_is_shown_with_its_place_and_without_passwords() {
        let folder = folder();
        let show = |effective, json| ConfigCommand::Show { effective, json };
        assert_eq!(
            run(folder.path(), &show(false, false)),
            "# read DIR/edge.toml\n# read DIR/conf.d/10.toml\n\n[tftp]\nworkers = 3  # \
             DIR/conf.d/10.toml:1, restart\n\n[inventory.defaults]\nssh_password = (set, not \
             shown)  # DIR/edge.toml:4\n\"xml.dndReminderTimer\" = 10  # DIR/edge.toml:5\n\n\
             [log]\nlevel = \"info\"  # DIR/conf.d/10.toml:2\n"
        );
        let effective = run(folder.path(), &show(true, false));
        assert!(
            effective.contains("\nwindowsize = 64  # default\n"),
            "{effective}"
        );
        assert!(effective.contains("\ndscp = 24  # default, restart\n"));
        let json = run(folder.path(), &show(true, true));
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let workers = &json["sections"][0]["keys"][1];
        assert_eq!(workers["key"], "workers");
        assert_eq!(workers["from"], "DIR/conf.d/10.toml:1");
        assert_eq!(workers["effect"], "restart");
        assert!(!json.to_string().contains("sw0rdf1sh"));
    }

    #[test]
    fn the_defaults_are_a_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let defaults = run(folder.path(), &ConfigCommand::Defaults);
        let file = folder.path().join("edge.toml");
        fs::write(&file, &defaults).unwrap();
        Config::load(&file).unwrap();
    }

    #[test]
    fn a_check_tells_what_was_read_and_what_was_not() {
        let folder = folder();
        let file = folder.path().join("edge.toml");
        fs::write(folder.path().join("conf.d/10.toml~"), "").unwrap();
        let mut out = Vec::new();
        check(&file, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let text = text.replace(&folder.path().display().to_string(), "DIR");
        assert!(
            text.starts_with(
                "read DIR/edge.toml\nread DIR/conf.d/10.toml\nignored DIR/conf.d/10.toml~: its \
                 name does not end in .toml, or it is hidden\nwarning: DIR/edge.toml:4:1: \
                 inventory.defaults.ssh_password: everybody"
            ),
            "{text}"
        );
        assert!(text.ends_with("DIR/edge.toml: ok\n"), "{text}");
        fs::write(&file, "[http.tls]\nenabled = true\nkey = \"none.pem\"\n").unwrap();
        let told = check(&file, &mut Vec::new()).unwrap_err().to_string();
        assert!(
            told.contains(": http.tls.certificate: /etc/tftp-edge/"),
            "{told}"
        );
    }
}
