//! Phones from a CSV file of Cisco's Bulk Administration Tool.
//!
//! Input: what the template says of model, protocol and site; then the file. A file that is wrong is
//! told to be wrong at one of its lines; the phones of one that is right can be exported.

use std::collections::BTreeMap;

use tftp_edge::inventory::bat::{self, BatDefaults, LeftOut};
use tftp_edge::inventory::{Contents, Models, Protocol, Table};

use crate::csv_import::{check_errors, check_round_trip};
use crate::memory::within;

const ROW_BYTES: usize = 8 << 10;

pub fn run(input: &[u8]) {
    let Some((&which, file)) = input.split_first() else {
        return;
    };
    let models = ["7962", "8851", "7960", "7941"];
    let defaults = BatDefaults {
        model: (which & 1 != 0).then(|| models[usize::from(which >> 6)].into()),
        protocol: match which >> 1 & 3 {
            0 => Some(Protocol::Sip),
            1 => Some(Protocol::Sccp),
            _ => None,
        },
        site: (which & 8 != 0).then(|| "hq".into()),
        pool_is_site: which & 16 != 0,
    };
    let lines = file.iter().filter(|&&byte| byte == b'\n').count() + 1;
    within(file, 64, (lines + 64) * ROW_BYTES, || {
        check(&defaults, file)
    });
}

fn check(defaults: &BatDefaults, file: &[u8]) {
    let mut left_out = LeftOut::default();
    let edit = bat::read(file, defaults, &Models::default(), &mut left_out);
    let edit = edit.expect("a slice can be read");
    let shown = left_out.to_string();
    assert!(shown.lines().count() <= file.len() + 1);
    let mut contents = Contents::default();
    contents.sites.insert("hq".into(), BTreeMap::new());
    match edit.plan(contents) {
        Err(errors) => check_errors(&errors, file),
        Ok(plan) => check_round_trip(Table::Devices, &plan),
    }
}
