//! The configuration: one TOML file, one section for each module, every key optional.
//!
//! Relative paths are resolved against the directory of the file, not the working directory, so
//! that a configuration means the same whoever reads it. An unknown key is an error: a misspelt
//! key that is ignored is a setting that silently does not hold.

mod exposure;
mod fault;
mod shown;

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use self::fault::Fault;
pub use self::shown::{HIDDEN, Key, Section};
use crate::access::Access;
use crate::ops::{self, control, log, web};
use crate::{content, http, inventory, journal, kernel, provisioning, register, tftp};

/// Where the configuration is when `--config` does not say otherwise.
pub const DEFAULT_FILE: &str = "/etc/tftp-edge/tftp-edge.toml";

/// All settings. The default is what an empty file means.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub tftp: tftp::Settings,
    pub http: http::Settings,
    pub access: AccessSettings,
    pub content: content::Settings,
    pub upstream: content::upstream::Settings,
    pub inventory: inventory::Settings,
    pub provisioning: provisioning::Settings,
    pub register: register::Settings,
    pub journal: journal::Settings,
    pub kernel: kernel::Settings,
    pub metrics: ops::http::Settings,
    pub control: control::Settings,
    pub log: log::Settings,
    pub web: web::Settings,
    /// What was read, for people; of a default there is nothing to show.
    #[serde(skip)]
    pub shown: Shown,
}

/// Where the configuration is, and all settings as they are in force.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Shown {
    pub file: PathBuf,
    pub sections: Vec<Section>,
}

/// `[access]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessSettings {
    pub allow: Access,
}

impl Config {
    /// Reads and checks a file.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|source| ConfigError::Read {
            file: file.to_owned(),
            source,
        })?;
        let absolute = std::path::absolute(file).map_err(|source| ConfigError::Read {
            file: file.to_owned(),
            source,
        })?;
        let mut config = Self::parse(file, &text)?;
        config.resolve_paths(absolute.parent().unwrap_or(Path::new("/")));
        let invalid = |section: &str, key: &str, problem| {
            let fault = Fault::of_value(file, &text, section, key, problem);
            ConfigError::Invalid(Box::new(fault))
        };
        config
            .validate()
            .map_err(|(section, key, problem)| invalid(section, key, problem))?;
        if let Some(((section, key), problem)) = exposure::find(&config, &absolute) {
            return Err(invalid(section, key, problem));
        }
        config.shown = Shown {
            sections: shown::sections(&config, &text),
            file: absolute,
        };
        Ok(config)
    }

    /// Reads a text as if it were in `file`; paths stay as they are written.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text)
            .map_err(|error| ConfigError::Invalid(Box::new(Fault::new(file, text, &error))))
    }

    /// What the types cannot say: the section, the key in it, and what is wrong.
    fn validate(&self) -> Result<(), (&'static str, &'static str, String)> {
        self.tftp
            .validate()
            .map_err(|error| ("tftp", error.key, error.problem))?;
        self.upstream
            .validate()
            .map_err(|(key, problem)| ("upstream", key, problem))?;
        self.http
            .validate()
            .map_err(|error| ("http", error.key, error.problem))?;
        self.kernel
            .validate()
            .map_err(|(key, problem)| ("kernel", key, problem))?;
        self.register
            .validate()
            .map_err(|(key, problem)| ("register", key, problem))?;
        self.journal
            .validate()
            .map_err(|(key, problem)| ("journal", key, problem))?;
        if self.kernel.tid_ports.overlaps(self.tftp.port_range) {
            let problem = format!(
                "{} overlaps with tftp.port_range, {}: a transfer must be either the kernel's or \
                 a socket's",
                self.kernel.tid_ports, self.tftp.port_range
            );
            return Err(("kernel", "tid_ports", problem));
        }
        self.web
            .validate()
            .map_err(|(key, problem)| ("web", key, problem))?;
        self.control
            .validate()
            .map_err(|(key, problem)| ("control", key, problem))?;
        self.log
            .validate()
            .map_err(|(key, problem)| ("log", key, problem))
    }

    /// Every path of every section, by its key.
    fn paths(&mut self) -> [(&'static str, &mut PathBuf); 12] {
        [
            ("content.root", &mut self.content.root),
            ("content.templates", &mut self.content.templates),
            ("inventory.database", &mut self.inventory.database),
            ("control.socket", &mut self.control.socket),
            ("http.tls.certificate", &mut self.http.tls.certificate),
            ("http.tls.key", &mut self.http.tls.key),
            (
                "register.sip.tls.certificate",
                &mut self.register.sip.tls.certificate,
            ),
            ("register.sip.tls.key", &mut self.register.sip.tls.key),
            ("register.database", &mut self.register.database),
            ("journal.database", &mut self.journal.database),
            ("log.file", &mut self.log.file),
            ("web.password_file", &mut self.web.password_file),
        ]
    }

    fn resolve_paths(&mut self, directory: &Path) {
        for (key, path) in self.paths() {
            // Empty is beside the inventory, standard error, or none.
            let may_be_empty = matches!(
                key,
                "register.database" | "journal.database" | "log.file" | "web.password_file"
            );
            if !may_be_empty || !path.as_os_str().is_empty() {
                *path = directory.join(&*path);
            }
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{}: cannot read the configuration: {source}; {}", file.display(), read_advice(source))]
    Read { file: PathBuf, source: io::Error },
    #[error("{0}")]
    Invalid(Box<Fault>),
}

fn read_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "name the file with --config, or begin with the commented tftp-edge.toml that comes \
             with the program"
        }
        io::ErrorKind::PermissionDenied => "run as the user the file belongs to",
        io::ErrorKind::InvalidData => "save it as UTF-8",
        _ => "check the path",
    }
}
