//! What is legal and surely not meant: settings that do nothing as they stand, and that collide.
//!
//! `tftp-edge check` tells of them. The daemon starts with them all the same.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use toml::Value;

use super::shown::{flattened, is_secret};
use super::{Config, Fault};
use crate::register::Mode;

/// What stands in the files that nobody can have meant so.
pub fn warnings(config: &Config) -> Vec<Fault> {
    let mut found = Found {
        config,
        set: flattened(&config.written.values()),
        warnings: Vec::new(),
    };
    found.idle_sections();
    found.front();
    found.shared_ports();
    found.tls();
    found.passwords_that_all_can_read();
    found.warnings
}

struct Found<'c> {
    config: &'c Config,
    /// All that is written, by its key with dots.
    set: BTreeMap<String, Value>,
    warnings: Vec<Fault>,
}

impl Found<'_> {
    fn tell(&mut self, key: &str, problem: impl Into<String>) {
        let fault = Fault::of_key(&self.config.written, key, problem.into());
        self.warnings.push(fault);
    }

    fn is_set(&self, key: &str) -> bool {
        self.set.contains_key(key)
    }

    /// The key, or the first key of that section, which is written.
    fn first_set(&self, key: &str) -> Option<String> {
        let within = format!("{key}.");
        let mut set = self.set.keys();
        let first = set.find(|it| *it == key || it.starts_with(&within))?;
        Some(first.clone())
    }

    /// Keys of what is switched off.
    fn idle_sections(&mut self) {
        let config = self.config;
        let register = &config.register;
        let is_registrar = register.mode == Mode::Registrar;
        for (is_on, keys, why) in [
            (
                register.mode != Mode::Off,
                &["register.sccp", "register.sip", "register.storm"][..],
                "has no effect: register.mode is off",
            ),
            (
                is_registrar,
                &["register.orders", "register.bans", "register.export_allow"],
                "has no effect: register.mode is not registrar",
            ),
            (
                config.http.enabled,
                &["http.listen", "http.max_connections"],
                "has no effect: http.enabled is false",
            ),
            (
                config.web.enabled,
                &["web.address", "web.allow", "web.names", "web.password_file"],
                "has no effect: web.enabled is false",
            ),
            (
                config.metrics.enabled,
                &["metrics.address"],
                "has no effect: metrics.enabled is false",
            ),
            (
                !config.upstream.servers.is_empty(),
                &["upstream.names", "upstream.except", "upstream.budget"],
                "has no effect: there are no upstream.servers",
            ),
            (
                !config.log.file.as_os_str().is_empty(),
                &["log.max_bytes", "log.keep"],
                "has no effect: there is no log.file",
            ),
            (
                !config.tftp.single_port,
                &["tftp.port_range", "tftp.ports_per_worker"],
                "has no effect: tftp.single_port is on",
            ),
        ] {
            if !is_on {
                for key in keys {
                    if let Some(key) = self.first_set(key) {
                        self.tell(&key, why);
                    }
                }
            }
        }
        let kernel = &config.kernel;
        if kernel.interfaces.is_empty() && self.is_set("kernel.memory_limit") {
            self.tell(
                "kernel.memory_limit",
                "has no effect: kernel.interfaces is empty, and sockets alone serve",
            );
        }
    }

    fn front(&mut self) {
        let register = &self.config.register;
        if !register.front.servers.is_empty() && register.mode != Mode::Front {
            let problem = format!(
                "has no effect: register.mode is {}, and they count with \"front\"",
                register.mode.as_str()
            );
            self.tell("register.front.servers", problem);
        }
        if register.mode == Mode::Front && self.config.kernel.interfaces.is_empty() {
            self.tell(
                "register.mode",
                "with \"front\" the kernel program sees what passes, and kernel.interfaces is \
                 empty: nothing is seen",
            );
        }
    }

    /// Two that listen where only one can.
    fn shared_ports(&mut self) {
        let config = self.config;
        let register = &config.register;
        let is_registrar = register.mode == Mode::Registrar;
        let (has_sccp, has_sip) = (
            is_registrar && register.sccp.enabled,
            is_registrar && register.sip.enabled,
        );
        let http = &config.http;
        let one = |address: &SocketAddr| vec![*address];
        let tcp = [
            (http.enabled, "http.listen", http.listen.clone()),
            (
                http.enabled && http.tls.enabled,
                "http.tls.listen",
                http.tls.listen.clone(),
            ),
            (
                has_sccp,
                "register.sccp.listen",
                register.sccp.listen.clone(),
            ),
            (has_sip, "register.sip.listen", register.sip.listen.clone()),
            (
                has_sip && register.sip.tls.enabled,
                "register.sip.tls.listen",
                register.sip.tls.listen.clone(),
            ),
            (
                config.metrics.enabled,
                "metrics.address",
                one(&config.metrics.address),
            ),
            (config.web.enabled, "web.address", one(&config.web.address)),
        ];
        let udp = [
            (true, "tftp.listen", config.tftp.listen.clone()),
            (has_sip, "register.sip.listen", register.sip.listen.clone()),
        ];
        for (protocol, listeners) in [("TCP", &tcp[..]), ("UDP", &udp)] {
            let listeners: Vec<_> = listeners.iter().filter(|(is_on, ..)| *is_on).collect();
            for (at, (_, key, addresses)) in listeners.iter().enumerate() {
                for (_, other, others) in &listeners[..at] {
                    let both = |one: &&SocketAddr| others.iter().any(|it| collide(one, it));
                    if let Some(address) = addresses.iter().find(both) {
                        // Where it was written rather than left at its default.
                        let (key, other) = match self.is_set(key) {
                            true => (key, other),
                            false => (other, key),
                        };
                        let problem = format!(
                            "{protocol} {address} is that of {other}, too: one of them fails"
                        );
                        self.tell(key, problem);
                    }
                }
            }
        }
        let tftp = &config.tftp;
        for (key, range) in [
            ("tftp.port_range", tftp.port_range),
            ("kernel.tid_ports", config.kernel.tid_ports),
        ] {
            let holds = |it: &&SocketAddr| (range.first..=range.last).contains(&it.port());
            if let Some(address) = tftp.listen.iter().find(holds) {
                let problem = format!("{address} is among the ports of {key}, {range}");
                self.tell("tftp.listen", problem);
            }
        }
    }

    fn tls(&mut self) {
        let (http, sip) = (&self.config.http.tls, &self.config.register.sip.tls);
        for (is_on, section) in [
            (http.enabled, "http.tls"),
            (sip.enabled, "register.sip.tls"),
        ] {
            for key in ["certificate", "key", "listen"] {
                let dotted = format!("{section}.{key}");
                if !is_on && self.is_set(&dotted) {
                    self.tell(
                        &dotted,
                        format!("has no effect: {section}.enabled is false"),
                    );
                }
            }
        }
    }

    fn passwords_that_all_can_read(&mut self) {
        let written = &self.config.written;
        let secrets = self.set.iter().filter(|(key, value)| {
            let name = key.strip_prefix("inventory.defaults.");
            let is_empty = value.as_str().is_some_and(str::is_empty);
            name.is_some_and(is_secret) && !is_empty
        });
        let mut told = Vec::new();
        for (key, _) in secrets {
            let name = key.trim_start_matches("inventory.defaults.");
            let place = written.place_of(&["inventory", "defaults", name]);
            if let Some(place) = place
                && let Some(mode) = mode_for_others(&place.file)
            {
                told.push((key.clone(), place.file, mode));
            }
        }
        for (key, file, mode) in told {
            let problem = format!(
                "everybody on this host can read this password (mode {mode:03o}); run: chmod o= {}",
                file.display()
            );
            self.tell(&key, problem);
        }
    }
}

/// The rights of a file that everybody can read.
fn mode_for_others(file: &Path) -> Option<u32> {
    let mode = fs::metadata(file).ok()?.permissions().mode() & 0o777;
    (mode & 0o004 != 0).then_some(mode)
}

/// Whether two sockets of one protocol cannot have these both. An IPv6 socket takes IPv6 alone.
fn collide(one: &SocketAddr, other: &SocketAddr) -> bool {
    let (a, b) = (one.ip(), other.ip());
    one.port() != 0
        && one.port() == other.port()
        && a.is_ipv4() == b.is_ipv4()
        && (a == b || a.is_unspecified() || b.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("edge.toml");
        fs::write(&file, text).unwrap();
        let warnings = warnings(&Config::load(&file).unwrap());
        let folder = folder.path().display().to_string();
        let text = |it: &Fault| it.to_string().replace(&folder, "DIR");
        warnings.iter().map(text).collect()
    }

    #[test]
    fn the_shipped_file_is_all_meant() {
        assert_eq!(told(super::super::SHIPPED), [] as [&str; 0]);
    }

    #[test]
    fn what_does_nothing_and_what_collides_is_told_where_it_is_written() {
        for (text, warning) in [
            (
                "register.front.servers = [\"10.0.0.1\"]\n",
                "DIR/edge.toml:1:16: register.front.servers: has no effect: register.mode is off, \
                 and they count with \"front\"",
            ),
            (
                "register = { mode = \"front\", front.servers = [\"10.0.0.1\"] }\n",
                "DIR/edge.toml:1:14: register.mode: with \"front\" the kernel program sees what \
                 passes, and kernel.interfaces is empty: nothing is seen",
            ),
            (
                "\nregister.sip.trying = true\n",
                "DIR/edge.toml:2:14: register.sip.trying: has no effect: register.mode is off",
            ),
            (
                "web.address = \"127.0.0.1:9466\"\n",
                "DIR/edge.toml:1:5: web.address: TCP 127.0.0.1:9466 is that of metrics.address, \
                 too: one of them fails",
            ),
            (
                "[metrics]\naddress = \"127.0.0.1:9467\"\n",
                "DIR/edge.toml:2:1: metrics.address: TCP 127.0.0.1:9467 is that of web.address, \
                 too: one of them fails",
            ),
            (
                "http.listen = [\"0.0.0.0:9466\"]\n",
                "DIR/edge.toml:1:6: http.listen: TCP 127.0.0.1:9466 is that of metrics.address, \
                 too: one of them fails",
            ),
            (
                "tftp.listen = [\"0.0.0.0:50000\"]\n",
                "DIR/edge.toml:1:6: tftp.listen: 0.0.0.0:50000 is among the ports of \
                 tftp.port_range, 49152-57343",
            ),
            (
                "http.tls.key = \"key.pem\"\n",
                "DIR/edge.toml:1:10: http.tls.key: has no effect: http.tls.enabled is false",
            ),
            (
                "upstream.names = [\"*.jar\"]\n",
                "DIR/edge.toml:1:10: upstream.names: has no effect: there are no upstream.servers",
            ),
            (
                "inventory.defaults.ssh_password = \"sw0rdf1sh\"\n",
                "DIR/edge.toml:1:20: inventory.defaults.ssh_password: everybody on this host can \
                 read this password (mode 644); run: chmod o= DIR/edge.toml",
            ),
        ] {
            assert_eq!(told(text), [warning], "{text}");
        }
    }
}
