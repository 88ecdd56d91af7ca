//! Settings as text again, each in the form in which it is set.

use std::collections::BTreeMap;

use super::{CAPF_PORT, KEYS, PhoneSettings, Server, TVS_PORT};

impl PhoneSettings {
    /// Every key with its value, as [`Self::set`] takes it.
    pub fn pairs(&self) -> BTreeMap<String, String> {
        let grouped = |group: &str, elements: &BTreeMap<String, String>| -> Vec<_> {
            let of = |(name, value): (&String, &String)| (format!("{group}.{name}"), value.clone());
            elements.iter().map(of).collect()
        };
        KEYS.iter()
            .filter(|(key, _)| !key.contains('.'))
            .map(|(key, _)| ((*key).to_owned(), self.get(key)))
            .chain(grouped("vendor", &self.vendor))
            .chain(grouped("xml", &self.elements))
            .collect()
    }

    fn get(&self, key: &str) -> String {
        let servers = |servers: &[Server]| -> String {
            let texts: Vec<_> = servers.iter().map(Server::to_string).collect();
            texts.join(";")
        };
        match key {
            "servers" => servers(&self.servers),
            "server_group" => self.server_group.clone(),
            "srst" => servers(&self.srst),
            "tvs" => {
                let texts: Vec<_> = self.tvs.iter().map(|tvs| tvs.to_text(TVS_PORT)).collect();
                texts.join(";")
            }
            "capf" => self
                .capf
                .as_ref()
                .map_or_else(String::new, |capf| capf.to_text(CAPF_PORT)),
            "capf_auth" => self.capf_auth.as_str().to_owned(),
            key if key.starts_with("vpn_") => self.vpn.get(key),
            "ntp" => self.ntp.join(";"),
            "time_zone" => self.time_zone.clone(),
            "date_template" => self.date_template.clone(),
            "user_locale" => self.user_locale.name.clone(),
            "user_locale_code" => self.user_locale.lang_code.clone(),
            "user_locale_version" => self.user_locale.version.clone(),
            "network_locale" => self.network_locale.name.clone(),
            "network_locale_version" => self.network_locale.version.clone(),
            "sip_transport" => self.sip_transport.as_str().to_owned(),
            "sip_proxy" => self.sip_proxy.clone(),
            "register_expires_s" => self.register_expires_s.to_string(),
            "dial_template" => self.dial_template.clone(),
            "soft_keys" => self.soft_keys.clone(),
            "feature_policy" => self.feature_policy.clone(),
            "services" => self.services.join(";"),
            "voicemail" => self.voicemail.clone(),
            "services_url" => self.services_url.clone(),
            "directory_url" => self.directory_url.clone(),
            "authentication_url" => self.authentication_url.clone(),
            "information_url" => self.information_url.clone(),
            "messages_url" => self.messages_url.clone(),
            "idle_url" => self.idle_url.clone(),
            "idle_timeout_s" => self.idle_timeout_s.to_string(),
            "phone_password" => self.phone_password.clone(),
            "ssh_user" => self.ssh_user.clone(),
            "ssh_password" => self.ssh_password.clone(),
            "web_access" => self.web_access.to_string(),
            "load_server" => self.load_server.clone(),
            "peer_firmware_sharing" => self.peer_firmware_sharing.to_string(),
            _ => unreachable!("every key in KEYS has an arm; a test holds this"),
        }
    }
}
