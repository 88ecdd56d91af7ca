//! Settings that change while names are asked for.

use std::thread;
use std::time::Duration;

use tftp_edge::content::ByteSize;
use tftp_edge::content::upstream::Settings;

use crate::edge::{CLIENT, Edge, Got, settings};
use crate::servers::{Other, ok};

const CONTENT: &[u8] = &[7; 100];

#[test]
fn what_is_asked_for_and_what_is_taken_may_change_at_any_time() {
    let other = Other::http(|path, stream| {
        if path.contains("slow") {
            thread::sleep(Duration::from_millis(700));
        }
        ok(stream, CONTENT)
    });
    let edge = Edge::behind(&[other.url()]);
    let change = |change: &dyn Fn(&mut Settings)| {
        let mut other = Settings::clone(&edge.settings.get());
        change(&mut other);
        edge.settings.set(other);
        edge.library.follow_settings();
    };
    let get = |name: &str| edge.get_over_http(name, CLIENT);
    assert_eq!(get("one.txt"), Got::file(CONTENT));

    assert!(settings(&[]).timeout_ms < 700);
    change(&|settings| settings.timeout_ms = 9_000);
    assert_eq!(get("slow.txt"), Got::file(CONTENT));

    change(&|settings| settings.names = vec!["*.loads".to_owned()]);
    edge.until("names", |_| get("one.txt") == Got::Absent);
    assert_eq!(get("new.txt"), Got::Absent);
    assert_eq!(get("new.loads"), Got::file(CONTENT));
    change(&|settings| {
        settings.names = vec!["*".to_owned()];
        settings.except = vec!["new.*".to_owned()];
    });
    edge.until("except", |_| get("new.loads") == Got::Absent);
    assert_eq!(get("one.txt"), Got::file(CONTENT));

    change(&|settings| settings.max_file = ByteSize(10));
    assert!(!matches!(get("large.txt"), Got::File(_)));
}
