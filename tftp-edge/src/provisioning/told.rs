//! What a name that was asked for says of the device that asks.

use crate::inventory::{DeviceName, NameKind, Protocol};

/// As far as the names tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub model: Option<String>,
    pub protocol: Option<Protocol>,
}

/// Soft phones whose prefix is the name of their model.
const SOFT_PHONES: [&str; 3] = ["BOT", "CSF", "TCT"];

impl Told {
    /// What a device's own name says.
    pub fn by_name(device: DeviceName) -> Self {
        let prefix = |prefix: &&&str| device.as_str().starts_with(**prefix);
        match device.kind() {
            // A 7940 or a 7960: which of them, nobody can tell.
            NameKind::Sip => Self {
                model: None,
                protocol: Some(Protocol::Sip),
            },
            NameKind::Named => match SOFT_PHONES.iter().find(prefix) {
                Some(&model) => Self {
                    model: Some(model.to_owned()),
                    protocol: Some(Protocol::Sip),
                },
                None => Self::default(),
            },
            NameKind::Sep | NameKind::Ata => Self::default(),
        }
    }

    /// The model that asks for a shared file of this normalised name: after a factory reset a
    /// phone of the 79 series asks for `term61.default.loads`, with its own number.
    pub fn model_by_file(file: &str) -> Option<String> {
        let digits = file.strip_prefix("term")?.strip_suffix(".default.loads")?;
        let is_number = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| format!("79{digits}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_soft_phone_tells_its_model() {
        let told = |name: &str| Told::by_name(name.parse().unwrap());
        assert_eq!(told("CSFJSMITH").model.as_deref(), Some("CSF"));
        assert_eq!(told("TCTJSMITH").protocol, Some(Protocol::Sip));
        assert_eq!(told("SIP001122334455").protocol, Some(Protocol::Sip));
        for name in ["SEP001122334455", "ATA001122334455", "RECEPTION"] {
            assert_eq!(told(name), Told::default(), "{name}");
        }
    }

    #[test]
    fn the_image_asked_for_after_a_factory_reset_tells_the_model() {
        for (file, model) in [
            ("term61.default.loads", Some("7961")),
            ("term06.default.loads", Some("7906")),
            ("term+1.default.loads", None),
            ("term100.default.loads", None),
            ("sip88xx.12-5-1SR3-74.loads", None),
        ] {
            assert_eq!(Told::model_by_file(file).as_deref(), model, "{file}");
        }
    }
}
