//! What holds whatever happens, in whatever order.

use std::collections::HashMap;

use bytes::Bytes;
use proptest::prelude::*;
use tftp_ebpf::abi::kind;

use super::waiting::Claim;
use super::*;
use crate::kernel::slabs::testing::Memory;

type Tested = Directory<HashMap<NameKey, FileEntry>, Memory>;

#[derive(Clone, Debug)]
enum Step {
    Publish { name: usize, len: usize },
    Absent(usize),
    Forget(usize),
    Use(u32),
    Sweep,
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
    ]
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
fn check(directory: &Tested) {
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
    fn entries_name_their_versions_and_all_comes_to_rest(
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let mut directory = Tested::new(HashMap::new(), Slabs::new(Memory::default(), 3), 100);
        for (generation, step) in steps.into_iter().enumerate() {
            match step {
                Step::Publish { name: number, len } => {
                    let text = name(number);
                    let version = Version {
                        stage: Stage::of_name(text.as_bytes()),
                        name: text,
                        generation: generation as u64,
                        published: std::time::SystemTime::UNIX_EPOCH,
                        bytes: Bytes::from(vec![generation as u8; len]),
                    };
                    let state = State::Published(Arc::new(version));
                    directory.apply(&[change(number, state)]).unwrap();
                }
                Step::Absent(number) => {
                    directory.apply(&[change(number, State::Absent)]).unwrap();
                }
                Step::Forget(number) => {
                    directory.apply(&[change(number, State::Forgotten)]).unwrap();
                }
                Step::Use(file_id) => directory.used(file_id),
                Step::Sweep => directory.swept(&HashSet::new()).unwrap(),
            }
            check(&directory);
        }
        for _ in 0..70 {
            directory.swept(&HashSet::new()).unwrap();
        }
        check(&directory);
        prop_assert!(directory.waiting.with(Claim::Small).is_empty());
        prop_assert_eq!(directory.retired_bytes, 0);
        let (files, evicted) = (directory.files.clone(), directory.counts().evicted);
        for _ in 0..70 {
            directory.swept(&HashSet::new()).unwrap();
        }
        prop_assert_eq!(&directory.files, &files);
        prop_assert_eq!(directory.counts().evicted, evicted);
    }
}
