//! Who comes in while newcomers are more than can be served.

use super::sccp::{message, named};
use super::sip::{datagram, request};
use super::{DEVICE, over_tcp, over_udp, syn, to_port, v6};
use crate::classify::Class;
use crate::classify::Decision::{Drop, WouldDrop};
use crate::testing::cases::GateState::{Empty, Open, Reserve};
use crate::testing::cases::{Before, Case, Expected};
use crate::testing::segment::Segment;

pub(super) fn cases() -> Vec<Case> {
    let register = datagram(&request("REGISTER"));
    let in_storm = |gate| Before {
        gate,
        ..Before::default()
    };
    let known = |gate| Before {
        known: true,
        ..in_storm(gate)
    };
    let registered = |gate| Before {
        registered: true,
        ..in_storm(gate)
    };
    let observed = |before| Before {
        observed: true,
        ..before
    };
    let a_syn = |name| over_tcp(name, &syn(), Class::Syn);
    let a_register = |name| over_udp(name, &register, Class::SipRegister);
    let uncharged = |mut case: Case| {
        if let Expected::Classified { charged, .. } = &mut case.expected {
            *charged = false;
        }
        case
    };
    let untold = |mut case: Case| {
        if let Expected::Classified { sample, .. } = &mut case.expected {
            *sample = None;
        }
        case
    };
    vec![
        a_syn("a stranger's SYN leaves the reserve alone")
            .held_back(Drop)
            .with(in_storm(Reserve)),
        a_register("a stranger's REGISTER leaves the reserve alone")
            .held_back(Drop)
            .with(in_storm(Reserve)),
        a_syn("SYN of who was seen booting takes from the reserve").with(known(Reserve)),
        a_register("REGISTER of who was seen booting takes from the reserve").with(known(Reserve)),
        uncharged(a_syn(
            "nobody is held back when no daemon is there for too long",
        ))
        .with(Before {
            deserted: true,
            ..in_storm(Empty)
        }),
        a_syn("SYN of who was seen booting finds nothing")
            .held_back(Drop)
            .with(known(Empty)),
        over_tcp(
            "SYN over IPv6 of who was seen booting in the same network",
            &v6(syn()),
            Class::Syn,
        )
        .with(known(Reserve)),
        a_syn("SYN of a registered phone always comes in").with(registered(Empty)),
        a_register("REGISTER of a registered phone always comes in").with(registered(Empty)),
        a_syn("observed: SYN would have been dropped")
            .held_back(WouldDrop)
            .with(observed(in_storm(Reserve))),
        a_register("observed: REGISTER would have been dropped")
            .held_back(WouldDrop)
            .with(observed(known(Empty))),
        uncharged(a_syn("without a budget SYN comes in")).with(in_storm(Open)),
        uncharged(a_register("without a budget REGISTER comes in")).with(in_storm(Open)),
        over_tcp(
            "REGISTER over a connection has been paid for",
            &to_port(Segment::default(), 5060).with(&request("REGISTER")),
            Class::SipRegister,
        )
        .with(in_storm(Empty)),
        over_tcp(
            "Register over a connection has been paid for",
            &Segment::default().with(&message(1, 0, &named(DEVICE, 120))),
            Class::SccpRegister,
        )
        .of_device(DEVICE)
        .with(in_storm(Empty)),
        over_udp(
            "OPTIONS is no registration",
            &datagram(&request("OPTIONS")),
            Class::SipOptions,
        )
        .with(in_storm(Empty)),
        untold(a_register("what was not told is counted")).with(Before {
            sampled_out: true,
            ..Before::default()
        }),
        untold(a_syn("what was dropped and not told is counted").held_back(Drop)).with(Before {
            sampled_out: true,
            ..in_storm(Empty)
        }),
    ]
}
