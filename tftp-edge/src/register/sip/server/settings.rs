//! The parts of `[register.sip]` that are about sockets.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::content::ByteSize;

/// A datagram is 64 KiB at most.
const LEAST_BUFFER: usize = 64 << 10;

const LEAST_MEMORY: u64 = 1 << 20;

/// Datagrams: `[register.sip.udp]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UdpSettings {
    /// Threads; 0 is one for each core.
    pub workers: usize,
    /// Of each socket's buffers, in bytes.
    pub socket_buffer: usize,
}

impl Default for UdpSettings {
    fn default() -> Self {
        Self {
            workers: 0,
            socket_buffer: 4 << 20,
        }
    }
}

impl UdpSettings {
    /// As [`TcpSettings::validate`].
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        if self.workers > 1024 {
            let problem = format!("{} is more than 1024; 0 is one for each core", self.workers);
            return Err(("sip.udp.workers", problem));
        }
        if self.socket_buffer < LEAST_BUFFER {
            let problem = format!(
                "{} bytes have no room for a single message; use {LEAST_BUFFER} at least",
                self.socket_buffer
            );
            return Err(("sip.udp.socket_buffer", problem));
        }
        Ok(())
    }

    pub(super) fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            some => some,
        }
    }
}

/// Connections, those of TLS included: `[register.sip.tcp]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TcpSettings {
    pub max_connections: usize,
    /// Of these, how many one source may have: an IPv4 address or an IPv6 /64. A whole site may be
    /// behind one address.
    pub max_connections_per_source: usize,
    /// How long nothing may come over a connection. Phones keep one to each server, and say
    /// something over it every two minutes, or before their registration expires.
    pub idle_timeout_s: u64,
    /// How long a message, or a TLS handshake, may take to come in.
    pub message_timeout_s: u64,
    /// How long a phone may take nothing of what is sent to it.
    pub write_timeout_s: u64,
    /// The most memory for half messages and answers that are not taken, of all connections.
    pub memory_limit: ByteSize,
}

impl Default for TcpSettings {
    fn default() -> Self {
        Self {
            max_connections: 40_000,
            max_connections_per_source: 10_000,
            idle_timeout_s: 300,
            message_timeout_s: 15,
            write_timeout_s: 30,
            memory_limit: ByteSize(64 << 20),
        }
    }
}

impl TcpSettings {
    pub(super) fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.idle_timeout_s)
    }

    pub(super) fn message_timeout(&self) -> Duration {
        Duration::from_secs(self.message_timeout_s)
    }

    pub(super) fn write_timeout(&self) -> Duration {
        Duration::from_secs(self.write_timeout_s)
    }

    /// Names the first key whose value cannot be used, and why.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        for (count, key) in [
            (self.max_connections, "sip.tcp.max_connections"),
            (
                self.max_connections_per_source,
                "sip.tcp.max_connections_per_source",
            ),
        ] {
            if count == 0 {
                return Err((key, "must be at least 1".to_owned()));
            }
        }
        for (seconds, key) in [
            (self.idle_timeout_s, "sip.tcp.idle_timeout_s"),
            (self.message_timeout_s, "sip.tcp.message_timeout_s"),
            (self.write_timeout_s, "sip.tcp.write_timeout_s"),
        ] {
            if !(1..=86_400).contains(&seconds) {
                let problem = format!("{seconds} is not from 1 to 86400 seconds");
                return Err((key, problem));
            }
        }
        if self.memory_limit.0 < LEAST_MEMORY {
            let problem = format!(
                "{} bytes are not enough for two messages; use \"1MiB\" at least",
                self.memory_limit.0
            );
            return Err(("sip.tcp.memory_limit", problem));
        }
        Ok(())
    }
}

/// `[register.sip.tls]`, with a certificate of the operator's.
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

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            listen: vec![
                (Ipv4Addr::UNSPECIFIED, 5061).into(),
                (Ipv6Addr::UNSPECIFIED, 5061).into(),
            ],
            certificate: "/etc/tftp-edge/certificate.pem".into(),
            key: "/etc/tftp-edge/key.pem".into(),
        }
    }
}

impl TlsSettings {
    /// As [`TcpSettings::validate`]; `plain` are the addresses of UDP and TCP.
    pub fn validate(&self, plain: &[SocketAddr]) -> Result<(), (&'static str, String)> {
        const KEY: &str = "sip.tls.listen";
        if self.listen.is_empty() {
            let problem = "needs at least one address, for example \"0.0.0.0:5061\"";
            return Err((KEY, problem.to_owned()));
        }
        let twice =
            |address: &&SocketAddr| self.enabled && address.port() != 0 && plain.contains(address);
        match self.listen.iter().find(twice) {
            Some(address) => Err((
                KEY,
                format!("{address} is in sip.listen too: TLS needs a port of its own"),
            )),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::register::sip::Settings;

    #[test]
    fn a_bad_value_is_named_by_its_key() {
        for (toml, key) in [
            ("dscp = 64", "sip.dscp"),
            ("[tcp]\nmax_connections = 0", "sip.tcp.max_connections"),
            ("[tcp]\nidle_timeout_s = 0", "sip.tcp.idle_timeout_s"),
            ("[tcp]\nmemory_limit = \"1KiB\"", "sip.tcp.memory_limit"),
            ("[udp]\nworkers = 5000", "sip.udp.workers"),
            ("[udp]\nsocket_buffer = 0", "sip.udp.socket_buffer"),
            ("[tls]\nlisten = []", "sip.tls.listen"),
            (
                "[tls]\nenabled = true\nlisten = [\"0.0.0.0:5060\"]",
                "sip.tls.listen",
            ),
        ] {
            let settings: Settings = toml::from_str(toml).unwrap();
            assert_eq!(settings.validate().unwrap_err().0, key, "{toml}");
        }
        assert_eq!(Settings::default().validate(), Ok(()));
        assert_eq!(toml::from_str::<Settings>("").unwrap(), Settings::default());
    }
}
