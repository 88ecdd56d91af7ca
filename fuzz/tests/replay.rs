//! Every target over its corpus, over all that once failed, and over mutations that are the same on
//! every run.

// Clippy's leave for tests does not reach helpers of an integration test.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tftp_ebpf::testing::random::Random;
use tftp_edge_fuzz::mutate::{mutated, repeated};
use tftp_edge_fuzz::{TARGETS, Target};

/// Changed inputs of each target, and how long to go on with them at most: a slow machine tries
/// fewer, always the first ones.
const MUTATIONS: usize = 2000;
const TIME: Duration = Duration::from_millis(1200);

/// Of each input so many with one piece repeated up to the longest input.
const REPEATED: usize = 40;

/// No input may take long. Far more than any takes: what is quadratic takes minutes.
const ONE_INPUT: Duration = Duration::from_secs(20);

fn folder(kind: &str, target: &Target) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join(kind).join(target.name)
}

/// The inputs of a folder, in the order of their names.
fn inputs(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort_unstable();
    let read = |file: PathBuf| {
        let bytes = fs::read(&file).unwrap();
        (file, bytes)
    };
    files.into_iter().map(read).collect()
}

/// Runs one input; a failure is told with what it needs to be run again.
fn run(target: &Target, input: &[u8], what: &dyn Fn() -> String) {
    let began = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let took = began.elapsed();
    if result.is_err() || took > ONE_INPUT {
        let kept = std::env::temp_dir().join(format!("{}-failed", target.name));
        let _ = fs::write(&kept, input);
        panic!(
            "{} fails on {} after {took:?}; the input is in {}: put it into \
             fuzz/regressions/{}, and mend what it shows",
            target.name,
            what(),
            kept.display(),
            target.name
        );
    }
}

fn replay(name: &str) {
    let target = TARGETS.iter().find(|it| it.name == name).unwrap();
    for (file, input) in inputs(&folder("regressions", target)) {
        run(target, &input, &|| file.display().to_string());
    }
    let corpus = inputs(&folder("corpus", target));
    assert!(!corpus.is_empty(), "{name} has no corpus");
    for (file, input) in &corpus {
        run(target, input, &|| file.display().to_string());
    }
    let mut random = Random::new(0xf0_22);
    let began = Instant::now();
    for number in 0..MUTATIONS {
        let pick = |random: &mut Random| &corpus[random.below(corpus.len())];
        let ((file, input), (_, other)) = (pick(&mut random), pick(&mut random));
        let changed = match number % (MUTATIONS / REPEATED) {
            0 => repeated(input, target.max_len, &mut random),
            _ => mutated(input, other, target.max_len, &mut random),
        };
        run(target, &changed, &|| {
            format!("mutation {number}, of {}", file.display())
        });
        if began.elapsed() > TIME {
            break;
        }
    }
}

macro_rules! replays {
    ($($name:ident)+) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })+

        /// No target without its test, no corpus without its target.
        #[test]
        fn every_target_is_here_once() {
            let tested = [$(stringify!($name)),+];
            let targets = TARGETS.map(|target| target.name);
            assert_eq!(tested.as_slice(), targets.as_slice());
            let root = Path::new(env!("CARGO_MANIFEST_DIR"));
            for kind in ["corpus", "regressions"] {
                for entry in fs::read_dir(root.join(kind)).unwrap() {
                    let name = entry.unwrap().file_name();
                    assert!(tested.iter().any(|it| name == **it), "{kind}/{name:?}");
                }
            }
            for target in tested {
                let binary = root.join("fuzz_targets").join(target).with_extension("rs");
                assert!(binary.is_file(), "{}", binary.display());
            }
        }
    };
}

replays! {
    bat_import config_toml csv_import loads_file sccp_frame sip_body sip_digest sip_message
    tftp_options tftp_packet tftp_session xdp_frame
}

/// A corpus is read on every run, and by people.
#[test]
fn corpora_are_small() {
    for target in &TARGETS {
        let corpus = inputs(&folder("corpus", target));
        let bytes: usize = corpus.iter().map(|(_, input)| input.len()).sum();
        assert!(
            corpus.len() <= 200,
            "{}: {} files",
            target.name,
            corpus.len()
        );
        assert!(bytes <= 300_000, "{}: {bytes} bytes", target.name);
    }
}
