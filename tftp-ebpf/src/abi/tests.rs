//! The layout's own arithmetic.

use super::*;

#[test]
fn a_torn_entry_is_seen() {
    let old = FileEntry {
        position: 8,
        length: 100,
        kind: kind::CONTENT,
        ..FileEntry::default()
    };
    let new = FileEntry {
        position: 4096,
        length: 200,
        generation: 2,
        ..old
    };
    let torn = FileEntry {
        position: new.position,
        ..old.sealed()
    };
    assert!(old.sealed().is_whole());
    assert!(!torn.is_whole());
}

#[test]
fn the_ladder_is_the_count_of_significant_bits() {
    for value in [
        0,
        1,
        2,
        3,
        4,
        7,
        8,
        1023,
        1024,
        u32::MAX as u64,
        1 << 40,
        u64::MAX,
    ] {
        let bits = (u64::BITS - value.leading_zeros()) as usize;
        assert_eq!(log2_bucket(value), bits.min(LOG2_BUCKETS - 1), "{value}");
    }
}
