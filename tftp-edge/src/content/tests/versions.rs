//! A file is served whole, in one version, whatever happens to it meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::site::{Site, many_devices, set_site};
use crate::content::State;

#[test]
fn a_file_that_is_cut_off_is_whole_for_who_reads_it() {
    let mut site = Site::new();
    site.write("a.bin", vec![7; 100_000]);
    site.start();
    let held = site.found("a.bin");
    let file = fs::OpenOptions::new()
        .write(true)
        .open(site.root().join("a.bin"));
    file.unwrap().set_len(10).unwrap();
    site.until_found("a.bin", &[7; 10]);
    assert_eq!(held.bytes, vec![7; 100_000]);
}

fn version_of(number: usize) -> Vec<u8> {
    let byte = b'a' + u8::try_from(number % 26).unwrap();
    vec![byte; 3_000 + number % 7]
}

#[test]
fn readers_never_see_two_versions_in_one() {
    let mut site = Site::new();
    site.write("dialplan.xml", version_of(0));
    site.write("untouched.xml", "the same");
    site.import(&many_devices(6));
    site.start();
    let untouched = site.found("untouched.xml");
    site.heard.clear();

    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    let version = site.found("dialplan.xml");
                    let first = version.bytes[0];
                    assert!(version.bytes.iter().all(|byte| *byte == first));
                    assert!(version.generation >= last, "generations grow");
                    last = version.generation;
                    let config = site.found("SEP000000000000.cnf.xml");
                    assert!(config.bytes.ends_with(b"</device>\n"));
                }
            });
        }
        for round in 1..=200 {
            site.replace("dialplan.xml", &version_of(round));
            if round % 20 == 0 {
                set_site(&site, "east", "ntp", &format!("10.0.0.{round}"));
            }
            thread::sleep(Duration::from_millis(3));
        }
        site.until_found("dialplan.xml", &version_of(200));
        site.until("the last commit shows", |site| {
            let config = site.found("SEP000000000000.cnf.xml");
            String::from_utf8_lossy(&config.bytes).contains("10.0.0.200")
        });
        done.store(true, Ordering::Relaxed);
    });

    assert!(Arc::ptr_eq(&untouched, &site.found("untouched.xml")));
    let mut generations = BTreeSet::new();
    for change in site.heard.take() {
        let expected = [
            "dialplan.xml",
            "sep000000000000.cnf.xml",
            "sep000000000002.cnf.xml",
            "sep000000000004.cnf.xml",
        ];
        assert!(expected.contains(&&*change.name), "{}", change.name);
        let State::Published(version) = change.state else {
            panic!("{change:?}");
        };
        assert!(
            generations.insert(version.generation),
            "no generation is used twice"
        );
    }
    assert!(generations.len() > 20, "{}", generations.len());
}
