//! The thread of the library, and its settings.

use std::path::Path;
use std::sync::Arc;

use super::site::Site;
use crate::content::{ByteSize, Change, Listener, Settings};

/// Breaks the thread that tells it.
struct Breaking;

impl Listener for Breaking {
    fn changed(&self, _changes: &[Change]) {
        panic!("a listener that breaks");
    }
}

#[test]
fn a_curator_that_broke_is_told_until_the_library_is_stopped() {
    let mut site = Site::new();
    site.write("f.txt", "f");
    site.start_telling(Settings::default(), Arc::new(Breaking));
    let ended = |site: &Site| site.library.as_ref().unwrap().ended();
    site.until("it is seen", |site| ended(site) == ["curator"]);
    site.library.as_ref().unwrap().shutdown();
    assert!(ended(&site).is_empty());

    let mut site = Site::new();
    site.start();
    assert!(ended(&site).is_empty());
}

#[test]
fn the_settings_take_sizes_in_human_form_and_nothing_unknown() {
    let settings: Settings = toml::from_str("root = '/x'\nmemory_limit = '64MiB'").unwrap();
    assert_eq!(settings.root, Path::new("/x"));
    assert_eq!(settings.memory_limit, ByteSize(64 << 20));
    assert_eq!(settings.preload_limit, Settings::default().preload_limit);
    assert!(toml::from_str::<Settings>("rot = '/x'").is_err());
}
