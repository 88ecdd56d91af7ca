//! What each family of phones asks for at boot, and how.

use std::sync::Arc;

use tftp_ebpf::wire::tftp::Options;

use crate::client::Request;

/// A family, told apart by what it does at boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// 7940 with SCCP firmware 8: no ITL, no options, upper-case ring list.
    Sccp7940,
    /// The oldest: as the 7940, with a stray NUL behind the mode of every request.
    Sccp7960Old,
    /// 6911 and its like: SCCP with trust lists.
    Sccp6911,
    /// 7941 and 7961 with SCCP firmware 8.5 to 9.4.
    Sccp7941,
    /// 7945 to 7975 with the last SCCP firmware.
    Sccp7965,
    /// 7941 to 7965 with SIP firmware 8.5 to 9.4: trust lists first, no options.
    Sip7961,
    /// 8851 and its like: trust lists around the configuration, large blocks.
    Sip8851,
}

impl Family {
    pub const ALL: [Self; 7] = [
        Self::Sccp7940,
        Self::Sccp7960Old,
        Self::Sccp6911,
        Self::Sccp7941,
        Self::Sccp7965,
        Self::Sip7961,
        Self::Sip8851,
    ];

    /// The model as the inventory knows it.
    pub const fn model(self) -> &'static str {
        match self {
            Self::Sccp7940 => "7940",
            Self::Sccp7960Old => "7960",
            Self::Sccp6911 => "6911",
            Self::Sccp7941 => "7941",
            Self::Sccp7965 => "7965",
            Self::Sip7961 => "7961",
            Self::Sip8851 => "8851",
        }
    }

    pub const fn protocol(self) -> &'static str {
        match self {
            Self::Sccp7940
            | Self::Sccp7960Old
            | Self::Sccp6911
            | Self::Sccp7941
            | Self::Sccp7965 => "sccp",
            Self::Sip7961 | Self::Sip8851 => "sip",
        }
    }

    /// The configuration file of the phone with this device name.
    pub fn config_file(device: &str) -> Arc<str> {
        format!("{device}.cnf.xml").into()
    }

    /// The files of a boot without an upgrade, in order. `device` is `SEP` and the MAC; `site` is
    /// what a real phone would read out of its configuration.
    pub fn boot(self, device: &str, site: &SiteNames) -> Vec<Arc<str>> {
        let SiteNames {
            user_locale,
            network_locale,
            dial_template,
            soft_keys,
        } = site;
        let ctl = format!("CTL{device}.tlv");
        let itl = format!("ITL{device}.tlv");
        let config = format!("{device}.cnf.xml");
        let tones = format!("{network_locale}/g3-tones.xml");
        let names = match self {
            Self::Sccp7940 | Self::Sccp7960Old => vec![
                ctl,
                config,
                format!("{user_locale}/{}", self.dictionary()),
                format!("{network_locale}/7960-tones.xml"),
                "RINGLIST.XML".into(),
            ],
            // Dial rules and soft keys come over SCCP.
            Self::Sccp6911 | Self::Sccp7941 | Self::Sccp7965 => vec![
                ctl,
                itl,
                "ITLFile.tlv".into(),
                config,
                format!("{user_locale}/{}", self.dictionary()),
                tones,
                "Ringlist.xml".into(),
            ],
            Self::Sip7961 => vec![
                ctl,
                itl,
                "ITLFile.tlv".into(),
                config,
                format!("{user_locale}/{}", self.dictionary()),
                tones,
                dial_template.clone(),
                soft_keys.clone(),
                "Ringlist.xml".into(),
            ],
            Self::Sip8851 => vec![
                itl,
                "ITLFile.tlv".into(),
                config,
                format!("{user_locale}/{}", self.dictionary()),
                tones,
                "AppDialRules.xml".into(),
                ctl,
                "defaultheadsetconfig.json".into(),
            ],
        };
        names.into_iter().map(Into::into).collect()
    }

    /// The file with its texts, of those families that have one.
    const fn dictionary(self) -> &'static str {
        match self {
            Self::Sccp6911 => "rtl-sccp.jar",
            Self::Sccp7941 => "mk-sccp.jar",
            Self::Sccp7965 => "be-sccp.jar",
            Self::Sip7961 => "mk-sip.jar",
            Self::Sip8851 => "sl-be-sip.jar",
            Self::Sccp7940 | Self::Sccp7960Old => "7960-dictionary.xml",
        }
    }

    /// Whether it asks over HTTP first: enterprise firmware from about 9 on.
    pub const fn knows_http(self) -> bool {
        match self {
            Self::Sccp7940
            | Self::Sccp7960Old
            | Self::Sccp6911
            | Self::Sccp7941
            | Self::Sccp7965 => false,
            Self::Sip7961 | Self::Sip8851 => true,
        }
    }

    /// The request this family sends for a file.
    pub fn request(self, name: Arc<str>) -> Request {
        let mut request = Request::plain(name);
        match self {
            Self::Sccp7940 | Self::Sccp6911 | Self::Sccp7941 | Self::Sccp7965 | Self::Sip7961 => {}
            Self::Sccp7960Old => request.tail = b"\0",
            // No trace shows what they ask for; this is what their boot loader's kin ask for.
            Self::Sip8851 => {
                request.options = Options {
                    blksize: 1428,
                    timeout: 3,
                    tsize: true,
                    ..Options::default()
                }
            }
        }
        request
    }
}

/// Names that phones read out of their configuration.
#[derive(Clone, Debug)]
pub struct SiteNames {
    pub user_locale: String,
    pub network_locale: String,
    pub dial_template: String,
    pub soft_keys: String,
}
