//! The settings of a phone.

use std::collections::BTreeMap;

use super::security::{CapfAuth, HostPort, Vpn};
use super::server::Server;

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
