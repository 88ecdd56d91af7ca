use std::time::Duration;

use tftp_ebpf::stage::Stage as FileStage;
use tftp_ebpf::verdict::Rung;

use super::*;
use crate::inventory::Protocol;
use crate::journal::What;
use crate::register::{Departure, Transport};
use crate::stats::Path;

const CTL: &str = "ctlsep001122334455.tlv";
const CONFIG: &str = "sep001122334455.cnf.xml";

/// A phone whose time is stepped by hand.
struct Played {
    phone: Phone,
    at_ms: u64,
}

impl Played {
    fn new() -> Self {
        let at_ms = 1_000_000;
        Self {
            phone: Phone::new(source(), at_ms),
            at_ms,
        }
    }

    fn after(&mut self, ms: u64) -> &mut Self {
        self.at_ms += ms;
        self
    }

    fn take(&mut self, what: Happening) -> &mut Self {
        let settings = Settings::default();
        self.phone.take(&what, source(), self.at_ms, &settings);
        self
    }

    fn asks(&mut self, name: &str) -> &mut Self {
        self.take(Happening::Requested(request(name)))
    }

    fn gets(&mut self, name: &str, outcome: Outcome) -> &mut Self {
        let answer = Answer {
            outcome,
            took: Duration::from_millis(2),
            resends: 0,
        };
        self.take(Happening::Answered(request(name), answer))
    }

    fn boots(&mut self) -> &mut Self {
        self.gets(CTL, Outcome::Absent)
            .after(10)
            .asks(CONFIG)
            .gets(CONFIG, Outcome::Complete)
            .after(10)
            .gets("appdialrules.xml", Outcome::Absent)
            .after(10)
            .fact(registering())
            .fact(registered())
    }

    fn fact(&mut self, fact: Fact) -> &mut Self {
        self.take(Happening::Fact(fact))
    }

    fn is_at(&mut self, stage: Stage, boots: u32) -> &mut Self {
        assert_eq!((self.phone.stage, self.phone.boots_total), (stage, boots));
        self
    }
}

fn source() -> SocketAddr {
    ([10, 0, 0, 9], 49_152).into()
}

fn request(name: &str) -> Request {
    Request {
        name: name.into(),
        stage: FileStage::of_name(name.as_bytes()),
        path: Path::Rung(Rung::Tc),
        generation: None,
        len_bytes: 0,
    }
}

fn registering() -> Fact {
    Fact::Registering {
        protocol: Protocol::Sip,
        transport: Transport::Tcp,
    }
}

fn registered() -> Fact {
    Fact::Registered {
        protocol: Protocol::Sip,
        transport: Transport::Tcp,
        load: Some("sip88xx".into()),
    }
}

#[test]
fn a_boot_goes_from_the_trust_list_to_the_registration() {
    let mut played = Played::new();
    played.gets(CTL, Outcome::Absent).is_at(Stage::Trust, 1);
    played.after(5).asks(CONFIG).is_at(Stage::Config, 1);
    played.gets(CONFIG, Outcome::Complete);
    played
        .after(5)
        .fact(registering())
        .is_at(Stage::Register, 1);
    played
        .after(5)
        .fact(registered())
        .is_at(Stage::Registered, 1);
    assert_eq!(played.phone.registered_ms, Some(played.at_ms));
    assert_eq!(played.phone.load.as_deref(), Some("sip88xx"));
    assert_eq!(played.phone.failure, None, "no trust list is no failure");
}

#[test]
fn a_trust_list_in_the_middle_of_a_boot_begins_no_other() {
    let mut played = Played::new();
    let itl = "itlsep001122334455.tlv";
    played.gets(itl, Outcome::Absent).after(20_000);
    played.gets(CONFIG, Outcome::Complete).after(20_000);
    played.gets(CTL, Outcome::Absent).is_at(Stage::Trust, 1);
}

#[test]
fn a_phone_that_was_registered_and_asks_again_boots_again() {
    let mut played = Played::new();
    played.boots().is_at(Stage::Registered, 1).after(60_000);
    played.gets(CTL, Outcome::Absent).is_at(Stage::Trust, 2);
    // The registration of before ends by itself.
    let lost = Fact::Left(Departure::KeepaliveTimeout);
    played.after(90_000).fact(lost).is_at(Stage::Trust, 2);
    assert_eq!(played.phone.registered_ms, None);
}

#[test]
fn a_phone_that_hears_nothing_asks_again_in_the_same_boot() {
    let mut played = Played::new();
    for _ in 0..10 {
        played.asks(CTL).after(4_000);
        played.gets(CTL, Outcome::Unheard).after(4_000);
    }
    played.is_at(Stage::Trust, 1);
    let boot = played.phone.boot().unwrap();
    assert_eq!((boot.entries.len(), boot.entries[0].times), (1, 10));
}

#[test]
fn a_phone_that_goes_through_its_list_again_and_again_boots_again_and_again() {
    let mut played = Played::new();
    for _ in 0..9 {
        played.gets(CTL, Outcome::Absent).after(10);
        played.gets(CONFIG, Outcome::Complete).after(45_000);
    }
    played.is_at(Stage::Config, 9);
    assert_eq!(played.phone.boots.len(), Settings::default().boots);
}

#[test]
fn what_a_registered_phone_fetches_besides_does_not_move_it() {
    let mut played = Played::new();
    played.boots().after(60_000);
    played.gets("ringlist.xml", Outcome::Complete);
    played.is_at(Stage::Registered, 1);
    // It fetches its configuration without leaving, as `apply-config` has it.
    played.after(1_000).gets(CONFIG, Outcome::Complete);
    played.is_at(Stage::Config, 2);
    played.after(1_000).take(Happening::Refreshed);
    played.is_at(Stage::Registered, 2);
}

#[test]
fn a_phone_that_left_has_not_come_as_far_any_more() {
    let mut played = Played::new();
    played.boots().after(60_000);
    played.fact(Fact::Left(Departure::KeepaliveTimeout));
    played.is_at(Stage::Register, 1);
    // One that comes back without a boot has one all the same.
    played.after(1_000).fact(registering()).fact(registered());
    played.is_at(Stage::Registered, 2);
}

#[test]
fn the_last_failure_is_kept() {
    let mut played = Played::new();
    played.gets("sccp41.loads", Outcome::Absent);
    let failure = Failure::File("sccp41.loads".into(), Outcome::Absent);
    assert_eq!(played.phone.failure, Some((played.at_ms, failure)));
}

#[test]
fn a_request_whose_end_was_lost_does_not_keep_the_next_boot_from_beginning() {
    let mut played = Played::new();
    played.asks(CTL).after(10_000);
    // Asked again within the time of a transfer, it is the same request.
    played.asks(CTL).is_at(Stage::Trust, 1);
    assert_eq!(played.phone.boot().unwrap().entries[0].times, 2);
    played.after(86_400_000).asks(CTL).is_at(Stage::Trust, 2);
    let [before, now] = [0, 1].map(|it| played.phone.boots[it].entries.len());
    assert_eq!((before, now), (1, 1));
}

#[test]
fn a_phone_that_has_registered_stays_so_whatever_is_told_late() {
    let mut played = Played::new();
    played.gets(CTL, Outcome::Absent).after(20);
    played.fact(registering()).after(1).fact(registered());
    let since = played.phone.stage_since_ms;
    // Asked for before, and told only now.
    played.at_ms -= 5;
    played.asks(CONFIG).is_at(Stage::Registered, 1);
    played.gets(CONFIG, Outcome::Refused);
    played.is_at(Stage::Registered, 1);
    assert_eq!(played.phone.stage_since_ms, since);
    let boot = played.phone.boot().unwrap();
    assert_eq!((boot.stage, boot.has_registered), (Stage::Registered, true));
    let order: Vec<_> = boot.entries.iter().map(|it| it.first_ms).collect();
    assert_eq!(order, [0, 18, 22, 23]);
    assert!(matches!(boot.entries[1].what, What::File(_)));
}

#[test]
fn a_boot_of_which_the_registration_is_told_first_is_one_boot() {
    let mut played = Played::new();
    played
        .after(15)
        .fact(registering())
        .after(1)
        .fact(registered());
    played.at_ms -= 16;
    played.gets(CTL, Outcome::Absent).after(5);
    played.gets(CONFIG, Outcome::Complete);
    played.is_at(Stage::Registered, 1);
    let boot = played.phone.boot().unwrap();
    assert_eq!(boot.began_ms, 999_998, "when the first file was asked for");
    assert_eq!(boot.entries.len(), 4);
    // In the millisecond of its last entry is not after it.
    played.at_ms = boot.last_ms();
    played
        .asks("xmldefault.cnf.xml")
        .is_at(Stage::Registered, 1);
    played.after(1).asks(CONFIG).is_at(Stage::Config, 2);
}

#[test]
fn an_alarm_that_is_told_before_its_boot_neither_keeps_it_nor_lengthens_the_one_before() {
    let mut played = Played::new();
    played.boots();
    let ended_ms = played.at_ms;
    let alarm = Fact::Alarm {
        code: Some(20),
        text: "Last=Initialized".into(),
    };
    played.after(3_600_000).fact(alarm);
    played.at_ms -= 5;
    played.gets(CTL, Outcome::Absent).is_at(Stage::Trust, 2);
    assert_eq!(played.phone.boots[0].last_ms(), ended_ms);
}

#[test]
fn a_clock_that_was_set_back_keeps_no_boot_from_beginning() {
    let mut played = Played::new();
    played.boots().is_at(Stage::Registered, 1);
    played.at_ms -= 600_000;
    played.gets(CTL, Outcome::Absent).is_at(Stage::Trust, 2);
}

#[test]
fn what_is_told_late_is_neither_the_last_failure_nor_the_last_address() {
    let mut played = Played::new();
    played.after(20).gets("sccp41.loads", Outcome::Absent);
    let now = (played.phone.source, played.phone.failure.clone());
    let settings = Settings::default();
    let refused = Answer {
        outcome: Outcome::Refused,
        took: Duration::ZERO,
        resends: 0,
    };
    let late = Happening::Answered(request("term41.loads"), refused);
    let elsewhere = ([10, 0, 0, 10], 49_152).into();
    played
        .phone
        .take(&late, elsewhere, played.at_ms - 5, &settings);
    assert_eq!((played.phone.source, played.phone.failure), now);
}
