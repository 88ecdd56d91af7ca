use std::time::Duration;

use tftp_ebpf::verdict::Rung;

use super::*;
use crate::inventory::Protocol;
use crate::register::{Departure, Transport};

fn request(name: &str) -> Request {
    Request {
        name: name.into(),
        stage: FileStage::of_name(name.as_bytes()),
        path: Path::Rung(Rung::Xdp),
        generation: Some(7),
        len_bytes: 6_000,
    }
}

fn answer(outcome: Outcome) -> Answer {
    Answer {
        outcome,
        took: Duration::from_millis(3),
        resends: 1,
    }
}

#[test]
fn an_answer_completes_its_request() {
    let mut boot = Boot::new(1, 10_000);
    let asked = request("sep001122334455.cnf.xml");
    boot.requested(&asked, 10_100, 64);
    boot.requested(&asked, 10_600, 64);
    boot.answered(&asked, &answer(Outcome::Complete), 10_700, 64);
    let [entry] = &boot.entries[..] else {
        panic!("{boot:?}")
    };
    assert_eq!((entry.first_ms, entry.last_ms, entry.times), (100, 700, 2));
    let What::File(file) = &entry.what else {
        panic!("{entry:?}")
    };
    assert_eq!((file.outcome, file.took_us), (Outcome::Complete, 3_000));
    assert_eq!(file.path(), Path::Rung(Rung::Xdp));
    assert_eq!(boot.last_ms(), 10_700);
}

#[test]
fn an_answer_without_its_request_is_kept_all_the_same() {
    let mut boot = Boot::new(1, 0);
    boot.answered(&request("a.loads"), &answer(Outcome::Absent), 50, 64);
    assert_eq!(boot.entries[0].first_ms, 47);
}

#[test]
fn what_happens_again_is_counted_in_one_entry() {
    let mut boot = Boot::new(1, 0);
    for at in 0..5 {
        let asked = request("sep001122334455.cnf.xml");
        boot.requested(&asked, at * 100, 64);
        boot.answered(&asked, &answer(Outcome::Absent), at * 100 + 1, 64);
    }
    assert_eq!((boot.entries.len(), boot.entries[0].times), (1, 5));
    boot.requested(&request("xmldefault.cnf.xml"), 600, 64);
    assert_eq!(boot.entries.len(), 2);
}

#[test]
fn a_long_boot_keeps_its_beginning_and_its_end() {
    let mut boot = Boot::new(1, 0);
    for at in 0..100 {
        let asked = request(&format!("ring{at}.raw"));
        boot.answered(&asked, &answer(Outcome::Complete), at, 20);
    }
    assert_eq!((boot.entries.len(), boot.left_out), (20, 80));
    let name = |entry: &Entry| match &entry.what {
        What::File(file) => file.name.to_string(),
        What::Fact(_) => String::new(),
    };
    assert_eq!(name(&boot.entries[0]), "ring0.raw");
    assert_eq!(name(&boot.entries[19]), "ring99.raw");
}

fn registering() -> Fact {
    Fact::Registering {
        protocol: Protocol::Sip,
        transport: Transport::Tcp,
    }
}

/// When and what, in the order in which they are kept.
fn kept(boot: &Boot) -> Vec<(u32, String)> {
    let entries = boot.entries.iter();
    let entries = entries.map(|entry| match &entry.what {
        What::File(file) => (entry.first_ms, file.name.to_string()),
        What::Fact(_) => (entry.first_ms, "fact".to_owned()),
    });
    entries.collect()
}

fn in_order(expected: &[(u32, &str)]) -> Vec<(u32, String)> {
    let expected = expected.iter();
    expected.map(|(at, what)| (*at, (*what).into())).collect()
}

#[test]
fn what_is_told_late_is_where_it_happened() {
    let mut boot = Boot::new(1, 1_000);
    boot.requested(&request("a"), 1_000, 64);
    boot.fact(&registering(), 1_030, 64);
    boot.requested(&request("b"), 1_010, 64);
    boot.requested(&request("c"), 1_010, 64);
    boot.answered(&request("b"), &answer(Outcome::Complete), 1_020, 64);
    let order = [(0, "a"), (10, "b"), (10, "c"), (30, "fact")];
    assert_eq!(kept(&boot), in_order(&order));
    assert_eq!(boot.entries[1].last_ms, 20);
    assert_eq!(boot.last_ms(), 1_030);
}

#[test]
fn in_one_millisecond_files_are_before_the_registration() {
    let mut boot = Boot::new(1, 0);
    boot.fact(&registering(), 7, 64);
    boot.requested(&request("a"), 7, 64);
    boot.requested(&request("b"), 7, 64);
    assert_eq!(kept(&boot), in_order(&[(7, "a"), (7, "b"), (7, "fact")]));
}

#[test]
fn facts_stay_in_the_order_in_which_they_are_told() {
    let mut boot = Boot::new(1, 0);
    let left = Fact::Left(Departure::Unregistered);
    boot.fact(&registering(), 7, 64);
    boot.requested(&request("a"), 9, 64);
    boot.fact(&left, 5, 64);
    assert_eq!(kept(&boot), in_order(&[(7, "fact"), (7, "fact"), (9, "a")]));
    assert_eq!(boot.entries[1].what, What::Fact(left));
}

#[test]
fn a_boot_begins_with_its_first_request_even_if_that_is_told_late() {
    let mut boot = Boot::new(1, 10_020);
    boot.fact(&registering(), 10_020, 64);
    boot.requested(&request("a"), 10_005, 64);
    assert_eq!((boot.began_ms, boot.last_ms()), (10_005, 10_020));
    assert_eq!(kept(&boot), in_order(&[(0, "a"), (15, "fact")]));
    // A clock that was set back moves nothing.
    boot.requested(&request("b"), 0, 64);
    assert_eq!(boot.began_ms, 10_005);
}

#[test]
fn what_lands_in_the_middle_joins_the_same_before_it_and_behind_it() {
    let mut boot = Boot::new(1, 0);
    let absent = answer(Outcome::Absent);
    boot.answered(&request("a"), &absent, 10, 64);
    boot.requested(&request("a"), 20, 64);
    boot.requested(&request("b"), 50, 64);
    boot.answered(&request("a"), &absent, 40, 64);
    boot.answered(&request("a"), &absent, 30, 64);
    boot.answered(&request("c"), &absent, 80, 64);
    boot.answered(&request("c"), &absent, 70, 64);
    let kept: Vec<_> = boot
        .entries
        .iter()
        .map(|it| (it.first_ms, it.last_ms, it.times))
        .collect();
    assert_eq!(kept, [(7, 40, 3), (50, 50, 1), (67, 77, 2)]);
}
