//! How far a phone has come.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tftp_ebpf::stage::Stage as FileStage;

/// The stages of a boot, in the order most phones take them. One word for each, in the journal, the
/// metrics, the web page and the documentation.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Stage {
    /// Nothing was heard of it: it has no address yet, or was not told where we are.
    #[default]
    Dhcp,
    Trust,
    Config,
    Default,
    Firmware,
    DialRules,
    Locale,
    SoftKeys,
    Rings,
    /// It asks to be registered.
    Register,
    Registered,
}

impl Stage {
    pub const COUNT: usize = 11;
    pub const ALL: [Self; Self::COUNT] = [
        Self::Dhcp,
        Self::Trust,
        Self::Config,
        Self::Default,
        Self::Firmware,
        Self::DialRules,
        Self::Locale,
        Self::SoftKeys,
        Self::Rings,
        Self::Register,
        Self::Registered,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dhcp => "dhcp",
            Self::Trust => "trust",
            Self::Config => "config",
            Self::Default => "default",
            Self::Firmware => "firmware",
            Self::DialRules => "dialrules",
            Self::Locale => "locale",
            Self::SoftKeys => "softkeys",
            Self::Rings => "rings",
            Self::Register => "register",
            Self::Registered => "registered",
        }
    }

    /// What a request for a file of this kind says; nothing if it says nothing.
    pub const fn of_file(stage: FileStage) -> Option<Self> {
        Some(match stage {
            FileStage::Trust => Self::Trust,
            FileStage::Config => Self::Config,
            FileStage::Default => Self::Default,
            FileStage::Firmware => Self::Firmware,
            FileStage::DialRules => Self::DialRules,
            FileStage::Locale => Self::Locale,
            FileStage::SoftKeys => Self::SoftKeys,
            FileStage::Rings => Self::Rings,
            FileStage::Other => return None,
        })
    }

    /// Whether a phone asks for these files at the beginning of a boot.
    pub const fn begins_a_boot(self) -> bool {
        matches!(self, Self::Trust | Self::Config | Self::Default)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for Stage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let stage = Self::ALL.into_iter().find(|it| it.as_str() == text);
        stage.ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            format!("no stage; expected one of {all}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_at_its_place_and_read_as_it_is_written() {
        for (place, stage) in Stage::ALL.into_iter().enumerate() {
            assert_eq!(stage as usize, place);
            assert_eq!(stage.as_str().parse(), Ok(stage));
        }
        assert!("boot".parse::<Stage>().unwrap_err().contains("firmware"));
    }

    #[test]
    fn files_have_the_words_of_the_metrics() {
        for file in FileStage::ALL {
            match Stage::of_file(file) {
                Some(stage) => assert_eq!(stage.as_str(), file.as_str()),
                None => assert_eq!(file, FileStage::Other),
            }
        }
    }
}
