//! What a phone reads in its configuration to register: where, how, and as whom.

use std::net::{IpAddr, SocketAddr};

use roxmltree::{Document, Node};

/// `featureID` of a button that is a line.
const LINE: &str = "9";

/// How a phone reaches its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    Udp,
    Tcp,
}

/// The server it registers at, by the protocol its configuration is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    Sccp(SccpAccount),
    Sip(SipAccount),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SccpAccount {
    pub server: SocketAddr,
    pub stamp: Box<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipAccount {
    pub server: SocketAddr,
    pub transport: Transport,
    pub timers: SipTimers,
    pub lines: Vec<SipLine>,
    pub stamp: Box<str>,
}

/// What `sipStack` says, in the units it says it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SipTimers {
    pub register_expires_s: u32,
    /// A refresh goes out so long before the end.
    pub register_delta_s: u32,
    pub t1_ms: u32,
    pub t2_ms: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipLine {
    pub name: Box<str>,
    pub auth_name: Box<str>,
    pub password: Box<str>,
}

/// Why a phone cannot register with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("the configuration is no XML: {0}")]
    Xml(String),
    #[error("the configuration has no usable {0}")]
    Missing(&'static str),
    #[error("the phone has no certificate to register over TLS with")]
    Tls,
}

impl Account {
    pub fn read(configuration: &[u8]) -> Result<Self, Unusable> {
        let text =
            std::str::from_utf8(configuration).map_err(|it| Unusable::Xml(it.to_string()))?;
        let document = Document::parse(text).map_err(|it| Unusable::Xml(it.to_string()))?;
        let device = document.root_element();
        let stamp = text_at(device, &["versionStamp"])
            .unwrap_or_default()
            .into();
        match text_at(device, &["deviceProtocol"]) {
            Some("SCCP") => Ok(Self::Sccp(SccpAccount {
                server: server(device, "ethernetPhonePort")?,
                stamp,
            })),
            Some("SIP") => sip(device, stamp).map(Self::Sip),
            _ => Err(Unusable::Missing("deviceProtocol")),
        }
    }

    pub const fn server(&self) -> SocketAddr {
        match self {
            Self::Sccp(account) => account.server,
            Self::Sip(account) => account.server,
        }
    }

    pub const fn transport(&self) -> Transport {
        match self {
            Self::Sccp(_) => Transport::Tcp,
            Self::Sip(account) => account.transport,
        }
    }
}

fn sip(device: Node<'_, '_>, stamp: Box<str>) -> Result<SipAccount, Unusable> {
    let profile = child(device, "sipProfile").ok_or(Unusable::Missing("sipProfile"))?;
    let number = |name: &'static str| {
        let text = text_at(profile, &["sipStack", name]);
        let number = text.and_then(|text| text.parse().ok());
        number.ok_or(Unusable::Missing(name))
    };
    let lines: Vec<_> = child(profile, "sipLines")
        .into_iter()
        .flat_map(|lines| lines.children())
        .filter(|line| text_at(*line, &["featureID"]) == Some(LINE))
        .filter_map(|line| {
            let text = |name| text_at(line, &[name]).unwrap_or_default().into();
            Some(SipLine {
                name: text_at(line, &["name"])?.into(),
                auth_name: text("authName"),
                password: text("authPassword"),
            })
        })
        .collect();
    if lines.is_empty() {
        return Err(Unusable::Missing("line"));
    }
    Ok(SipAccount {
        server: server(device, "sipPort")?,
        transport: match text_at(device, &["transportLayerProtocol"]) {
            Some("1") => Transport::Tcp,
            Some("2") => Transport::Udp,
            Some("3") => return Err(Unusable::Tls),
            _ => return Err(Unusable::Missing("transportLayerProtocol")),
        },
        timers: SipTimers {
            register_expires_s: number("timerRegisterExpires")?,
            register_delta_s: number("timerRegisterDelta")?,
            t1_ms: number("timerT1")?,
            t2_ms: number("timerT2")?,
        },
        lines,
        stamp,
    })
}

/// The call manager with the lowest number, at the port of that name.
fn server(device: Node<'_, '_>, port: &'static str) -> Result<SocketAddr, Unusable> {
    let path = ["devicePool", "callManagerGroup", "members"];
    let members = path.iter().try_fold(device, |node, name| child(node, name));
    let first = members
        .into_iter()
        .flat_map(|members| members.children())
        .filter(|member| member.has_tag_name("member"))
        .min_by_key(|member| {
            member
                .attribute("priority")
                .and_then(|it| it.parse::<u8>().ok())
        });
    let manager = first.and_then(|member| child(member, "callManager"));
    let manager = manager.ok_or(Unusable::Missing("callManager"))?;
    let address: Option<IpAddr> = text_at(manager, &["processNodeName"])
        // Phones of the lab have no DNS.
        .and_then(|host| host.parse().ok());
    let address = address.ok_or(Unusable::Missing("processNodeName"))?;
    let number = text_at(manager, &["ports", port]).and_then(|text| text.parse().ok());
    Ok((address, number.ok_or(Unusable::Missing(port))?).into())
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|child| child.has_tag_name(name))
}

fn text_at<'a>(node: Node<'a, '_>, path: &[&str]) -> Option<&'a str> {
    let node = path.iter().try_fold(node, |node, name| child(node, name))?;
    node.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIP: &str = "<device><deviceProtocol>SIP</deviceProtocol><devicePool><callManagerGroup>\
        <members><member priority=\"1\"><callManager><ports><sipPort>5070</sipPort></ports>\
        <processNodeName>10.0.0.2</processNodeName></callManager></member>\
        <member priority=\"0\"><callManager><ports><ethernetPhonePort>2000</ethernetPhonePort>\
        <sipPort>5060</sipPort></ports><processNodeName>10.0.0.1</processNodeName></callManager>\
        </member></members></callManagerGroup></devicePool><sipProfile><sipStack>\
        <timerRegisterExpires>3600</timerRegisterExpires><timerRegisterDelta>5</timerRegisterDelta>\
        <timerT1>500</timerT1><timerT2>4000</timerT2></sipStack><sipLines><line button=\"1\">\
        <featureID>2</featureID></line><line button=\"2\"><featureID>9</featureID><name>1001</name>\
        <authName>anna</authName><authPassword>s</authPassword></line></sipLines></sipProfile>\
        <versionStamp>{v}</versionStamp><transportLayerProtocol>2</transportLayerProtocol></device>";

    #[test]
    fn a_sip_phone_registers_with_what_it_was_given() {
        let line = SipLine {
            name: "1001".into(),
            auth_name: "anna".into(),
            password: "s".into(),
        };
        let account = SipAccount {
            server: ([10, 0, 0, 1], 5060).into(),
            transport: Transport::Udp,
            timers: SipTimers {
                register_expires_s: 3600,
                register_delta_s: 5,
                t1_ms: 500,
                t2_ms: 4000,
            },
            lines: vec![line],
            stamp: "{v}".into(),
        };
        assert_eq!(Account::read(SIP.as_bytes()), Ok(Account::Sip(account)));
    }

    #[test]
    fn an_sccp_phone_reads_nothing_but_its_server() {
        let file = SIP.replace(">SIP<", ">SCCP<");
        let account = SccpAccount {
            server: ([10, 0, 0, 1], 2000).into(),
            stamp: "{v}".into(),
        };
        assert_eq!(Account::read(file.as_bytes()), Ok(Account::Sccp(account)));
    }

    #[test]
    fn what_is_missing_is_named() {
        for (from, to, missing) in [
            (">9<", ">2<", Unusable::Missing("line")),
            ("timerT2", "timerT3", Unusable::Missing("timerT2")),
            ("10.0.0.1", "cucm", Unusable::Missing("processNodeName")),
            (">2</transport", ">3</transport", Unusable::Tls),
        ] {
            let file = SIP.replace(from, to);
            assert_eq!(Account::read(file.as_bytes()), Err(missing), "{to}");
        }
    }
}
