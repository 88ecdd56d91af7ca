//! Every address of the configuration that a socket of the service manager may stand for.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::Config;
use crate::register::Mode;

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    Udp(SocketAddr),
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Place {
    /// The directive of a socket unit for it.
    pub fn directive(&self) -> &'static str {
        match self {
            Self::Udp(_) => "ListenDatagram=",
            Self::Tcp(_) | Self::Unix(_) => "ListenStream=",
        }
    }

    /// The address as the directive wants it.
    pub fn address(&self) -> String {
        match self {
            Self::Udp(address) | Self::Tcp(address) => address.to_string(),
            Self::Unix(path) => path.display().to_string(),
        }
    }

    fn port(&self) -> Option<u16> {
        match self {
            Self::Udp(address) | Self::Tcp(address) => Some(address.port()),
            Self::Unix(_) => None,
        }
    }

    /// Whether somebody may have meant one for the other: the same kind and the same port.
    pub fn is_near(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other) && self.port() == other.port()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Udp(_) => "UDP",
            Self::Tcp(_) => "TCP",
            Self::Unix(_) => "unix",
        };
        write!(out, "{kind} {}", self.address())
    }
}

/// The places of a configuration, each with its setting. What is switched off has none.
pub fn of(config: &Config) -> Vec<(Place, &'static str)> {
    let mut places = Vec::new();
    let mut add = |is_on: bool, place: fn(SocketAddr) -> Place, listen: &[SocketAddr], key| {
        if is_on {
            places.extend(listen.iter().map(|&address| (place(address), key)));
        }
    };
    let (http, register) = (&config.http, &config.register);
    add(true, Place::Udp, &config.tftp.listen, "tftp.listen");
    add(http.enabled, Place::Tcp, &http.listen, "http.listen");
    let is_on = http.enabled && http.tls.enabled;
    add(is_on, Place::Tcp, &http.tls.listen, "http.tls.listen");
    let (sccp, sip) = (&register.sccp, &register.sip);
    let registers = register.mode == Mode::Registrar;
    let is_on = registers && sccp.enabled;
    add(is_on, Place::Tcp, &sccp.listen, "register.sccp.listen");
    let is_on = registers && sip.enabled;
    add(is_on, Place::Udp, &sip.listen, "register.sip.listen");
    add(is_on, Place::Tcp, &sip.listen, "register.sip.listen");
    let is_on = is_on && sip.tls.enabled;
    add(
        is_on,
        Place::Tcp,
        &sip.tls.listen,
        "register.sip.tls.listen",
    );
    let metrics = [config.metrics.address];
    add(
        config.metrics.enabled,
        Place::Tcp,
        &metrics,
        "metrics.address",
    );
    add(
        config.web.enabled,
        Place::Tcp,
        &[config.web.address],
        "web.address",
    );
    places.push((Place::Unix(config.control.socket.clone()), "control.socket"));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(config: &Config) -> Vec<&'static str> {
        let mut keys: Vec<_> = of(config).into_iter().map(|(_, key)| key).collect();
        keys.dedup();
        keys
    }

    #[test]
    fn what_is_switched_off_has_no_place() {
        let mut config = Config::default();
        assert_eq!(
            keys(&config),
            [
                "tftp.listen",
                "http.listen",
                "metrics.address",
                "web.address",
                "control.socket"
            ]
        );
        config.register.mode = Mode::Registrar;
        config.register.sip.tls.enabled = true;
        config.http.tls.enabled = true;
        config.metrics.enabled = false;
        config.web.enabled = false;
        assert_eq!(
            keys(&config),
            [
                "tftp.listen",
                "http.listen",
                "http.tls.listen",
                "register.sccp.listen",
                "register.sip.listen",
                "register.sip.tls.listen",
                "control.socket"
            ]
        );
        config.http.enabled = false;
        config.register.sip.enabled = false;
        assert_eq!(
            keys(&config),
            ["tftp.listen", "register.sccp.listen", "control.socket"]
        );
    }

    #[test]
    fn sip_listens_over_udp_and_tcp() {
        let mut config = Config::default();
        config.register.mode = Mode::Registrar;
        config.register.sip.listen = vec![([0, 0, 0, 0], 5060).into()];
        let places = of(&config);
        for place in [Place::Udp as fn(_) -> _, Place::Tcp] {
            let place = place(([0, 0, 0, 0], 5060).into());
            assert!(places.contains(&(place, "register.sip.listen")));
        }
    }
}
