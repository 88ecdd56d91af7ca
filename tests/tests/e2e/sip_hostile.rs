//! SIP that is wrong, cut or meant to do harm, over real sockets: the daemon goes on, and keeps
//! nothing of it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tftp_ebpf::verdict::Rung;
use tftp_edge::udp::{Client, Local, Outbox, Sender, SocketId};
use tftp_edge_tests::lab::{CLIENT_V4, SERVER_V4};
use tftp_edge_tests::rig::{Rig, run};

const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(SERVER_V4), 5060);

/// As long as an answer may take on a busy machine.
const ANSWER: Duration = Duration::from_secs(20);

/// Datagrams sent before an answer is waited for: they fit the daemon's buffers.
const CHUNK: usize = 2048;

/// Phones are told apart by their ports; the kernel spreads those over the daemon's threads.
const PORTS: usize = 16;

/// How many bad datagrams a run sends, unless [`AMOUNT_VARIABLE`] says otherwise: a daemon that is
/// not optimised gets through with a million of them in two minutes.
const AMOUNT: usize = 40_000;
const AMOUNT_VARIABLE: &str = "TFTP_EDGE_BAD_PACKETS";

const STREAMS: usize = 500;

/// More than measuring it twice may differ by.
const SLACK_BYTES: f64 = 16e6;

fn options(call: usize) -> Vec<u8> {
    format!(
        "OPTIONS sip:{SERVER_V4} SIP/2.0\r\n\
         Via: SIP/2.0/UDP {CLIENT_V4}:5099;branch=z9hG4bK{call};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@{CLIENT_V4}>;tag=1\r\nTo: <sip:{SERVER_V4}>\r\n\
         Call-ID: {call}@{CLIENT_V4}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

/// Datagrams with something wrong in each.
fn bad_datagrams() -> Vec<Vec<u8>> {
    let good = String::from_utf8(options(0)).expect("it is ASCII");
    let spoilt = [
        ("SIP/2.0\r\nVia", "SIP/7.0\r\nVia"),
        ("OPTIONS sip", "OPTIONS  sip"),
        ("OPTIONS sip", "OPTIONS <sip"),
        ("Via: SIP/2.0/UDP ", "Via: "),
        ("Via:", "Wia:"),
        ("CSeq: 1", "CSeq: 4294967296"),
        ("CSeq: 1 OPTIONS", "CSeq: 1 INVITE"),
        ("Call-ID:", "Call-ID"),
        ("Content-Length: 0", "Content-Length: 9999"),
        ("Content-Length: 0", "Content-Length: -1"),
        ("From: <sip:a", "From: <sip:\"<>"),
        ("Max-Forwards: 70", "Max-Forwards: 256"),
        ("Max-Forwards: 70", "Contact: *\r\nContact: *"),
        ("OPTIONS", "REGISTER"),
    ];
    let mut all: Vec<Vec<u8>> = spoilt
        .iter()
        .map(|(from, to)| good.replace(from, to).into_bytes())
        .collect();
    all.extend(
        (1..good.len())
            .step_by(23)
            .map(|cut| good.as_bytes()[..cut].to_vec()),
    );
    let headers = "X: y\r\n".repeat(200);
    all.push(good.replace("Max-Forwards: 70\r\n", &headers).into_bytes());
    all.push(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP x;branch=z9hG4bKedge-1\r\n\r\n".to_vec());
    all.push(vec![0xff; 300]);
    all.push(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec());
    all.push(b"\r\n\r\n".to_vec());
    all.push(Vec::new());
    all
}

/// Sends bad datagrams in batches; returns when the daemon has got through with all of them.
struct Flood {
    sockets: Vec<UdpSocket>,
    sender: Sender,
    outbox: Outbox,
    bad: Vec<Vec<u8>>,
    sent: usize,
}

impl Flood {
    fn new() -> Result<Self> {
        let sockets = (0..PORTS).map(|_| UdpSocket::bind((CLIENT_V4, 0)));
        Ok(Self {
            sockets: sockets.collect::<std::io::Result<_>>()?,
            sender: Sender::default(),
            outbox: Outbox::default(),
            bad: bad_datagrams(),
            sent: 0,
        })
    }

    fn send(&mut self, count: usize) -> Result<()> {
        let local = Local {
            ip: CLIENT_V4.into(),
            interface: 0,
        };
        let end = self.sent + count;
        while self.sent < end {
            for _ in 0..CHUNK.min(end - self.sent) {
                let bytes = &self.bad[self.sent % self.bad.len()];
                let socket = SocketId((self.sent / 64 % PORTS) as u16);
                self.sent += 1;
                let to = Client::from(SERVER);
                self.outbox
                    .push(socket, to, local, bytes.len(), |out| out.extend(bytes));
                if self.outbox.is_full() {
                    self.flush();
                }
            }
            self.flush();
            self.wait()?;
        }
        Ok(())
    }

    fn flush(&mut self) {
        let (sockets, sender) = (&self.sockets, &mut self.sender);
        self.outbox.drain(|socket, run, arena| {
            sender.send(sockets[usize::from(socket.0)].as_fd(), run, arena);
        });
    }

    /// Each of the daemon's threads answers behind what was sent to it.
    fn wait(&self) -> Result<()> {
        for socket in &self.sockets {
            // The answers to bad requests.
            socket.set_nonblocking(true)?;
            while socket.recv(&mut [0; 4096]).is_ok() {}
            socket.set_nonblocking(false)?;
            let branch = format!("branch=z9hG4bK{};", self.sent);
            let deadline = Instant::now() + ANSWER;
            socket.set_read_timeout(Some(Duration::from_secs(2)))?;
            socket.send_to(&options(self.sent), SERVER)?;
            loop {
                let mut answer = [0; 4096];
                if let Ok(len) = socket.recv(&mut answer) {
                    let answer = String::from_utf8_lossy(&answer[..len]);
                    if answer.contains(&branch) {
                        break;
                    }
                } else {
                    // Lost in a full buffer, as UDP may.
                    socket.send_to(&options(self.sent), SERVER)?;
                }
                ensure!(Instant::now() < deadline, "no answer behind a flood");
            }
        }
        Ok(())
    }
}

/// What each stream sends before it ends, or is ended.
fn bad_streams() -> Vec<Vec<u8>> {
    let good = options(0);
    let text = String::from_utf8_lossy(&good).into_owned();
    vec![
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        text.replace("Content-Length: 0\r\n", "").into_bytes(),
        text.replace("Content-Length: 0", "Content-Length: 99999999")
            .into_bytes(),
        text.replace("Content-Length: 0", "Content-Length: 100")
            .into_bytes(),
        good[..good.len() / 2].to_vec(),
        vec![b'A'; 40_000],
        [
            &b"OPTIONS sip:a SIP/2.0\r\n"[..],
            &b"X: y\r\n".repeat(10_000),
        ]
        .concat(),
        text.replace("CSeq: 1", "CSeq: x").into_bytes(),
        Vec::new(),
    ]
}

fn flood_streams() -> Result<()> {
    for bytes in bad_streams().iter().cycle().take(STREAMS) {
        let mut stream = TcpStream::connect(SERVER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        // The daemon may end the connection while this is being written.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        // Its end may be a reset.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    Ok(())
}

/// What the daemon holds: memory in bytes, and open files.
fn held(rig: &Rig<'_>) -> Result<(f64, f64)> {
    let metrics = rig.metrics()?;
    Ok((
        metrics.sum("process_resident_memory_bytes", &[]),
        metrics.sum("process_open_fds", &[]),
    ))
}

fn amount() -> Result<usize> {
    match std::env::var(AMOUNT_VARIABLE) {
        Ok(amount) => amount.parse().context(AMOUNT_VARIABLE),
        Err(_) => Ok(AMOUNT),
    }
}

/// A daemon that goes on listening, whatever comes: else the first hundred bad messages over TCP
/// would shut out their source, and nobody would look at the others.
fn registrar(rig: &mut Rig<'_>) -> Result<()> {
    let settings = "\n[register]\nmode = \"registrar\"\n[register.bans]\nenabled = false\n";
    rig.edge.configure(settings)?;
    rig.start()
}

#[test]
fn bad_packets_leave_nothing_behind() {
    run(Rung::Socket, |rig| {
        registrar(rig)?;
        let lab = rig.lab;
        lab.client.enter(|| {
            // What is set up once is not what is looked for.
            Flood::new()?.send(AMOUNT / 4)?;
            flood_streams()
        })?;
        let (memory, files) = held(rig)?;
        lab.client.enter(|| {
            Flood::new()?.send(amount()?)?;
            flood_streams()
        })?;
        let deadline = Instant::now() + ANSWER;
        loop {
            let (memory_after, files_after) = held(rig)?;
            if files_after <= files && memory_after < memory + SLACK_BYTES {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "from {memory} bytes and {files} files to {memory_after} and {files_after}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    });
}

#[test]
fn a_request_over_tcp_is_answered_wherever_it_is_cut() {
    run(Rung::Socket, |rig| {
        registrar(rig)?;
        let request = options(7);
        rig.as_client(|| {
            for cut in 1..request.len() {
                let mut stream = TcpStream::connect(SERVER)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(ANSWER))?;
                stream.write_all(&request[..cut])?;
                stream.write_all(&request[cut..])?;
                stream.shutdown(Shutdown::Write)?;
                let mut answer = String::new();
                stream
                    .read_to_string(&mut answer)
                    .with_context(|| format!("cut at {cut}"))?;
                ensure!(answer.starts_with("SIP/2.0 200 "), "cut at {cut}: {answer}");
            }
            Ok(())
        })
    });
}
