//! Which servers are asked, for what, and how much that may cost.

use std::fmt;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::str::FromStr;
use std::time::Duration;

use hyper::Uri;
use serde::{Deserialize, Deserializer, de};

use crate::budget::Rate;
use crate::content::ByteSize;

/// As many as CUCM's alternate TFTP servers.
pub const MAX_SERVERS: usize = 3;

/// Where CUCM's TFTP service answers over HTTP.
const HTTP_PORT: u16 = 6970;

/// The `[upstream]` table of the configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Asked in this order for what is not here; three at most. Without any, nothing is asked.
    pub servers: Vec<Server>,
    /// Names that are asked for, with `*` and `?`; case does not matter.
    pub names: Vec<String>,
    /// Names of those that are not.
    pub except: Vec<String>,
    /// How long what was fetched is served before it is asked for again, in seconds.
    pub lifetime_s: u64,
    /// How long a name that no server has counts as absent, in seconds.
    pub negative_lifetime_s: u64,
    /// How much longer than that an old version is served while no server answers, in seconds.
    pub stale_s: u64,
    /// How long a server may keep silent, in milliseconds.
    pub timeout_ms: u64,
    /// The largest file taken.
    pub max_file: ByteSize,
    /// The most memory for what was fetched; and as much again for what is being fetched.
    pub memory_limit: ByteSize,
    /// Fetches at one time.
    pub max_fetches: usize,
    pub budget: BudgetSettings,
}

/// How many names that turn out to be nowhere may be asked for: at once, and gained each second.
/// Over it, clients are met with silence (HTTP: 503).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetSettings {
    /// Of all clients together.
    pub burst: u32,
    pub per_second: u32,
    /// Of one source: an IPv4 address or an IPv6 /64.
    pub source_burst: u32,
    pub source_per_second: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            names: vec!["*".into()],
            except: Vec::new(),
            lifetime_s: 30 * 60,
            negative_lifetime_s: 60,
            stale_s: 24 * 60 * 60,
            timeout_ms: 3000,
            max_file: ByteSize(128 << 20),
            memory_limit: ByteSize(256 << 20),
            max_fetches: 32,
            budget: BudgetSettings::default(),
        }
    }
}

impl Default for BudgetSettings {
    fn default() -> Self {
        Self {
            burst: 10_000,
            per_second: 200,
            source_burst: 1000,
            source_per_second: 20,
        }
    }
}

impl BudgetSettings {
    pub(super) const fn overall(&self) -> Rate {
        Rate {
            burst: self.burst,
            per_second: self.per_second,
        }
    }

    pub(super) const fn of_source(&self) -> Rate {
        Rate {
            burst: self.source_burst,
            per_second: self.source_per_second,
        }
    }
}

impl Settings {
    pub(super) const fn lifetime(&self) -> Duration {
        Duration::from_secs(self.lifetime_s)
    }

    pub(super) const fn negative_lifetime(&self) -> Duration {
        Duration::from_secs(self.negative_lifetime_s)
    }

    pub(super) const fn stale(&self) -> Duration {
        Duration::from_secs(self.stale_s)
    }

    pub(super) const fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// Names the first key whose value cannot be used, and the problem.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        if self.servers.len() > MAX_SERVERS {
            let problem = format!(
                "{} servers; at most {MAX_SERVERS} can be asked, remove the others",
                self.servers.len()
            );
            return Err(("servers", problem));
        }
        for (at, server) in self.servers.iter().enumerate() {
            if self.servers[..at].contains(server) {
                return Err(("servers", format!("{server} is named twice; remove one")));
            }
        }
        for (key, patterns) in [("names", &self.names), ("except", &self.except)] {
            if let Some(pattern) = patterns.iter().find(|pattern| !pattern.is_ascii()) {
                let problem = format!("{pattern:?} can match no name: names are ASCII");
                return Err((key, problem));
            }
        }
        let most = 365 * 24 * 60 * 60;
        for (key, value, least, most) in [
            ("lifetime_s", self.lifetime_s, 1, most),
            ("negative_lifetime_s", self.negative_lifetime_s, 1, most),
            ("stale_s", self.stale_s, 0, most),
            ("timeout_ms", self.timeout_ms, 100, 60_000),
            ("max_fetches", self.max_fetches as u64, 1, 1024),
            ("max_file", self.max_file.0, 1, u32::MAX.into()),
            ("budget.burst", self.budget.burst.into(), 1, u64::MAX),
            (
                "budget.source_burst",
                self.budget.source_burst.into(),
                1,
                u64::MAX,
            ),
        ] {
            if value < least {
                return Err((key, format!("{value} is too little; at least {least}")));
            }
            if value > most {
                return Err((key, format!("{value} is too much; at most {most}")));
            }
        }
        if self.max_file > self.memory_limit {
            let problem = format!(
                "{} is more than upstream.memory_limit, {}: such a file could never be kept",
                self.max_file, self.memory_limit
            );
            return Err(("max_file", problem));
        }
        Ok(())
    }

    /// The first server that is one of our own listeners.
    pub fn ourselves(&self, listeners: &[(Protocol, SocketAddr)]) -> Option<Server> {
        let is_own = |server: &&Server| {
            listeners.iter().any(|&(protocol, listener)| {
                protocol == server.protocol
                    && listener.port() == server.address.port()
                    && is_reached(listener.ip(), server.address.ip())
            })
        };
        self.servers.iter().find(is_own).copied()
    }
}

/// Whether what is sent to `address` from this host comes to a socket bound to `listener`.
fn is_reached(listener: IpAddr, address: IpAddr) -> bool {
    listener == address
        || listener.is_unspecified()
            && listener.is_ipv4() == address.is_ipv4()
            // Only an address of this host can be bound.
            && UdpSocket::bind((address, 0)).is_ok()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    Http,
    Tftp,
}

impl Protocol {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tftp => "tftp",
        }
    }
}

/// A server that is asked: `http://ADDRESS[:PORT]` or `tftp://ADDRESS[:PORT]`. An address, as in
/// DHCP option 150: provisioning is not to hang on DNS, and who asks from there is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    pub protocol: Protocol,
    pub address: SocketAddr,
}

impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", self.protocol.as_str(), self.address)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no upstream server: {problem}; write as in \"http://10.1.1.10:6970\" or \
     \"tftp://10.1.1.11\""
)]
pub struct ServerError {
    text: String,
    problem: &'static str,
}

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Self, ServerError> {
        let wrong = |problem| ServerError {
            text: text.to_owned(),
            problem,
        };
        let uri: Uri = text.parse().map_err(|_| wrong("it is no URL"))?;
        let (protocol, default_port) = match uri.scheme_str() {
            Some("http") => (Protocol::Http, HTTP_PORT),
            Some("tftp") => (Protocol::Tftp, tftp_ebpf::wire::tftp::PORT),
            _ => return Err(wrong("it begins with neither http:// nor tftp://")),
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong("there is something behind the address"));
        }
        let authority = uri.authority().map_or("", |it| it.as_str());
        let host = uri.host().unwrap_or_default();
        if authority.contains('@') {
            return Err(wrong("users and passwords are not supported"));
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let ip: IpAddr = bare
            .parse()
            .map_err(|_| wrong("the host is no IP address, and names are not looked up"))?;
        if ip.is_unspecified() || ip.is_multicast() {
            return Err(wrong("no server can have that address"));
        }
        let port = match authority[host.len()..].strip_prefix(':') {
            None => default_port,
            Some(port) => port.parse().map_err(|_| wrong("the port is no number"))?,
        };
        if port == 0 {
            return Err(wrong("no server can have port 0"));
        }
        Ok(Self {
            protocol,
            address: (ip.to_canonical(), port).into(),
        })
    }
}

impl<'de> Deserialize<'de> for Server {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        // Not by way of a string: then the error would not know its place in the file.
        impl de::Visitor<'_> for Visitor {
            type Value = Server;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a server such as \"http://10.1.1.10\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Server, E> {
                text.parse().map_err(E::custom)
            }
        }
        from.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> String {
        match text.parse::<Server>() {
            Ok(server) => server.to_string(),
            Err(error) => error.problem.to_owned(),
        }
    }

    #[test]
    fn a_server_is_a_protocol_and_an_address() {
        assert_eq!(server("http://10.1.1.10"), "http://10.1.1.10:6970");
        assert_eq!(server("http://10.1.1.10:80/"), "http://10.1.1.10:80");
        assert_eq!(server("tftp://10.1.1.11"), "tftp://10.1.1.11:69");
        assert_eq!(server("tftp://[fd00::1]:6969"), "tftp://[fd00::1]:6969");
        assert_eq!(server("tftp://[::ffff:10.0.0.1]"), "tftp://10.0.0.1:69");
    }

    #[test]
    fn what_is_no_server_is_refused_with_the_reason() {
        for (text, problem) in [
            ("", "URL"),
            ("10.1.1.10", "neither"),
            ("https://10.1.1.10", "neither"),
            ("http://cucm.example.com", "no IP address"),
            ("http://10.1.1.10/tftp", "behind"),
            ("http://10.1.1.10?x", "behind"),
            ("http://root:secret@10.1.1.10", "passwords"),
            ("http://0.0.0.0", "no server"),
            ("tftp://239.0.0.1", "no server"),
            ("tftp://10.1.1.10:0", "port"),
            ("tftp://10.1.1.10:70000", "port"),
        ] {
            assert!(server(text).contains(problem), "{text}: {}", server(text));
        }
    }

    #[test]
    fn a_server_that_is_ourselves_is_found() {
        let settings = |server: &str| Settings {
            servers: vec![server.parse().unwrap()],
            ..Settings::default()
        };
        let any = [(Protocol::Tftp, "0.0.0.0:69".parse().unwrap())];
        assert!(settings("tftp://127.0.0.1").ourselves(&any).is_some());
        assert!(settings("tftp://127.0.0.1:70").ourselves(&any).is_none());
        assert!(settings("http://127.0.0.1:69").ourselves(&any).is_none());
        // Of a documentation network, which no host is in.
        assert!(settings("tftp://192.0.2.1").ourselves(&any).is_none());
        let one = [(Protocol::Http, "127.0.0.1:6970".parse().unwrap())];
        assert!(settings("http://127.0.0.1").ourselves(&one).is_some());
        assert!(settings("http://127.0.0.2").ourselves(&one).is_none());
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let servers = |count: u8| (1..=count).map(|at| format!("tftp://10.0.0.{at}").parse());
        let settings = |count| Settings {
            servers: servers(count).map(Result::unwrap).collect(),
            ..Settings::default()
        };
        assert_eq!(settings(3).validate(), Ok(()));
        let (key, problem) = settings(4).validate().unwrap_err();
        assert!(
            key == "servers" && problem.contains("at most 3"),
            "{problem}"
        );
        let twice = Settings {
            servers: [servers(1), servers(1)]
                .into_iter()
                .flatten()
                .map(Result::unwrap)
                .collect(),
            ..Settings::default()
        };
        assert_eq!(twice.validate().unwrap_err().0, "servers");
        let large = Settings {
            max_file: ByteSize(1 << 30),
            ..Settings::default()
        };
        assert_eq!(large.validate().unwrap_err().0, "max_file");
        let hasty = Settings {
            timeout_ms: 0,
            ..Settings::default()
        };
        assert_eq!(hasty.validate().unwrap_err().0, "timeout_ms");
    }
}
