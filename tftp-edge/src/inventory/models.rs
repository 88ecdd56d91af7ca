//! The phone models we know: type ids as phones and call managers use them on the wire, and what
//! a model can hold.
//!
//! A model's firmware is not seeded. A phone that is given a load it does not have fetches it, and
//! one given an old or a wrong load goes back or reboots in a loop; a phone given none keeps what
//! it runs. So a load is written only once the operator has named one, for a model or a device.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{NameKind, Protocol};

/// What sort of device a model is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    #[default]
    Phone,
    /// A key expansion module: part of a phone, not a device.
    Module,
    /// An analogue terminal adapter.
    Ata,
    /// A program on a computer or mobile.
    SoftPhone,
}

/// What is the same for all phones of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    pub name: Cow<'static, str>,
    #[serde(default)]
    pub kind: ModelKind,
    /// The number in `<loadInformation{id}>` of `XMLDefault.cnf.xml`; none for models of which no
    /// public source gives it.
    pub type_id: Option<u32>,
    pub sip: bool,
    pub sccp: bool,
    /// Line keys on the phone itself.
    pub lines: u16,
    /// The most calls a SIP phone takes, over all its lines.
    pub max_calls: u32,
}

impl Model {
    pub const fn speaks(&self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Sip => self.sip,
            Protocol::Sccp => self.sccp,
        }
    }

    /// With SIP firmware these read `SIP<MAC>.cnf`, and are devices of that name.
    pub fn is_legacy_sip(&self, protocol: Protocol) -> bool {
        protocol == Protocol::Sip && matches!(&*self.name, "7940" | "7960")
    }

    /// Whether devices of this model are called so; if not, what they are called.
    pub fn check_name(&self, kind: NameKind, protocol: Protocol) -> Result<(), &'static str> {
        let expected = match self.kind {
            ModelKind::Module => return Err("nothing: a module belongs to a phone"),
            ModelKind::Phone if self.is_legacy_sip(protocol) => NameKind::Sip,
            ModelKind::Phone => NameKind::Sep,
            ModelKind::Ata => NameKind::Ata,
            // Cisco IP Communicator takes the address of the computer, if nothing else is wanted.
            ModelKind::SoftPhone if kind == NameKind::Sep => return Ok(()),
            ModelKind::SoftPhone => NameKind::Named,
        };
        if kind == expected {
            return Ok(());
        }
        Err(match expected {
            NameKind::Sep => "SEP and its MAC address",
            NameKind::Sip => "SIP and its MAC address",
            NameKind::Ata => "ATA and its MAC address",
            NameKind::Named => "a name of your own, or SEP and the computer's MAC address",
        })
    }
}

/// The models of the table here, and those the operator has added or corrected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Models {
    /// By name in lower case.
    by_name: BTreeMap<String, Model>,
}

impl Models {
    /// `added` go before the table's of the same name.
    pub fn new(added: impl IntoIterator<Item = Model>) -> Self {
        let all = MODELS.iter().cloned().chain(added);
        Self {
            by_name: all
                .map(|model| (model.name.to_ascii_lowercase(), model))
                .collect(),
        }
    }

    /// The model with this name, in any case, with or without the sales prefix `CP-`.
    pub fn find(&self, name: &str) -> Option<&Model> {
        let name = name.to_ascii_lowercase();
        self.by_name.get(name.strip_prefix("cp-").unwrap_or(&name))
    }

    /// By name.
    pub fn iter(&self) -> impl Iterator<Item = &Model> {
        self.by_name.values()
    }
}

impl Default for Models {
    fn default() -> Self {
        Self::new([])
    }
}

const fn sccp(name: &'static str, type_id: u32, lines: u16) -> Model {
    Model {
        name: Cow::Borrowed(name),
        kind: ModelKind::Phone,
        type_id: Some(type_id),
        sip: false,
        sccp: true,
        lines,
        max_calls: 50,
    }
}

const fn both(name: &'static str, type_id: u32, lines: u16, max_calls: u32) -> Model {
    let mut model = sccp(name, type_id, lines);
    model.sip = true;
    model.max_calls = max_calls;
    model
}

const fn sip(name: &'static str, type_id: u32, lines: u16, max_calls: u32) -> Model {
    let mut model = both(name, type_id, lines, max_calls);
    model.sccp = false;
    model
}

const fn of_kind(kind: ModelKind, mut model: Model) -> Model {
    model.kind = kind;
    model
}

/// A module takes part in what its phone speaks, and adds keys to it.
const fn module(name: &'static str, type_id: u32, keys: u16) -> Model {
    of_kind(ModelKind::Module, both(name, type_id, keys, 0))
}

/// By name. The ids are those of the call manager's own table of models, as two or more public
/// listings of it have them. With SIP firmware a 7940 or 7960 is a device `SIP<MAC>` and reads another format.
pub static MODELS: &[Model] = &[
    sip("3905", 592, 1, 12),
    sip("3911", 446, 1, 12),
    sip("3951", 412, 1, 12),
    both("6901", 547, 1, 12),
    both("6911", 548, 1, 12),
    both("6921", 495, 2, 12),
    both("6941", 496, 4, 24),
    both("6945", 564, 4, 24),
    both("6961", 497, 12, 72),
    sip("7811", 36_213, 1, 12),
    sip("7821", 621, 2, 12),
    sip("7832", 36_247, 1, 12),
    sip("7841", 622, 4, 24),
    sip("7861", 623, 16, 72),
    sccp("7902", 30008, 1),
    sccp("7905", 20000, 1),
    both("7906", 369, 1, 50),
    sccp("7910", 6, 1),
    both("7911", 307, 1, 50),
    sccp("7912", 30007, 1),
    module("7914", 124, 14),
    module("7915-12", 227, 12),
    module("7915-24", 228, 24),
    module("7916-12", 229, 12),
    module("7916-24", 230, 24),
    sccp("7920", 30002, 6),
    sccp("7921", 365, 6),
    sccp("7925", 484, 6),
    sccp("7926", 577, 6),
    both("7931", 348, 24, 50),
    sccp("7935", 9, 1),
    sccp("7936", 30019, 1),
    sccp("7937", 431, 1),
    both("7940", 8, 2, 12),
    both("7941", 115, 2, 50),
    both("7941GE", 309, 2, 50),
    both("7942", 434, 2, 50),
    both("7945", 435, 2, 50),
    both("7960", 7, 6, 12),
    both("7961", 30018, 6, 50),
    both("7961GE", 308, 6, 50),
    both("7962", 404, 6, 50),
    both("7965", 436, 6, 50),
    both("7970", 30006, 8, 50),
    both("7971", 119, 8, 50),
    both("7975", 437, 8, 50),
    sccp("7985", 302, 1),
    module("8800-Audio", 36_257, 28),
    module("8800-Video", 36_256, 28),
    sip("8811", 36_217, 10, 200),
    sip("8821", 36_216, 6, 24),
    sip("8831", 659, 1, 6),
    sip("8832", 36_258, 1, 12),
    sip("8841", 683, 10, 200),
    sip("8845", 36_224, 10, 200),
    sip("8851", 684, 10, 200),
    sip("8851NR", 36_232, 10, 200),
    sip("8861", 685, 10, 200),
    sip("8865", 36_225, 10, 200),
    sip("8865NR", 36_248, 10, 200),
    both("8941", 586, 4, 24),
    both("8945", 585, 4, 24),
    sip("8961", 540, 5, 200),
    sip("9951", 537, 5, 200),
    sip("9971", 493, 6, 200),
    of_kind(ModelKind::Ata, sccp("ATA186", 12, 2)),
    of_kind(ModelKind::Ata, sip("ATA187", 550, 2, 12)),
    of_kind(ModelKind::Ata, sccp("ATA188", 13, 2)),
    of_kind(ModelKind::Ata, sip("ATA190", 681, 2, 12)),
    of_kind(ModelKind::Ata, sip("ATA191", 36_262, 2, 12)),
    module("BEKEM", 36_049, 36),
    of_kind(ModelKind::SoftPhone, sip("BOT", 575, 1, 12)),
    of_kind(ModelKind::SoftPhone, both("CIPC", 30016, 8, 50)),
    module("CKEM", 232, 36),
    of_kind(ModelKind::SoftPhone, sip("CSF", 503, 8, 12)),
    of_kind(ModelKind::SoftPhone, sip("TCT", 562, 1, 12)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_type_ids_are_unique_and_sorted() {
        assert!(MODELS.windows(2).all(|pair| pair[0].name < pair[1].name));
        let mut ids: Vec<_> = MODELS.iter().filter_map(|model| model.type_id).collect();
        ids.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn a_model_is_found_by_its_sales_name_too() {
        let models = Models::default();
        assert_eq!(models.find("cp-7941ge").unwrap().type_id, Some(309));
        assert!(models.find("7999").is_none());
    }

    #[test]
    fn what_the_operator_adds_goes_before_the_table() {
        let added = Model {
            type_id: Some(36_999),
            ..Models::default().find("ATA191").unwrap().clone()
        };
        let models = Models::new([added]);
        assert_eq!(models.find("ata191").unwrap().type_id, Some(36_999));
        assert_eq!(models.iter().count(), MODELS.len());
    }

    #[test]
    fn every_model_speaks_something_and_has_a_line() {
        for model in MODELS {
            assert!(model.sip || model.sccp, "{}", model.name);
            assert!(
                model.lines > 0 && (model.max_calls >= 1 || model.kind == ModelKind::Module),
                "{}",
                model.name
            );
        }
    }
}
