//! Who leaves the kernel when there is no room, and who comes back when there is some.

use super::*;

#[test]
fn large_files_leave_for_small_ones_the_one_unused_longest_first() {
    let mut directory = directory(1);
    let third = BANK_SPACE as usize / 3 - 8;
    for (generation, name) in ["a.sbn", "b.sbn", "c.sbn"].into_iter().enumerate() {
        directory
            .apply(&[published(name, generation as u64, vec![7; third])])
            .unwrap();
    }
    let a = entry(&directory, "a.sbn").unwrap();
    directory.used(a.file_id);
    directory
        .apply(&[published("sep0.cnf.xml", 9, vec![9; 9000])])
        .unwrap();
    assert_eq!(
        entry(&directory, "sep0.cnf.xml").unwrap().kind,
        kind::ELSEWHERE
    );
    sweeps(&mut directory, 3, &[]);
    assert_eq!(
        entry(&directory, "sep0.cnf.xml").unwrap().kind,
        kind::CONTENT
    );
    assert_eq!(entry(&directory, "b.sbn").unwrap().kind, kind::ELSEWHERE);
    assert_eq!(entry(&directory, "a.sbn").unwrap().kind, kind::CONTENT);
    assert_eq!(directory.counts().evicted, 1);
}

#[test]
fn what_finds_no_room_is_counted_and_left_to_the_daemon() {
    let mut directory = directory(1);
    directory
        .apply(&[published("big.bin", 1, vec![1; BANK_SPACE as usize + 1])])
        .unwrap();
    assert_eq!(entry(&directory, "big.bin").unwrap().kind, kind::ELSEWHERE);
    assert_eq!(directory.counts().refused, 1);
}

#[test]
fn once_a_name_found_no_room_one_that_is_not_there_may_be_the_daemons() {
    let mut directory = Tested::new(HashMap::new(), Slabs::new(Memory::default(), 4), 1);
    publish(&mut directory, "a.xml", 1, vec![1; 10]);
    assert!(!directory.is_partial());
    publish(&mut directory, "b.xml", 2, vec![2; 10]);
    assert!(directory.is_partial());
}

#[test]
fn an_evicted_file_comes_back_when_there_is_room() {
    let mut directory = directory(1);
    publish(&mut directory, "a.sbn", 1, vec![1; BANK - 1000]);
    publish(&mut directory, "sep0.cnf.xml", 2, vec![2; 9000]);
    sweeps(&mut directory, 3, &[]);
    assert_eq!(kind_of(&directory, "a.sbn"), kind::ELSEWHERE);
    directory
        .apply(&[becomes("sep0.cnf.xml", State::Absent)])
        .unwrap();
    sweeps(&mut directory, 3, &[]);
    let back = entry(&directory, "a.sbn").unwrap();
    assert_eq!((back.kind, back.generation), (kind::CONTENT, 1));
    assert_eq!(directory.slabs.block(back.position, 10), Some(&[1; 10][..]));
}

#[test]
fn files_come_back_in_the_order_they_left() {
    let mut directory = directory(1);
    publish(&mut directory, "a.sbn", 1, vec![1; BANK / 2 - 8]);
    publish(&mut directory, "b.sbn", 2, vec![2; BANK / 2 - 8]);
    for (generation, name) in ["c.sbn", "d.sbn"].into_iter().enumerate() {
        publish(
            &mut directory,
            name,
            3 + generation as u64,
            vec![3; BANK / 2 - 8],
        );
        sweeps(&mut directory, 3, &[]);
        assert_eq!(kind_of(&directory, name), kind::CONTENT);
    }
    directory
        .apply(&[becomes("d.sbn", State::Forgotten)])
        .unwrap();
    sweeps(&mut directory, 3, &[]);
    assert_eq!(kind_of(&directory, "a.sbn"), kind::CONTENT);
    assert_eq!(kind_of(&directory, "b.sbn"), kind::ELSEWHERE);
}

#[test]
fn a_file_that_the_catalog_dropped_does_not_come_back_and_is_not_kept_in_memory() {
    let mut directory = directory(1);
    let change = published("a.sbn", 1, vec![1; BANK - 1000]);
    let State::Published(version) = &change.state else {
        unreachable!()
    };
    let version = Arc::downgrade(version);
    directory.apply(&[change]).unwrap();
    publish(&mut directory, "sep0.cnf.xml", 2, vec![2; 9000]);
    sweeps(&mut directory, 3, &[]);
    assert_eq!(version.strong_count(), 1);
    directory.apply(&[becomes("a.sbn", State::OnDisk)]).unwrap();
    assert_eq!(version.strong_count(), 0);
    directory
        .apply(&[becomes("sep0.cnf.xml", State::Absent)])
        .unwrap();
    sweeps(&mut directory, 3, &[]);
    assert_eq!(kind_of(&directory, "a.sbn"), kind::ELSEWHERE);
}

#[test]
fn nothing_leaves_for_a_file_that_does_not_fit_beside_the_small_ones() {
    let mut directory = directory(2);
    for phone in 0..20 {
        let name = format!("sep{phone}.cnf.xml");
        publish(&mut directory, &name, phone, vec![1; 60_000]);
    }
    publish(&mut directory, "a.sbn", 30, vec![2; BANK / 2]);
    publish(&mut directory, "b.sbn", 31, vec![3; BANK / 2]);
    publish(&mut directory, "huge.sbn", 32, vec![4; 2 * BANK - 600_000]);
    publish(&mut directory, "never.sbn", 33, vec![4; 3 * BANK]);
    sweeps(&mut directory, 5, &[]);
    assert_eq!(kind_of(&directory, "a.sbn"), kind::CONTENT);
    assert_eq!(kind_of(&directory, "b.sbn"), kind::CONTENT);
    assert_eq!(kind_of(&directory, "huge.sbn"), kind::ELSEWHERE);
    assert_eq!(directory.counts().evicted, 0);
    assert_eq!(directory.counts().refused, 2);
}

#[test]
fn a_large_file_that_is_replaced_makes_room_for_itself() {
    let mut directory = directory(4);
    publish(&mut directory, "other.sbn", 1, vec![1; BANK]);
    publish(&mut directory, "image.sbn", 2, vec![2; 5 * BANK / 2]);
    publish(&mut directory, "image.sbn", 3, vec![3; 5 * BANK / 2]);
    assert_eq!(kind_of(&directory, "image.sbn"), kind::ELSEWHERE);
    sweeps(&mut directory, 3, &[]);
    let image = entry(&directory, "image.sbn").unwrap();
    assert_eq!((image.kind, image.generation), (kind::CONTENT, 3));
    assert_eq!(
        directory.slabs.block(image.position, 10),
        Some(&[3; 10][..])
    );
    assert_eq!(kind_of(&directory, "other.sbn"), kind::CONTENT);
    assert_eq!(directory.counts().evicted, 0);
}

#[test]
fn large_files_leave_until_all_small_ones_fit() {
    const PHONES: u64 = 1000;
    let mut directory = Tested::new(HashMap::new(), Slabs::new(Memory::default(), 4), 2000);
    let image = 3_000_000;
    let images = 4 * BANK / image;
    for number in 0..images {
        publish(&mut directory, &format!("{number}.sbn"), 1, vec![1; image]);
    }
    for phone in 0..PHONES {
        let name = format!("sep{phone}.cnf.xml");
        publish(&mut directory, &name, 2 + phone, vec![2; 9000]);
    }
    sweeps(&mut directory, 8, &[]);
    let in_kernel = (0..PHONES)
        .filter(|phone| kind_of(&directory, &format!("sep{phone}.cnf.xml")) == kind::CONTENT)
        .count();
    assert_eq!(in_kernel as u64, PHONES);
    let left = directory.counts().files - PHONES;
    assert!(
        left >= 1,
        "more images left than there was need for: {left} are there"
    );
    let evicted = directory.counts().evicted;
    sweeps(&mut directory, 200, &[]);
    assert_eq!(directory.counts().evicted, evicted);
}

#[test]
fn without_memory_for_a_bank_content_is_the_daemons_until_there_is_some() {
    let mut directory = Tested::new(HashMap::new(), Slabs::new(Memory::enough_for(1), 4), 100);
    publish(&mut directory, "a.xml", 1, vec![1; 60_000]);
    publish(&mut directory, "b.sbn", 2, vec![2; BANK]);
    publish(&mut directory, "c.sbn", 3, vec![3; BANK]);
    sweeps(&mut directory, 3, &[]);
    assert_eq!(kind_of(&directory, "a.xml"), kind::CONTENT);
    assert_eq!(kind_of(&directory, "b.sbn"), kind::ELSEWHERE);
    assert_eq!(directory.counts().refused, 2);
    directory.slabs.banks_mut().find_more();
    sweeps(&mut directory, 64, &[]);
    assert_eq!(kind_of(&directory, "b.sbn"), kind::CONTENT);
    assert_eq!(kind_of(&directory, "c.sbn"), kind::CONTENT);
}

#[test]
fn names_that_found_no_room_come_in_as_they_are_by_then_when_others_are_forgotten() {
    let mut directory = Tested::new(HashMap::new(), Slabs::new(Memory::default(), 4), 2);
    for (generation, name) in ["a.xml", "b.xml", "c.xml", "e.xml", "d.xml"]
        .into_iter()
        .enumerate()
    {
        publish(&mut directory, name, generation as u64, vec![1; 10]);
    }
    let forget = |directory: &mut Tested, name: &str| {
        let change = becomes(name, State::Forgotten);
        directory.apply(&[change]).unwrap();
        assert_eq!(entry(directory, name), None);
    };
    assert_eq!(
        (directory.counts().names, directory.counts().refused),
        (2, 3)
    );
    // Meanwhile one of them is gone for good, and another is another version.
    forget(&mut directory, "c.xml");
    publish(&mut directory, "e.xml", 7, vec![7; 20]);
    assert_eq!(entry(&directory, "e.xml"), None);

    forget(&mut directory, "a.xml");
    let e = entry(&directory, "e.xml").unwrap();
    assert_eq!(
        (e.kind, content(&directory, &e)),
        (kind::CONTENT, &[7; 20][..])
    );
    assert_eq!(entry(&directory, "d.xml"), None);
    forget(&mut directory, "b.xml");
    assert!(entry(&directory, "d.xml").is_some());
    // Nobody is left outside.
    forget(&mut directory, "e.xml");
    assert_eq!(directory.counts().names, 1);
}
