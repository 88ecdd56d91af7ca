//! The servers that certificates come from and are asked about, and the way in from outside.

use super::super::text;
use super::values::{flag, list_of, number};
use super::{MAX_NAME, MAX_URL};

/// The most VPN gateways and the most hashes of their certificates.
const MAX_GATEWAYS: usize = 3;
const MAX_HASHES: usize = 10;

/// A host and the port of one service on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    pub host: String,
    pub port: u16,
}

impl HostPort {
    /// Parses `HOST[/port=NUMBER]`.
    pub(super) fn parse(text: &str, default: u16) -> Result<Self, String> {
        let (host, port) = match text.split_once('/') {
            Some((host, port)) => (host.trim(), Some(port.trim())),
            None => (text, None),
        };
        let port = match port.map(|port| port.split_once('=')) {
            None => default,
            Some(Some(("port", port))) => text::port(port)?,
            Some(_) => return Err(format!("{text:?} has more than /port=")),
        };
        Ok(Self {
            host: text::host(host, MAX_NAME)?,
            port,
        })
    }

    pub(super) fn to_text(&self, default: u16) -> String {
        match self.port {
            port if port == default => self.host.clone(),
            port => format!("{}/port={port}", self.host),
        }
    }
}

/// How a phone proves who it is when it asks for a certificate: `capfAuthMode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CapfAuth {
    /// It is not to ask.
    #[default]
    Off,
    Password,
    Null,
    /// By the certificate it has, else by the one it was made with.
    Certificate,
    /// By the one it was made with.
    ManufacturerCertificate,
}

impl CapfAuth {
    const ALL: [(Self, &str, &str); 5] = [
        (Self::Off, "off", "0"),
        (Self::Password, "password", "1"),
        (Self::Null, "null", "2"),
        (Self::Certificate, "lsc", "3"),
        (Self::ManufacturerCertificate, "mic", "4"),
    ];

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|(_, name, _)| *name == text);
        let known = known.ok_or_else(|| format!("{text:?} is no way to authenticate"))?;
        Ok(known.0)
    }

    pub(super) fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(mode, ..)| *mode == self)
            .map_or("off", |(_, name, _)| name)
    }

    /// As the configuration has it.
    pub fn number(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(mode, ..)| *mode == self)
            .map_or("0", |(_, _, number)| number)
    }
}

/// How a phone outside reaches the servers; nothing if it has no gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vpn {
    /// `https://…` of the gateways, in the order phones try them.
    pub urls: Vec<String>,
    /// Base64 of the SHA-1 of the gateways' certificates, in DER.
    pub cert_hashes: Vec<String>,
    pub auth: VpnAuth,
    pub mtu: u32,
    /// Seconds until a gateway that does not answer is given up.
    pub connect_timeout_s: u32,
    /// Whether the phone keeps the user's password.
    pub keep_password: bool,
    /// Whether the phone tries without a VPN first.
    pub auto_detect: bool,
    /// Whether the name in the certificate must be the host's.
    pub check_host: bool,
}

impl Default for Vpn {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            cert_hashes: Vec::new(),
            auth: VpnAuth::default(),
            mtu: 1290,
            connect_timeout_s: 30,
            keep_password: true,
            auto_detect: true,
            check_host: false,
        }
    }
}

/// `authMethod` of a VPN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VpnAuth {
    #[default]
    UserAndPassword,
    Password,
    Certificate,
}

impl VpnAuth {
    const ALL: [(Self, &str, &str); 3] = [
        (Self::UserAndPassword, "user", "0"),
        (Self::Password, "password", "1"),
        (Self::Certificate, "certificate", "2"),
    ];

    /// As the configuration has it.
    pub fn number(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(auth, ..)| *auth == self)
            .map_or("0", |(_, _, number)| number)
    }

    fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(auth, ..)| *auth == self)
            .map_or("user", |(_, name, _)| name)
    }
}

impl Vpn {
    /// Sets a key that begins with `vpn_`.
    pub(super) fn apply(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "vpn_urls" => self.urls = list_of(value, MAX_GATEWAYS, gateway)?,
            "vpn_cert_hashes" => self.cert_hashes = list_of(value, MAX_HASHES, hash)?,
            "vpn_auth" => {
                let known = VpnAuth::ALL.iter().find(|(_, name, _)| *name == value);
                self.auth = known
                    .ok_or_else(|| format!("{value:?} is no way to log in"))?
                    .0;
            }
            "vpn_mtu" => self.mtu = number(value, 256, 1406)?,
            "vpn_connect_timeout_s" => self.connect_timeout_s = number(value, 1, 600)?,
            "vpn_keep_password" => self.keep_password = flag(value)?,
            "vpn_auto_detect" => self.auto_detect = flag(value)?,
            "vpn_check_host" => self.check_host = flag(value)?,
            _ => unreachable!("every vpn_ key has an arm; a test holds this"),
        }
        Ok(())
    }

    /// The value of such a key, as [`Self::apply`] takes it.
    pub(super) fn get(&self, key: &str) -> String {
        match key {
            "vpn_urls" => self.urls.join(";"),
            "vpn_cert_hashes" => self.cert_hashes.join(";"),
            "vpn_auth" => self.auth.as_str().to_owned(),
            "vpn_mtu" => self.mtu.to_string(),
            "vpn_connect_timeout_s" => self.connect_timeout_s.to_string(),
            "vpn_keep_password" => self.keep_password.to_string(),
            "vpn_auto_detect" => self.auto_detect.to_string(),
            "vpn_check_host" => self.check_host.to_string(),
            _ => unreachable!("every vpn_ key has an arm; a test holds this"),
        }
    }
}

fn gateway(url: &str) -> Result<String, String> {
    if !url.starts_with("https://") {
        return Err(format!("{url:?} does not begin with https://"));
    }
    text::value(url, MAX_URL)
}

fn hash(text: &str) -> Result<String, String> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    // 20 bytes of SHA-1 or 64 of SHA-512.
    if !matches!(text.len(), 28 | 88) || !text.chars().all(known) {
        return Err(format!("{text:?} is no SHA-1 or SHA-512 in base64"));
    }
    Ok(text.to_owned())
}
