//! How phones learn where we are: what the site's DHCP server and its switches tell them.
//!
//! A phone first asks which VLAN it belongs to (CDP or LLDP-MED), then for an address, and takes
//! the address of its TFTP server from the same DHCP answer. That server is not ours to run; what
//! is printed here makes it say the right thing.
//!
//! - Option 150 (RFC 5859) is a list of IPv4 addresses, in the order the phone tries them.
//! - Option 66 (RFC 2132 9.4) is one name or address as text, for phones that know no other.
//! - Option 42 (RFC 2132 8.3) is a list of the IPv4 addresses of NTP servers.
//! - Over IPv6 there is the vendor-specific information option, 17 (RFC 8415 21.17), with Cisco's
//!   enterprise number, 9, and in it suboption 1: a list of IPv6 addresses.
//!
//! The ranges that phones get their addresses from are left to whoever runs the DHCP server.

pub mod command;
mod dnsmasq;
mod isc;
mod kea;
mod lldpd;
mod scope;
#[cfg(test)]
mod tests;

pub use scope::{Family, Gap, NoSuchSite, Scope, collect};

/// Cisco's private enterprise number, and the number of the TFTP server addresses in its option.
const CISCO: u32 = 9;
const CISCO_TFTP_SERVERS: u16 = 1;

/// TFTP Server Address, RFC 5859.
const TFTP_SERVER_ADDRESSES: u8 = 150;

/// Items as a server's configuration lists them.
fn joined<T: ToString>(items: &[T], separator: &str) -> String {
    let items: Vec<_> = items.iter().map(ToString::to_string).collect();
    items.join(separator)
}

/// A text that ends with the line it stands in, for comments.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}
