//! One setting, from its key and its value as text.

use std::collections::BTreeMap;

use super::super::text;
use super::elements;
use super::keys::KEYS;
use super::phone::{PhoneSettings, Transport};
use super::security::{CapfAuth, HostPort};
use super::server::Server;
use super::site::SITE_KEYS;
use super::values::{flag, list, list_of, number};
use super::{CAPF_PORT, MAX_NAME, MAX_URL, TVS_PORT};

/// How many routers a phone can fall back to when no server answers.
const MAX_SRST: usize = 3;

/// The most services a phone shows.
const MAX_SERVICES: usize = 50;

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

    pub(super) fn apply(
        &mut self,
        key: &str,
        element: Option<&str>,
        value: &str,
    ) -> Result<(), String> {
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

pub(super) fn date_template(value: &str) -> Result<String, String> {
    let has = |letter| value.contains(letter);
    let known = |c: char| matches!(c, 'D' | 'M' | 'Y' | 'A' | '/' | '-' | '.');
    if value.len() > 8 || !(has('D') && has('M') && has('Y')) || !value.chars().all(known) {
        return Err(format!("{value:?} is no date template"));
    }
    Ok(value.into())
}

fn required(value: String) -> Result<String, String> {
    if value.is_empty() {
        return Err("it is empty".into());
    }
    Ok(value)
}
