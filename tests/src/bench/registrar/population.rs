//! The phones that register: their names, lines, passwords and addresses, by their number.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use tftp_edge::inventory::Protocol;

/// Where their addresses begin; none of them ends in 0 of the network.
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 80, 1, 0);

/// The models, and what they say they are (`type` of the device in what they send).
pub const SIP_MODEL: (&str, u32) = ("8851", 684);
pub const SCCP_MODEL: (&str, u32) = ("7960", 7);

pub fn mac(phone: u32) -> String {
    format!("00BE{phone:08X}")
}

pub fn device(phone: u32) -> String {
    format!("SEP{}", mac(phone))
}

/// The directory number of its only line, which is its digest user, too.
pub fn line(phone: u32) -> u32 {
    3_000_000 + phone
}

/// A password that a registrar without a database can tell by itself.
pub fn secret(phone: u32) -> String {
    format!("pw{}", line(phone))
}

pub fn address(phone: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(FIRST_ADDRESS) + phone)
}

/// All of them, as `tftp-edge inventory import` reads them.
pub fn csv(protocol: Protocol, phones: u32) -> String {
    let model = match protocol {
        Protocol::Sip => SIP_MODEL.0,
        Protocol::Sccp => SCCP_MODEL.0,
    };
    let mut csv = String::from("name,model,protocol,lines,secret\n");
    for phone in 0..phones {
        let secret = match protocol {
            Protocol::Sip => secret(phone),
            Protocol::Sccp => String::new(),
        };
        let (device, line) = (device(phone), line(phone));
        writeln!(csv, "{device},{model},{protocol},{line},{secret}")
            .expect("writing to a string cannot fail");
    }
    csv
}
