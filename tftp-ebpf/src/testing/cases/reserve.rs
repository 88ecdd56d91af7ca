//! What a switch floods comes in on a member of a bond in reserve, too: nothing is answered, ended or
//! charged there.

use super::{Before, Case, InterfaceState, JUST_NOW, LATE};
use crate::testing::datagram::Datagram;
use crate::testing::site::{ABSENT, Site};
use crate::verdict::Reason;
use crate::wire::tftp::Granted;

/// Of three blocks.
const CONFIG: &str = "sep001122334455.cnf.xml";

pub(super) fn cases(site: &Site) -> Vec<Case> {
    let read = |name| Datagram::default().read(name, "octet", "");
    let talk = site.talk(&read(CONFIG), CONFIG, Granted::default());
    let outstanding = |block, ago| Some(talk.standing(block, ago));
    let cases = [
        ("a request on a member in reserve", read(CONFIG), None),
        (
            "a request for an absent name on a member in reserve",
            read(ABSENT),
            None,
        ),
        (
            "a repeated request on a member in reserve",
            read(CONFIG),
            outstanding(1, LATE),
        ),
        (
            "an ACK on a member in reserve",
            talk.ack(1),
            outstanding(1, JUST_NOW),
        ),
        (
            "a repeated ACK on a member in reserve",
            talk.ack(1),
            outstanding(2, LATE),
        ),
        (
            "the last ACK on a member in reserve",
            talk.ack(3),
            outstanding(3, JUST_NOW),
        ),
        (
            "an ERROR on a member in reserve",
            talk.error(0),
            outstanding(1, JUST_NOW),
        ),
    ];
    let on_reserve = |(name, frame, standing): (_, Datagram, _)| {
        Case::silence(name, &frame, Reason::NotReady).with(Before {
            interface: InterfaceState::Off,
            standing,
            ..Before::default()
        })
    };
    cases.into_iter().map(on_reserve).collect()
}
