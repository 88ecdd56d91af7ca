//! The `[web]` table of the configuration file, and the password it names.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::session::Password;
use crate::access::Access;
use crate::ops::exit::Exit;

/// A shorter password is guessed.
const PASSWORD_MIN: usize = 12;
/// A longer file is not a password.
const PASSWORD_FILE_MAX: u64 = 4096;

/// `[web]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub enabled: bool,
    pub address: SocketAddr,
    /// Networks that may see the page, beside this host.
    pub allow: Access,
    /// Host names of the page, beside those of this host.
    pub names: Vec<String>,
    /// Empty: there is no password, and nothing can be changed.
    pub password_file: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            address: (Ipv4Addr::LOCALHOST, 9467).into(),
            allow: Access::from_nets(Vec::new()),
            names: Vec::new(),
            password_file: PathBuf::new(),
        }
    }
}

/// Why there is no password to check others against.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("web.password_file: {}: {source}; name a file that the daemon's user can read", file.display())]
    Read { file: PathBuf, source: io::Error },
    #[error(
        "web.password_file: {}: everybody on this host can read or change it (mode {mode:03o}); run: chmod o= {}",
        file.display(), file.display()
    )]
    Exposed { file: PathBuf, mode: u32 },
    #[error(
        "web.password_file: {}: the first line has {len} characters; write a password of at least {PASSWORD_MIN}",
        file.display()
    )]
    Short { file: PathBuf, len: usize },
}

impl PasswordError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Read { source, .. } => Exit::of_io(source),
            Self::Exposed { .. } | Self::Short { .. } => Exit::Config,
        }
    }
}

impl Settings {
    /// The first key whose value cannot be used, and why.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        match self
            .names
            .iter()
            .find(|name| name.is_empty() || !name.bytes().all(is_fit))
        {
            Some(name) => Err((
                "names",
                format!(
                    "{name:?} is no host name; write it without scheme and port, as in \
                     \"edge.example.net\""
                ),
            )),
            None => Ok(()),
        }
    }

    /// None if there is no such file by the settings.
    pub fn password(&self) -> Result<Option<Password>, PasswordError> {
        if !self.enabled || self.password_file.as_os_str().is_empty() {
            return Ok(None);
        }
        let file = &self.password_file;
        let (text, mode) = read(file).map_err(|source| PasswordError::Read {
            file: file.clone(),
            source,
        })?;
        if mode & 0o007 != 0 {
            let file = file.clone();
            return Err(PasswordError::Exposed { file, mode });
        }
        let first = text.lines().next().unwrap_or_default();
        let len = first.chars().count();
        if len < PASSWORD_MIN {
            let file = file.clone();
            return Err(PasswordError::Short { file, len });
        }
        Ok(Some(Password::new(first)))
    }
}

/// The text of a file, and who may do what with it.
fn read(path: &Path) -> io::Result<(String, u32)> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    let mut text = String::new();
    file.take(PASSWORD_FILE_MAX).read_to_string(&mut text)?;
    Ok((text, mode))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_password_is_long_enough_and_not_for_everybody() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        assert!(settings.password().unwrap().is_none());
        settings.password_file = folder.path().join("password");
        let error = settings.password().unwrap_err();
        assert!(error.to_string().starts_with("web.password_file: "));

        let set = |text: &str, mode| {
            fs::write(&settings.password_file, text).unwrap();
            let permissions = fs::Permissions::from_mode(mode);
            fs::set_permissions(&settings.password_file, permissions).unwrap();
            settings.password()
        };
        let error = set("correct horse battery\n", 0o644).unwrap_err();
        assert!(error.to_string().contains("(mode 644); run: chmod o= /"));
        assert_eq!(error.exit(), Exit::Config);
        let error = set("short\nand more on the next line\n", 0o640).unwrap_err();
        assert!(error.to_string().contains("has 5 characters"), "{error}");
        let password = set("correct horse battery\nnot this\n", 0o640).unwrap();
        let password = password.unwrap();
        assert!(password.is("correct horse battery"));
        assert!(!password.is("correct horse battery\n") && !password.is(""));
        assert!(!format!("{password:?}").contains("horse"));

        settings.enabled = false;
        assert!(settings.password().unwrap().is_none());
    }

    #[test]
    fn a_name_is_a_host_and_nothing_else() {
        let mut settings = Settings {
            names: vec!["edge.example.net".to_owned()],
            ..Settings::default()
        };
        assert!(settings.validate().is_ok());
        settings.names.push("https://edge:9467/".to_owned());
        let (key, problem) = settings.validate().unwrap_err();
        assert_eq!(key, "names");
        assert!(problem.contains("without scheme and port"), "{problem}");
    }
}
