//! The `[http]` section of the configuration.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::server::load;
use crate::access::Access;
use crate::tls::TlsError;

/// Where phones look for HTTP, and for HTTPS.
const PORT: u16 = 6970;
const TLS_PORT: u16 = 6971;

/// How the daemon serves HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub enabled: bool,
    /// Addresses and ports connections are taken on. `[::]` takes IPv6 alone, so that IPv4 has its
    /// own entry. An address that does not exist yet is waited for.
    pub listen: Vec<SocketAddr>,
    /// Connections at one time, HTTPS included. Whoever comes on top of them gets a 503, which
    /// sends a phone to TFTP.
    pub max_connections: usize,
    /// Of these, how many one source may have: an IPv4 address or an IPv6 /64. A whole site may be
    /// behind one address.
    pub max_connections_per_source: usize,
    /// How long a connection may take to send a request, and may be idle before it sends the next.
    pub request_timeout_s: u64,
    /// How long a client may take nothing, or next to nothing, of what is sent to it.
    pub write_timeout_s: u64,
    /// Who may read `ConfigFileCacheList.txt`, the names of all configurations. Nobody, unless it
    /// is needed: it is what tools that collect passwords from configurations begin with.
    pub config_list_allow: Access,
    pub tls: TlsSettings,
}

/// HTTPS, with a certificate of the operator's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    pub enabled: bool,
    pub listen: Vec<SocketAddr>,
    /// PEM: the server's certificate first, then those that lead to the root.
    pub certificate: PathBuf,
    /// PEM: PKCS#8, SEC1 or PKCS#1, without a passphrase.
    pub key: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: everywhere(PORT),
            max_connections: 4_096,
            max_connections_per_source: 2_048,
            request_timeout_s: 15,
            write_timeout_s: 60,
            config_list_allow: Access::from_nets(Vec::new()),
            tls: TlsSettings::default(),
        }
    }
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            listen: everywhere(TLS_PORT),
            certificate: "/etc/tftp-edge/certificate.pem".into(),
            key: "/etc/tftp-edge/key.pem".into(),
        }
    }
}

fn everywhere(port: u16) -> Vec<SocketAddr> {
    vec![
        (Ipv4Addr::UNSPECIFIED, port).into(),
        (Ipv6Addr::UNSPECIFIED, port).into(),
    ]
}

/// A value that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct SettingsError {
    /// The key inside the section, with dots.
    pub key: &'static str,
    pub problem: String,
}

impl Settings {
    /// Names the first key whose value cannot be used.
    pub fn validate(&self) -> Result<(), SettingsError> {
        for (listen, key, example) in [
            (&self.listen, "listen", "0.0.0.0:6970"),
            (&self.tls.listen, "tls.listen", "0.0.0.0:6971"),
        ] {
            check(!listen.is_empty(), key, || {
                format!("needs at least one address, for example \"{example}\"")
            })?;
        }
        check(self.max_connections > 0, "max_connections", || {
            "must be at least 1; enabled = false switches HTTP off".into()
        })?;
        check(
            self.max_connections_per_source > 0,
            "max_connections_per_source",
            || "must be at least 1".into(),
        )?;
        for (seconds, key) in [
            (self.request_timeout_s, "request_timeout_s"),
            (self.write_timeout_s, "write_timeout_s"),
        ] {
            check((1..=3600).contains(&seconds), key, || {
                format!("{seconds} is not from 1 to 3600 seconds")
            })?;
        }
        let twice = |address: &&SocketAddr| {
            address.port() != 0 && self.tls.enabled && self.listen.contains(address)
        };
        match self.tls.listen.iter().find(twice) {
            Some(address) => Err(SettingsError {
                key: "tls.listen",
                problem: format!("{address} is in http.listen too: HTTPS needs a port of its own"),
            }),
            None => Ok(()),
        }
    }

    /// Whether the certificate can be used, where HTTPS is wanted.
    pub(crate) fn try_certificate(&self) -> Result<(), TlsError> {
        load(self).map(|_| ())
    }

    pub(super) fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_s)
    }

    pub(super) fn write_timeout(&self) -> Duration {
        Duration::from_secs(self.write_timeout_s)
    }
}

fn check(
    ok: bool,
    key: &'static str,
    problem: impl FnOnce() -> String,
) -> Result<(), SettingsError> {
    if ok {
        return Ok(());
    }
    Err(SettingsError {
        key,
        problem: problem(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_what_an_empty_table_means() {
        assert_eq!(Settings::default().validate(), Ok(()));
        assert_eq!(toml::from_str::<Settings>("").unwrap(), Settings::default());
    }

    #[test]
    fn a_bad_value_is_named_by_its_key() {
        for (toml, key) in [
            ("listen = []", "listen"),
            ("[tls]\nlisten = []", "tls.listen"),
            ("max_connections = 0", "max_connections"),
            (
                "max_connections_per_source = 0",
                "max_connections_per_source",
            ),
            ("request_timeout_s = 0", "request_timeout_s"),
            ("write_timeout_s = 3601", "write_timeout_s"),
            (
                "[tls]\nenabled = true\nlisten = [\"0.0.0.0:6970\"]",
                "tls.listen",
            ),
        ] {
            let settings: Settings = toml::from_str(toml).unwrap();
            assert_eq!(settings.validate().unwrap_err().key, key, "{toml}");
        }
    }

    #[test]
    fn nobody_may_list_the_configurations_unless_told_so() {
        let nobody = Settings::default().config_list_allow;
        assert!(!nobody.allows([127, 0, 0, 1].into()));
    }
}
