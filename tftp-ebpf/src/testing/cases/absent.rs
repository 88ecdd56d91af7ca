//! Requests for names that are known to be absent: answered with ERROR 1.

use super::request::{first_data, over_v6};
use super::{Before, Case};
use crate::frame::Bucket;
use crate::testing::datagram::Datagram;
use crate::testing::site::{ABSENT, ABSENT_OF_DEVICES, Site};
use crate::verdict::Reason;
use crate::wire::tftp::Granted;

/// A request that is answered with ERROR 1 on behalf of `entry`.
fn not_found(site: &Site, name: &'static str, request: &Datagram, entry: &str) -> Case {
    let reply = site
        .talk(request, entry, Granted::default())
        .answer(b"\x00\x05\x00\x01File not found\x00".to_vec());
    Case::answer(name, request, Reason::Absent, reply, None)
}

pub(super) fn cases(site: &Site) -> Vec<Case> {
    let plain = Datagram::default;
    let [ctl, itl] = ABSENT_OF_DEVICES;
    let of_device = plain().read("CTLSEP00AABBCCDDEE.tlv", "octet", "");
    [
        (
            "a trust list that is not there is ERROR 1",
            plain().read("ITLFile.tlv", "octet", ""),
            ABSENT,
        ),
        (
            "with options it is ERROR 1 too",
            plain().read("ITLFile.tlv", "octet", "blksize 8192 windowsize 16"),
            ABSENT,
        ),
        (
            "and over IPv6",
            over_v6().read("ITLFile.tlv", "octet", "tsize 0"),
            ABSENT,
        ),
        (
            "so is the trust list of a device that is known",
            plain().read("CTLSEP001122334455.tlv", "octet", ""),
            ctl,
        ),
        (
            "and of one that nobody knows",
            plain().read("ITLSEPFFEEDDCCBBAA.tlv", "octet", ""),
            itl,
        ),
        (
            "in any spelling",
            over_v6().read("c:\\itlsepFFEEddccbbaa.TLV", "octet", ""),
            itl,
        ),
    ]
    .iter()
    .map(|(name, request, entry)| not_found(site, name, request, entry))
    .chain([
        first_data(
            site,
            "a device's own trust list goes first",
            &of_device,
            "ctlsep00aabbccddee.tlv",
        ),
        not_found(
            site,
            "whoever is known to be there may ask for much that is absent",
            &of_list(),
            itl,
        )
        .with(Before {
            spent: Some(Bucket::Miss),
            known: true,
            ..Before::default()
        }),
        not_found(
            site,
            "unknown devices do not count against names that are absent",
            &of_list(),
            itl,
        )
        .with(Before {
            spent: Some(Bucket::Unknown),
            ..Before::default()
        }),
    ])
    .collect()
}

fn of_list() -> Datagram {
    Datagram::default().read("ITLSEP001122334455.tlv", "octet", "")
}
