//! The directory over banks in ordinary memory.

use bytes::Bytes;

use super::super::slabs::BANK_SPACE;
use super::super::slabs::testing::Memory;
use super::*;

impl Files for HashMap<NameKey, FileEntry> {
    fn insert(&mut self, key: &NameKey, entry: FileEntry) -> Result<(), Error> {
        HashMap::insert(self, *key, entry);
        Ok(())
    }

    fn remove(&mut self, key: &NameKey) {
        HashMap::remove(self, key);
    }
}

type Tested = Directory<HashMap<NameKey, FileEntry>, Memory>;

fn directory(max_banks: usize) -> Tested {
    Directory::new(
        HashMap::new(),
        Slabs::new(Memory::default(), max_banks),
        100,
    )
}

fn published(name: &str, generation: u64, bytes: Vec<u8>) -> Change {
    let name: Arc<str> = name.into();
    let stage = Stage::of_name(name.as_bytes());
    let version = Version {
        name: Arc::clone(&name),
        stage,
        generation,
        bytes: Bytes::from(bytes),
    };
    Change {
        name,
        stage,
        state: State::Published(Arc::new(version)),
    }
}

fn becomes(name: &str, state: State) -> Change {
    Change {
        name: name.into(),
        stage: Stage::of_name(name.as_bytes()),
        state,
    }
}

fn entry(directory: &Tested, name: &str) -> Option<FileEntry> {
    directory
        .files
        .get(&name::key(name.as_bytes()).unwrap())
        .copied()
}

fn content<'a>(directory: &'a Tested, entry: &FileEntry) -> &'a [u8] {
    directory
        .slabs
        .block(entry.position, entry.length as usize)
        .unwrap()
}

fn sweeps(directory: &mut Tested, count: usize, referred: &[u64]) {
    for _ in 0..count {
        directory
            .swept(&referred.iter().copied().collect())
            .unwrap();
    }
}

#[test]
fn what_is_published_can_be_read_where_the_entry_says() {
    let mut directory = directory(1);
    directory
        .apply(&[published("ringlist.xml", 1, b"<rings/>".to_vec())])
        .unwrap();
    let entry = entry(&directory, "ringlist.xml").unwrap();
    assert!(entry.is_whole());
    assert_eq!(entry.kind, kind::CONTENT);
    assert_eq!(content(&directory, &entry), b"<rings/>");
}

#[test]
fn the_space_of_an_old_version_is_kept_while_a_transfer_reads_it() {
    let mut directory = directory(1);
    directory
        .apply(&[published("a.xml", 1, vec![1; 4000])])
        .unwrap();
    let old = entry(&directory, "a.xml").unwrap();
    directory
        .apply(&[published("a.xml", 2, vec![2; 4000])])
        .unwrap();
    sweeps(&mut directory, 5, &[old.position]);
    directory
        .apply(&[published("b.xml", 3, vec![3; 4000])])
        .unwrap();
    assert_eq!(content(&directory, &old), [1; 4000]);

    sweeps(&mut directory, 1, &[]);
    directory
        .apply(&[published("c.xml", 4, vec![4; 4000])])
        .unwrap();
    assert_eq!(content(&directory, &old), [4; 4000]);
}

#[test]
fn a_version_keeps_the_id_of_its_name() {
    let mut directory = directory(1);
    directory
        .apply(&[published("a.xml", 1, vec![1; 10])])
        .unwrap();
    let first = entry(&directory, "a.xml").unwrap();
    directory
        .apply(&[published("a.xml", 2, vec![2; 10])])
        .unwrap();
    assert_eq!(entry(&directory, "a.xml").unwrap().file_id, first.file_id);
    assert_eq!(
        directory.name_of(first.file_id).map(|name| &**name),
        Some("a.xml")
    );
}

#[test]
fn a_file_that_goes_becomes_absent_and_then_unknown() {
    let mut directory = directory(1);
    directory
        .apply(&[published("a.xml", 1, vec![1; 10])])
        .unwrap();
    directory.apply(&[becomes("a.xml", State::Absent)]).unwrap();
    assert_eq!(entry(&directory, "a.xml").unwrap().kind, kind::ABSENT);
    directory
        .apply(&[becomes("a.xml", State::Forgotten)])
        .unwrap();
    assert_eq!(entry(&directory, "a.xml"), None);
    assert_eq!(directory.counts(), Counts::default());
}

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
fn names_that_are_too_long_for_a_key_are_the_daemons() {
    let mut directory = directory(1);
    let long = "x".repeat(200);
    directory
        .apply(&[published(&long, 1, vec![1; 10])])
        .unwrap();
    assert_eq!(directory.counts().names, 0);
}
