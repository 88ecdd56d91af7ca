//! What is served in the tests: a policy, an interface, and files in the content space.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::datagram::{Datagram, Endpoint};
use super::random::Random;
use crate::abi::registration::{Registration, ServiceKey, service};
use crate::abi::{
    Address, FileEntry, Interface, Policy, Transfer, TransferKey, address, client, is_link_local,
    kind, mapped, port_bit,
};
use crate::name::{self, NameKey};
use crate::plan;
use crate::stage::Stage;
use crate::verdict::Rung;
use crate::wire::tftp::Granted;

/// The interface frames come in on. Under BPF_PROG_TEST_RUN that is the loopback one.
pub const IFINDEX: u32 = 1;

/// The addresses that are the server's.
pub const SERVER_V4: [u8; 4] = [10, 20, 0, 1];
pub const SERVER_V6: &str = "fd00:20::1";
pub const SERVER_LINK_LOCAL: &str = "fe80::1";

/// A server behind this host that phones register at.
pub const BEHIND_V4: [u8; 4] = [10, 20, 0, 7];

const SECOND: u64 = 1_000_000_000;

/// A file, or the reason why there is none.
#[derive(Clone, Debug)]
pub struct File {
    pub name: &'static str,
    pub entry: FileEntry,
}

/// All that the kernel program is told.
#[derive(Clone, Debug)]
pub struct Site {
    pub policy: Policy,
    pub interfaces: HashMap<u32, Interface>,
    pub locals: Vec<Address>,
    /// Prefixes of clients: address and bits of the mapped form, and one of [`client`].
    pub clients: Vec<(Address, u8, u32)>,
    pub files: Vec<File>,
    /// The content space from its beginning.
    pub content: Vec<u8>,
    pub registration: Registration,
    /// Where phones register: here, and at a server behind this host.
    pub services: HashMap<ServiceKey, u8>,
}

/// Of every file.
pub const GENERATION: u64 = 3;

/// Sizes around the edges of blocks and slabs.
const CONTENT: [(&str, usize); 8] = [
    ("sep001122334455.cnf.xml", 1200),
    ("ringlist.xml", 1024),
    ("empty.xml", 0),
    ("one.xml", 1),
    // Longer than 65,536 blocks of the smallest size, and over many slabs.
    ("firmware/cp78xx.sbn", 600_000),
    ("torn.xml", 700),
    // The one device with a trust list of its own.
    ("ctlsep00aabbccddee.tlv", 300),
    ("english_united_states/ipc-sccp.jar", 900),
];

/// Known to be absent: one name, and the trust lists of all devices but one.
pub const ABSENT: &str = "itlfile.tlv";
pub const ABSENT_OF_DEVICES: [&str; 2] = name::PATTERNS;
/// Known to the daemon alone.
pub const ELSEWHERE: &str = "huge.sbn";

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

impl Site {
    /// A site where this rung classifies registrations.
    pub fn on(rung: Rung) -> Self {
        let mut site = Self::new();
        for interface in site.interfaces.values_mut() {
            interface.classifies = rung as u8;
        }
        site
    }

    pub fn new() -> Self {
        let mut content = Vec::new();
        let mut files = Vec::new();
        for (id, (name, length)) in CONTENT.into_iter().enumerate() {
            let entry = FileEntry {
                position: content.len() as u64,
                generation: GENERATION,
                length: length as u32,
                file_id: id as u32 + 1,
                kind: kind::CONTENT,
                stage: Stage::of_name(name.as_bytes()) as u8,
                ..FileEntry::default()
            };
            content.extend(bytes(length, id as u64));
            content.resize(content.len().next_multiple_of(8), 0xee);
            files.push(File {
                name,
                entry: entry.sealed(),
            });
        }
        let [ctl, itl] = ABSENT_OF_DEVICES;
        for (name, kind) in [
            (ABSENT, kind::ABSENT),
            (ctl, kind::ABSENT),
            (itl, kind::ABSENT),
            (ELSEWHERE, kind::ELSEWHERE),
        ] {
            let entry = FileEntry {
                file_id: files.len() as u32 + 1,
                kind,
                stage: Stage::of_name(name.as_bytes()) as u8,
                ..FileEntry::default()
            };
            files.push(File {
                name,
                entry: entry.sealed(),
            });
        }
        // A mistake of the daemon's, were there one: an entry without content behind it.
        let lost = FileEntry {
            position: 1 << 30,
            length: 700,
            file_id: files.len() as u32 + 1,
            kind: kind::CONTENT,
            stage: Stage::Other as u8,
            ..FileEntry::default()
        };
        files.push(File {
            name: "lost.xml",
            entry: lost.sealed(),
        });
        let mut site = Self {
            policy: policy(),
            interfaces: HashMap::from([(
                IFINDEX,
                Interface {
                    max_blksize_v4: 1468,
                    max_blksize_v6: 1448,
                    enabled: 1,
                    classifies: 0,
                    padding: [0; 2],
                },
            )]),
            locals: [mapped(SERVER_V4), mapped([10, 20, 255, 255])]
                .into_iter()
                .chain([SERVER_V6, SERVER_LINK_LOCAL].map(v6))
                .collect(),
            clients: vec![
                (mapped([10, 0, 0, 0]), 96 + 8, client::ANSWERED),
                (v6("fd00::"), 8, client::ANSWERED),
                (v6("fe80::"), 10, client::ANSWERED),
                // The mapped forms of all IPv4 addresses lie in this one.
                (v6("::"), 64, client::ANSWERED),
                (mapped([0; 4]), 96, client::SHUT_OUT),
            ],
            files,
            content,
            registration: registration(),
            services: services(),
        };
        // As a reader may see it while the daemon replaces it.
        let torn = site
            .files
            .iter_mut()
            .find(|file| file.name == "torn.xml")
            .expect("one of the files above");
        torn.entry.position += 8;
        site
    }

    pub fn file(&self, name: &str) -> &File {
        self.files
            .iter()
            .find(|file| file.name == name)
            .expect("cases name files of the site")
    }

    /// What `FILES` holds.
    pub fn directory(&self) -> impl Iterator<Item = (NameKey, FileEntry)> {
        self.files.iter().map(|file| {
            let key = name::directory_key(file.name).expect("names of the site are plain");
            (key, file.entry)
        })
    }

    pub fn bytes(&self, file: &File) -> &[u8] {
        let start = file.entry.position as usize;
        &self.content[start..start + file.entry.length as usize]
    }

    /// The conversation that `request` begins when `granted` is what it gets of its options.
    pub fn talk(&self, request: &Datagram, name: &str, granted: Granted) -> Talk<'_> {
        let file = self.file(name);
        let port = plan::tid(
            &self.policy,
            &map(request.from.address),
            request.from.port.to_be_bytes(),
            &map(request.to.address),
            file.entry.file_id,
            &granted,
        );
        Talk {
            site: self,
            request: request.clone(),
            file,
            granted,
            port,
        }
    }
}

fn policy() -> Policy {
    Policy {
        enabled: 1,
        tid_first: 57_344,
        tid_count: 4096,
        tid_secret: [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908],
        // Long enough that a test that is held up does not turn "too soon" into "late".
        resend_after_ns: SECOND,
        restart_after_ns: SECOND,
        first_interval_ns: SECOND / 10,
        first_burst_ns: SECOND * 2,
        miss_interval_ns: SECOND,
        miss_burst_ns: 8 * SECOND,
        unknown_interval_ns: SECOND,
        unknown_burst_ns: 4 * SECOND,
        known_for_ns: 60 * SECOND,
        registration_ports: REGISTRATION_PORTS
            .into_iter()
            .fold(0, |bits, (port, _)| bits | port_bit(port.to_be_bytes())),
        ds_field: 0xb8,
        is_partial: 0,
        padding: [0; 6],
    }
}

/// Ports phones register at, and what for.
const REGISTRATION_PORTS: [(u16, u8); 3] = [
    (2000, service::SCCP),
    (5060, service::SIP),
    (5061, service::SIP_TLS),
];

/// Ten newcomers at once, and one more each second: longer than a test takes.
fn registration() -> Registration {
    Registration {
        interval_ns: SECOND,
        burst_ns: 10 * SECOND,
        reserve_ns: Registration::reserve(SECOND, 10 * SECOND),
        sample_interval_ns: SECOND,
        sample_burst_ns: 10 * SECOND,
        is_strict: 1,
        padding: [0; 7],
    }
}

fn services() -> HashMap<ServiceKey, u8> {
    let places = [mapped(SERVER_V4), v6(SERVER_V6), mapped(BEHIND_V4)];
    let mut services = HashMap::new();
    for address in places {
        let key = |port: u16| ServiceKey {
            address,
            port: port.to_be_bytes(),
            padding: [0; 2],
        };
        let ports = REGISTRATION_PORTS.into_iter();
        services.extend(ports.map(|(port, service)| (key(port), service)));
        services.insert(key(0), service::ANY);
    }
    services
}

/// Bytes that repeat nowhere a mistake could hide.
fn bytes(length: usize, seed: u64) -> impl Iterator<Item = u8> {
    let mut random = Random::new(seed << 32);
    std::iter::repeat_with(move || random.word() as u8).take(length)
}

/// An IPv6 address as the maps have it.
pub fn v6(text: &str) -> Address {
    match text.parse() {
        Ok(IpAddr::V6(v6)) => address(&v6.octets()),
        _ => panic!("{text} is no IPv6 address"),
    }
}

/// An address as the maps have it.
pub fn map(ip: IpAddr) -> Address {
    match ip {
        IpAddr::V4(v4) => mapped(v4.octets()),
        IpAddr::V6(v6) => address(&v6.octets()),
    }
}

/// A client, the file it asked for, and what it was granted.
#[derive(Clone, Debug)]
pub struct Talk<'site> {
    site: &'site Site,
    /// The request it began with.
    pub request: Datagram,
    file: &'site File,
    granted: Granted,
    /// Our port.
    pub port: u16,
}

impl Talk<'_> {
    /// A packet from the client to our port.
    pub fn client(&self, payload: &[u8]) -> Datagram {
        Datagram {
            to: Endpoint {
                port: self.port,
                ..self.request.to
            },
            payload: payload.to_vec(),
            ..self.request.clone()
        }
    }

    pub fn ack(&self, number: u16) -> Datagram {
        let [high, low] = number.to_be_bytes();
        self.client(&[0, 4, high, low])
    }

    /// ERROR 8, as a client says that it wants no more than the OACK, or 0 in mid-transfer.
    pub fn error(&self, code: u8) -> Datagram {
        self.client(&[&[0, 5, 0, code][..], b"no\0"].concat())
    }

    /// Our answer with this payload.
    pub fn answer(&self, payload: Vec<u8>) -> Datagram {
        self.request
            .reply(self.port, self.site.policy.ds_field, payload)
    }

    /// DATA `block`, not wrapped, from 1.
    pub fn data(&self, block: u64) -> Datagram {
        let block_len = usize::from(self.granted.block_len());
        let content = self.site.bytes(self.file);
        let start = (block as usize - 1) * block_len;
        let end = (start + block_len).min(content.len());
        let [high, low] = (block as u16).to_be_bytes();
        let mut payload = vec![0, 3, high, low];
        payload.extend_from_slice(&content[start..end]);
        self.answer(payload)
    }

    /// OACK with options as `"name value …"`.
    pub fn oack(&self, options: &str) -> Datagram {
        let mut payload = vec![0, 6];
        for word in options.split_whitespace() {
            payload.extend_from_slice(word.as_bytes());
            payload.push(0);
        }
        self.answer(payload)
    }

    pub fn key(&self) -> TransferKey {
        let client = map(self.request.from.address);
        TransferKey {
            client,
            scope: if is_link_local(&client) { IFINDEX } else { 0 },
            client_port: self.request.from.port.to_be_bytes(),
            our_port: self.port.to_be_bytes(),
        }
    }

    /// The transfer with `block` outstanding, sent `ago`.
    pub fn standing(&self, block: u64, ago: Duration) -> Standing {
        let mut tags = [0; 8];
        for (place, (ethertype, control)) in tags.chunks_mut(4).zip(&self.request.tags) {
            place[..2].copy_from_slice(&ethertype.to_be_bytes());
            place[2..].copy_from_slice(&control.to_be_bytes());
        }
        let entry = &self.file.entry;
        Standing {
            key: self.key(),
            transfer: Transfer {
                position: entry.position,
                generation: entry.generation,
                block,
                length: entry.length,
                file_id: entry.file_id,
                ifindex: IFINDEX,
                server: map(self.request.to.address),
                client_mac: self.request.from.mac,
                server_mac: self.request.to.mac,
                tags,
                tags_len: 4 * self.request.tags.len() as u8,
                stage: entry.stage,
                block_len: self.granted.block_len(),
                granted_blksize: self.granted.blksize,
                granted_timeout: self.granted.timeout,
                granted_tsize: self.granted.tsize.is_some().into(),
                granted_windowsize: self.granted.windowsize as u8,
                oack: (!self.granted.is_empty()).into(),
                ..Transfer::EMPTY
            },
            sent_ago: ago,
        }
    }
}

/// A transfer under way, in terms of the time of the test.
#[derive(Clone, Debug)]
pub struct Standing {
    pub key: TransferKey,
    pub transfer: Transfer,
    pub sent_ago: Duration,
}

impl Standing {
    /// The element of `TRANSFERS` at a time of CLOCK_MONOTONIC.
    pub fn at(&self, now_ns: u64) -> Transfer {
        let sent = now_ns.saturating_sub(self.sent_ago.as_nanos() as u64);
        Transfer {
            last_send_ns: sent,
            started_ns: sent,
            ..self.transfer
        }
    }
}
