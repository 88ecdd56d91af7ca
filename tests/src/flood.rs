//! A flood of garbage on every port of the daemon, as fast as a few threads can make it.
//!
//! What comes: random bytes, real packets with mistakes in them, fragments, packets from addresses
//! that were made up, as raw packets through the client's interface; and connections that say nothing
//! any protocol of ours begins with, or begin well and go wrong. None of it is ever answered by us, so
//! what the daemon sends back to made-up addresses is lost.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use etherparse::{IpHeaders, Ipv4Header, PacketBuilder, ip_number};
use socket2::{Domain, Protocol, Socket, Type};
use tftp_ebpf::testing::random::{Random, spoil};

use crate::demo::Edge;
use crate::lab::{CLIENT_IF, CLIENT_V4, Namespace, SERVER_V4, output};

/// Where the daemon can be reached over UDP, and the first port that the kernel program answers from.
const UDP_PORTS: [u16; 3] = [69, 5060, 57_344];

/// Where made-up senders are: among the phones, and nobody's.
const MADE_UP: Ipv4Addr = Ipv4Addr::new(10, 92, 0, 0);
const MADE_UP_BITS: u32 = 16;

const IPPROTO_RAW: i32 = 255;

/// How long a connection of ours waits to be ended before it goes by itself.
const PATIENCE: Duration = Duration::from_millis(200);

/// The ports of the daemon that are spoken to over TCP.
pub mod ports {
    use std::net::{Ipv4Addr, SocketAddr};

    use crate::lab::SERVER_V4;

    /// Where phones come: SCCP, SIP, SIP over TLS, HTTP, HTTPS.
    pub fn of_phones() -> Vec<SocketAddr> {
        let ports = [2000, 5060, 5061, 6970, 6971];
        ports.map(|port| (SERVER_V4, port).into()).to_vec()
    }

    /// Where operators come, from the server's own namespace: metrics, and the web page.
    pub fn of_operators() -> Vec<SocketAddr> {
        let ports = [9466, 9467];
        ports
            .map(|port| (Ipv4Addr::LOCALHOST, port).into())
            .to_vec()
    }
}

/// Has a daemon that is to be started listen for TLS too, with a certificate of its own.
pub fn open_every_port(edge: &Edge<'_>, folder: &Path) -> Result<()> {
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| folder.join(name));
    let words =
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=edge";
    let mut arguments: Vec<_> = words.split(' ').map(OsString::from).collect();
    for (option, path) in [("-out", &certificate), ("-keyout", &key)] {
        arguments.extend([OsString::from(option), path.into()]);
    }
    output("openssl", arguments)?;
    let files = format!(
        "enabled = true\ncertificate = \"{}\"\nkey = \"{}\"\n",
        certificate.display(),
        key.display()
    );
    edge.configure(&format!(
        "\n[http.tls]\n{files}\n[register.sip.tls]\n{files}"
    ))
}

/// What a flood is made of.
#[derive(Clone, Debug)]
pub struct FloodOptions {
    /// Threads that send raw packets.
    pub senders: usize,
    /// Threads that connect, one connection after the other.
    pub connectors: usize,
    /// Where they connect to.
    pub streams: Vec<SocketAddr>,
    /// The most packets that each sender sends in a second; none is as many as it can.
    pub per_second: Option<u64>,
    pub seed: u64,
}

/// What a flood has sent so far.
#[derive(Debug, Default)]
struct Sent {
    packets: AtomicU64,
    /// Packets the system had no room for.
    unsent: AtomicU64,
    connections: AtomicU64,
    /// Connections that were refused, or cut before they said anything.
    refused: AtomicU64,
}

/// What a flood has sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Flooded {
    pub packets: u64,
    pub unsent: u64,
    pub connections: u64,
    pub refused: u64,
}

/// Threads that send garbage until they are told to stop.
#[derive(Debug)]
pub struct Flood {
    ends: Arc<AtomicBool>,
    sent: Arc<Sent>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Flood {
    /// Begins to send from a namespace.
    pub fn begin(from: &Namespace, options: &FloodOptions) -> Result<Self> {
        let mut flood = Self {
            ends: Arc::default(),
            sent: Arc::default(),
            threads: Vec::new(),
        };
        for number in 0..options.senders + options.connectors {
            let (ends, sent) = (Arc::clone(&flood.ends), Arc::clone(&flood.sent));
            let random = Random::new(options.seed.wrapping_add(number as u64));
            let options = options.clone();
            // Sockets are of the namespace they were opened in: a connector needs it all the time.
            let name = from.name().to_owned();
            let begun = from.enter(move || {
                let raw = match number < options.senders {
                    true => Some(raw_socket()?),
                    false => None,
                };
                let thread = thread::Builder::new()
                    .name(format!("flood in {name}"))
                    .spawn(move || match raw {
                        Some(socket) => send(&socket, random, &options, &ends, &sent),
                        None => connect(random, &options.streams, &ends, &sent),
                    });
                thread.context("starting a thread")
            })?;
            flood.threads.push(begun);
        }
        Ok(flood)
    }

    /// What was sent so far.
    pub fn sent(&self) -> Flooded {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Flooded {
            packets: of(&self.sent.packets),
            unsent: of(&self.sent.unsent),
            connections: of(&self.sent.connections),
            refused: of(&self.sent.refused),
        }
    }

    /// Ends it; says what was sent.
    pub fn end(mut self) -> Result<Flooded> {
        self.ends.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(self.sent())
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
    }
}

/// Whoever sends brings the IP header along. The calling thread must be in the client's namespace.
fn raw_socket() -> Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(IPPROTO_RAW)))
        .context("opening a raw socket")?;
    socket.bind_device(Some(CLIENT_IF.as_bytes()))?;
    socket.set_send_buffer_size(4 << 20)?;
    Ok(socket)
}

fn send(
    socket: &Socket,
    mut random: Random,
    options: &FloodOptions,
    ends: &AtomicBool,
    sent: &Sent,
) -> Result<()> {
    let to = SocketAddr::from((SERVER_V4, 0)).into();
    let began = Instant::now();
    let mut count = 0_u64;
    while !ends.load(Ordering::Relaxed) {
        for packet in garbage(&mut random)? {
            match socket.send_to(&packet, &to) {
                Ok(_) => sent.packets.fetch_add(1, Ordering::Relaxed),
                // The queue of the interface is full, or a mistake has made it no packet at all.
                Err(error) if is_of_packet(&error) => sent.unsent.fetch_add(1, Ordering::Relaxed),
                Err(error) => return Err(error).context("sending a raw packet"),
            };
            count += 1;
        }
        if let Some(per_second) = options.per_second {
            let due = Duration::from_micros(count * 1_000_000 / per_second);
            thread::sleep(
                due.saturating_sub(began.elapsed())
                    .min(Duration::from_millis(50)),
            );
        }
    }
    Ok(())
}

fn is_of_packet(error: &io::Error) -> bool {
    use nix::libc::{EINVAL, EMSGSIZE, ENOBUFS, EPERM};
    let of_packet = [ENOBUFS, EINVAL, EMSGSIZE, EPERM];
    error.kind() == io::ErrorKind::WouldBlock
        || error
            .raw_os_error()
            .is_some_and(|it| of_packet.contains(&it))
}

/// One packet of some kind, or the fragments of one.
fn garbage(random: &mut Random) -> Result<Vec<Vec<u8>>> {
    let from = match random.one_in(2) {
        true => CLIENT_V4,
        false => {
            let host = random.word() as u32 >> (32 - MADE_UP_BITS);
            Ipv4Addr::from(u32::from(MADE_UP) + host)
        }
    };
    let port = UDP_PORTS[random.below(UDP_PORTS.len())];
    let payload = payload(port, random);
    let mut header = Ipv4Header::new(0, 64, ip_number::UDP, from.octets(), SERVER_V4.octets())?;
    header.identification = random.word() as u16;
    let ip = IpHeaders::Ipv4(header.clone(), Default::default());
    let from_port = 1024 + random.below(60_000) as u16;
    let mut packet = Vec::new();
    PacketBuilder::ip(ip)
        .udp(from_port, port)
        .write(&mut packet, &payload)?;
    if random.one_in(8) && payload.len() > 24 {
        return fragments(header, &packet);
    }
    if random.one_in(4) {
        // The kernel fills in length and checksum of the header; the rest stays wrong.
        let mut udp = packet.split_off(header.header_len());
        let at = random.below(udp.len());
        udp[at] ^= 1 << random.below(8);
        packet.extend(udp);
    }
    Ok(vec![packet])
}

fn fragments(mut header: Ipv4Header, packet: &[u8]) -> Result<Vec<Vec<u8>>> {
    let udp = &packet[header.header_len()..];
    let (first, second) = udp.split_at(16);
    let mut write = |more, offset: u16, part: &[u8]| -> Result<Vec<u8>> {
        header.more_fragments = more;
        header.fragment_offset = offset.try_into()?;
        let mut packet = Vec::new();
        header.write_raw(&mut packet)?;
        packet.extend_from_slice(part);
        Ok(packet)
    };
    Ok(vec![write(true, 0, first)?, write(false, 2, second)?])
}

/// Requests as phones write them, spoilt, or nothing but noise.
fn payload(port: u16, random: &mut Random) -> Vec<u8> {
    let number = random.below(10_000);
    let sound: Vec<u8> = match port {
        5060 => format!(
            "REGISTER sip:{SERVER_V4} SIP/2.0\r\nVia: SIP/2.0/UDP {CLIENT_V4}:5060;branch=z9hG4bK\
             {number}\r\nFrom: <sip:{number}@{SERVER_V4}>;tag=1\r\nTo: <sip:{number}@{SERVER_V4}>\
             \r\nCall-ID: {number}@{CLIENT_V4}\r\nCSeq: 1 REGISTER\r\nMax-Forwards: 70\r\n\
             Contact: <sip:{number}@{CLIENT_V4}>\r\nContent-Length: 0\r\n\r\n"
        )
        .into_bytes(),
        69 => format!("\0\x01SEP00DEAD{number:06X}.cnf.xml\0octet\0").into_bytes(),
        _ => [&[0, 4][..], &(number as u16).to_be_bytes()].concat(),
    };
    spoil(&sound, random)
}

/// One connection after the other, each with something else to say.
fn connect(
    mut random: Random,
    streams: &[SocketAddr],
    ends: &AtomicBool,
    sent: &Sent,
) -> Result<()> {
    ensure!(!streams.is_empty(), "there is nothing to connect to");
    while !ends.load(Ordering::Relaxed) {
        let to = streams[random.below(streams.len())];
        match TcpStream::connect_timeout(&to, PATIENCE) {
            Ok(stream) => {
                sent.connections.fetch_add(1, Ordering::Relaxed);
                // A connection that is cut in the middle of it is what is asked for.
                if say(stream, to.port(), &mut random).is_err() {
                    sent.refused.fetch_add(1, Ordering::Relaxed);
                }
            }
            Err(_) => drop(sent.refused.fetch_add(1, Ordering::Relaxed)),
        }
        // Ports of ours that wait for their end are few thousands.
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn say(mut stream: TcpStream, port: u16, random: &mut Random) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // It is reset when it is dropped: no port of ours is held for a minute.
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    let sound: &[u8] = match port {
        2000 => &[8, 0, 0, 0, 17, 0, 0, 0, 0x0A, 0, 0, 0, 2, 0, 0, 0],
        5060 => b"OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\r\nl: 0\r\n\r\n",
        5061 | 6971 => b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
        _ => b"GET /SEP001122334455.cnf.xml HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    stream.write_all(&spoil(sound, random))?;
    if random.one_in(4) {
        // Some wait for what comes of it.
        let _ = stream.read(&mut [0; 512])?;
    }
    Ok(())
}
