//! The configuration: a TOML file and the fragments in `conf.d` beside it, one section for each
//! module, every key optional.
//!
//! A fragment's value goes before that of the file, and before those of fragments whose names are
//! earlier ([`fragments`]). Relative paths are resolved against the directory of the file that sets
//! them, not the working directory, so that a configuration means the same whoever reads it. An
//! unknown key is an error: a misspelt key that is ignored is a setting that silently does not hold.

mod changes;
pub mod command;
mod exposure;
mod fault;
pub mod fragments;
mod keys;
mod live;
#[cfg(test)]
mod reference;
mod shown;
mod warnings;
mod written;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use toml::Spanned;

pub use self::changes::{Changed, changed};
pub use self::fault::Fault;
pub use self::keys::{Effect, effect};
pub use self::live::LiveConfig;
pub use self::shown::{HIDDEN, Key, SHIPPED, Section};
pub use self::warnings::warnings;
pub use self::written::{Place, Written};
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
    /// What was read; nothing of a default.
    #[serde(skip)]
    pub written: Arc<Written>,
    /// The same for people.
    #[serde(skip)]
    pub shown: Arc<Shown>,
}

/// Where the configuration is, and all settings as they are in force.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Shown {
    pub file: PathBuf,
    /// All that were read, in the order in which they count.
    pub files: Vec<PathBuf>,
    pub sections: Vec<Section>,
}

/// `[access]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessSettings {
    pub allow: Access,
}

impl Config {
    /// Reads and checks a file and its fragments.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let file = std::path::absolute(file).map_err(|source| ConfigError::Read {
            file: file.to_owned(),
            source,
        })?;
        Self::checked(Arc::new(Written::new(fragments::read(&file)?)?))
    }

    /// Tries the files that the settings name and that the daemon reads at its start and with a
    /// reload.
    pub fn try_files(&self) -> Result<(), Box<Fault>> {
        let fault = |key: &str, problem: String| {
            let problem = problem.strip_prefix(key).unwrap_or(&problem);
            let problem = problem.trim_start_matches([':', ' ']).to_owned();
            Box::new(Fault::of_key(&self.written, key, problem))
        };
        let sip = &self.register.sip;
        let is_registrar = self.register.mode == register::Mode::Registrar;
        let http = self.http.try_certificate();
        let sip = match is_registrar && sip.enabled {
            true => sip.try_certificate(),
            false => Ok(()),
        };
        http.and(sip)
            .map_err(|error| fault(&error.key(), error.to_string()))?;
        let password = self.web.password();
        password.map_err(|error| fault("web.password_file", error.to_string()))?;
        Ok(())
    }

    /// The same settings, where keys that need a restart are as they were in `started`.
    pub fn keeping(&self, started: &Self) -> Result<Self, ConfigError> {
        Self::checked(Arc::new(self.written.keeping(&started.written)))
    }

    fn checked(written: Arc<Written>) -> Result<Self, ConfigError> {
        let mut config = Self::of(written)?;
        config.resolve_paths();
        let invalid = |section: &str, key: &str, problem| {
            let fault = Fault::of_value(&config.written, section, key, problem);
            ConfigError::Invalid(Box::new(fault))
        };
        config
            .validate()
            .map_err(|(section, key, problem)| invalid(section, key, problem))?;
        let files: Vec<_> = config.written.files().collect();
        if let Some(((section, key), problem)) = exposure::find(&config, &files) {
            return Err(invalid(section, key, problem));
        }
        let shown = Shown {
            file: files
                .first()
                .map_or_else(PathBuf::new, |it| (*it).to_owned()),
            files: files.into_iter().map(Path::to_owned).collect(),
            sections: shown::sections(&config),
        };
        config.shown = Arc::new(shown);
        Ok(config)
    }

    /// Reads a text as if it were in `file`; paths stay as they are written.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let written = Written::new([(file.to_owned(), text.to_owned())])?;
        let config = Self::of(Arc::new(written))?;
        Ok(Self {
            written: Arc::default(),
            ..config
        })
    }

    fn of(written: Arc<Written>) -> Result<Self, ConfigError> {
        let table = Spanned::new(0..0, written.table());
        let parsed = Self::deserialize(toml::Deserializer::from(table));
        let parsed = parsed.map_err(|error| Fault::of_type(&written, &error));
        let mut config = parsed.map_err(Box::new)?;
        config.written = written;
        Ok(config)
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

    fn resolve_paths(&mut self) {
        let written = Arc::clone(&self.written);
        for (key, path) in self.paths() {
            let steps: Vec<_> = key.split('.').collect();
            // Empty is beside the inventory, standard error, or none.
            let may_be_empty = matches!(
                key,
                "register.database" | "journal.database" | "log.file" | "web.password_file"
            );
            if (!may_be_empty || !path.as_os_str().is_empty())
                && let Some(folder) = written.folder_of(&steps)
            {
                *path = folder.join(&*path);
            }
        }
    }
}

/// Where the daemon of a configuration answers, whatever else is wrong with it.
pub fn control_socket(file: &Path) -> PathBuf {
    let set = || {
        let file = std::path::absolute(file).ok()?;
        let written = Written::unchecked(fragments::read(&file).ok()?);
        let folder = written.folder_of(&["control", "socket"])?;
        let values = written.values();
        let socket = values.get("control")?.get("socket")?.as_str()?;
        Some(folder.join(socket))
    };
    set().unwrap_or_else(|| control::Settings::default().socket)
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{}: cannot read the configuration: {source}; {}", file.display(), read_advice(file, source))]
    Read { file: PathBuf, source: io::Error },
    #[error(
        "{}: cannot read the folder of fragments: {source}; {}",
        folder.display(),
        folder_advice(source)
    )]
    Folder { folder: PathBuf, source: io::Error },
    #[error("{}: {count} fragments are too many; join some of them", folder.display())]
    TooMany { folder: PathBuf, count: usize },
    #[error(
        "{}: this is no file; move it away, or rename it so that it does not end in .toml",
        .0.display()
    )]
    NoFile(PathBuf),
    #[error(transparent)]
    Invalid(#[from] Box<Fault>),
}

fn folder_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "let the daemon's user list it",
        _ => "make it a folder, or move it away",
    }
}

fn read_advice(file: &Path, error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound if file.is_symlink() => {
            "the link leads nowhere: put its file there, or remove the link"
        }
        io::ErrorKind::NotFound => {
            "name the file with --config, or begin with the commented tftp-edge.toml that comes \
             with the program"
        }
        io::ErrorKind::PermissionDenied => "run as the user the file belongs to",
        io::ErrorKind::InvalidData => "save it as UTF-8",
        _ => "check the path",
    }
}
