//! What families of SCCP phones do differently. Sizes and feature bytes are those seen on the wire.

use std::net::{IpAddr, SocketAddr};

use super::super::super::Family;
use super::super::type_id;
use super::message::{Writer, id};

/// How Register carries the MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MacForm {
    /// Six bytes and six zeros.
    Binary,
    /// Twelve hexadecimal digits.
    Digits,
}

/// A family's firmware, as it shows on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Model {
    type_id: u32,
    pub(super) version: u8,
    /// Bytes of the body of Register.
    register_len: usize,
    features: [u8; 3],
    instance: u32,
    mac: MacForm,
    /// KeepAlive goes before Register.
    pub(super) keepalive_first: bool,
    /// It asks for the version of its load and for the list of servers.
    pub(super) asks_servers: bool,
    /// It tells its RTP port and, newer ones, whether a headset is plugged in.
    pub(super) tells_headset: bool,
    pub(super) load: &'static str,
}

impl Model {
    pub(in super::super) const fn of(family: Family) -> Option<Self> {
        let old = Self {
            type_id: type_id(family),
            version: 5,
            register_len: 52,
            features: [0, 0, 0],
            instance: 1,
            mac: MacForm::Binary,
            keepalive_first: false,
            asks_servers: true,
            tells_headset: false,
            load: "P00305000301",
        };
        Some(match family {
            Family::Sccp7960Old => old,
            Family::Sccp7940 => Self {
                version: 11,
                register_len: 68,
                features: [0x00, 0x60, 0x85],
                load: "P0030801SR02",
                ..old
            },
            Family::Sccp6911 => Self {
                version: 15,
                register_len: 68,
                features: [0x20, 0x70, 0x85],
                mac: MacForm::Digits,
                keepalive_first: true,
                asks_servers: false,
                tells_headset: true,
                load: "SCCP6911.9-3-1-SR1-3",
                ..old
            },
            Family::Sccp7941 => Self {
                version: 17,
                register_len: 124,
                features: [0x00, 0x72, 0x85],
                instance: 0,
                asks_servers: false,
                tells_headset: true,
                load: "SCCP41.9-4-2SR3-1S",
                ..old
            },
            Family::Sccp7965 => Self {
                version: 22,
                register_len: 172,
                features: [0x00, 0x72, 0x85],
                instance: 0,
                asks_servers: false,
                tells_headset: true,
                load: "SCCP45.9-4-2SR3-1S",
                ..old
            },
            Family::Sip7961 | Family::Sip8851 => return None,
        })
    }

    /// `device` is `SEP` and twelve digits; `stamp` that of its configuration.
    pub(super) fn register(&self, device: &str, local: SocketAddr, stamp: &str) -> Vec<u8> {
        let [a, b, c] = self.features;
        let writer = Writer::new(0, id::REGISTER)
            .text(device, 16)
            .u32(0)
            .u32(self.instance)
            .bytes(&v4(local))
            .u32(self.type_id)
            .u32(5)
            .u32(0)
            .bytes(&[self.version, a, b, c])
            .u32(0)
            .u32(0)
            .bytes(&self.mac(device))
            .u32(0)
            .u32(36)
            .bytes(&[0; 16])
            .u32(0)
            .text(self.load, 32)
            .text(stamp, 48);
        writer.cut(self.register_len).end()
    }

    fn mac(&self, device: &str) -> [u8; 12] {
        let digits = device.trim_start_matches("SEP");
        let mut field = [0; 12];
        match self.mac {
            MacForm::Digits => {
                for (to, from) in field.iter_mut().zip(digits.bytes()) {
                    *to = from;
                }
            }
            MacForm::Binary => {
                for (at, byte) in field[..6].iter_mut().enumerate() {
                    let pair = digits.get(2 * at..2 * at + 2);
                    *byte = pair
                        .and_then(|it| u8::from_str_radix(it, 16).ok())
                        .unwrap_or(0);
                }
            }
        }
        field
    }

    pub(super) fn token(&self, device: &str, local: SocketAddr) -> Vec<u8> {
        Writer::new(0, id::REGISTER_TOKEN_REQ)
            .text(device, 16)
            .u32(0)
            .u32(self.instance)
            .bytes(&v4(local))
            .u32(self.type_id)
            .bytes(&[0; 16])
            .u32(0)
            .end()
    }

    /// Severity 2 is what phones give the alarm of their start.
    pub(super) fn alarm(&self, device: &str, last: u8, local: SocketAddr) -> Vec<u8> {
        let text = match last {
            25 => "Initialized",
            22 => "Reset-Reset",
            23 => "Reset-Restart",
            17 => "KeepaliveTO",
            14 => "CM-closed-TCP",
            16 => "CM-reset-TCP",
            24 => "RegRej",
            _ => "Phone-Unknown",
        };
        Writer::new(0, id::ALARM)
            .u32(2)
            .text(
                &format!("{last}: Name={device} Load={} Last={text}", self.load),
                80,
            )
            .u32(0)
            .bytes(&v4(local))
            .end()
    }
}

/// In network order; the one thing that is not little-endian.
fn v4(address: SocketAddr) -> [u8; 4] {
    match address.ip() {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(_) => [0; 4],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn register_has_the_bytes_seen_of_each_model() {
        let local: SocketAddr = ([10, 0, 0, 7], 50_000).into();
        for (family, len, version, mac) in [
            (Family::Sccp7960Old, 52, 5, None),
            (
                Family::Sccp7940,
                68,
                11,
                Some(&[0, 0x1b, 0x54, 0, 0, 7, 0, 0, 0, 0, 0, 0]),
            ),
            (Family::Sccp6911, 68, 15, Some(b"001B54000007")),
            (
                Family::Sccp7941,
                124,
                17,
                Some(&[0, 0x1b, 0x54, 0, 0, 7, 0, 0, 0, 0, 0, 0]),
            ),
            (
                Family::Sccp7965,
                172,
                22,
                Some(&[0, 0x1b, 0x54, 0, 0, 7, 0, 0, 0, 0, 0, 0]),
            ),
        ] {
            let model = Model::of(family).expect("an SCCP family");
            let register = model.register("SEP001B54000007", local, "{stamp}");
            assert_eq!(register.len(), 12 + len, "{family:?}");
            assert_eq!(register[..4], (len as u32 + 4).to_le_bytes());
            let body = &register[12..];
            assert_eq!(&body[..16], b"SEP001B54000007\0");
            assert_eq!(body[24..28], [10, 0, 0, 7]);
            assert_eq!(body[28..32], type_id(family).to_le_bytes());
            assert_eq!(body[40], version);
            if let Some(mac) = mac {
                assert_eq!(&body[52..64], mac, "{family:?}");
            }
        }
    }

    #[test]
    fn an_alarm_has_the_form_that_servers_parse() {
        let model = Model::of(Family::Sccp7940).expect("an SCCP family");
        let alarm = model.alarm("SEP001B54000007", 25, ([10, 0, 0, 7], 1).into());
        assert_eq!(alarm.len(), 12 + 92);
        let text = b"25: Name=SEP001B54000007 Load=P0030801SR02 Last=Initialized\0";
        assert_eq!(&alarm[16..16 + text.len()], text);
    }
}
