//! The benchmark goes through with the daemon as it is. What it measures is nobody's verdict.

use anyhow::ensure;
use tftp_edge_tests::bench::{self, BenchOptions, Part};
use tftp_edge_tests::lab::with_root;
use tftp_edge_tests::rig::daemon_under_test;

/// Runs a part at its smallest; it has to bring this many tables, and rows in each.
fn goes_through(part: Part, tables: usize) {
    with_root(true, || {
        let options = BenchOptions {
            daemon: daemon_under_test()?,
            parts: vec![part],
            quick: true,
            rounds: 2,
            phones: 200,
        };
        let bench = bench::run(&options, |line| println!("{line}"), |_| ())?;
        ensure!(bench.tables.len() == tables, "{:#?}", bench.tables);
        let is_empty = |it: &bench::Table| it.rows.is_empty();
        ensure!(!bench.tables.iter().any(is_empty), "{:#?}", bench.tables);
        Ok(())
    });
}

/// It refuses figures of a program that ran less often than the phones were answered.
#[test]
fn answers_are_those_of_the_program_that_gave_them() {
    goes_through(Part::A, 2);
}

#[test]
fn kernel_memory_is_that_of_the_daemons_maps() {
    goes_through(Part::D, 1);
}
