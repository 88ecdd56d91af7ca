//! The `[register.sip]` table of the configuration.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;

use super::digest::{Algorithm, Parameters};
use super::server::{TcpSettings, TlsSettings, UdpSettings, load};
use crate::tls::TlsError;

/// How phones register over SIP.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub enabled: bool,
    /// Addresses and ports phones register at. An address that does not exist yet is waited for.
    pub listen: Vec<SocketAddr>,
    /// DSCP of everything sent.
    pub dscp: u8,
    pub udp: UdpSettings,
    pub tcp: TcpSettings,
    pub tls: TlsSettings,
    /// Whether a REGISTER is answered with 100 before its answer. That comes at once, so a 100 tells
    /// a phone nothing; and over UDP RFC 4320 forbids it.
    pub trying: bool,
    pub digest: DigestSettings,
    pub expires: ExpiresSettings,
}

/// Who has to prove what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequireDigest {
    /// Every line. One without a password cannot register.
    #[default]
    Always,
    /// Lines that have a password, or whose device has one on its first line.
    LinesWithSecret,
    Never,
}

/// Passwords.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DigestSettings {
    pub require: RequireDigest,
    pub realm: String,
    /// In the order in which phones are offered them; old ones take the first, and know MD5 alone.
    pub algorithms: Vec<Algorithm>,
    /// Whether phones may answer in the style of RFC 2069, without counting. Each such answer needs
    /// a nonce of its own.
    pub without_qop: bool,
    /// How long a nonce serves, for as many requests as the phone counts.
    pub nonce_lifetime_s: u32,
    /// Nonces in use that are remembered, so that none is used twice. Of those forgotten, phones are
    /// asked again.
    pub nonces: usize,
}

/// For how long a registration holds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExpiresSettings {
    /// Less is refused with 423.
    pub min_s: u32,
    /// More is cut to this.
    pub max_s: u32,
    /// Up to so much is taken off at random, so that phones that came at once do not come back at
    /// once.
    pub cut_percent: u32,
}

/// Phones refresh 5 seconds early, and leave again if that is before a minute is over.
const SHORTEST_S: u32 = 65;
const LONGEST_S: u32 = 24 * 3600;

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: vec![
                (Ipv4Addr::UNSPECIFIED, 5060).into(),
                (Ipv6Addr::UNSPECIFIED, 5060).into(),
            ],
            dscp: 24,
            udp: UdpSettings::default(),
            tcp: TcpSettings::default(),
            tls: TlsSettings::default(),
            trying: false,
            digest: DigestSettings::default(),
            expires: ExpiresSettings::default(),
        }
    }
}

impl Default for DigestSettings {
    fn default() -> Self {
        Self {
            require: RequireDigest::Always,
            realm: "ccmsipline".to_owned(),
            algorithms: vec![Algorithm::Md5, Algorithm::Sha256],
            without_qop: true,
            nonce_lifetime_s: 1800,
            nonces: 131_072,
        }
    }
}

impl Default for ExpiresSettings {
    fn default() -> Self {
        Self {
            min_s: SHORTEST_S,
            max_s: 120,
            cut_percent: 30,
        }
    }
}

impl Settings {
    /// Names the first key whose value cannot be used, and why.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        if self.listen.is_empty() {
            let problem = "needs at least one address, for example \"0.0.0.0:5060\"";
            return Err(("sip.listen", problem.to_owned()));
        }
        if self.dscp > 63 {
            let problem = format!("{} is not a DSCP, which is from 0 to 63", self.dscp);
            return Err(("sip.dscp", problem));
        }
        self.udp.validate()?;
        self.tcp.validate()?;
        self.tls.validate(&self.listen)?;
        self.digest.validate()?;
        self.expires.validate()
    }
}

impl Settings {
    /// Whether the certificate can be used, where TLS is wanted.
    pub(crate) fn try_certificate(&self) -> Result<(), TlsError> {
        load(self).map(|_| ())
    }
}

impl DigestSettings {
    fn validate(&self) -> Result<(), (&'static str, String)> {
        let is_plain = |text: &str| {
            let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"\\".contains(&byte);
            !text.is_empty() && text.len() <= 64 && text.bytes().all(plain)
        };
        if !is_plain(&self.realm) {
            let problem = "must be 1 to 64 visible ASCII characters without spaces and quotes, \
                           for example \"ccmsipline\"";
            return Err(("sip.digest.realm", problem.to_owned()));
        }
        let is_twice = |it: &Algorithm| self.algorithms.iter().filter(|&all| all == it).count() > 1;
        if self.algorithms.is_empty() || self.algorithms.iter().any(is_twice) {
            let problem = "must name \"md5\", \"sha-256\", or both, each once";
            return Err(("sip.digest.algorithms", problem.to_owned()));
        }
        if !(10..=LONGEST_S).contains(&self.nonce_lifetime_s) {
            let problem = format!("must be from 10 to {LONGEST_S}");
            return Err(("sip.digest.nonce_lifetime_s", problem));
        }
        if !(1024..=16_777_216).contains(&self.nonces) {
            let problem = "must be from 1024 to 16777216; twice the number of phones is enough";
            return Err(("sip.digest.nonces", problem.to_owned()));
        }
        Ok(())
    }

    pub(super) fn parameters(&self) -> Parameters {
        Parameters {
            realm: self.realm.as_str().into(),
            algorithms: self.algorithms.clone(),
            accepts_no_qop: self.without_qop,
            nonce_lifetime: Duration::from_secs(self.nonce_lifetime_s.into()),
            nonces: self.nonces,
        }
    }
}

impl ExpiresSettings {
    fn validate(&self) -> Result<(), (&'static str, String)> {
        if !(SHORTEST_S..=LONGEST_S).contains(&self.min_s) {
            let problem = format!(
                "must be from {SHORTEST_S} to {LONGEST_S}: a phone that is granted less unregisters"
            );
            return Err(("sip.expires.min_s", problem));
        }
        if !(self.min_s..=LONGEST_S).contains(&self.max_s) {
            let problem = format!(
                "must be from sip.expires.min_s, {}, to {LONGEST_S}",
                self.min_s
            );
            return Err(("sip.expires.max_s", problem));
        }
        if self.cut_percent > 90 {
            let problem = "must be from 0 to 90".to_owned();
            return Err(("sip.expires.cut_percent", problem));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Settings)) -> &'static str {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.validate().unwrap_err().0
    }

    #[test]
    fn values_that_cannot_be_used_are_refused_by_their_key() {
        assert_eq!(Settings::default().validate(), Ok(()));
        assert_eq!(refused(|it| it.listen.clear()), "sip.listen");
        for realm in ["", "a \"b\"", "two words", "back\\slash"] {
            assert_eq!(
                refused(|it| it.digest.realm = realm.into()),
                "sip.digest.realm"
            );
        }
        let twice = || vec![Algorithm::Md5, Algorithm::Md5];
        for algorithms in [Vec::new(), twice()] {
            let key = refused(|it| it.digest.algorithms = algorithms);
            assert_eq!(key, "sip.digest.algorithms");
        }
        let lifetime = refused(|it| it.digest.nonce_lifetime_s = 9);
        assert_eq!(lifetime, "sip.digest.nonce_lifetime_s");
        assert_eq!(refused(|it| it.digest.nonces = 1), "sip.digest.nonces");
        assert_eq!(refused(|it| it.expires.min_s = 64), "sip.expires.min_s");
        assert_eq!(refused(|it| it.expires.max_s = 64), "sip.expires.max_s");
        assert_eq!(
            refused(|it| it.expires.cut_percent = 91),
            "sip.expires.cut_percent"
        );
    }

    #[test]
    fn values_are_written_as_the_documentation_has_them() {
        let text = "[digest]\nrequire = \"lines_with_secret\"\n\
                    algorithms = [\"sha-256\", \"md5\"]";
        let settings: Settings = toml::from_str(text).unwrap();
        assert_eq!(settings.digest.require, RequireDigest::LinesWithSecret);
        assert_eq!(
            settings.digest.algorithms,
            [Algorithm::Sha256, Algorithm::Md5]
        );
    }
}
