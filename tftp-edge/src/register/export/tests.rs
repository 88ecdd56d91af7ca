use std::time::{Duration, UNIX_EPOCH};

use serde_json::json;

use super::*;
use crate::inventory::{Contents, DeviceName, Protocol, Site, Snapshot, parse_csv};
use crate::live::Live;
use crate::register::{Binding, ConnectionId, Departure, Edit, Registration, Transport};

fn device(number: u32) -> DeviceName {
    format!("SEP{number:012X}").parse().unwrap()
}

fn sccp(number: u32) -> Registration {
    Registration {
        device: device(number),
        protocol: Protocol::Sccp,
        transport: Transport::Tcp,
        source: "[::ffff:10.1.2.3]:50123".parse().unwrap(),
        connection: Some(ConnectionId(1)),
        type_id: None,
        load: Some("SCCP45.9-4-2SR3-1S".into()),
        version: 20,
        since: UNIX_EPOCH + Duration::from_secs(1_790_000_000),
        expires: UNIX_EPOCH + Duration::from_secs(1_790_000_060),
        bindings: Vec::new(),
    }
}

fn sip(number: u32, all_lines: bool) -> Registration {
    let registration = sccp(number);
    Registration {
        protocol: Protocol::Sip,
        // An 8851.
        type_id: Some(684),
        load: None,
        version: 0,
        bindings: vec![Binding {
            line: "1001".into(),
            contact: "sip:1001@10.1.2.3:50123;transport=tcp".into(),
            call_id: "call".into(),
            cseq: 101,
            expires: registration.expires,
            all_lines,
        }],
        ..registration
    }
}

fn put(export: &Export, registration: Registration) {
    let device = registration.device;
    export
        .table
        .edit(&device, |_| ((), Edit::Put(registration)));
}

fn remove(export: &Export, number: u32) {
    let why = Departure::KeepaliveTimeout;
    export
        .table
        .edit(&device(number), |_| ((), Edit::Remove(why)));
}

/// Devices 1 and 2 are in Berlin, with two lines each.
fn export() -> Export {
    let rows = "name,model,protocol,lines,site\n\
                SEP000000000001,8851,sip,1001;1002,berlin\n\
                SEP000000000002,7945,sccp,2001;2002,berlin\n";
    let subnets = [("subnets".to_owned(), "10.1.0.0/16".to_owned())].into();
    let contents = Contents {
        devices: parse_csv(rows.as_bytes()).unwrap(),
        sites: [("munich".to_owned(), subnets)].into(),
        ..Contents::default()
    };
    let export = Export::default();
    let snapshot = Snapshot::new(contents, &Site::default());
    export.directory.update(Arc::new(snapshot));
    export
}

fn rows(export: &Export, filter: &Filter) -> Vec<Row> {
    let pages = (0..).map_while(|page| export.page(page, filter));
    let mut rows: Vec<_> = pages.flatten().collect();
    rows.sort_unstable_by_key(|row| row.device);
    rows
}

#[test]
fn a_sip_phone_as_a_pbx_reads_it() {
    let export = export();
    put(&export, sip(1, true));
    let [row] = &rows(&export, &Filter::default())[..] else {
        panic!("one phone");
    };
    let contact = "sip:1001@10.1.2.3:50123;transport=tcp";
    assert_eq!(
        serde_json::to_value(row).unwrap(),
        json!({
            "device": "SEP000000000001", "protocol": "sip", "transport": "tcp",
            "address": "10.1.2.3", "port": 50123,
            "lines": [
                {"number": "1001", "contact": contact},
                {"number": "1002", "contact": contact}
            ],
            "site": "berlin", "model": "8851",
            "since": 1_790_000_000, "expires": 1_790_000_060, "connected": true
        })
    );
    put(&export, sip(1, false));
    let lines = &rows(&export, &Filter::default())[0].lines;
    assert_eq!(lines.len(), 1, "the other line is not registered");
}

#[test]
fn the_lines_of_an_sccp_phone_come_from_the_inventory() {
    let export = export();
    put(&export, sccp(2));
    let rows = rows(&export, &Filter::default());
    assert_eq!(
        serde_json::to_value(&rows[0].lines).unwrap(),
        json!([{"number": "2001"}, {"number": "2002"}])
    );
    assert_eq!(rows[0].model.as_deref(), Some("7945"));
    assert_eq!(rows[0].load.as_deref(), Some("SCCP45.9-4-2SR3-1S"));
}

#[test]
fn a_phone_that_nobody_knows_is_in_the_site_of_its_address() {
    let export = export();
    put(&export, sccp(9));
    let rows = rows(&export, &Filter::default());
    assert_eq!((rows[0].site.as_str(), &rows[0].model), ("munich", &None));
    assert!(rows[0].lines.is_empty());
}

#[test]
fn a_restored_phone_is_not_connected_unless_it_needs_no_connection() {
    let export = export();
    let restored = |transport| Registration {
        connection: None,
        transport,
        ..sip(1, false)
    };
    for (transport, connected) in [(Transport::Tls, false), (Transport::Udp, true)] {
        put(&export, restored(transport));
        assert_eq!(rows(&export, &Filter::default())[0].connected, connected);
    }
}

#[test]
fn filters_take_what_fits_all_that_is_asked_for() {
    let export = export();
    put(&export, sip(1, true));
    put(&export, sccp(2));
    put(&export, sccp(9));
    for (query, devices) in [
        ("", &[1, 2, 9][..]),
        ("site=berlin", &[1, 2]),
        ("protocol=sccp", &[2, 9]),
        ("site=berlin&protocol=SCCP", &[2]),
        ("line=1002", &[1]),
        ("line=2001", &[2]),
        ("device=sep000000000009", &[9]),
        ("line=2001&device=SEP000000000009", &[]),
    ] {
        let filter = Filter::parse(query).unwrap();
        let found = rows(&export, &filter);
        let found: Vec<_> = found.iter().map(|row| row.device).collect();
        let expected: Vec<_> = devices.iter().copied().map(device).collect();
        assert_eq!(found, expected, "{query}");
    }
}

#[test]
fn a_query_is_read_as_forms_write_it_and_faults_are_named() {
    let filter = Filter::parse("site=M%C3%BCnchen+Nord&line=%2B49").unwrap();
    assert_eq!(filter.site.as_deref(), Some("München Nord"));
    assert_eq!(filter.line.as_deref(), Some("+49"));
    for (query, fault) in [
        (
            "sites=x",
            "there is no filter \"sites\"; use device, site, protocol or line",
        ),
        (
            "protocol=h323",
            "protocol: \"h323\" is no protocol; use sip or sccp",
        ),
        ("device=", "device: \"\" is no device; use SEP001122334455"),
    ] {
        assert_eq!(Filter::parse(query).unwrap_err().to_string(), fault);
    }
}

/// The kinds of events up to the end of the whole state, and how many phones it has.
async fn synced(feed: &mut Feed) -> (Vec<&'static str>, u64) {
    let mut kinds = Vec::new();
    loop {
        for event in feed.next().await {
            match event {
                Event::Resync => kinds.push("resync"),
                Event::Registered { .. } => kinds.push("registered"),
                Event::Synced { registrations } => return (kinds, registrations),
                other => panic!("{other:?} before the whole state"),
            }
        }
    }
}

#[tokio::test]
async fn a_follower_gets_the_whole_state_and_then_every_change() {
    let export = export();
    put(&export, sip(1, true));
    put(&export, sccp(2));
    let mut feed = export.follow(Filter::default()).unwrap();
    let whole = synced(&mut feed).await;
    assert_eq!(whole, (vec!["resync", "registered", "registered"], 2));
    put(&export, sccp(9));
    put(
        &export,
        Registration {
            source: "10.1.2.4:50123".parse().unwrap(),
            ..sccp(9)
        },
    );
    remove(&export, 9);
    let mut next = async || serde_json::to_value(feed.next().await.remove(0)).unwrap();
    assert_eq!(next().await["event"], "registered");
    let moved = next().await;
    assert_eq!(moved["event"], "moved");
    assert_eq!(moved["registration"]["address"], "10.1.2.4");
    assert_eq!(
        next().await,
        json!({"event": "left", "device": "SEP000000000009", "protocol": "sccp",
               "reason": "keepalive_timeout", "cause": 13})
    );
}

#[tokio::test]
async fn a_filtered_follower_hears_of_its_own_only_and_of_those_that_move_away() {
    let export = export();
    let filter = Filter::parse("site=munich").unwrap();
    let mut feed = export.follow(filter).unwrap();
    assert_eq!(synced(&mut feed).await, (vec!["resync"], 0));
    put(&export, sip(1, true));
    put(&export, sccp(9));
    let away = Registration {
        source: "192.0.2.1:50123".parse().unwrap(),
        ..sccp(9)
    };
    put(&export, away);
    put(&export, sccp(9));
    let mut kinds = Vec::new();
    for _ in 0..3 {
        kinds.push(match feed.next().await.remove(0) {
            Event::Registered { registration } => format!("{} in", registration.device),
            Event::Left { device, reason, .. } => format!("{device} {reason}"),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(
        kinds,
        [
            "SEP000000000009 in",
            "SEP000000000009 filtered",
            "SEP000000000009 in"
        ]
    );
}

#[tokio::test]
async fn a_phone_that_left_the_inventory_too_has_left_for_those_who_follow_its_site() {
    let export = export();
    put(&export, sip(1, true));
    let mut berlin = export
        .follow(Filter::parse("site=berlin").unwrap())
        .unwrap();
    let mut sccp = export
        .follow(Filter::parse("protocol=sccp").unwrap())
        .unwrap();
    synced(&mut berlin).await;
    synced(&mut sccp).await;
    sccp.heartbeat = Duration::from_millis(1);
    let nobody = Snapshot::new(Contents::default(), &Site::default());
    export.directory.update(Arc::new(nobody));
    remove(&export, 1);
    let left = berlin.next().await.remove(0);
    assert!(matches!(left, Event::Left { .. }), "{left:?}");
    let nothing = sccp.next().await.remove(0);
    assert!(matches!(nothing, Event::Heartbeat { .. }), "{nothing:?}");
}

#[tokio::test]
async fn a_follower_that_is_too_slow_gets_the_whole_state_again() {
    let export = export();
    let mut feed = export.follow(Filter::default()).unwrap();
    synced(&mut feed).await;
    for number in 0..5_000 {
        put(&export, sccp(number));
    }
    let (kinds, registrations) = synced(&mut feed).await;
    assert_eq!((kinds[0], registrations), ("resync", 5_000));
    remove(&export, 7);
    let left = feed.next().await.remove(0);
    assert!(
        matches!(left, Event::Left { .. }),
        "and no gap after it: {left:?}"
    );
}

#[tokio::test]
async fn a_follower_hears_that_nothing_happens() {
    let export = export();
    let mut feed = export.follow(Filter::default()).unwrap();
    feed.heartbeat = Duration::from_millis(1);
    synced(&mut feed).await;
    let event = feed.next().await.remove(0);
    assert!(matches!(event, Event::Heartbeat { .. }), "{event:?}");
}

#[tokio::test]
async fn what_happens_to_others_keeps_nobody_from_hearing_that_the_daemon_is_there() {
    let export = export();
    let filter = Filter::parse("device=SEP000000000001").unwrap();
    let mut feed = export.follow(filter).unwrap();
    synced(&mut feed).await;
    feed.heartbeat = Duration::from_millis(20);
    let others = async {
        loop {
            put(&export, sccp(9));
            remove(&export, 9);
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        events = feed.next() => {
            assert!(matches!(events[..], [Event::Heartbeat { .. }]), "{events:?}");
        }
        () = others => {}
        () = tokio::time::sleep(Duration::from_secs(30)) => panic!("no word of the daemon"),
    }
}

#[test]
fn followers_are_so_many_and_no_more() {
    let export = export();
    let follow = || export.follow(Filter::default());
    let mut feeds: Vec<_> = (0..FOLLOWERS).map(|_| follow().unwrap()).collect();
    assert!(follow().is_none());
    feeds.pop();
    assert!(follow().is_some());
}

#[test]
fn this_host_reads_and_others_only_if_they_are_named() {
    let export = export();
    assert!(export.allows("127.0.0.1".parse().unwrap()));
    assert!(export.allows("::1".parse().unwrap()));
    assert!(!export.allows("10.0.0.1".parse().unwrap()));
    let export_allow = Live::new(Access::from_nets(Vec::new()));
    let open = Export::new(Arc::default(), Arc::default(), export_allow.clone());
    assert!(!open.allows("10.0.0.1".parse().unwrap()));
    export_allow.set(Access::from_nets(vec!["10.0.0.0/24".parse().unwrap()]));
    assert!(open.allows("::ffff:10.0.0.1".parse().unwrap()));
    assert!(!open.allows("10.0.1.1".parse().unwrap()));
}
