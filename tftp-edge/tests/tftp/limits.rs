//! Who meets silence: budgets, the bound on transfers, and clients off the list.

use tftp_ebpf::verdict::Reason;
use tftp_edge::access::Access;

use crate::site::{Phone, Site, content, rrq};
use crate::wire::{ILLEGAL_OPERATION, ack, site_with};

#[test]
fn errors_are_so_many_a_second_for_each_source() {
    let mut settings = Site::settings();
    (
        settings.budget.error_burst,
        settings.budget.error_per_second,
    ) = (3, 1);
    let site = Site::with(settings);
    for _ in 0..3 {
        assert_eq!(
            Phone::new().ask(site.v4(), b"\0\x09xx").0,
            ILLEGAL_OPERATION
        );
    }
    let phone = Phone::new();
    phone.send(site.v4(), b"\0\x09xx");
    phone.expect_silence();
    assert_eq!(
        Phone::at("127.0.0.9:0").ask(site.v4(), b"\0\x09xx").0,
        ILLEGAL_OPERATION
    );
}

#[test]
fn clients_off_the_list_get_silence() {
    let access = Access::from_nets(vec!["127.0.0.1/32".parse().unwrap()]);
    let site = Site::with_access(Site::settings(), access);
    site.files.put("f", content(100));
    let stranger = Phone::at("127.0.0.2:0");
    stranger.send(site.v4(), &rrq("f", b""));
    stranger.expect_silence();
    site.wait_for(Reason::Denied, 1);
    assert_eq!(
        Phone::new().fetch(site.v4(), &rrq("f", b""), 512, 1),
        content(100)
    );
}

#[test]
fn at_the_bound_there_is_silence_and_known_clients_go_first() {
    let mut settings = Site::settings();
    settings.max_transfers = 8;
    let site = Site::with(settings);
    site.files.put("f", content(5000));
    let known = Phone::at("127.0.0.7:0");
    known.fetch(site.v4(), &rrq("f", b""), 512, 1);
    let busy: Vec<Phone> = (0..6).map(|_| Phone::new()).collect();
    for phone in &busy {
        phone.ask(site.v4(), &rrq("f", b""));
    }
    let stranger = Phone::at("127.0.0.8:0");
    stranger.send(site.v4(), &rrq("f", b""));
    stranger.expect_silence();
    site.wait_for(Reason::Shed, 1);
    // The last quarter is for those in the middle of their boot, and then it is full for all.
    let more: Vec<Phone> = (0..2).map(|_| Phone::at("127.0.0.7:0")).collect();
    for phone in &more {
        assert_eq!(phone.ask(site.v4(), &rrq("f", b"")).0[1], 3);
    }
    known.send(site.v4(), &rrq("f", b""));
    known.expect_silence();
    site.wait_for(Reason::Shed, 2);
    assert_eq!(site.server.gauges().transfers, 8);
    assert_eq!(site.server.gauges().limit, 8);
}

#[test]
fn first_packets_nobody_acknowledges_use_up_a_budget() {
    let mut settings = Site::settings();
    (
        settings.budget.first_burst,
        settings.budget.first_per_second,
    ) = (2, 1);
    let site = Site::with(settings);
    site.files.put("f", content(100));
    let phones = [Phone::new(), Phone::new(), Phone::new()];
    let (_, tid) = phones[0].ask(site.v4(), &rrq("f", b""));
    phones[1].ask(site.v4(), &rrq("f", b""));
    phones[2].send(site.v4(), &rrq("f", b""));
    phones[2].expect_silence();
    site.wait_for(Reason::FirstBudget, 1);
    // An ACK proves the address.
    phones[0].send(tid, &ack(1));
    site.wait_for(Reason::Complete, 1);
    phones[2].ask(site.v4(), &rrq("f", b""));
}

#[test]
fn whoever_asks_for_too_much_that_is_not_there_meets_silence() {
    let mut settings = Site::settings();
    (settings.budget.miss_burst, settings.budget.miss_per_second) = (3, 1);
    let site = Site::with(settings);
    site.files.put("f", content(100));
    let phone = Phone::new();
    for _ in 0..3 {
        phone.ask(site.v4(), &rrq("SEP001122334455.cnf.xml", b""));
    }
    let list = rrq("CTLSEP001122334455.tlv", b"");
    for request in [&rrq("no-such-file", b""), &list] {
        phone.send(site.v4(), request);
        phone.expect_silence();
    }
    site.wait_for(Reason::MissBudget, 2);
    assert_eq!(phone.fetch(site.v4(), &rrq("f", b""), 512, 1), content(100));
    // Known to be there now: what phones ask for in vain at every boot is no longer held back.
    phone.ask(site.v4(), &list);
}

#[test]
fn a_scan_for_devices_meets_silence_and_other_names_do_not() {
    let mut settings = Site::settings();
    let budget = &mut settings.budget;
    (budget.unknown_burst, budget.unknown_per_second) = (3, 1);
    let site = Site::with(settings);
    site.files.put("sep001122334499.cnf.xml", content(100));
    let scanner = Phone::new();
    for number in 0..3 {
        let name = format!("SEP00112233440{number}.cnf.xml");
        scanner.ask(site.v4(), &rrq(&name, b""));
    }
    scanner.send(site.v4(), &rrq("SEP001122334403.cnf.xml", b""));
    scanner.expect_silence();
    site.wait_for(Reason::UnknownBudget, 1);
    let phone = Phone::new();
    phone.ask(site.v4(), &rrq("CTLSEP001122334403.tlv", b""));
    phone.ask(site.v4(), &rrq("no-such-file", b""));
    let config = rrq("SEP001122334499.cnf.xml", b"");
    assert_eq!(phone.fetch(site.v4(), &config, 512, 1), content(100));
}

#[test]
fn a_storm_of_phones_is_served_without_a_loss() {
    let site = site_with(&[("sep.cnf.xml", 6000)]);
    let server = site.v4();
    let phones = 16;
    let rounds = 50;
    std::thread::scope(|scope| {
        for _ in 0..phones {
            scope.spawn(|| {
                // All from one port, as some phones do.
                let phone = Phone::new();
                for _ in 0..rounds {
                    let got = phone.fetch(server, &rrq("sep.cnf.xml", b""), 512, 1);
                    assert_eq!(got, content(6000));
                }
            });
        }
    });
    site.wait_for(Reason::Complete, phones * rounds);
}
