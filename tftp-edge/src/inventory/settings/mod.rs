//! What phones have in common, and the one way to write it: `key=value`, the same on the command
//! line, in the database and in the configuration file.
//!
//! Settings lie in layers: the configuration file, the site `default`, the device's site, its
//! profile, the device itself. Each layer sets what it wants and leaves the rest to those below.

mod elements;
mod keys;
mod pairs;
mod security;
mod server;
mod site;

use std::collections::BTreeMap;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

use super::text;
pub use elements::{
    Element, Section, VENDOR_ELEMENTS, Value, VendorElement, element_help, xml_elements,
};
pub use keys::KEYS;
pub use security::{CapfAuth, HostPort, Vpn, VpnAuth};
pub use server::Server;
pub use site::{AutoRegistration, NumberPool, SITE_KEYS, Site};

/// The site of devices that name none; also where `XMLDefault.cnf.xml` takes its settings from.
pub const DEFAULT_SITE: &str = "default";

/// How many call managers a configuration can name.
const MAX_SERVERS: usize = 5;

/// How many routers a phone can fall back to when no server answers.
const MAX_SRST: usize = 3;

/// The port of the trust verification service, and of the CA's proxy function.
const TVS_PORT: u16 = 2445;
const CAPF_PORT: u16 = 3804;

/// The most services a phone shows.
const MAX_SERVICES: usize = 50;

/// Longest host name, NTP server or time zone that phones take, in characters.
pub(super) const MAX_NAME: usize = 50;

/// Longest URL that phones take, in characters.
const MAX_URL: usize = 255;

/// How SIP phones reach their proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    #[default]
    Udp,
    Tls,
}

/// A language or country pack, as the phones name it: the folder of its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Locale {
    pub name: String,
    /// `en_US` and the like; only user locales have one.
    pub lang_code: String,
    /// Phones fetch the pack again only when this changes.
    pub version: String,
}

/// The settings of a phone. What is not set here is the phone's own default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneSettings {
    /// In the order phones are to try them; those of [`PhoneSettings::server_group`] once the
    /// layers are joined.
    pub servers: Vec<Server>,
    /// A group of the inventory; empty if the servers are named one by one.
    pub server_group: String,
    /// Take over when no server answers, in this order.
    pub srst: Vec<Server>,
    /// Where phones ask whether to trust a certificate.
    pub tvs: Vec<HostPort>,
    /// Where phones get certificates of their own; the first server if there is none.
    pub capf: Option<HostPort>,
    pub capf_auth: CapfAuth,
    pub vpn: Vpn,
    pub ntp: Vec<String>,
    /// A Windows-style name, such as `W. Europe Standard/Daylight Time`.
    pub time_zone: String,
    /// `D/M/Y`, `M/D/YA` and the like; a trailing `A` asks for a 12-hour clock.
    pub date_template: String,
    pub user_locale: Locale,
    pub network_locale: Locale,
    pub sip_transport: Transport,
    /// What SIP lines name as their proxy. `USECALLMANAGER`: the servers above.
    pub sip_proxy: String,
    /// Seconds a SIP registration lasts.
    pub register_expires_s: u32,
    /// A dial plan of the inventory, or the name of a file that ends in `.xml`.
    pub dial_template: String,
    /// A soft key set of the inventory, or the name of a file that ends in `.xml`.
    pub soft_keys: String,
    /// A feature policy of the inventory, or the name of a file that ends in `.xml`.
    pub feature_policy: String,
    /// Phone services of the inventory, by name.
    pub services: Vec<String>,
    pub voicemail: String,
    pub services_url: String,
    pub directory_url: String,
    pub authentication_url: String,
    pub information_url: String,
    pub messages_url: String,
    pub idle_url: String,
    pub idle_timeout_s: u32,
    pub phone_password: String,
    pub ssh_user: String,
    pub ssh_password: String,
    /// Whether the phone's web page is on.
    pub web_access: bool,
    pub load_server: String,
    pub peer_firmware_sharing: bool,
    /// Elements of `vendorConfig` by name: written as they stand, in place of ours.
    pub vendor: BTreeMap<String, String>,
    /// Other elements of the configuration by name.
    pub elements: BTreeMap<String, String>,
}

impl Transport {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Tls => "tls",
        }
    }
}

impl Default for PhoneSettings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            server_group: String::new(),
            srst: Vec::new(),
            tvs: Vec::new(),
            capf: None,
            capf_auth: CapfAuth::default(),
            vpn: Vpn::default(),
            ntp: Vec::new(),
            time_zone: "Greenwich Standard Time".into(),
            date_template: "D/M/Y".into(),
            user_locale: Locale::default(),
            network_locale: Locale::default(),
            sip_transport: Transport::default(),
            sip_proxy: "USECALLMANAGER".into(),
            register_expires_s: 3600,
            dial_template: String::new(),
            soft_keys: String::new(),
            feature_policy: String::new(),
            services: Vec::new(),
            voicemail: String::new(),
            services_url: String::new(),
            directory_url: String::new(),
            authentication_url: String::new(),
            information_url: String::new(),
            messages_url: String::new(),
            idle_url: String::new(),
            idle_timeout_s: 0,
            phone_password: String::new(),
            ssh_user: String::new(),
            ssh_password: String::new(),
            web_access: false,
            load_server: String::new(),
            peer_firmware_sharing: true,
            vendor: BTreeMap::new(),
            elements: BTreeMap::new(),
        }
    }
}

/// What is shown of a setting: of a password, only that there is one.
pub(super) fn shown<'v>(key: &str, value: &'v str) -> &'v str {
    match is_secret(key) {
        true => "(set, not shown)",
        false => value,
    }
}

/// Whether a key holds a password. `vpn_keep_password` is one of true and false.
pub fn is_secret(key: &str) -> bool {
    key != "vpn_keep_password" && key.to_ascii_lowercase().ends_with("password")
}

/// Settings for people to read: of a password, only that there is one.
pub(super) fn without_secrets<S: Serializer>(
    settings: &BTreeMap<String, String>,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_map(settings.iter().map(|(key, value)| (key, shown(key, value))))
}

/// A setting that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    #[error("there is no setting {key:?}; there are: {}", key_names())]
    UnknownKey { key: String },
    #[error("{key} is a site's, it cannot be another one for some of its phones")]
    OfSite { key: String },
    #[error("{key}: {problem}; expected {expected}")]
    Value {
        key: String,
        problem: String,
        expected: &'static str,
    },
}

fn key_names() -> String {
    let keys = KEYS.iter().chain(SITE_KEYS);
    let names: Vec<_> = keys.map(|(key, _)| *key).collect();
    names.join(", ")
}

impl PhoneSettings {
    /// Sets one key. The value is trimmed; an empty one means "none".
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), SettingError> {
        let (known, element) = match key.split_once('.') {
            Some((group, element)) => (format!("{group}.NAME"), Some(element)),
            None => (key.to_owned(), None),
        };
        let Some(&(known, expected)) = KEYS.iter().find(|(name, _)| *name == known) else {
            return Err(match SITE_KEYS.iter().any(|(of_site, _)| *of_site == key) {
                true => SettingError::OfSite { key: key.into() },
                false => SettingError::UnknownKey { key: key.into() },
            });
        };
        self.apply(known, element, value.trim())
            .map_err(|problem| SettingError::Value {
                key: key.into(),
                problem,
                expected,
            })
    }

    fn apply(&mut self, key: &str, element: Option<&str>, value: &str) -> Result<(), String> {
        match key {
            // Of the two ways to name servers, the upper layer's holds.
            "servers" => {
                self.servers = list(value, Server::parse)?;
                self.server_group.clear();
            }
            "server_group" => {
                self.server_group = text::value(value, MAX_NAME)?;
                self.servers.clear();
            }
            "srst" => {
                self.srst = list_of(value, MAX_SRST, Server::parse)?;
            }
            "tvs" => self.tvs = list(value, |host| HostPort::parse(host, TVS_PORT))?,
            "capf" => {
                self.capf = match value {
                    "" => None,
                    value => Some(HostPort::parse(value, CAPF_PORT)?),
                }
            }
            "capf_auth" => self.capf_auth = CapfAuth::parse(value)?,
            key if key.starts_with("vpn_") => self.vpn.apply(key, value)?,
            "ntp" => self.ntp = list(value, |host| text::host(host, MAX_NAME))?,
            "time_zone" => self.time_zone = required(text::value(value, MAX_NAME)?)?,
            "date_template" => self.date_template = date_template(value)?,
            "user_locale" => self.user_locale.name = text::word(value)?,
            "user_locale_code" => self.user_locale.lang_code = text::word(value)?,
            "user_locale_version" => self.user_locale.version = text::value(value, MAX_NAME)?,
            "network_locale" => self.network_locale.name = text::word(value)?,
            "network_locale_version" => self.network_locale.version = text::value(value, MAX_NAME)?,
            "sip_transport" => {
                self.sip_transport = match value {
                    "tcp" => Transport::Tcp,
                    "udp" => Transport::Udp,
                    "tls" => Transport::Tls,
                    _ => return Err(format!("{value:?} is no transport")),
                }
            }
            "sip_proxy" => self.sip_proxy = text::host(value, MAX_URL)?,
            "register_expires_s" => self.register_expires_s = number(value, 60, 86_400)?,
            "dial_template" => self.dial_template = text::file_name(value)?,
            "soft_keys" => self.soft_keys = text::file_name(value)?,
            "feature_policy" => self.feature_policy = text::file_name(value)?,
            "services" => {
                self.services = list_of(value, MAX_SERVICES, |name| text::value(name, MAX_NAME))?
            }
            "voicemail" => self.voicemail = text::value(value, MAX_NAME)?,
            "services_url" => self.services_url = text::url(value, MAX_URL)?,
            "directory_url" => self.directory_url = text::url(value, MAX_URL)?,
            "authentication_url" => self.authentication_url = text::url(value, MAX_URL)?,
            "information_url" => self.information_url = text::url(value, MAX_URL)?,
            "messages_url" => self.messages_url = text::url(value, MAX_URL)?,
            "idle_url" => self.idle_url = text::url(value, MAX_URL)?,
            "idle_timeout_s" => self.idle_timeout_s = number(value, 0, 86_400)?,
            "phone_password" => self.phone_password = text::value(value, MAX_NAME)?,
            "ssh_user" => self.ssh_user = text::value(value, MAX_NAME)?,
            "ssh_password" => self.ssh_password = text::value(value, MAX_NAME)?,
            "web_access" => self.web_access = flag(value)?,
            "load_server" => self.load_server = text::value(value, MAX_NAME)?,
            "peer_firmware_sharing" => self.peer_firmware_sharing = flag(value)?,
            "vendor.NAME" => {
                let name = element.unwrap_or_default();
                elements::check_vendor(name)?;
                put(&mut self.vendor, name, text::value(value, MAX_URL)?);
            }
            "xml.NAME" => {
                let name = element.unwrap_or_default();
                elements::check_xml(name)?;
                put(&mut self.elements, name, text::value(value, MAX_URL)?);
            }
            _ => unreachable!("every key in KEYS has an arm; a test holds this"),
        }
        Ok(())
    }
}

/// Nothing goes back to what the configuration has by itself.
fn put(elements: &mut BTreeMap<String, String>, name: &str, value: String) {
    match value.is_empty() {
        true => elements.remove(name),
        false => elements.insert(name.to_owned(), value),
    };
}

fn list<T>(value: &str, item: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    list_of(value, MAX_SERVERS, item)
}

fn list_of<T>(
    value: &str,
    most: usize,
    item: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let items: Vec<T> = value
        .split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(item)
        .collect::<Result<_, _>>()?;
    match items.len() {
        many if many > most => Err(format!("{many} entries are more than {most}")),
        _ => Ok(items),
    }
}

fn required(value: String) -> Result<String, String> {
    if value.is_empty() {
        return Err("it is empty".into());
    }
    Ok(value)
}

fn date_template(value: &str) -> Result<String, String> {
    let has = |letter| value.contains(letter);
    let known = |c: char| matches!(c, 'D' | 'M' | 'Y' | 'A' | '/' | '-' | '.');
    if value.len() > 8 || !(has('D') && has('M') && has('Y')) || !value.chars().all(known) {
        return Err(format!("{value:?} is no date template"));
    }
    Ok(value.into())
}

fn number(value: &str, least: u32, most: u32) -> Result<u32, String> {
    match value.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("{value:?} is not a number in that range")),
    }
}

fn flag(value: &str) -> Result<bool, String> {
    value
        .parse()
        .map_err(|_| format!("{value:?} is neither true nor false"))
}

/// In the configuration file it is a table of the same keys.
impl<'de> Deserialize<'de> for Site {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut site = Self::default();
        for (key, Plain(value)) in BTreeMap::<String, Plain>::deserialize(from)? {
            site.set(&key, &value).map_err(D::Error::custom)?;
        }
        Ok(site)
    }
}

/// A string, or a number or flag as it would be written in one.
struct Plain(String);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Plain;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string, a number or true or false")
            }

            fn visit_str<E>(self, value: &str) -> Result<Plain, E> {
                Ok(Plain(value.to_owned()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Plain, E> {
                Ok(Plain(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Plain, E> {
                Ok(Plain(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Plain, E> {
                Ok(Plain(value.to_string()))
            }
        }
        from.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_help_can_be_set() {
        for (key, _) in KEYS {
            let value = match *key {
                "servers" => "cm1;cm2/sccp=2001/sip=5070/sips=5071",
                "srst" => "10.0.0.9;10.0.0.8/sip=5070",
                "tvs" => "10.0.0.9;10.0.0.8/port=2446",
                "capf_auth" => "lsc",
                "vpn_urls" => "https://vpn.example.com/svc",
                "vpn_cert_hashes" => "s4U4A2DqXtupmzGuEGm2NCjxW/Y=",
                "vpn_auth" => "certificate",
                "vpn_mtu" | "vpn_connect_timeout_s" => "300",
                "vpn_keep_password" | "vpn_auto_detect" | "vpn_check_host" => "true",
                "date_template" => "M/D/YA",
                "sip_transport" => "tcp",
                "register_expires_s" | "idle_timeout_s" => "120",
                "web_access" | "peer_firmware_sharing" => "true",
                key if key.ends_with("_url") => "http://10.0.0.1/x?a=b&c=d",
                _ => "word",
            };
            let key = match *key {
                "vendor.NAME" => "vendor.webAccess",
                "xml.NAME" => "xml.timerT1",
                key => key,
            };
            let mut settings = PhoneSettings::default();
            assert_eq!(settings.set(key, value), Ok(()), "{key}");
            assert_eq!(settings.pairs()[key], value, "{key}");
            let mut again = PhoneSettings::default();
            for (key, value) in settings.pairs() {
                // Of the two ways to name servers one is always empty.
                if !key.starts_with("server") || !value.is_empty() {
                    assert_eq!(again.set(&key, &value), Ok(()), "{key}={value}");
                }
            }
            assert_eq!(again, settings, "{key}");
        }
    }

    #[test]
    fn servers_keep_their_order_and_their_ports() {
        let mut site = PhoneSettings::default();
        site.set("servers", "cm1 ; 10.0.0.2/sccp=2001/sip=5070")
            .unwrap();
        let ports: Vec<_> = site
            .servers
            .iter()
            .map(|server| (server.host.as_str(), server.sccp_port, server.sip_port))
            .collect();
        assert_eq!(ports, [("cm1", 2000, 5060), ("10.0.0.2", 2001, 5070)]);
    }

    #[test]
    fn what_cannot_be_taken_says_what_is_expected() {
        let mut site = PhoneSettings::default();
        for (key, value, part) in [
            ("server", "x", "there is no setting \"server\""),
            ("servers", "a;b;c;d;e;f", "6 entries are more than 5"),
            ("servers", "a/sccp=0", "port"),
            ("servers", "a/mgcp=1", "not one of sccp, sip, sips"),
            ("servers", "a b", "host"),
            ("time_zone", "", "empty"),
            ("time_zone", "a\u{7}b", "control"),
            ("date_template", "Y/M", "no date template"),
            ("dial_template", "../x.xml", "file name"),
            ("services_url", "ftp://x", "URL"),
            ("register_expires_s", "5", "range"),
            ("web_access", "yes", "neither true nor false"),
            ("subnets", "10.0.0.0/8", "a site's"),
            ("vendor.a/b", "1", "no name of an element"),
            ("vendor.webaccess", "1", "is \"webAccess\" meant?"),
            ("xml.timerRegisterExpires", "1", "register_expires_s"),
            ("xml.a/b", "1", "there is no element"),
            ("srst", "a;b;c;d", "4 entries are more than 3"),
            ("tvs", "a/sccp=1", "more than /port="),
            ("capf_auth", "always", "no way to authenticate"),
            ("vpn_urls", "http://a", "https://"),
            ("vpn_cert_hashes", "abc", "base64"),
            ("vpn_mtu", "9000", "range"),
            ("colour.red", "1", "there is no setting"),
        ] {
            let error = site.set(key, value).unwrap_err().to_string();
            assert!(error.contains(part), "{key}={value}: {error}");
        }
        assert_eq!(site, PhoneSettings::default());
    }

    #[test]
    fn a_table_of_the_configuration_file_reads_the_same_keys() {
        let site: Site =
            toml::from_str("servers = 'cm1'\nregister_expires_s = 120\nweb_access = true").unwrap();
        assert_eq!(site.phone.servers[0].host, "cm1");
        assert_eq!(
            (site.phone.register_expires_s, site.phone.web_access),
            (120, true)
        );
        let error = toml::from_str::<Site>("colour = 'red'").unwrap_err();
        assert!(error.to_string().contains("no setting"), "{error}");
    }
}
