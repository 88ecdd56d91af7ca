//! Requests that are answered.

use std::net::IpAddr;

use super::{Before, Case, JUST_NOW, LATE, absent};
use crate::frame::Bucket;
use crate::testing::datagram::{Checksum, Datagram, Endpoint};
use crate::testing::site::{SERVER_LINK_LOCAL, SERVER_V6, Site, Standing, Talk};
use crate::verdict::Reason;
use crate::wire::tftp::Granted;

const CONFIG: &str = "sep001122334455.cnf.xml";

fn endpoint(of: Endpoint, address: &str) -> Endpoint {
    let address = address.parse::<IpAddr>().expect("an address of a case");
    Endpoint { address, ..of }
}

/// The same conversation over IPv6.
pub(super) fn over_v6() -> Datagram {
    let plain = Datagram::default();
    Datagram {
        from: endpoint(plain.from, "fd00:20::beef"),
        to: endpoint(plain.to, SERVER_V6),
        ..plain
    }
}

pub(super) fn over_link_local() -> Datagram {
    let plain = Datagram::default();
    Datagram {
        from: endpoint(plain.from, "fe80::211:22ff:fe33:4455"),
        to: endpoint(plain.to, SERVER_LINK_LOCAL),
        ..plain
    }
}

pub(super) fn cases(site: &Site) -> Vec<Case> {
    [
        without_options(site),
        with_options(site),
        absent::cases(site),
        repeated(site),
        budgets(site),
    ]
    .concat()
}

/// A request that is answered with DATA 1.
pub(super) fn first_data(site: &Site, name: &'static str, request: &Datagram, file: &str) -> Case {
    let reply = site.talk(request, file, Granted::default()).data(1);
    Case::answer(name, request, Reason::FirstData, reply, Some(1))
}

fn without_options(site: &Site) -> Vec<Case> {
    let plain = Datagram::default;
    let read = |name: &str| plain().read(name, "octet", "");
    let with_tail = |tail: &[u8]| {
        let mut request = read(CONFIG);
        request.payload.extend_from_slice(tail);
        request
    };
    let tagged = |tags: &[(u16, u16)]| Datagram {
        tags: tags.to_vec(),
        ..read(CONFIG)
    };
    let cases = [
        (
            "a request without options gets DATA 1",
            read(CONFIG),
            CONFIG,
        ),
        (
            "a name in any case",
            read("SEP001122334455.CNF.XML"),
            CONFIG,
        ),
        (
            "a mode in any case",
            plain().read(CONFIG, "OcTeT", ""),
            CONFIG,
        ),
        (
            "a backslash and a drive letter",
            read("C:\\RingList.xml"),
            "ringlist.xml",
        ),
        (
            "a leading slash",
            read("//firmware\\cp78xx.sbn"),
            "firmware/cp78xx.sbn",
        ),
        ("a NUL too many", with_tail(&[0]), CONFIG),
        ("NULs to the end", with_tail(&[0; 9]), CONFIG),
        ("an option without its value", with_tail(b"tsize\0"), CONFIG),
        (
            "an option whose value has no NUL",
            with_tail(b"tsize\x000"),
            CONFIG,
        ),
        ("only unknown options", with_tail(b"multicast\0\0"), CONFIG),
        (
            "an empty file is one empty block",
            read("empty.xml"),
            "empty.xml",
        ),
        ("a file of one byte", read("one.xml"), "one.xml"),
        (
            "a voice VLAN is answered in it",
            tagged(&[(0x8100, 0xa0c8)]),
            CONFIG,
        ),
        (
            "two tags go back as they came",
            tagged(&[(0x88a8, 0x0064), (0x8100, 0xa0c8)]),
            CONFIG,
        ),
        ("over IPv6", over_v6().read(CONFIG, "octet", ""), CONFIG),
        (
            "the IP Communicator asks in a folder of its own",
            read("Communicator\\SEP001122334455.cnf.xml"),
            CONFIG,
        ),
        (
            "for its locale too, behind whatever else",
            read("/C:\\COMMUNICATOR/English_United_States\\ipc-sccp.jar"),
            "english_united_states/ipc-sccp.jar",
        ),
        (
            "from a link-local address",
            over_link_local().read(CONFIG, "octet", ""),
            CONFIG,
        ),
        (
            "IPv6 in a VLAN",
            Datagram {
                tags: vec![(0x8100, 200)],
                ..over_v6().read("one.xml", "octet", "")
            },
            "one.xml",
        ),
        (
            "no checksum over IPv4",
            Datagram {
                checksum: Checksum::Zero,
                ..read(CONFIG)
            },
            CONFIG,
        ),
        (
            "a checksum left to an offload",
            Datagram {
                checksum: Checksum::Pending,
                ..read(CONFIG)
            },
            CONFIG,
        ),
        (
            "a checksum left to an offload over IPv6",
            Datagram {
                checksum: Checksum::Pending,
                ..over_v6().read(CONFIG, "octet", "")
            },
            CONFIG,
        ),
        (
            "a short frame that was not padded",
            Datagram {
                padded_to: 0,
                ..read("one.xml")
            },
            "one.xml",
        ),
        (
            "a frame with a long tail behind the datagram",
            Datagram {
                padded_to: 1500,
                ..read(CONFIG)
            },
            CONFIG,
        ),
    ];
    cases
        .into_iter()
        .map(|(name, request, file)| first_data(site, name, &request, file))
        .collect()
}

fn with_options(site: &Site) -> Vec<Case> {
    let granted = |blksize: u16, tsize: bool, timeout: u8, windowsize: u16| Granted {
        blksize,
        windowsize,
        timeout,
        tsize: tsize.then_some(0),
    };
    let v4 = Datagram::default;
    let cases = [
        (
            "blksize is granted",
            v4(),
            "blksize 1024",
            granted(1024, false, 0, 0),
            "blksize 1024",
        ),
        (
            "blksize is clamped to the interface",
            v4(),
            "blksize 8192",
            granted(1468, false, 0, 0),
            "blksize 1468",
        ),
        (
            "blksize is clamped further over IPv6",
            over_v6(),
            "blksize 1468",
            granted(1448, false, 0, 0),
            "blksize 1448",
        ),
        (
            "the smallest blksize",
            v4(),
            "blksize 8",
            granted(8, false, 0, 0),
            "blksize 8",
        ),
        (
            "tsize is the true size",
            v4(),
            "tsize 0",
            granted(0, true, 0, 0),
            "tsize 1200",
        ),
        (
            "tsize is answered whatever was sent",
            v4(),
            "TSIZE 77",
            granted(0, true, 0, 0),
            "tsize 1200",
        ),
        (
            "timeout is echoed",
            v4(),
            "timeout 255",
            granted(0, false, 255, 0),
            "timeout 255",
        ),
        (
            "a window of one is granted",
            v4(),
            "windowsize 1",
            granted(0, false, 0, 1),
            "windowsize 1",
        ),
        (
            "what a 78xx asks for",
            v4(),
            "tsize 0 BlkSize 1428 timeout 3",
            granted(1428, true, 3, 0),
            "blksize 1428 timeout 3 tsize 1200",
        ),
        (
            "unknown and bad options are left out",
            v4(),
            "multicast x timeout 0 blksize 7 rollover 0 tsize 0",
            granted(0, true, 0, 0),
            "tsize 1200",
        ),
        (
            "of an option sent twice the first counts",
            v4(),
            "blksize 600 blksize 1024",
            granted(600, false, 0, 0),
            "blksize 600",
        ),
        (
            "all four, one VLAN down",
            Datagram {
                tags: vec![(0x8100, 7)],
                ..v4()
            },
            "windowsize 1 tsize 0 timeout 9 blksize 65464",
            granted(1468, true, 9, 1),
            "blksize 1468 timeout 9 tsize 1200 windowsize 1",
        ),
    ];
    cases
        .into_iter()
        .map(|(name, from, asked, granted, answered)| {
            let request = from.read(CONFIG, "octet", asked);
            let reply = site.talk(&request, CONFIG, granted).oack(answered);
            Case::answer(name, &request, Reason::Oack, reply, Some(0))
        })
        .chain(std::iter::once({
            let request = v4().read("empty.xml", "octet", "tsize 0");
            let reply = site
                .talk(&request, "empty.xml", granted(0, true, 0, 0))
                .oack("tsize 0");
            Case::answer(
                "the size of an empty file",
                &request,
                Reason::Oack,
                reply,
                Some(0),
            )
        }))
        .collect()
}

fn repeated(site: &Site) -> Vec<Case> {
    let request = Datagram::default().read(CONFIG, "octet", "");
    let asking = Datagram::default().read(CONFIG, "octet", "blksize 1024");
    let granted = Granted {
        blksize: 1024,
        ..Granted::default()
    };
    let plain = site.talk(&request, CONFIG, Granted::default());
    let optioned = site.talk(&asking, CONFIG, granted);
    let other = site.talk(&request, "ringlist.xml", Granted::default());
    vec![
        Case::answer(
            "a request repeated before the first ACK joins its transfer",
            &request,
            Reason::Repeat,
            plain.data(1),
            Some(1),
        )
        .during(plain.standing(1, JUST_NOW)),
        Case::answer(
            "a request repeated before ACK 0 gets its OACK again",
            &asking,
            Reason::Repeat,
            optioned.oack("blksize 1024"),
            Some(0),
        )
        .during(optioned.standing(0, LATE)),
        Case::silence(
            "a late copy of a request does not disturb its transfer",
            &request,
            Reason::LateRequest,
        )
        .during(plain.standing(2, JUST_NOW)),
        Case::answer(
            "a request repeated long after begins again",
            &request,
            Reason::FirstData,
            plain.data(1),
            Some(1),
        )
        .during(plain.standing(2, LATE)),
        Case::answer(
            "another file from the same port is another transfer",
            &request,
            Reason::FirstData,
            plain.data(1),
            Some(1),
        )
        .during(other.standing(2, JUST_NOW)),
        Case::answer(
            "the same file with other options is another transfer",
            &asking,
            Reason::Oack,
            optioned.oack("blksize 1024"),
            Some(0),
        )
        .during(plain.standing(2, JUST_NOW)),
        Case::answer(
            "another file whose port is the same by chance is replaced",
            &request,
            Reason::FirstData,
            plain.data(1),
            Some(1),
        )
        .during(at_port_of(&plain, other.standing(1, JUST_NOW))),
        Case::answer(
            "other options whose port is the same by chance are replaced",
            &asking,
            Reason::Oack,
            optioned.oack("blksize 1024"),
            Some(0),
        )
        .during(at_port_of(&optioned, plain.standing(2, JUST_NOW))),
    ]
}

/// The transfer as it stands when its port is the one of another conversation.
fn at_port_of(talk: &Talk<'_>, standing: Standing) -> Standing {
    Standing {
        key: talk.key(),
        ..standing
    }
}

fn budgets(site: &Site) -> Vec<Case> {
    let request = Datagram::default().read(CONFIG, "octet", "");
    let v6 = over_v6().read(CONFIG, "octet", "");
    let spent = Before {
        spent: Some(Bucket::First),
        ..Before::default()
    };
    vec![
        Case::silence(
            "too many first packets without an answer",
            &request,
            Reason::FirstBudget,
        )
        .with(spent.clone()),
        Case::silence("an IPv6 source is its whole /64", &v6, Reason::FirstBudget)
            .with(spent.clone()),
        first_data(site, "a source that answers may go on", &request, CONFIG).with(Before {
            known: true,
            ..spent
        }),
        first_data(site, "misses do not count against files", &request, CONFIG).with(Before {
            spent: Some(Bucket::Miss),
            ..Before::default()
        }),
        first_data(
            site,
            "unknown devices do not count against known ones",
            &request,
            CONFIG,
        )
        .with(Before {
            spent: Some(Bucket::Unknown),
            ..Before::default()
        }),
    ]
}
