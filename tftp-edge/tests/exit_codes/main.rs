//! Every exit code that a command is documented with, provoked with the program itself; and no other
//! comes of it.
//!
//! A scene is a folder with a configuration in it and something wrong. What it provokes is written
//! down, and is all of the table of `contrib/service.md` in the end.

// Clippy's leave for tests does not reach helpers of an integration test.
#![allow(clippy::unwrap_used)]

mod daemon;
mod faults;
mod scene;
mod stand_in;
mod words;

use std::collections::BTreeSet;
use std::thread;

use scene::{Seen, is_root};
use tftp_edge::ops::exit::{Exit, codes};

/// One after the other what each does not need of the others: most of them wait.
const SCENES: [fn(&Seen); 13] = [
    words::typed_right_and_wrong,
    words::a_configuration_that_is_wrong,
    words::nowhere_to_write_to,
    daemon::one_that_serves,
    daemon::one_that_is_not_ready,
    daemon::one_without_its_kernel_path,
    stand_in::nobody_answers,
    stand_in::one_of_another_version,
    stand_in::one_that_may_not_be_asked,
    faults::of_the_inventory,
    faults::of_the_served_folder,
    faults::of_the_start,
    faults::of_the_pins,
];

#[test]
fn every_code_that_a_command_is_documented_with_is_provoked_and_no_other() {
    let seen = Seen::default();
    thread::scope(|scope| {
        for scene in SCENES {
            let seen = &seen;
            scope.spawn(move || scene(seen));
        }
    });
    let seen = seen.codes();
    let mut documented = BTreeSet::new();
    for command in tftp_edge::cli::command().get_subcommands() {
        let name = command.get_name();
        let codes = codes(name).unwrap_or_else(|| panic!("{name} has no codes"));
        documented.extend(codes.into_iter().map(|it| (name.to_owned(), it)));
    }
    let others: Vec<_> = seen.difference(&documented).collect();
    assert!(others.is_empty(), "not documented: {others:?}");
    let missing: Vec<_> = documented.difference(&seen).collect();
    if is_root() {
        assert!(missing.is_empty(), "never provoked: {missing:?}");
    } else {
        // A full disk and a BPF file system take mounting.
        let mounted = |(command, exit): &&(String, Exit)| {
            matches!(
                (command.as_str(), exit),
                ("run", Exit::Io) | ("detach", Exit::Unavailable) | ("trace", _)
            )
        };
        assert!(missing.iter().all(mounted), "{missing:?}");
        eprintln!("not root: {missing:?} were not provoked");
    }
}
