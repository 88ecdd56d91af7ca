//! The requests a phone sends, as its family writes them.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::super::super::Family;
use super::super::{Transport, type_id};

/// What enterprise firmware says it can do. Source: captures of phones at a call manager.
const SUPPORTED: &str = "replaces,join,sdp-anat,norefersub,resource-priority,extended-refer,\
    X-cisco-callinfo,X-cisco-serviceuri,X-cisco-escapecodes,X-cisco-service-control,\
    X-cisco-srtp-fallback,X-cisco-monrec,X-cisco-config,X-cisco-sis-7.0.0,X-cisco-xsi-8.5.1";

const ALLOW: &str = "ACK,BYE,CANCEL,INVITE,NOTIFY,OPTIONS,REFER,REGISTER,UPDATE,SUBSCRIBE,INFO";

const BULK: &str = "<x-cisco-remotecc-request>\r\n<bulkregisterreq>\r\n<contact all=\"true\">\r\n\
    <register/>\r\n</contact>\r\n</bulkregisterreq>\r\n</x-cisco-remotecc-request>\r\n";

const OPTIONS_INDICATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
    <x-cisco-remotecc-request>\r\n<optionsind>\r\n<combine max=\"6\">\r\n<remotecc><status/>\
    </remotecc>\r\n<service-control/>\r\n</combine>\r\n<dialog usage=\"hook status\"><unot/>\
    <sub/></dialog>\r\n<dialog usage=\"shared line\"><unot/></dialog>\r\n<presence \
    usage=\"blf speed dial\"><unot/><sub/></presence>\r\n<joinreq></joinreq>\r\n\
    <cfwdall-anyline/>\r\n<coaching/>\r\n<oosalarm/>\r\n<rpid-orig-called/>\r\n\
    <x-cisco-number/>\r\n<bfcp/>\r\n<ix/>\r\n<gatewayrecording/>\r\n\
    <conferenceDisplayInstance/>\r\n</optionsind>\r\n</x-cisco-remotecc-request>\r\n";

/// Which kind of firmware writes the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Firmware {
    /// One REGISTER stands for all lines; an alarm goes before it.
    pub(super) is_bulk: bool,
    pub(super) user_agent: &'static str,
    pub(super) load: &'static str,
}

impl Firmware {
    pub(super) const fn of(family: Family) -> Self {
        match family {
            Family::Sip8851 => Self {
                is_bulk: true,
                user_agent: "Cisco-CP8851/12.5.1",
                load: "sip88xx.12-5-1SR3-74",
            },
            _ => Self {
                is_bulk: false,
                user_agent: "Cisco-CP7961G/9.4.2",
                load: "SIP41.9-4-2SR3-1S",
            },
        }
    }
}

/// Who writes, and over what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer<'p> {
    pub(super) device: &'p str,
    pub(super) family: Family,
    pub(super) local: SocketAddr,
    pub(super) server: SocketAddr,
    pub(super) transport: Transport,
}

/// What makes one request differ from the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'h> {
    pub(super) user: &'h str,
    pub(super) call_id: &'h str,
    pub(super) cseq: u32,
    pub(super) branch: &'h str,
    pub(super) authorization: Option<&'h str>,
}

impl Writer<'_> {
    /// `sip:` and the server, which is also what a digest is made over.
    pub(super) fn uri(&self) -> String {
        format!("sip:{}", host(self.server))
    }

    /// Twelve digits, in lower case.
    fn mac(&self) -> String {
        self.device.trim_start_matches("SEP").to_ascii_lowercase()
    }

    pub(super) fn call_id(&self) -> String {
        let mac = self.mac();
        let (front, back) = (&mac[..8], &mac[8..]);
        let serial = rand::random::<u16>() % 10_000;
        let (one, other) = (rand::random::<u32>(), rand::random::<u32>());
        format!(
            "{front}-{back}{serial:04}-{one:08x}-{other:08x}@{}",
            host(self.local)
        )
    }

    const fn over(&self) -> (&'static str, &'static str) {
        match self.transport {
            Transport::Udp => ("UDP", "udp"),
            Transport::Tcp => ("TCP", "tcp"),
        }
    }

    /// User and host of the contact of a line. Enterprise firmware makes up a user for all lines.
    pub(super) fn contact(&self, line: &str) -> (String, String) {
        let user = match Firmware::of(self.family).is_bulk {
            true => format!("{}-0000-4000-8000-{}", &self.mac()[..8], self.mac()),
            false => line.to_owned(),
        };
        (user, self.local.to_string())
    }

    fn start(&self, method: &str, uri: &str, head: &Head<'_>) -> String {
        let (transport, _) = self.over();
        let Head {
            user,
            call_id,
            cseq,
            branch,
            authorization,
        } = head;
        let (local, server, mac) = (self.local, host(self.server), self.mac());
        let agent = Firmware::of(self.family).user_agent;
        // The same for every request of a call.
        let tag = call_id.split('-').nth(2).unwrap_or_default();
        let mut out = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{transport} {local};branch={branch}\r\n\
             From: <sip:{user}@{server}>;tag={mac}{tag}\r\nTo: <sip:{user}@{server}>\r\n\
             Call-ID: {call_id}\r\nMax-Forwards: 70\r\nCSeq: {cseq} {method}\r\n\
             User-Agent: {agent}\r\n"
        );
        if let Some(authorization) = authorization {
            let _ = write!(out, "Authorization: {authorization}\r\n");
        }
        out
    }

    /// `first`, with the reason of the last restart, for a new registration; none for a refresh.
    /// With zero seconds it ends the registration.
    pub(super) fn register(&self, head: &Head<'_>, expires_s: u32, first: Option<u8>) -> Vec<u8> {
        let firmware = Firmware::of(self.family);
        let (user, host) = self.contact(head.user);
        let (_, transport) = self.over();
        let (device, mac, model) = (self.device, self.mac(), type_id(self.family));
        let mut out = self.start("REGISTER", &self.uri(), head);
        let _ = write!(
            out,
            "Contact: <sip:{user}@{host};transport={transport}>;\
             +sip.instance=\"<urn:uuid:00000000-0000-0000-0000-{mac}>\";\
             +u.sip!devicename.ccm.cisco.com=\"{device}\";+u.sip!model.ccm.cisco.com=\"{model}\""
        );
        if expires_s == 0 {
            out.push_str(";expires=0");
        }
        let _ = write!(
            out,
            "\r\nExpires: {expires_s}\r\nSupported: {SUPPORTED}\r\n"
        );
        if let Some(last) = first {
            let _ = write!(
                out,
                "Reason: SIP;cause=200;text=\"cisco-alarm:{last} Name={device} \
                 ActiveLoad={load}.loads InactiveLoad= Last={}\"\r\n",
                alarm_text(last),
                load = firmware.load,
            );
        }
        let body = match first {
            Some(_) if firmware.is_bulk => {
                out.push_str(
                    "Content-Type: multipart/mixed; boundary=uniqueBoundary\r\nMime-Version: 1.0\r\n",
                );
                multipart()
            }
            _ => String::new(),
        };
        let _ = write!(out, "Content-Length: {}\r\n\r\n{body}", body.len());
        out.into_bytes()
    }

    /// What enterprise firmware says before it registers.
    pub(super) fn alarm(&self, head: &Head<'_>) -> Vec<u8> {
        let (device, address) = (self.device, self.local.ip());
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<x-cisco-alarm>\r\n\
             <Alarm Name=\"DeviceTLInfo\">\r\n<ParameterList>\r\n\
             <String name=\"DeviceName\">{device}</String>\r\n\
             <String name=\"IPv4Address\">{address}</String>\r\n\
             <String name=\"CTL_Signature\">Not Installed</String>\r\n\
             <String name=\"CTL_TFTP_Server\">N/A</String>\r\n\
             <String name=\"ITL_Signature\">Not Installed</String>\r\n\
             <String name=\"ITL_TFTP_Server\">N/A</String>\r\n\
             <Enum name=\"StatusCode\">1</Enum>\r\n</ParameterList>\r\n</Alarm>\r\n\
             </x-cisco-alarm>\r\n"
        );
        let id = format!("<{}>", head.branch);
        let rest = format!(
            "Refer-To: cid:{}\r\nContent-Id: {id}\r\nExpires: 10\r\n\
             Content-Type: application/x-cisco-alarm+xml\r\nContent-Length: {}\r\n\r\n{body}",
            head.branch,
            body.len(),
        );
        self.refer(head, &rest)
    }

    /// What enterprise firmware asks before it comes back from another server.
    pub(super) fn token(&self, head: &Head<'_>) -> Vec<u8> {
        let rest = "Refer-To: <urn:X-cisco-remotecc:token-registration>\r\nExpires: 30\r\n\
                    Content-Length: 0\r\n\r\n";
        self.refer(head, rest)
    }

    fn refer(&self, head: &Head<'_>, rest: &str) -> Vec<u8> {
        let (user, server) = (head.user, host(self.server));
        let (contact, local) = self.contact(user);
        let (_, transport) = self.over();
        let mut out = self.start("REFER", &self.uri(), head);
        let _ = write!(
            out,
            "Require: norefersub\r\nReferred-By: <sip:{user}@{server}>\r\n\
             Contact: <sip:{contact}@{local};transport={transport}>\r\nAllow: {ALLOW}\r\n{rest}"
        );
        out.into_bytes()
    }
}

/// Without the brackets of IPv6 an address could not be told from its port.
fn host(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

const fn alarm_text(last: u8) -> &'static str {
    match last {
        22 => "reset",
        23 => "reset-restart",
        25 => "initialized",
        _ => "cm-closed-tcp",
    }
}

fn multipart() -> String {
    let mut body = String::new();
    let parts = [
        ("application/x-cisco-remotecc-request+xml", BULK),
        (
            "application/x-cisco-remotecc-request+xml",
            OPTIONS_INDICATION,
        ),
    ];
    for (kind, part) in parts {
        let _ = write!(
            body,
            "--uniqueBoundary\r\nContent-Type: {kind}\r\nContent-Disposition: \
             session;handling=optional\r\n\r\n{part}\r\n"
        );
    }
    body.push_str("--uniqueBoundary--\r\n");
    body
}
