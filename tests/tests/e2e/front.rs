//! In front of a server that phones register at: a storm is seen, held back in the kernel, and comes
//! through.
//!
//! ```text
//! phones ── srv0 [host, forwards] up0 ── reg0 registrar, thirty registrations a second
//! ```

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tftp_ebpf::verdict::Rung;
use tftp_edge_tests::lab::{CLIENT_V4, Namespace, SERVER_IF, SERVER_V4, receive_within, run};
use tftp_edge_tests::rig::{self, Rig};

const UPLINK: &str = "up0";
const REGISTRAR_IF: &str = "reg0";
const UPLINK_V4: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
const REGISTRAR_V4: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 2);
const REGISTRAR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(REGISTRAR_V4), 5060);

const PHONES: usize = 150;
const PER_SECOND: u32 = 30;

/// T1 and T2 of RFC 3261 17.1.2.1.
const FIRST_REPEAT: Duration = Duration::from_millis(500);
const LAST_REPEAT: Duration = Duration::from_secs(4);

#[test]
fn a_storm_before_a_server_is_held_back_and_comes_through() {
    rig::run(Rung::Tc, a_storm_comes_through);
}

fn a_storm_comes_through(rig: &mut Rig<'_>) -> Result<()> {
    let behind = wire(rig)?;
    let config = rig.edge.config();
    let interface = format!("interfaces = [\"{SERVER_IF}\"]");
    let interfaces = format!("interfaces = [\"{SERVER_IF}\", \"{UPLINK}\"]");
    let text = std::fs::read_to_string(&config)?;
    ensure!(text.contains(&interface), "no {interface} in {text}");
    std::fs::write(&config, text.replace(&interface, &interfaces))?;
    rig.edge.configure(&format!(
        "[register]\nmode = \"front\"\n\
         [register.front]\nservers = [\"{REGISTRAR_V4}\"]\n\
         [register.storm]\nmax_registrations_per_second = {PER_SECOND}\nkernel_percent = 100\n"
    ))?;
    let daemon = rig.edge.start()?;
    rig.give_daemon(daemon);

    let is_over = AtomicBool::new(false);
    // Before any phone asks: it would hear that nobody is there.
    let socket = behind.enter(|| UdpSocket::bind(REGISTRAR).context("binding the registrar"))?;
    let served = thread::scope(|scope| {
        let registrar = scope.spawn(|| serve(&socket, &is_over));
        let registered = rig.as_client(register_all);
        is_over.store(true, Ordering::Relaxed);
        let served = registrar.join().unwrap_or_else(|panic| {
            std::panic::resume_unwind(panic);
        });
        registered.and(served)
    })?;
    ensure!(served >= PHONES, "{served} answers for {PHONES} phones");

    // What the kernel program saw is told a moment later.
    let registered = [("stage", "registered")];
    let metrics = rig.scrape_until(|metrics| {
        metrics.sum("tftp_edge_front_phones", &registered) == PHONES as f64
    })?;
    let packets = |class: &str, verdict: &str| {
        let labels = [("class", class), ("verdict", verdict)];
        metrics.sum("tftp_edge_registration_packets_total", &labels)
    };
    // Each packet is classified where it comes in, and nowhere else.
    ensure!(packets("sip_registered", "pass") == served as f64);
    let held_back = packets("sip_register", "drop");
    ensure!(held_back > 0.0, "nothing was held back");
    ensure!(metrics.sum("tftp_edge_storms_total", &[]) == 1.0);
    let registered = metrics.sum("tftp_edge_front_phones", &registered);
    ensure!(
        registered == PHONES as f64,
        "{registered} phones were seen registered"
    );
    let status = String::from_utf8(rig.edge.command(&["status"])?)?;
    ensure!(status.contains("register: front"), "{status}");
    rig.stop()
}

/// A wire behind the host, and the host as its router.
fn wire(rig: &Rig<'_>) -> Result<Namespace> {
    let behind = Namespace::new("reg")?;
    let (host, client) = (&rig.lab.server, &rig.lab.client);
    run(
        "ip",
        [
            "link",
            "add",
            UPLINK,
            "netns",
            host.name(),
            "type",
            "veth",
            "peer",
            "name",
            REGISTRAR_IF,
            "netns",
            behind.name(),
        ],
    )?;
    for (namespace, interface, address) in [
        (host, UPLINK, UPLINK_V4),
        (&behind, REGISTRAR_IF, REGISTRAR_V4),
    ] {
        let address = format!("{address}/24");
        namespace.run("ethtool", ["-K", interface, "tx", "off"])?;
        namespace.ip(&["addr", "add", &address, "dev", interface])?;
        namespace.ip(&["link", "set", interface, "up"])?;
    }
    let (via_host, via_uplink) = (SERVER_V4.to_string(), UPLINK_V4.to_string());
    client.ip(&["route", "add", "10.78.0.0/24", "via", &via_host])?;
    behind.ip(&["route", "add", "10.77.0.0/24", "via", &via_uplink])?;
    host.set_sysctl("net/ipv4/ip_forward", "1")?;
    Ok(behind)
}

/// Answers one REGISTER after the other, as fast as it can; says how many.
fn serve(socket: &UdpSocket, is_over: &AtomicBool) -> Result<usize> {
    let (mut buffer, mut served) = ([0; 2048], 0);
    while !is_over.load(Ordering::Relaxed) {
        let came = receive_within(Duration::from_millis(50), |left| {
            socket.set_read_timeout(Some(left))?;
            socket.recv_from(&mut buffer)
        });
        let Some((len, phone)) = came.context("the registrar's socket")? else {
            continue;
        };
        let request = std::str::from_utf8(&buffer[..len])?;
        // The work of it.
        thread::sleep(Duration::from_secs(1) / PER_SECOND);
        let lines = request.lines().skip(1).take_while(|line| !line.is_empty());
        let copied = ["Via:", "From:", "To:", "Call-ID:", "CSeq:", "Contact:"];
        let lines = lines.filter(|line| copied.iter().any(|name| line.starts_with(name)));
        let head: String = lines.map(|line| format!("{line}\r\n")).collect();
        let answer = format!("SIP/2.0 200 OK\r\n{head}Expires: 120\r\nContent-Length: 0\r\n\r\n");
        socket.send_to(answer.as_bytes(), phone)?;
        served += 1;
    }
    Ok(served)
}

struct Phone {
    socket: UdpSocket,
    request: String,
    repeat_at: Instant,
    repeats_after: Duration,
}

/// All phones at once; each repeats its REGISTER until it is answered.
fn register_all() -> Result<usize> {
    let start = Instant::now();
    let mut phones = (0..PHONES)
        .map(|number| Phone::new(number, start))
        .collect::<Result<Vec<_>>>()?;
    while !phones.is_empty() {
        let now = Instant::now();
        ensure!(
            now - start < Duration::from_secs(60),
            "{} phones are not registered",
            phones.len()
        );
        let mut open = Vec::with_capacity(phones.len());
        for mut phone in phones {
            if !phone.is_registered()? {
                phone.repeat(now)?;
                open.push(phone);
            }
        }
        phones = open;
        thread::sleep(Duration::from_millis(5));
    }
    Ok(PHONES)
}

impl Phone {
    fn new(number: usize, start: Instant) -> Result<Self> {
        let socket = UdpSocket::bind((CLIENT_V4, 0))?;
        socket.connect(REGISTRAR)?;
        socket.set_nonblocking(true)?;
        let here = socket.local_addr()?;
        let request = format!(
            "REGISTER sip:{REGISTRAR_V4} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {here};branch=z9hG4bK{number}\r\n\
             From: <sip:{number}@{REGISTRAR_V4}>;tag={number}\r\n\
             To: <sip:{number}@{REGISTRAR_V4}>\r\n\
             Call-ID: {number}@{here}\r\n\
             CSeq: 101 REGISTER\r\n\
             Contact: <sip:{number}@{here}>;+u.sip!devicename.ccm.cisco.com=\"SEP{number:012X}\"\r\n\
             Expires: 3600\r\n\
             Content-Length: 0\r\n\r\n"
        );
        Ok(Self {
            socket,
            request,
            repeat_at: start,
            repeats_after: FIRST_REPEAT,
        })
    }

    fn is_registered(&self) -> Result<bool> {
        let mut buffer = [0; 2048];
        match self.socket.recv(&mut buffer) {
            Ok(len) => Ok(buffer[..len].starts_with(b"SIP/2.0 200")),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error).context("a phone's socket"),
        }
    }

    fn repeat(&mut self, now: Instant) -> Result<()> {
        if now >= self.repeat_at {
            self.socket.send(self.request.as_bytes())?;
            self.repeat_at = now + self.repeats_after;
            self.repeats_after = (self.repeats_after * 2).min(LAST_REPEAT);
        }
        Ok(())
    }
}
