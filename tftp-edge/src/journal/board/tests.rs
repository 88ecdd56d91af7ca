use super::*;
use crate::inventory::{Contents, Site, parse_csv};
use crate::journal::{Event, Fact};
use crate::register::{Departure, Transport};

fn board() -> Board {
    let rows = "name,model,protocol,lines,site,description\n\
                SEP000000000001,8851,sip,1001;1002,berlin,Kitchen\n\
                SEP000000000002,7841,sip,1003,munich,\n\
                SEP000000000003,7961,sccp,1004,berlin,Reception\n";
    let contents = Contents {
        devices: parse_csv(rows.as_bytes()).unwrap(),
        ..Contents::default()
    };
    let directory = Arc::new(Directory::default());
    directory.update(Arc::new(Snapshot::new(contents, &Site::default())));
    Board::new(Arc::default(), directory, Arc::default())
}

fn tell(board: &Board, device: &str, fact: Fact) {
    let source = ([10, 1, 2, 3], 50_000).into();
    let event = Event::fact(device.parse().unwrap(), source, fact);
    board.journal().tell(&event);
}

fn registered() -> Fact {
    Fact::Registered {
        protocol: crate::inventory::Protocol::Sip,
        transport: Transport::Tcp,
        load: Some("sip88xx.12-5".into()),
    }
}

#[test]
fn every_device_of_the_inventory_is_counted_once() {
    let board = board();
    tell(&board, "SEP000000000001", registered());
    tell(
        &board,
        "SEP000000000003",
        Fact::Left(Departure::Connectivity),
    );
    let overview = board.overview();
    assert_eq!(overview.expected, 3);
    assert_eq!((overview.registered(), overview.booting()), (1, 0));
    assert_eq!(overview.stages.values().sum::<u64>(), 3);
    let sites: Vec<_> = overview.sites.iter().map(|it| it.site.as_str()).collect();
    assert_eq!(sites, ["berlin", "munich"]);
    assert_eq!(overview.sites[0].registered, 1);
}

#[test]
fn phones_are_found_by_what_people_know_of_them() {
    let board = board();
    tell(&board, "SEP000000000001", registered());
    let found = |search: &str| {
        let filter = Filter {
            search: Some(search.to_owned()),
            ..Filter::default()
        };
        let rows = board.phones(&filter).rows;
        let names = rows.iter().map(|row| row.device.to_string());
        names.map(|name| name[14..].to_owned()).collect::<Vec<_>>()
    };
    for (search, expected) in [
        ("kitchen", &["1"][..]),
        ("1003", &["2"]),
        ("BERLIN", &["1", "3"]),
        ("10.1.2.3", &["1"]),
        ("sip88xx", &["1"]),
        ("sep0000", &["1", "2", "3"]),
        ("nobody", &[]),
    ] {
        assert_eq!(found(search), expected, "{search}");
    }
    let filter = Filter {
        site: Some("berlin".into()),
        skip: 1,
        limit: Some(5),
        ..Filter::default()
    };
    let page = board.phones(&filter);
    assert_eq!((page.total, page.rows.len()), (2, 1));
}

#[test]
fn a_phone_nobody_knows_is_shown_as_such() {
    let board = board();
    let name = "SEP0000000000FF".parse().unwrap();
    assert!(board.phone(&name).is_none());
    tell(&board, "SEP0000000000FF", registered());
    let view = board.phone(&name).unwrap();
    assert_eq!((view.phone.known, view.boots.len()), (false, 1));
    let json = serde_json::to_string(&view).unwrap();
    let read: PhoneView = serde_json::from_str(&json).unwrap();
    assert_eq!(read.boots, view.boots);
}

/// Not a test of speed: it prints what those who look at all phones cost.
#[test]
#[ignore = "prints a figure: --ignored --nocapture"]
fn the_cost_of_looking_at_a_hundred_thousand_phones() {
    let mut rows = String::from("name,model,protocol,lines,site,description\n");
    for number in 0..100_000 {
        let site = number % 500;
        rows += &format!("SEP{number:012X},8851,sip,{number},site{site},Desk {number}\n");
    }
    let contents = Contents {
        devices: parse_csv(rows.as_bytes()).unwrap(),
        ..Contents::default()
    };
    let directory = Arc::new(Directory::default());
    directory.update(Arc::new(Snapshot::new(contents, &Site::default())));
    let board = Board::new(Arc::default(), directory, Arc::default());
    for number in 0..100_000 {
        tell(&board, &format!("SEP{number:012X}"), registered());
    }
    let began = Instant::now();
    assert_eq!(board.look_over().registered(), 100_000);
    println!("{:?} for an overview", began.elapsed());
    let filter = Filter {
        search: Some("Desk 99999".into()),
        ..Filter::default()
    };
    let began = Instant::now();
    assert_eq!(board.phones(&filter).total, 1);
    println!("{:?} for a search", began.elapsed());
}
