//! Settings that change while files are served.

use super::memory::small_memory;
use super::site::Site;
use crate::content::{ByteSize, Lookup, Settings};

#[test]
fn what_is_read_before_it_is_asked_for_may_change() {
    let mut site = Site::new();
    site.write("large.bin", vec![1; 50_000]);
    site.start_with(small_memory());
    assert!(matches!(site.lookup("large.bin"), Lookup::Loading));
    site.settings.set(Settings {
        preload_limit: ByteSize(60_000),
        ..Settings::clone(&site.settings.get())
    });
    site.library.as_ref().unwrap().follow_settings();
    site.until("it is read", |site| {
        matches!(site.lookup("large.bin"), Lookup::Found(_))
    });
}
