//! What the verifier walks, and what the maps occupy.

use std::collections::BTreeSet;
use std::os::fd::RawFd;
use std::sync::Arc;

use aya::programs::{SchedClassifier, Xdp};
use bytes::Bytes;
use tftp_ebpf::stage::Stage;
use tftp_ebpf::testing::Site;
use tftp_edge::content::{Change, State, Version};
use tftp_edge::kernel::directory::Directory;
use tftp_edge::kernel::object::{Object, Sizes, memory_of};
use tftp_edge::kernel::programs::{
    TC_PROGRAM, TRACED_TC_PROGRAM, TRACED_XDP_PROGRAM, XDP_PROGRAM, load_traced, program,
};
use tftp_edge::kernel::slabs::Slabs;
use tftp_edge::kernel::{Ladder, Settings};
use tftp_edge_tests::programs::{Programs, may_load};

/// The kernel gives up after walking a million instructions. What it walks changes with every
/// kernel and every compiler: a quarter of the limit is room for the ones not tested with.
const VERIFIER_BUDGET: u32 = 250_000;

#[test]
fn the_verifier_walks_no_more_than_a_quarter_of_its_limit() {
    if !may_load("the verifier's budget") {
        return;
    }
    let mut programs = Programs::load(&Site::new()).expect("the programs load");
    let counts = programs
        .verified_instructions()
        .expect("program information");
    for (program, count) in counts {
        let Some(count) = count else {
            println!("SKIPPED: Linux before 5.16 does not count for {program}");
            continue;
        };
        println!("{program}: {count} instructions verified");
        assert!(count < VERIFIER_BUDGET, "{program}: {count}");
    }
}

/// The verifier takes most of the time of a start.
#[test]
fn programs_of_a_rung_that_is_not_climbed_are_not_verified() {
    if !may_load("the programs of TC alone") {
        return;
    }
    let settings = Settings {
        mode: Ladder::Tc,
        ..Settings::default()
    };
    let mut object = Object::load(&settings, Sizes::default()).expect("the programs load");
    let ebpf = &mut object.ebpf;
    load_traced(ebpf).expect("the programs that trace load");
    for (xdp, tc) in [
        (XDP_PROGRAM, TC_PROGRAM),
        (TRACED_XDP_PROGRAM, TRACED_TC_PROGRAM),
    ] {
        let loaded: &mut Xdp = program(ebpf, xdp).expect("it is in the object");
        assert!(loaded.fd().is_err(), "{xdp} is loaded");
        let loaded: &mut SchedClassifier = program(ebpf, tc).expect("it is in the object");
        assert!(loaded.fd().is_ok(), "{tc} is not loaded");
    }
}

fn maps_bytes(descriptors: &[RawFd]) -> u64 {
    descriptors.iter().map(|map| memory_of(*map)).sum()
}

/// What all maps occupy before there is any content: the tables of 32,768 transfers, budgets and
/// known sources, which are allocated whole, and one megabyte of events. A host of four phones
/// carries it too.
const EMPTY_BYTES: u64 = 20 << 20;

#[test]
fn the_maps_are_small_before_there_is_content() {
    if !may_load("the maps' memory") {
        return;
    }
    let object = Object::load(&Settings::default(), Sizes::default()).expect("the programs load");
    let bytes = maps_bytes(&object.counters.descriptors);
    println!("maps without content: {bytes} bytes");
    assert!(bytes > 1 << 20, "{bytes}: the kernel does not say");
    assert!(bytes < EMPTY_BYTES, "{bytes}");
}

/// Overlaps of slabs, the half-empty last bank, the names, and the tables that are there without
/// content too.
const SHARE: f64 = 1.2;

#[test]
fn the_configurations_of_twenty_thousand_phones_take_a_fifth_more_than_their_bytes() {
    const PHONES: u64 = 20_000;
    const BYTES: usize = 8 << 10;
    if !may_load("the maps' memory") {
        return;
    }
    let settings = Settings::default();
    let object = Object::load(&settings, Sizes::default()).expect("the programs load");
    let descriptors = object.counters.descriptors.clone();
    let empty = maps_bytes(&descriptors);
    let slabs = Slabs::new(object.banks, settings.max_banks());
    let mut directory = Directory::new(object.files, slabs, settings.max_names);
    let content = Bytes::from(vec![0x5a; BYTES]);
    for phone in 0..PHONES {
        let name: Arc<str> = format!("sep{phone:012x}.cnf.xml").into();
        let version = Version {
            name: Arc::clone(&name),
            stage: Stage::Config,
            generation: phone + 1,
            published: std::time::SystemTime::UNIX_EPOCH,
            bytes: content.clone(),
        };
        let change = Change {
            name,
            stage: Stage::Config,
            state: State::Published(Arc::new(version)),
        };
        directory.apply(&[change]).expect("the maps can be written");
    }
    directory.swept(&BTreeSet::new()).expect("a sweep");
    assert_eq!(directory.counts().files, PHONES);

    let maps = maps_bytes(&descriptors);
    let banks = directory.slabs().banks().map_bytes();
    let content = PHONES * BYTES as u64;
    let share = |bytes: u64| bytes as f64 / content as f64;
    let (added, all) = (share(maps - empty + banks), share(maps + banks));
    println!(
        "{content} bytes of content: {banks} in slabs, {maps} in other maps ({empty} when empty); \
         {added:.3} times the content was added, {all:.3} times it is there in all"
    );
    assert!(all <= SHARE, "{all:.3}");
}
