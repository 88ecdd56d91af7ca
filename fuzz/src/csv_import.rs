//! Tables of the inventory as CSV files.
//!
//! Input: which table the file is of, or that its columns tell; then the file. A file that is wrong
//! is told to be wrong at one of its lines; one that is right is written as it was read.

use std::collections::BTreeMap;

use tftp_edge::inventory::table_file::{self, About};
use tftp_edge::inventory::{Change, Contents, Edit, Place, Plan, Record, RowErrors, Table};

use crate::memory::within;

/// What a row may take beside its bytes: a phone with all that is set for it.
const ROW_BYTES: usize = 8 << 10;

pub fn run(input: &[u8]) {
    let Some((&which, file)) = input.split_first() else {
        return;
    };
    let table = Table::ALL.get(usize::from(which)).copied();
    let lines = file.iter().filter(|&&byte| byte == b'\n').count() + 1;
    within(file, 64, (lines + 64) * ROW_BYTES, || check(table, file));
}

/// What there is before: devices may be of this site.
fn contents() -> Contents {
    let mut contents = Contents::default();
    contents.sites.insert("hq".into(), BTreeMap::new());
    contents
}

/// Whether a file could be read as a table, and what comes of it then.
fn plan(table: Option<Table>, file: &[u8]) -> Result<(Option<Table>, Plan), RowErrors> {
    let about = About {
        table,
        ..About::default()
    };
    let mut edit = Edit::default();
    let read = table_file::read(file, &about, &mut edit.errors).expect("a slice can be read");
    let table = read.map(|(table, rows)| {
        edit.rows = rows;
        table
    });
    assert!(
        table.is_some() || !edit.errors.errors.is_empty(),
        "it was not read, and nothing is wrong"
    );
    edit.plan(contents()).map(|plan| (table, plan))
}

fn check(table: Option<Table>, file: &[u8]) {
    match plan(table, file) {
        Err(errors) => check_errors(&errors, file),
        Ok((table, plan)) => {
            let table = table.expect("it was read");
            check_round_trip(table, &plan);
        }
    }
}

pub(crate) fn check_errors(errors: &RowErrors, file: &[u8]) {
    assert!((1..=50).contains(&errors.errors.len()));
    // A lone CR ends a line too, and so does the end of the file.
    let ends = file
        .iter()
        .filter(|byte| matches!(byte, b'\n' | b'\r'))
        .count();
    for error in &errors.errors {
        let Place::Line { line, .. } = error.place else {
            panic!("no line: {error}");
        };
        assert!(
            (1..=ends as u64 + 1).contains(&line),
            "{error}, of {ends} lines"
        );
        assert!(!error.problem.is_empty());
    }
    assert!(errors.to_string().starts_with("nothing was changed:"));
}

pub(crate) fn added(plan: &Plan) -> Vec<Record> {
    let added = plan.changes.iter().filter_map(|change| match change {
        Change::Added(record) => Some(record.clone()),
        _ => None,
    });
    added.collect()
}

/// What was read is written so that it is read as it was.
pub(crate) fn check_round_trip(table: Table, plan: &Plan) {
    let records = added(plan);
    let mut written = Vec::new();
    table_file::write(table, &records, &mut written).expect("memory can be written");
    let shown = || String::from_utf8_lossy(&written).into_owned();
    let again = self::plan(Some(table), &written)
        .unwrap_or_else(|errors| panic!("{errors}\nin what was written:\n{}", shown()));
    assert_eq!(added(&again.1), records, "from\n{}", shown());
}
