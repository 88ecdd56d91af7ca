//! What the kernel program has seen of one phone's registration.

use std::net::SocketAddr;
use std::time::Instant;

use tftp_ebpf::classify::{Class, Decision};

use super::Transport;
use crate::inventory::DeviceName;

/// One packet, from a phone to where it registers or back. A sample: under load not every packet is
/// told of, and none is waited for; what must be exact is in the counts.
#[derive(Clone, Debug)]
pub struct Sighting<'ring> {
    pub at: Instant,
    pub source: SocketAddr,
    pub destination: SocketAddr,
    /// [`Transport::Udp`] or [`Transport::Tcp`]: what is under TLS is not seen.
    pub transport: Transport,
    pub class: Class,
    pub decision: Decision,
    /// The outermost VLAN id.
    pub vlan: Option<u16>,
    /// The name in an SCCP Register or RegisterTokenReq, as the phone wrote it.
    pub name: &'ring [u8],
    /// The first bytes of a SIP message, 1,024 at most.
    pub head: &'ring [u8],
}

/// Who wants to know. Called from the thread that reads the samples: must not wait.
pub trait Watch: Send + Sync {
    fn seen(&self, sighting: &Sighting<'_>);
}

impl Sighting<'_> {
    /// The device it is about, if the packet says so in a place that was read: the name of an SCCP
    /// Register, or the parameter of Cisco's Contact.
    pub fn device(&self) -> Option<DeviceName> {
        let name = match self.name {
            [] => contact_device(self.head)?,
            name => name,
        };
        std::str::from_utf8(name).ok()?.parse().ok()
    }
}

/// `+u.sip!devicename.ccm.cisco.com="SEP001122334455"`; parameter names have no case.
fn contact_device(head: &[u8]) -> Option<&[u8]> {
    const PARAMETER: &[u8] = b"devicename.ccm.cisco.com=\"";
    let at = head
        .windows(PARAMETER.len())
        .position(|bytes| bytes.eq_ignore_ascii_case(PARAMETER))?;
    let value = &head[at + PARAMETER.len()..];
    let end = value.iter().position(|&byte| byte == b'"')?;
    Some(&value[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting<'a>(name: &'a [u8], head: &'a [u8]) -> Sighting<'a> {
        Sighting {
            at: Instant::now(),
            source: ([10, 0, 0, 9], 49_152).into(),
            destination: ([10, 0, 0, 1], 2000).into(),
            transport: Transport::Tcp,
            class: Class::SccpRegister,
            decision: Decision::Pass,
            vlan: None,
            name,
            head,
        }
    }

    #[test]
    fn a_device_is_known_by_its_name_in_either_protocol() {
        let device = "SEP001122334455".parse().ok();
        assert_eq!(sighting(b"SEP001122334455", b"").device(), device);
        let head = b"REGISTER sip:10.0.0.1 SIP/2.0\r\nContact: <sip:a@10.0.0.9>;\
                     +u.sip!deviceName.ccm.cisco.com=\"SEP001122334455\"\r\n";
        assert_eq!(sighting(b"", head).device(), device);
    }

    #[test]
    fn what_is_no_name_is_no_device() {
        for head in [
            &b""[..],
            b"devicename.ccm.cisco.com=\"",
            b"devicename.ccm.cisco.com=\"SEP00",
            b"devicename.ccm.cisco.com=\"../../etc/passwd\"",
        ] {
            assert_eq!(sighting(b"", head).device(), None, "{head:?}");
        }
        assert_eq!(sighting(b"\xff\xfe", b"").device(), None);
    }
}
