//! A small soak: what `cargo xtask soak` does for an hour's load, for a few hundred transfers.

use tftp_edge_tests::lab::{LabPrograms, is_root, skipped};
use tftp_edge_tests::rig::daemon_under_test;
use tftp_edge_tests::soak::{self, SoakOptions, What};

#[test]
fn phones_that_come_and_go_leave_nothing_behind() {
    if !is_root() {
        return skipped("network namespaces need root");
    }
    if let Some(why) = LabPrograms::unavailable() {
        return skipped(why);
    }
    let options = SoakOptions {
        daemon: daemon_under_test().expect("a daemon"),
        transfers: 3600,
        registrations: 360,
        phones: 40,
        limit: None,
    };
    let soak = soak::run(&options, |_| {}).unwrap_or_else(|error| panic!("{error:?}"));
    assert!(soak.failures.is_empty(), "{soak}");
    assert!(
        soak.transfers() >= 3600 && soak.registrations >= 360,
        "{soak}"
    );
    for (part, least) in [
        (soak.over_tftp, 1000),
        (soak.over_http, 500),
        (soak.by_sockets, 300),
    ] {
        assert!(part >= least, "{soak}");
    }
    // A few hundred phones do not fill what a daemon keeps for reuse: its memory is for the long run.
    for course in &soak.courses {
        assert!(
            course.is_flat() || course.what == What::MemoryBytes,
            "{soak}"
        );
    }
}
