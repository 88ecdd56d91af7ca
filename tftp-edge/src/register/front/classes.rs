//! What the kernel program's classes say of a phone.

use std::net::SocketAddr;
use std::time::SystemTime;

use tftp_ebpf::classify::{Class, Decision};

use super::{Front, Stage, Step, Totals};
use crate::inventory::Protocol;
use crate::kernel::Registrations;
use crate::register::{Sighting, Transport, Watch, told};

impl Totals {
    /// Exact, whatever was sampled.
    pub fn of(seen: &Registrations) -> Self {
        let of = |classes: &[Class]| -> u64 { classes.iter().map(|&class| seen.of(class)).sum() };
        let connections = seen.packets.iter();
        // A connection that was let in says nothing yet: its Register does.
        let refused_connections: u64 = connections
            .map(|counts| counts.of(Class::Syn, Decision::Drop))
            .sum();
        Self {
            asked: of(&[Class::SccpRegister, Class::SccpToken, Class::SipRegister])
                + refused_connections,
            challenged: of(&[Class::SipChallenge]),
            registered: of(&[Class::SccpRegisterAck, Class::SipRegistered]),
            refused: of(&[
                Class::SccpRegisterReject,
                Class::SccpTokenAck,
                Class::SccpTokenReject,
                Class::SipForbidden,
                Class::SipTooBrief,
                Class::SipUnavailable,
            ]),
            held_back: seen.decided(Decision::Drop) + seen.decided(Decision::WouldDrop),
        }
    }
}

impl Watch for Front {
    fn seen(&self, sighting: &Sighting<'_>) {
        if let Some(step) = self.step(sighting) {
            self.saw(&step, sighting.at);
            let is_datagram = sighting.transport == Transport::Udp;
            let who = (step.device, step.phone);
            let at = SystemTime::now()
                .checked_sub(sighting.at.elapsed())
                .unwrap_or_else(SystemTime::now);
            told::seen(&self.journal, who, step.stage, is_datagram, at);
        }
    }
}

impl Front {
    fn step(&self, sighting: &Sighting<'_>) -> Option<Step> {
        let Sighting {
            source,
            destination,
            class,
            ..
        } = *sighting;
        let (stage, is_answer) = stage(class, sighting.decision)?;
        let (phone, server) = match is_answer {
            true => (destination, source),
            false => (source, destination),
        };
        Some(Step {
            phone,
            protocol: self.protocol(class, server),
            // An answer has the Contacts of all devices that share the line.
            device: sighting.device().filter(|_| !is_answer),
            stage,
        })
    }

    fn protocol(&self, class: Class, server: SocketAddr) -> Protocol {
        let is_sip = match class {
            Class::Syn => self.sip_ports.contains(&server.port()),
            class => class.as_str().starts_with("sip"),
        };
        match is_sip {
            true => Protocol::Sip,
            false => Protocol::Sccp,
        }
    }
}

/// What a packet says of its phone, and whether it is the server's.
fn stage(class: Class, decision: Decision) -> Option<(Stage, bool)> {
    if decision == Decision::Drop {
        return Some((Stage::HeldBack, false));
    }
    Some(match class {
        Class::SccpRegister | Class::SccpToken | Class::SipRegister => (Stage::Asks, false),
        Class::SccpUnregister => (Stage::Left, false),
        Class::SccpRegisterAck | Class::SipRegistered => (Stage::Registered, true),
        Class::SccpRegisterReject | Class::SipForbidden => (Stage::Refused, true),
        Class::SccpTokenReject | Class::SipUnavailable => (Stage::Waits, true),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::inventory::DeviceName;
    use crate::journal::{self, Journal};
    use crate::register::Settings;

    const PHONE: ([u8; 4], u16) = ([10, 1, 0, 9], 50_000);

    fn see(front: &Front, class: Class, decision: Decision, port: u16, name: &[u8]) {
        let server: SocketAddr = ([10, 2, 0, 1], port).into();
        let is_answer = stage(class, decision).is_some_and(|it| it.1);
        let (source, destination) = match is_answer {
            true => (server, PHONE.into()),
            false => (PHONE.into(), server),
        };
        front.seen(&Sighting {
            at: Instant::now(),
            source,
            destination,
            transport: Transport::Tcp,
            class,
            decision,
            vlan: None,
            name,
            head: b"",
        });
    }

    #[test]
    fn a_phone_is_followed_from_its_first_packet_to_its_registration() {
        let front = Front::new(&Settings::default(), Instant::now());
        for (class, decision, stage) in [
            (Class::Syn, Decision::Drop, Stage::HeldBack),
            (Class::SccpRegister, Decision::Pass, Stage::Asks),
            (Class::SccpRegisterReject, Decision::Pass, Stage::Refused),
            (Class::SccpRegister, Decision::WouldDrop, Stage::Asks),
            (Class::SccpKeepalive, Decision::Pass, Stage::Asks),
            (Class::SccpRegisterAck, Decision::Pass, Stage::Registered),
            (Class::SccpUnregister, Decision::Pass, Stage::Left),
        ] {
            let name: &[u8] = match class {
                Class::SccpRegister => b"SEP001122334455",
                _ => b"",
            };
            see(&front, class, decision, 2000, name);
            let stages = front.snapshot(Instant::now()).stages;
            assert_eq!(stages[stage as usize], 1, "{class:?}");
            assert_eq!(stages.iter().sum::<u64>(), 1, "{class:?}");
        }
    }

    #[test]
    fn the_journal_has_what_is_seen_of_a_phone_but_not_from_elsewhere_by_datagram() {
        let told = Arc::<Journal>::default();
        let front = Front::new(&Settings::default(), Instant::now()).telling(Arc::clone(&told));
        let name = b"SEP001122334455";
        see(&front, Class::SccpRegister, Decision::Pass, 2000, name);
        see(&front, Class::SccpRegisterAck, Decision::Pass, 2000, b"");
        front.seen(&Sighting {
            at: Instant::now(),
            source: ([10, 66, 0, 6], 5060).into(),
            destination: ([10, 2, 0, 1], 5060).into(),
            transport: Transport::Udp,
            class: Class::SipRegister,
            decision: Decision::Pass,
            vlan: None,
            name,
            head: b"",
        });
        let device: DeviceName = "SEP001122334455".parse().unwrap();
        let phone = told.phone(&device).unwrap();
        assert_eq!(phone.stage, journal::Stage::Registered);
        assert_eq!(phone.source, PHONE.into());
        assert_eq!(phone.boots[0].entries.len(), 2);
    }

    #[test]
    fn a_connection_that_was_held_back_is_of_the_protocol_of_its_port() {
        for (port, protocol) in [(2000, Protocol::Sccp), (5060, Protocol::Sip)] {
            let front = Front::new(&Settings::default(), Instant::now());
            see(&front, Class::Syn, Decision::Drop, port, b"");
            assert_eq!(front.snapshot(Instant::now()).missing[0].protocol, protocol);
        }
    }

    #[test]
    fn the_counts_say_how_many_ask_and_how_many_are_answered() {
        let mut seen = Registrations::default();
        let mut count = |class: Class, decision: Decision, packets| {
            seen.packets[1].packets[class as usize][decision as usize] = packets;
        };
        count(Class::Syn, Decision::Pass, 1_000);
        count(Class::Syn, Decision::Drop, 1);
        count(Class::SccpRegister, Decision::Pass, 10);
        count(Class::SipRegister, Decision::Pass, 200);
        count(Class::SipRegister, Decision::Drop, 100);
        count(Class::SipChallenge, Decision::Pass, 90);
        count(Class::SccpRegisterAck, Decision::Pass, 8);
        count(Class::SipRegistered, Decision::Pass, 70);
        count(Class::SipUnavailable, Decision::Pass, 5);
        let totals = Totals {
            asked: 311,
            challenged: 90,
            registered: 78,
            refused: 5,
            held_back: 101,
        };
        assert_eq!(Totals::of(&seen), totals);
    }
}
