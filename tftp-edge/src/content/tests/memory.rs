//! Large files: read when they are asked for, and dropped when the room is needed.

use std::fs;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::site::{PATIENCE, Site, query};
use crate::content::{ByteSize, Catalog, Change, Lookup, Settings, State};

pub(super) fn small_memory() -> Settings {
    Settings {
        memory_limit: ByteSize(100_000),
        preload_limit: ByteSize(1_000),
        ..Settings::default()
    }
}

/// Asks until the file is there, as a transfer would.
fn load(site: &Site, name: &str) -> Lookup {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let Lookup::Loading = site.lookup(name) else {
            return site.lookup(name);
        };
        assert!(Instant::now() < deadline, "{name} does not load");
        let (woken, is_woken) = mpsc::channel();
        let wake = Box::new(move || woken.send(()).unwrap());
        let library = site.library.as_ref().unwrap();
        library.when_ready(query(name.as_bytes()), wake);
        is_woken.recv_timeout(PATIENCE).unwrap();
    }
}

#[test]
fn a_large_file_is_read_once_when_it_is_asked_for() {
    let mut site = Site::new();
    site.write("large.bin", vec![7; 50_000]);
    site.start_with(small_memory());
    assert!(matches!(
        site.heard.take().last(),
        Some(Change {
            state: State::OnDisk,
            ..
        })
    ));
    assert!(matches!(site.lookup("LARGE.BIN"), Lookup::Loading));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert!(matches!(load(&site, "Large.bin"), Lookup::Found(_))));
        }
    });
    assert_eq!(site.found("large.bin").bytes, vec![7; 50_000]);
    let published = |change: &&Change| matches!(change.state, State::Published(_));
    assert_eq!(site.heard.take().iter().filter(published).count(), 1);
}

#[test]
fn the_large_file_unused_for_longest_makes_room() {
    let mut site = Site::new();
    for name in ["a.bin", "b.bin", "c.bin"] {
        site.write(name, vec![7; 40_000]);
    }
    site.write("huge.bin", vec![7; 200_000]);
    site.start_with(small_memory());
    let pause = || thread::sleep(Duration::from_millis(5));
    for name in ["a.bin", "b.bin", "a.bin", "c.bin"] {
        assert!(matches!(load(&site, name), Lookup::Found(_)), "{name}");
        pause();
    }
    assert!(matches!(site.lookup("a.bin"), Lookup::Found(_)));
    assert!(matches!(site.lookup("b.bin"), Lookup::Loading));
    assert!(matches!(load(&site, "huge.bin"), Lookup::Refused));
    let counts = site.library.as_ref().unwrap().counts();
    assert!(counts.bytes <= 100_000 && counts.evicted >= 1, "{counts:?}");
}

#[test]
fn a_large_file_that_finds_no_room_is_served_when_there_is_some() {
    let mut site = Site::new();
    site.write("image.bin", vec![7; 90_000]);
    // Always in memory, and more than is left beside the image.
    for at in 0..40 {
        site.write(&format!("small{at}.txt"), vec![1; 900]);
    }
    site.start_with(small_memory());
    let wait = |site: &Site| {
        let (woken, is_woken) = mpsc::channel();
        let wake = Box::new(move || woken.send(()).unwrap());
        site.library
            .as_ref()
            .unwrap()
            .when_ready(query(b"image.bin"), wake);
        is_woken.recv_timeout(PATIENCE).unwrap();
    };
    for _ in 0..2 {
        wait(&site);
        assert!(matches!(site.lookup("image.bin"), Lookup::Loading));
    }
    for at in 0..40 {
        fs::remove_file(site.root().join(format!("small{at}.txt"))).unwrap();
    }
    site.until("the small files are gone", |site| {
        site.library.as_ref().unwrap().counts().bytes < 10_000
    });
    assert!(matches!(load(&site, "image.bin"), Lookup::Found(_)));
}

#[test]
fn a_large_file_in_use_is_served_until_its_next_version_is_there() {
    let mut site = Site::new();
    site.write("image.bin", vec![1; 30_000]);
    site.start_with(small_memory());
    assert!(matches!(load(&site, "image.bin"), Lookup::Found(_)));
    site.replace("image.bin", &[2; 35_000]);
    site.until("the next version", |site| {
        // It panics if there is a moment without either.
        site.found("image.bin").bytes == vec![2; 35_000]
    });
    fs::remove_file(site.root().join("image.bin")).unwrap();
    site.until("it is gone", |site| {
        matches!(site.lookup("image.bin"), Lookup::Absent)
    });
    site.until("its memory is given back", |site| {
        let names = ["atadefault.cnf.xml", "sipdefault.cnf"];
        let generated = names.map(|name| site.found(name).bytes.len() as u64);
        site.library.as_ref().unwrap().counts().bytes == generated.iter().sum::<u64>()
    });
}

#[test]
fn what_was_refused_for_its_size_is_served_when_it_is_smaller() {
    let mut site = Site::new();
    site.write("image.bin", vec![7; 200_000]);
    site.start_with(small_memory());
    assert!(matches!(load(&site, "image.bin"), Lookup::Refused));
    site.replace("image.bin", b"small");
    site.until_found("image.bin", b"small");
}

#[test]
fn a_smaller_memory_makes_room_at_once_and_a_larger_one_takes_in_what_was_refused() {
    let mut site = Site::new();
    site.write("large.bin", vec![1; 50_000]);
    site.write("larger.bin", vec![2; 200_000]);
    site.start_with(small_memory());
    load(&site, "large.bin");
    assert!(matches!(load(&site, "larger.bin"), Lookup::Refused));
    let memory = |limit| Settings {
        memory_limit: ByteSize(limit),
        ..Settings::clone(&site.settings.get())
    };
    site.settings.set(memory(30_000));
    site.library.as_ref().unwrap().follow_settings();
    site.until("it had to go", |site| {
        site.library.as_ref().unwrap().counts().evicted == 1
    });
    site.settings.set(memory(1_000_000));
    site.library.as_ref().unwrap().follow_settings();
    site.until("it is looked at again", |site| {
        !matches!(site.lookup("larger.bin"), Lookup::Refused)
    });
    assert!(matches!(load(&site, "larger.bin"), Lookup::Found(_)));
}

#[test]
fn after_shutdown_nobody_waits_and_content_is_still_there() {
    let mut site = Site::new();
    site.write("a.xml", "a");
    site.write("large.bin", vec![7; 50_000]);
    site.start_with(small_memory());
    let library = site.library.clone().unwrap();
    library.shutdown();
    library.shutdown();
    assert_eq!(site.found("a.xml").bytes, "a");
    assert!(matches!(site.lookup("large.bin"), Lookup::Loading));
    let (woken, is_woken) = mpsc::channel();
    library.when_ready(
        query(b"large.bin"),
        Box::new(move || woken.send(()).unwrap()),
    );
    is_woken.recv_timeout(PATIENCE).unwrap();
}
