//! One line for a packet: its protocol, and what it says.
//!
//! Nothing secret is told: of SIP only method or status and CSeq, of HTTP only the path, of SCCP only
//! the message and the device's name, of TFTP only names and block numbers. Bytes of the network are
//! never printed as they are: what is no plain ASCII is replaced.

mod http;
mod sccp;
mod sip;
mod tftp;

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    ArpPacketSlice, LaxNetSlice, LaxSlicedPacket, TcpSlice, TransportSlice, UdpSlice,
};

/// Longest text that is taken out of a packet.
const TEXT_MAX: usize = 160;

/// What can be said of a packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// The outermost tag's.
    pub vlan: Option<u16>,
    /// Addresses, with ports where there are any.
    pub from: String,
    pub to: String,
    pub protocol: &'static str,
    pub summary: String,
}

/// A protocol, and what a packet of it says.
type Said = (&'static str, String);

/// Reads a frame of Ethernet, as far as it can be read.
pub fn decode(frame: &[u8]) -> Decoded {
    let Ok(packet) = LaxSlicedPacket::from_ethernet(frame) else {
        return Decoded {
            protocol: "?",
            summary: format!("{} bytes", frame.len()),
            ..Decoded::default()
        };
    };
    let vlan = packet.vlan_ids().first().map(|id| id.value());
    let ends = match &packet.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            let ends = (
                header.source_addr().into(),
                header.destination_addr().into(),
            );
            Some((ends, ip.payload_ip_number(), ip.is_payload_fragmented()))
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let header = ip.header();
            let ends = (
                header.source_addr().into(),
                header.destination_addr().into(),
            );
            Some((ends, ip.payload().ip_number, ip.is_payload_fragmented()))
        }
        Some(LaxNetSlice::Arp(arp)) => {
            return Decoded {
                vlan,
                protocol: "ARP",
                summary: of_arp(arp),
                ..Decoded::default()
            };
        }
        None => None,
    };
    let Some((ends, number, is_fragment)) = ends else {
        return Decoded {
            vlan,
            protocol: "?",
            summary: format!("{} bytes that are not IP", frame.len()),
            ..Decoded::default()
        };
    };
    let ports = match &packet.transport {
        Some(TransportSlice::Udp(udp)) => Some((udp.source_port(), udp.destination_port())),
        Some(TransportSlice::Tcp(tcp)) => Some((tcp.source_port(), tcp.destination_port())),
        _ => None,
    };
    let (protocol, summary) = match &packet.transport {
        Some(TransportSlice::Udp(udp)) => of_udp(udp),
        Some(TransportSlice::Tcp(tcp)) => of_tcp(tcp),
        Some(TransportSlice::Icmpv4(icmp)) => {
            let (kind, code) = (icmp.type_u8(), icmp.code_u8());
            ("ICMP", of_icmp(kind, code))
        }
        Some(TransportSlice::Icmpv6(icmp)) => {
            let (kind, code) = (icmp.type_u8(), icmp.code_u8());
            ("ICMPv6", of_icmpv6(kind, code))
        }
        _ if is_fragment => ("IP", format!("fragment, protocol {}", number.0)),
        _ => ("IP", format!("protocol {}", number.0)),
    };
    let end = |address: IpAddr, port: Option<u16>| match port {
        Some(port) => SocketAddr::new(address, port).to_string(),
        None => address.to_string(),
    };
    Decoded {
        vlan,
        from: end(ends.0, ports.map(|(from, _)| from)),
        to: end(ends.1, ports.map(|(_, to)| to)),
        protocol,
        summary,
    }
}

fn of_arp(arp: &ArpPacketSlice<'_>) -> String {
    let address = |bytes: &[u8]| match <[u8; 4]>::try_from(bytes) {
        Ok(v4) => IpAddr::from(v4).to_string(),
        Err(_) => "?".to_owned(),
    };
    let (sender, target) = (
        address(arp.sender_protocol_addr()),
        address(arp.target_protocol_addr()),
    );
    // RFC 826: 1 asks, 2 answers.
    match arp.operation().0 {
        1 => format!("who has {target}? tell {sender}"),
        2 => format!("{sender} is here, to {target}"),
        other => format!("operation {other}, {sender} to {target}"),
    }
}

fn of_udp(udp: &UdpSlice<'_>) -> Said {
    let payload = udp.payload();
    let ports = [udp.source_port(), udp.destination_port()];
    let said = sip::message(payload)
        .map(|said| ("SIP", said))
        .or_else(|| tftp::message(payload, ports).map(|said| ("TFTP", said)));
    said.unwrap_or_else(|| match ports.contains(&67) {
        true => ("DHCP", format!("{} bytes", payload.len())),
        false => ("UDP", format!("{} bytes", payload.len())),
    })
}

fn of_tcp(tcp: &TcpSlice<'_>) -> Said {
    let payload = tcp.payload();
    let flags = [
        (tcp.syn(), "SYN"),
        (tcp.fin(), "FIN"),
        (tcp.rst(), "RST"),
        (tcp.ack(), "ACK"),
    ];
    if payload.is_empty() {
        let set = flags.iter().filter(|(is_set, _)| *is_set);
        let names: Vec<_> = set.map(|(_, name)| *name).collect();
        return ("TCP", names.join(" "));
    }
    let said = sip::message(payload)
        .map(|said| ("SIP", said))
        .or_else(|| http::message(payload).map(|said| ("HTTP", said)))
        .or_else(|| sccp::messages(payload).map(|said| ("SCCP", said)))
        .or_else(|| of_tls(payload).map(|said| ("TLS", said)));
    said.unwrap_or_else(|| ("TCP", format!("{} bytes", payload.len())))
}

/// The kind of a record (RFC 8446 5.1).
fn of_tls(payload: &[u8]) -> Option<String> {
    let [kind, 3, 0..=4, _, _, ..] = payload else {
        return None;
    };
    let kind = match kind {
        20 => "change cipher spec",
        21 => "alert",
        22 => "handshake",
        23 => "application data",
        _ => return None,
    };
    Some(format!("{kind}, {} bytes", payload.len()))
}

/// RFC 792.
fn of_icmp(kind: u8, code: u8) -> String {
    match (kind, code) {
        (0, _) => "echo reply".to_owned(),
        (3, 0) => "network unreachable".to_owned(),
        (3, 1) => "host unreachable".to_owned(),
        (3, 3) => "port unreachable".to_owned(),
        (3, 4) => "fragmentation needed".to_owned(),
        (8, _) => "echo request".to_owned(),
        (11, _) => "time exceeded".to_owned(),
        _ => format!("type {kind} code {code}"),
    }
}

/// RFC 4443 and 4861.
fn of_icmpv6(kind: u8, code: u8) -> String {
    match (kind, code) {
        (1, 3) => "address unreachable".to_owned(),
        (1, 4) => "port unreachable".to_owned(),
        (2, _) => "packet too big".to_owned(),
        (128, _) => "echo request".to_owned(),
        (129, _) => "echo reply".to_owned(),
        (135, _) => "neighbour solicitation".to_owned(),
        (136, _) => "neighbour advertisement".to_owned(),
        _ => format!("type {kind} code {code}"),
    }
}

/// Text out of a packet: plain ASCII, and not too much of it.
fn text(bytes: &[u8]) -> String {
    let bytes = &bytes[..bytes.len().min(TEXT_MAX)];
    let plain = |byte: &u8| match byte {
        b' '..=b'~' => char::from(*byte),
        _ => '?',
    };
    bytes.iter().map(plain).collect()
}

#[cfg(test)]
mod tests;
