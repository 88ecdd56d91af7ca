//! Where phones register, as the kernel program has to know it.

use std::net::{IpAddr, SocketAddr};

use super::{KernelMode, Mode, Settings};

/// What phones register over at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    Sccp,
    Sip,
    /// SIP over TLS, of which only connections can be seen.
    SipTls,
}

/// All places where phones register.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Addresses that are listened on, here.
    pub listen: Vec<(SocketAddr, Service)>,
    /// Those of servers behind this host.
    pub servers: Vec<(SocketAddr, Service)>,
}

impl Places {
    pub fn is_empty(&self) -> bool {
        self.listen.is_empty() && self.servers.is_empty()
    }
}

impl Settings {
    /// What the kernel program is to look at; nothing if it is not to look at registrations.
    pub fn places(&self) -> Places {
        if self.storm.kernel == KernelMode::Off {
            return Places::default();
        }
        let sccp = self.sccp.listen.iter().filter(|_| self.sccp.enabled);
        let sip = self.sip.listen.iter().filter(|_| self.sip.enabled);
        let tls = &self.sip.tls;
        let has_tls = self.sip.enabled && tls.enabled;
        let sip_tls = tls.listen.iter().filter(|_| has_tls);
        let listen: Vec<_> = sccp
            .map(|&address| (address, Service::Sccp))
            .chain(sip.map(|&address| (address, Service::Sip)))
            .chain(sip_tls.map(|&address| (address, Service::SipTls)))
            .collect();
        match self.mode {
            Mode::Off => Places::default(),
            Mode::Registrar => Places {
                listen,
                servers: Vec::new(),
            },
            Mode::Front => Places {
                listen: Vec::new(),
                servers: behind(&self.front.servers, &listen),
            },
        }
    }
}

/// The ports that would be listened on here, at the servers.
fn behind(servers: &[IpAddr], listen: &[(SocketAddr, Service)]) -> Vec<(SocketAddr, Service)> {
    let mut places = Vec::new();
    for &server in servers {
        for &(address, service) in listen {
            let place = (SocketAddr::new(server, address.port()), service);
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_registrar_is_where_it_listens() {
        let settings = settings(
            "mode = \"registrar\"\n\
             sccp.enabled = false\n\
             sip.listen = [\"10.0.0.1:5060\"]\n",
        );
        let place = ("10.0.0.1:5060".parse().unwrap(), Service::Sip);
        assert_eq!(settings.places().listen, [place]);
        assert!(settings.places().servers.is_empty());
    }

    #[test]
    fn sip_over_tls_is_looked_at_where_it_is_on() {
        let with = |tls: &str| settings(&format!("mode = \"registrar\"\n{tls}"));
        let of_tls = |settings: Settings| -> Vec<_> {
            let listen = settings.places().listen.into_iter();
            listen.filter(|it| it.1 == Service::SipTls).collect()
        };
        let on = "sip.tls.enabled = true\nsip.tls.listen = [\"10.0.0.1:5061\"]\n";
        let place = ("10.0.0.1:5061".parse().unwrap(), Service::SipTls);
        assert_eq!(of_tls(with(on)), [place]);
        assert!(of_tls(with("")).is_empty());
        let off = format!("sip.enabled = false\n{on}");
        assert!(of_tls(with(&off)).is_empty());
    }

    #[test]
    fn servers_behind_this_host_have_the_same_ports() {
        let settings = settings(
            "mode = \"front\"\n\
             front.servers = [\"10.0.0.7\", \"fd00::7\"]\n",
        );
        let places = settings.places();
        assert!(places.listen.is_empty());
        let place = |text: &str, service| (text.parse().unwrap(), service);
        assert_eq!(
            places.servers,
            [
                place("10.0.0.7:2000", Service::Sccp),
                place("10.0.0.7:5060", Service::Sip),
                place("[fd00::7]:2000", Service::Sccp),
                place("[fd00::7]:5060", Service::Sip),
            ]
        );
    }

    #[test]
    fn connections_of_tls_are_looked_at_where_they_are_taken() {
        for text in [
            "mode = \"registrar\"\n",
            "mode = \"front\"\nfront.servers = [\"10.0.0.7\"]\n",
        ] {
            let has_tls = |text: &str| {
                let Places { listen, servers } = settings(text).places();
                let mut places = listen.iter().chain(&servers);
                places.any(|(at, service)| at.port() == 5061 && *service == Service::SipTls)
            };
            assert!(!has_tls(text));
            assert!(has_tls(&format!("{text}sip.tls.enabled = true\n")));
            let off = "sip.tls.enabled = true\nsip.enabled = false\n";
            assert!(!has_tls(&format!("{text}{off}")));
        }
    }

    #[test]
    fn nothing_is_looked_at_unless_asked_for() {
        assert!(Settings::default().places().is_empty());
        assert!(
            settings("mode = \"registrar\"\nstorm.kernel = \"off\"")
                .places()
                .is_empty()
        );
    }
}
