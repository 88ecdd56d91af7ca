//! What holds whatever happens, in whatever order.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use proptest::prelude::*;
use tftp_ebpf::abi::kind;

use super::waiting::Claim;
use super::*;
use crate::kernel::slabs::testing::Memory;

type Tested = Directory<HashMap<NameKey, FileEntry>, Memory>;

#[derive(Clone, Debug)]
enum Step {
    Publish {
        name: usize,
        len: usize,
    },
    Absent(usize),
    Forget(usize),
    Use(u32),
    Sweep,
    /// A phone begins to read a name, and one that reads ends.
    Read(usize),
    End(usize),
    /// The daemon is another one, which may publish all that there was.
    Restart {
        publishes: bool,
    },
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    let small = (0..20_usize, 0..SMALL_BYTES);
    let large = (20..30_usize, 500_000..6_000_000_usize);
    prop_oneof![
        4 => small.prop_map(|(name, len)| Step::Publish { name, len }),
        4 => large.prop_map(|(name, len)| Step::Publish { name, len }),
        1 => (0..30_usize).prop_map(Step::Absent),
        1 => (0..30_usize).prop_map(Step::Forget),
        2 => (0..30_u32).prop_map(Step::Use),
        4 => Just(Step::Sweep),
        3 => (0..30_usize).prop_map(Step::Read),
        2 => (0..30_usize).prop_map(Step::End),
        1 => any::<bool>().prop_map(|publishes| Step::Restart { publishes }),
        1 => Just(Step::Settle),
    ]
}

/// What a live transfer reads, and where.
struct Reader {
    position: u64,
    bytes: Bytes,
}

/// The directory, what it was told last of each name, and who reads.
struct World {
    directory: Tested,
    published: BTreeMap<usize, Bytes>,
    readers: Vec<Reader>,
}

const MAX_BANKS: usize = 3;

impl World {
    fn new() -> Self {
        let slabs = Slabs::new(Memory::default(), MAX_BANKS);
        Self {
            directory: Tested::new(HashMap::new(), slabs, 100),
            published: BTreeMap::new(),
            readers: Vec::new(),
        }
    }

    fn publish(&mut self, number: usize, bytes: Bytes, generation: u64) {
        let text = name(number);
        let version = Version {
            stage: Stage::of_name(text.as_bytes()),
            name: text,
            generation,
            published: std::time::SystemTime::UNIX_EPOCH,
            bytes,
        };
        let state = State::Published(Arc::new(version));
        self.directory.apply(&[change(number, state)]).unwrap();
    }

    fn read(&mut self, number: usize) {
        let key = name::directory_key(&name(number)).unwrap();
        let entry = self.directory.files.get(&key);
        let Some(entry) = entry.filter(|it| it.kind == kind::CONTENT && it.length > 0) else {
            return;
        };
        let bytes = self.published.get(&number).cloned();
        // Until everything is published, it may be what the daemon before had.
        let bytes = bytes.filter(|it| {
            let extent = Extent {
                position: entry.position,
                len: entry.length.into(),
            };
            it.len() == entry.length as usize && self.directory.slabs.holds(extent, it)
        });
        if let Some(bytes) = bytes {
            self.readers.push(Reader {
                position: entry.position,
                bytes,
            });
        }
    }

    fn sweep(&mut self) {
        let referred = self.readers.iter().map(|reader| reader.position);
        self.directory.swept(&referred.collect()).unwrap();
    }

    /// All that a daemon that is killed leaves is the map and the memory.
    fn restart(self, publishes: bool, generation: u64) -> Self {
        let Directory { files, slabs, .. } = self.directory;
        let slabs = Slabs::new(slabs.into_banks(), MAX_BANKS);
        let before = files.clone();
        let mut directory = Tested::new(files, slabs, 100);
        assert_eq!(directory.adopt(before.clone()), 0, "all entries are sound");
        let reading = self.readers.iter();
        let reading = reading.map(|reader| (reader.position, reader.bytes.len() as u64));
        let lost = directory.adopt_transfers(&reading.collect());
        assert!(lost.is_empty(), "{lost:?}");
        let mut world = Self { directory, ..self };
        check(&world);
        for (key, entry) in &before {
            let text = world.directory.name_of(entry.file_id).unwrap();
            assert_eq!(name::directory_key(text).unwrap(), *key);
        }
        if publishes {
            for (number, bytes) in world.published.clone() {
                world.publish(number, bytes, generation);
            }
            // The same bytes stay where they are, for who asks next as for who reads.
            for (key, entry) in before {
                let after = world.directory.files[&key];
                let has_moved = after.position != entry.position;
                assert!(entry.kind != kind::CONTENT || !has_moved || after.length != entry.length);
            }
        } else {
            world.published.clear();
        }
        world.directory.settle();
        world
    }
}

fn name(number: usize) -> Arc<str> {
    let ending = if number < 20 { "cnf.xml" } else { "sbn" };
    format!("{number}.{ending}").into()
}

fn change(number: usize, state: State) -> Change {
    let name = name(number);
    Change {
        stage: Stage::of_name(name.as_bytes()),
        name,
        state,
    }
}

/// The counts agree with what is there, and every entry names the bytes of its version.
fn check(world: &World) {
    let directory = &world.directory;
    for reader in &world.readers {
        let extent = Extent {
            position: reader.position,
            len: reader.bytes.len() as u64,
        };
        assert!(
            directory.slabs.holds(extent, &reader.bytes),
            "what is read has changed"
        );
    }
    assert_eq!(directory.files.len(), directory.names.len());
    let in_slabs: Vec<_> = directory
        .names
        .values()
        .filter(|name| name.extent.is_some())
        .collect();
    let content: u64 = in_slabs.iter().map(|name| name.extent.unwrap().len).sum();
    assert_eq!(directory.counts().content_bytes, content);
    assert_eq!(directory.counts().files, in_slabs.len() as u64);
    for name in directory.names.values() {
        let entry = directory.files[&name.key];
        assert_eq!(entry.kind == kind::CONTENT, name.extent.is_some());
        assert!(name.extent.is_none() || name.waits.is_none());
        if let (Some(extent), Some(version)) = (name.extent, &name.version) {
            assert_eq!(entry.position, extent.position);
            assert_eq!(entry.generation, version.generation);
            assert!(directory.slabs.holds(extent, &version.bytes));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn entries_name_their_versions_readers_keep_theirs_and_all_comes_to_rest(
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let mut world = World::new();
        for (generation, step) in steps.into_iter().enumerate() {
            let generation = generation as u64;
            match step {
                Step::Publish { name: number, len } => {
                    let bytes = Bytes::from(vec![generation as u8; len]);
                    world.published.insert(number, bytes.clone());
                    world.publish(number, bytes, generation);
                }
                Step::Absent(number) => {
                    world.published.remove(&number);
                    world.directory.apply(&[change(number, State::Absent)]).unwrap();
                }
                Step::Forget(number) => {
                    world.published.remove(&number);
                    world.directory.apply(&[change(number, State::Forgotten)]).unwrap();
                }
                Step::Use(file_id) => world.directory.used(file_id),
                Step::Sweep => world.sweep(),
                Step::Read(number) => world.read(number),
                Step::End(index) => {
                    if !world.readers.is_empty() {
                        let index = index % world.readers.len();
                        world.readers.swap_remove(index);
                    }
                }
                Step::Restart { publishes } => world = world.restart(publishes, generation),
                Step::Settle => world.directory.settle(),
            }
            check(&world);
        }
        world.readers.clear();
        for _ in 0..70 {
            world.sweep();
        }
        check(&world);
        let directory = &mut world.directory;
        prop_assert!(directory.waiting.with(Claim::Small).is_empty());
        prop_assert_eq!(directory.retired_bytes, 0);
        let (files, evicted) = (directory.files.clone(), directory.counts().evicted);
        for _ in 0..70 {
            directory.swept(&BTreeSet::new()).unwrap();
        }
        prop_assert_eq!(&directory.files, &files);
        prop_assert_eq!(directory.counts().evicted, evicted);
    }
}
