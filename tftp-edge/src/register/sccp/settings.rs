//! The `[register.sccp]` table of the configuration.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;

use super::wire::VERSIONS;

/// Keepalive intervals without a sign of life after which a phone is gone (chan-sccp).
pub(super) const LOST_AFTER: f64 = 1.2;

/// How phones register over SCCP.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub enabled: bool,
    /// Addresses and ports phones register at. `[::]` takes IPv6 alone, so that IPv4 has its own
    /// entry. An address that does not exist yet is waited for.
    pub listen: Vec<SocketAddr>,
    /// Threads that serve the connections.
    pub threads: usize,
    /// Marks what is sent: 24 is CS3, call signalling.
    pub dscp: u8,
    /// Connections at one time: each phone has one.
    pub max_connections: usize,
    /// Of these, how many one source may have: an IPv4 address or an IPv6 /64. A whole site may be
    /// behind one address.
    pub max_connections_per_source: usize,
    /// Seconds between a phone's keepalives. Each phone gets between three quarters of it and all
    /// of it, so that they do not come together.
    pub keepalive_s: u32,
    /// The same to a phone's other servers.
    pub secondary_keepalive_s: u32,
    /// A phone has left when nothing came for 1.2 times its interval and this.
    pub keepalive_grace_s: u32,
    /// How long a connection may be there without a phone that registers.
    pub register_timeout_s: u32,
    /// How long a message may take to arrive.
    pub message_timeout_s: u32,
    /// How long a phone may take nothing of what is sent to it.
    pub write_timeout_s: u32,
    /// How long a registered phone may take to tell its codecs.
    pub capabilities_timeout_s: u32,
    /// In a storm, how long a phone may be kept waiting for its answer until it is its turn. One that
    /// would have to wait longer is rejected.
    pub hold_s: u32,
    /// The shortest time a phone on its second server is told to stay there.
    pub token_wait_min_s: u32,
    /// The oldest version of the protocol that is taken.
    pub min_version: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: vec![
                (Ipv4Addr::UNSPECIFIED, 2000).into(),
                (Ipv6Addr::UNSPECIFIED, 2000).into(),
            ],
            threads: 2,
            dscp: 24,
            max_connections: 50_000,
            max_connections_per_source: 20_000,
            keepalive_s: 30,
            secondary_keepalive_s: 60,
            keepalive_grace_s: 5,
            register_timeout_s: 30,
            message_timeout_s: 10,
            write_timeout_s: 10,
            capabilities_timeout_s: 30,
            hold_s: 20,
            token_wait_min_s: 30,
            min_version: VERSIONS[0],
        }
    }
}

impl Settings {
    /// Names the first key whose value cannot be used, and why.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        if self.listen.is_empty() {
            let problem = "needs at least one address, for example \"0.0.0.0:2000\"";
            return Err(("sccp.listen", problem.to_owned()));
        }
        check("sccp.threads", self.threads, 1..=256)?;
        check("sccp.dscp", self.dscp, 0..=63)?;
        check("sccp.max_connections", self.max_connections, 1..=1_000_000)?;
        check(
            "sccp.max_connections_per_source",
            self.max_connections_per_source,
            1..=1_000_000,
        )?;
        // Phones take no interval below ten seconds for long: their acknowledgements are slower.
        check("sccp.keepalive_s", self.keepalive_s, 10..=3600)?;
        check(
            "sccp.secondary_keepalive_s",
            self.secondary_keepalive_s,
            10..=3600,
        )?;
        check("sccp.keepalive_grace_s", self.keepalive_grace_s, 0..=600)?;
        check("sccp.register_timeout_s", self.register_timeout_s, 1..=600)?;
        check("sccp.message_timeout_s", self.message_timeout_s, 1..=600)?;
        check("sccp.write_timeout_s", self.write_timeout_s, 1..=600)?;
        check(
            "sccp.capabilities_timeout_s",
            self.capabilities_timeout_s,
            1..=600,
        )?;
        check("sccp.hold_s", self.hold_s, 0..=60)?;
        check("sccp.token_wait_min_s", self.token_wait_min_s, 1..=3600)?;
        check("sccp.min_version", self.min_version, 3..=22)
    }

    /// After how long in silence a phone with the longest interval has certainly left.
    pub(super) fn lost_after(&self) -> Duration {
        seconds(self.keepalive_s).mul_f64(LOST_AFTER) + seconds(self.keepalive_grace_s)
    }

    pub(super) fn write_timeout(&self) -> Duration {
        seconds(self.write_timeout_s)
    }
}

pub(super) fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

fn check<N: PartialOrd + std::fmt::Display>(
    key: &'static str,
    value: N,
    range: RangeInclusive<N>,
) -> Result<(), (&'static str, String)> {
    if range.contains(&value) {
        return Ok(());
    }
    let (first, last) = range.into_inner();
    Err((key, format!("{value} is not from {first} to {last}")))
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
            ("listen = []", "sccp.listen"),
            ("threads = 0", "sccp.threads"),
            ("dscp = 64", "sccp.dscp"),
            ("max_connections = 0", "sccp.max_connections"),
            (
                "max_connections_per_source = 0",
                "sccp.max_connections_per_source",
            ),
            ("keepalive_s = 9", "sccp.keepalive_s"),
            ("secondary_keepalive_s = 3601", "sccp.secondary_keepalive_s"),
            ("keepalive_grace_s = 601", "sccp.keepalive_grace_s"),
            ("register_timeout_s = 0", "sccp.register_timeout_s"),
            ("message_timeout_s = 0", "sccp.message_timeout_s"),
            ("write_timeout_s = 0", "sccp.write_timeout_s"),
            ("capabilities_timeout_s = 0", "sccp.capabilities_timeout_s"),
            ("token_wait_min_s = 0", "sccp.token_wait_min_s"),
            ("min_version = 2", "sccp.min_version"),
        ] {
            let settings: Settings = toml::from_str(toml).unwrap();
            assert_eq!(settings.validate().unwrap_err().0, key, "{toml}");
        }
    }
}
