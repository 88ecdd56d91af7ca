//! The directory over banks in ordinary memory.

mod room;

use bytes::Bytes;
use tftp_ebpf::name::PATTERNS;

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
        published: std::time::SystemTime::UNIX_EPOCH,
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
fn trust_lists_of_all_devices_are_two_entries_that_no_name_leads_to() {
    let mut directory = directory(1);
    for pattern in PATTERNS {
        let change = becomes(pattern, State::Absent);
        directory.apply(&[change]).unwrap();
        let key = name::directory_key(pattern).unwrap();
        assert_eq!(directory.files[&key].kind, kind::ABSENT);
        assert_eq!(entry(&directory, pattern), None);
    }
    assert_eq!(directory.counts().names, 2);
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

const BANK: usize = BANK_SPACE as usize;

fn kind_of(directory: &Tested, name: &str) -> u8 {
    entry(directory, name).unwrap().kind
}

fn publish(directory: &mut Tested, name: &str, generation: u64, bytes: Vec<u8>) {
    directory
        .apply(&[published(name, generation, bytes)])
        .unwrap();
}

#[test]
fn after_a_mass_change_the_banks_are_given_back() {
    const PHONES: u64 = 4000;
    let mut directory = Tested::new(HashMap::new(), Slabs::new(Memory::default(), 40), 5000);
    for round in 0..2 {
        let changes: Vec<_> = (0..PHONES)
            .map(|phone| {
                let bytes = vec![(phone + round) as u8; 8192];
                published(
                    &format!("sep{phone}.cnf.xml"),
                    round * PHONES + phone,
                    bytes,
                )
            })
            .collect();
        directory.apply(&changes).unwrap();
    }
    let busy = directory.slabs().banks().count();
    sweeps(&mut directory, 20, &[]);
    let content_banks = (PHONES * 8192).div_ceil(BANK_SPACE) as usize;
    let banks = directory.slabs().banks().count();
    assert!(
        banks <= content_banks + 2,
        "{banks} of {busy} banks for the content of {content_banks}"
    );
    for phone in 0..PHONES {
        let entry = entry(&directory, &format!("sep{phone}.cnf.xml")).unwrap();
        assert_eq!(entry.generation, PHONES + phone);
        assert_eq!(content(&directory, &entry), [(phone + 1) as u8; 8192]);
    }
    let files = directory.files.clone();
    sweeps(&mut directory, 20, &[]);
    assert_eq!(directory.files, files, "moving has an end");
}

#[test]
fn a_sweep_moves_a_bounded_number_of_bytes() {
    let mut directory = directory(20);
    for number in 0..12 {
        publish(&mut directory, &format!("{number}.sbn"), 1, vec![1; BANK]);
    }
    for number in 0..6 {
        let name = format!("{number}.sbn");
        directory.apply(&[becomes(&name, State::Absent)]).unwrap();
    }
    sweeps(&mut directory, 1, &[]);
    let before = directory.files.clone();
    sweeps(&mut directory, 1, &[]);
    let moved = before
        .iter()
        .filter(|(key, entry)| directory.files[*key].position != entry.position)
        .count();
    assert_eq!(moved, 2, "files of 3.9 MB in 8 MiB");
}

#[test]
fn a_transfer_goes_on_reading_where_a_moved_file_was() {
    let mut directory = directory(8);
    for number in 0..6 {
        publish(
            &mut directory,
            &format!("{number}.sbn"),
            1,
            vec![number; BANK],
        );
    }
    let last = entry(&directory, "5.sbn").unwrap();
    for name in ["0.sbn", "1.sbn", "2.sbn"] {
        directory.apply(&[becomes(name, State::Absent)]).unwrap();
    }
    sweeps(&mut directory, 10, &[last.position]);
    let moved = entry(&directory, "5.sbn").unwrap();
    assert!(moved.position < last.position);
    for entry in [last, moved] {
        assert_eq!(
            directory.slabs.block(entry.position, 100),
            Some(&[5; 100][..])
        );
    }
}

#[test]
fn ids_of_forgotten_names_are_used_again() {
    let mut directory = directory(1);
    let mut ids = Vec::new();
    for generation in 0..50 {
        let name = format!("{generation}.xml");
        publish(&mut directory, &name, generation, vec![1; 10]);
        ids.push(entry(&directory, &name).unwrap().file_id);
        directory
            .apply(&[becomes(&name, State::Forgotten)])
            .unwrap();
        sweeps(&mut directory, 1, &[]);
    }
    assert!(ids.iter().all(|id| *id < 3), "{ids:?}");
    assert_ne!(ids[0], ids[1]);
}

/// `FILES` that cannot be written for a while.
#[derive(Default)]
struct Flaky {
    entries: HashMap<NameKey, FileEntry>,
    failures: usize,
}

impl Files for Flaky {
    fn insert(&mut self, key: &NameKey, entry: FileEntry) -> Result<(), Error> {
        if self.failures > 0 {
            self.failures -= 1;
            return Err(Error::Mmap(std::io::ErrorKind::OutOfMemory.into()));
        }
        self.entries.insert(*key, entry);
        Ok(())
    }

    fn remove(&mut self, key: &NameKey) {
        self.entries.remove(key);
    }
}

#[test]
fn a_name_whose_entry_cannot_be_written_waits_on_and_the_others_get_their_turn() {
    let slabs = Slabs::new(Memory::default(), 1);
    let mut directory = Directory::new(Flaky::default(), slabs, 100);
    directory
        .apply(&[published("a.sbn", 1, vec![1; BANK])])
        .unwrap();
    for (generation, name) in ["x.xml", "y.xml", "z.xml"].into_iter().enumerate() {
        directory
            .apply(&[published(name, 2 + generation as u64, vec![2; 9000])])
            .unwrap();
    }
    directory.swept(&BTreeSet::new()).unwrap();
    directory.files.failures = 1;
    directory.swept(&BTreeSet::new()).unwrap_err();
    assert_eq!(directory.counts().files, 2);
    assert_eq!(directory.slabs.used(), 2 * 9000);
    for _ in 0..64 {
        directory.swept(&BTreeSet::new()).unwrap();
    }
    assert_eq!(directory.counts().files, 3);
}
