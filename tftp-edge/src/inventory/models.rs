//! The phone models we know: type ids as phones and call managers use them on the wire, and what
//! a model can hold.
//!
//! A model's firmware is not seeded. A phone that is given a load it does not have fetches it, and
//! one given an old or a wrong load goes back or reboots in a loop; a phone given none keeps what
//! it runs. So a load is written only once the operator has named one, for a model or a device.

use serde::Serialize;

use super::Protocol;

/// What is the same for all phones of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Model {
    pub name: &'static str,
    /// The number in `<loadInformation{id}>` of `XMLDefault.cnf.xml`; none for models of which no
    /// public source gives it.
    pub type_id: Option<u32>,
    pub sip: bool,
    pub sccp: bool,
    /// Line keys on the phone itself.
    pub lines: usize,
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

    /// The model with this name, in any case, with or without the sales prefix `CP-`.
    pub fn find(name: &str) -> Option<&'static Self> {
        let name = match name.split_at_checked(3) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("CP-") => rest,
            _ => name,
        };
        MODELS
            .iter()
            .find(|model| model.name.eq_ignore_ascii_case(name))
    }
}

const fn sccp(name: &'static str, type_id: u32, lines: usize) -> Model {
    Model {
        name,
        type_id: Some(type_id),
        sip: false,
        sccp: true,
        lines,
        max_calls: 50,
    }
}

const fn both(name: &'static str, type_id: u32, lines: usize, max_calls: u32) -> Model {
    Model {
        sip: true,
        max_calls,
        ..sccp(name, type_id, lines)
    }
}

const fn sip(name: &'static str, type_id: u32, lines: usize, max_calls: u32) -> Model {
    Model {
        sccp: false,
        ..both(name, type_id, lines, max_calls)
    }
}

const fn without_id(model: Model) -> Model {
    Model {
        type_id: None,
        ..model
    }
}

/// By name. 7940 and 7960 are SCCP only here: as SIP phones they read `SIP<MAC>.cnf`, another format.
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
    without_id(sip("7811", 0, 1, 12)),
    sip("7821", 621, 2, 12),
    without_id(sip("7832", 0, 1, 12)),
    sip("7841", 622, 4, 24),
    sip("7861", 623, 16, 72),
    sccp("7902", 30008, 1),
    sccp("7905", 20000, 1),
    both("7906", 369, 1, 50),
    sccp("7910", 6, 1),
    both("7911", 307, 1, 50),
    sccp("7912", 30007, 1),
    sccp("7920", 30002, 6),
    sccp("7921", 365, 6),
    sccp("7925", 484, 6),
    sccp("7926", 577, 6),
    both("7931", 348, 24, 50),
    sccp("7935", 9, 1),
    sccp("7936", 30019, 1),
    sccp("7937", 431, 1),
    sccp("7940", 8, 2),
    both("7941", 115, 2, 50),
    both("7941GE", 309, 2, 50),
    both("7942", 434, 2, 50),
    both("7945", 435, 2, 50),
    sccp("7960", 7, 6),
    both("7961", 30018, 6, 50),
    both("7961GE", 308, 6, 50),
    both("7962", 404, 6, 50),
    both("7965", 436, 6, 50),
    both("7970", 30006, 8, 50),
    both("7971", 119, 8, 50),
    both("7975", 437, 8, 50),
    sccp("7985", 302, 1),
    without_id(sip("8811", 0, 10, 200)),
    without_id(sip("8821", 0, 6, 24)),
    sip("8831", 659, 1, 6),
    without_id(sip("8832", 0, 1, 12)),
    sip("8841", 683, 10, 200),
    without_id(sip("8845", 0, 10, 200)),
    sip("8851", 684, 10, 200),
    sip("8861", 685, 10, 200),
    without_id(sip("8865", 0, 10, 200)),
    both("8941", 586, 4, 24),
    both("8945", 585, 4, 24),
    sip("8961", 540, 5, 200),
    sip("9951", 537, 5, 200),
    sip("9971", 493, 6, 200),
    sccp("ATA186", 12, 2),
    sip("ATA187", 550, 2, 12),
    sccp("ATA188", 13, 2),
    both("CIPC", 30016, 8, 50),
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
        assert_eq!(Model::find("cp-7941ge").unwrap().type_id, Some(309));
        assert!(Model::find("7999").is_none());
    }

    #[test]
    fn every_model_speaks_something_and_has_a_line() {
        for model in MODELS {
            assert!(model.sip || model.sccp, "{}", model.name);
            assert!(model.lines > 0 && model.max_calls >= 1, "{}", model.name);
        }
    }
}
