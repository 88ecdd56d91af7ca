//! The server over real sockets, on the loopback.

use std::io::{BufReader, ErrorKind, Read, Write as _};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::inventory::{Contents, Site, Snapshot as InventorySnapshot, parse_csv};
use crate::register::bans::Bans;
use crate::register::newcomers::Newcomers;
use crate::register::sip::message::Method;
use crate::register::sip::{DigestSettings, RequireDigest};
use crate::register::storm::Storm;
use crate::register::{Directory, NoGuard, Table};

mod live;
mod stopping;

/// As long as anything may take on a busy machine.
const LONG: Duration = Duration::from_secs(20);

/// Phone n has line 4000 + n, without a password.
fn device(number: usize) -> String {
    format!("SEP0000000000{number:02X}")
}

fn directory() -> Directory {
    let mut csv = String::from("name,model,protocol,lines\n");
    for number in 0..4 {
        csv += &format!("{},8851,sip,{}\n", device(number), 4000 + number);
    }
    let contents = Contents {
        devices: parse_csv(csv.as_bytes()).unwrap(),
        ..Contents::default()
    };
    let directory = Directory::default();
    directory.update(Arc::new(InventorySnapshot::new(contents, &Site::default())));
    directory
}

fn desk() -> Arc<Desk> {
    Arc::new(Desk {
        access: crate::live::Live::default(),
        alarms: Arc::default(),
        bans: Arc::new(Bans::default()),
        directory: Arc::new(directory()),
        guard: Arc::new(NoGuard),
        journal: Arc::default(),
        newcomers: Arc::new(Newcomers::default()),
        storm: Arc::new(Storm::new(crate::register::storm::Settings::default())),
        table: Arc::new(Table::default()),
    })
}

fn settings() -> Settings {
    Settings {
        listen: vec![(Ipv4Addr::LOCALHOST, 0).into()],
        udp: UdpSettings {
            workers: 2,
            ..UdpSettings::default()
        },
        digest: DigestSettings {
            require: RequireDigest::Never,
            ..DigestSettings::default()
        },
        ..Settings::default()
    }
}

fn start(settings: &Settings) -> Server {
    Server::start(settings, desk()).unwrap()
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.local_addrs(Transport::Tcp)[0]).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

/// Waits until what was counted is as it should be.
fn wait_for(server: &Server, what: &str, has_come: impl Fn(&Snapshot) -> bool) {
    let deadline = Instant::now() + LONG;
    while !has_come(&server.snapshot()) {
        assert!(
            Instant::now() < deadline,
            "{what}: {:#?}",
            server.snapshot()
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn ended(end: End) -> impl Fn(&Snapshot) -> bool {
    move |snapshot| snapshot.traffic.ends[end as usize] == 1
}

fn options(length: bool) -> Vec<u8> {
    let length = if length { "Content-Length: 0\r\n" } else { "" };
    format!(
        "OPTIONS sip:127.0.0.1 SIP/2.0\r\n\
         Via: SIP/2.0/TCP 127.0.0.1:5099;branch=z9hG4bK77;rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1>\r\n\
         Call-ID: 1@127.0.0.1\r\nCSeq: 1 OPTIONS\r\n{length}\r\n"
    )
    .into_bytes()
}

fn requests(transport: Transport, method: Method) -> impl Fn(&Snapshot) -> u64 {
    move |snapshot| snapshot.traffic.requests[transport as usize][method as usize]
}

fn bad(transport: Transport, bad: Bad) -> impl Fn(&Snapshot) -> u64 {
    move |snapshot| snapshot.traffic.bad[transport as usize][bad as usize]
}

#[test]
fn messages_are_taken_over_udp_and_tcp_on_the_same_port() {
    let server = start(&settings());
    let [udp, tcp] = [Transport::Udp, Transport::Tcp].map(|it| server.local_addrs(it));
    assert_eq!(udp, tcp);
    let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
    phone.send_to(&options(true), udp[0]).unwrap();
    let count = requests(Transport::Udp, Method::Options);
    wait_for(&server, "over UDP", |it| count(it) == 1);
    connect(&server).write_all(&options(true)).unwrap();
    let count = requests(Transport::Tcp, Method::Options);
    wait_for(&server, "over TCP", |it| count(it) == 1);
}

#[test]
fn datagrams_that_are_no_messages_are_counted_by_what_they_are() {
    let server = start(&settings());
    let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
    phone
        .connect(server.local_addrs(Transport::Udp)[0])
        .unwrap();
    for datagram in [&b""[..], b"\r\n\r\n", b"\0\0\0\0"] {
        phone.send(datagram).unwrap();
    }
    wait_for(&server, "keepalives", |it| it.traffic.keepalives == 3);
    phone.send(b"\x16\x03\x01 hello").unwrap();
    let count = bad(Transport::Udp, Bad::NotSip);
    wait_for(&server, "garbage", |it| count(it) == 1);
    phone.send(&[b'x'; 20_000]).unwrap();
    let count = bad(Transport::Udp, Bad::DatagramTooLong);
    wait_for(&server, "too long", |it| count(it) == 1);
    phone.send(b"SIP/2.0 200 OK\r\n\r\n").unwrap();
    let count = bad(Transport::Udp, Bad::StrayAnswer);
    wait_for(&server, "a stray answer", |it| count(it) == 1);
}

#[test]
fn a_ping_over_a_connection_is_answered_with_an_empty_line() {
    let server = start(&settings());
    let mut phone = connect(&server);
    phone.write_all(b"\r\n\r\n").unwrap();
    let mut pong = [0; 2];
    phone.read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"\r\n");
    wait_for(&server, "the ping", |it| it.traffic.keepalives == 1);
}

#[test]
fn a_connection_over_which_comes_no_sip_ends() {
    let server = start(&settings());
    let mut phone = connect(&server);
    phone
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut rest = Vec::new();
    // It may end with a reset, which is an end as well.
    let _ = phone.read_to_end(&mut rest);
    assert!(rest.is_empty());
    wait_for(&server, "unreadable", ended(End::Unreadable));
    let mut phone = connect(&server);
    phone.write_all(&options(false)).unwrap();
    let count = bad(Transport::Tcp, Bad::NoLength);
    wait_for(&server, "no length", |it| count(it) == 1);
    wait_for(&server, "all gone", |it| it.traffic.connections == [0; 3]);
}

#[test]
fn half_a_message_is_not_waited_for_for_ever_and_neither_is_a_whole_one() {
    let mut settings = settings();
    settings.tcp.message_timeout_s = 1;
    settings.tcp.idle_timeout_s = 2;
    let server = start(&settings);
    let mut slow = connect(&server);
    slow.write_all(&options(true)[..50]).unwrap();
    let _still = connect(&server);
    wait_for(&server, "slow", ended(End::SlowMessage));
    assert_eq!(server.snapshot().traffic.ends[End::Idle as usize], 0);
    wait_for(&server, "still", ended(End::Idle));
    wait_for(&server, "nothing held", |it| it.buffered_bytes == 0);
}

#[test]
fn over_a_bound_no_connection_is_taken() {
    let mut settings = settings();
    settings.tcp.max_connections_per_source = 2;
    let server = start(&settings);
    let [first, _second] = [connect(&server), connect(&server)];
    wait_for(&server, "two", |it| it.traffic.connections[1] == 2);
    let mut third = connect(&server);
    assert_eq!(third.read(&mut [0]).unwrap(), 0);
    wait_for(&server, "the third", ended(End::SourceConnections));
    drop(first);
    wait_for(&server, "one less", |it| it.traffic.connections[1] == 1);
    let mut again = connect(&server);
    again.write_all(b"\r\n\r\n").unwrap();
    again.read_exact(&mut [0; 2]).unwrap();
}

#[test]
fn half_messages_of_all_connections_have_a_bound() {
    let mut settings = settings();
    settings.tcp.memory_limit = crate::content::ByteSize(4096);
    let server = start(&settings);
    let mut phone = connect(&server);
    let head = b"INVITE sip:a SIP/2.0\r\nl: 60000\r\n\r\n";
    phone.write_all(&[&head[..], &[0; 5000]].concat()).unwrap();
    wait_for(&server, "no room", ended(End::Memory));
    wait_for(&server, "nothing held", |it| it.buffered_bytes == 0);
}

#[test]
fn a_port_that_is_taken_is_told_with_its_owner() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = udp.local_addr().unwrap();
        let tcp = std::net::TcpListener::bind(address).unwrap();
        let held = match transport {
            Transport::Udp => udp.try_clone().map(|it| (Some(it), None)).unwrap(),
            _ => tcp.try_clone().map(|it| (None, Some(it))).unwrap(),
        };
        drop((udp, tcp));
        let mut settings = settings();
        settings.listen = vec![address];
        let error = match Server::start(&settings, desk()) {
            Ok(_) => panic!("{transport} {address} is taken: {held:?}"),
            Err(error) => error,
        };
        assert_eq!(error.exit(), crate::ops::exit::Exit::Unavailable);
        let told = error.to_string();
        let owner = format!("(pid {})", std::process::id());
        assert!(
            told.contains(&owner) && told.contains("register.sip.listen"),
            "{told}"
        );
    }
}

fn register(number: usize, transport: &str, port: u16) -> String {
    let (device, line) = (device(number), 4000 + number);
    format!(
        "REGISTER sip:127.0.0.1 SIP/2.0\r\n\
         Via: SIP/2.0/{transport} 127.0.0.1:{port};branch=z9hG4bK{number}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:{line}@127.0.0.1>;tag={number}\r\n\
         To: <sip:{line}@127.0.0.1>\r\nCall-ID: {number}@127.0.0.1\r\nCSeq: 1 REGISTER\r\n\
         Contact: <sip:{line}@127.0.0.1:{port};transport={transport}>;\
         +u.sip!devicename.ccm.cisco.com=\"{device}\"\r\n\
         Expires: 3600\r\nContent-Length: 0\r\n\r\n"
    )
}

/// The head of the next message of a stream.
fn read_head(stream: &mut impl std::io::BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).unwrap(), 0, "{head}");
    }
    head
}

/// A phone that is registered over UDP.
fn registered(server: &Server, number: usize) -> UdpSocket {
    let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
    phone.set_read_timeout(Some(LONG)).unwrap();
    phone
        .connect(server.local_addrs(Transport::Udp)[0])
        .unwrap();
    let port = phone.local_addr().unwrap().port();
    phone
        .send(register(number, "UDP", port).as_bytes())
        .unwrap();
    assert!(receive(&phone).starts_with("SIP/2.0 200 "));
    phone
}

fn receive(phone: &UdpSocket) -> String {
    let mut answer = [0; 4096];
    let len = phone.recv(&mut answer).unwrap();
    String::from_utf8(answer[..len].to_vec()).unwrap()
}

fn registration(server: &Server, number: usize) -> Arc<Registration> {
    let name = device(number).parse().unwrap();
    server.hub.desk.table.get(&name).unwrap()
}

fn answer_to(request: &str) -> String {
    let echoed = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
    let lines = request
        .lines()
        .filter(|it| echoed.iter().any(|name| it.starts_with(name)));
    let lines: Vec<_> = lines.collect();
    format!(
        "SIP/2.0 200 OK\r\n{}\r\nContent-Length: 0\r\n\r\n",
        lines.join("\r\n")
    )
}

#[test]
fn an_order_is_repeated_over_udp_until_it_is_answered() {
    let server = start(&settings());
    let phone = registered(&server, 0);
    server
        .order(&registration(&server, 0), Order::Restart)
        .unwrap();
    let notify = receive(&phone);
    assert!(notify.starts_with("NOTIFY sip:4000@127.0.0.1"), "{notify}");
    assert_eq!(receive(&phone), notify, "not answered in half a second");
    phone.send(answer_to(&notify).as_bytes()).unwrap();
    wait_for(&server, "the answer", |it| it.transactions == 0);
    let traffic = server.snapshot().traffic;
    assert_eq!(traffic.sent[Method::Notify as usize], 1);
    assert_eq!(traffic.answers[1], 1);
    phone.send(answer_to(&notify).as_bytes()).unwrap();
    let count = bad(Transport::Udp, Bad::StrayAnswer);
    wait_for(&server, "answered twice", |it| count(it) == 1);
}

#[test]
fn an_order_goes_over_the_connection_of_its_phone_and_fails_when_that_is_gone() {
    let server = start(&settings());
    let mut phone = connect(&server);
    let port = phone.local_addr().unwrap().port();
    phone
        .write_all(register(1, "TCP", port).as_bytes())
        .unwrap();
    let mut reader = BufReader::new(phone.try_clone().unwrap());
    assert!(read_head(&mut reader).starts_with("SIP/2.0 200 "));
    let registration = registration(&server, 1);
    server.order(&registration, Order::Reset).unwrap();
    let notify = read_head(&mut reader);
    assert!(notify.starts_with("NOTIFY sip:4001@127.0.0.1"), "{notify}");
    phone.shutdown(std::net::Shutdown::Both).unwrap();
    wait_for(&server, "the end", |it| it.traffic.connections == [0; 3]);
    let again = server.order(&registration, Order::Reset);
    assert_eq!(again, Err(NotSent::NotConnected));
    let name = device(1).parse().unwrap();
    assert!(server.hub.desk.table.get(&name).is_none(), "it has left");
}

#[test]
fn a_connection_over_which_a_phone_is_registered_may_be_still() {
    let mut settings = settings();
    settings.tcp.idle_timeout_s = 1;
    let server = start(&settings);
    let mut phone = connect(&server);
    let port = phone.local_addr().unwrap().port();
    phone
        .write_all(register(2, "TCP", port).as_bytes())
        .unwrap();
    let mut reader = BufReader::new(phone.try_clone().unwrap());
    assert!(read_head(&mut reader).starts_with("SIP/2.0 200 "));
    let _still = connect(&server);
    wait_for(&server, "the other one", ended(End::Idle));
    // Looked at at least once more since it was still for long enough.
    let later = Instant::now() + Duration::from_secs(3);
    server.hub.sweep(later);
    assert_eq!(
        server.snapshot().traffic.connections[Transport::Tcp as usize],
        1
    );
    phone.write_all(b"\r\n\r\n").unwrap();
    reader.read_exact(&mut [0; 2]).unwrap();
}

/// Asks on and takes no answer until it is cut off.
fn ask_and_read_nothing(server: &Server) {
    let mut phone = connect(server);
    phone
        .set_write_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    // A busy machine may read late: then there is room again for a while.
    let questions = options(true).repeat(20);
    let (mut at, mut asked) = (0, 0);
    let deadline = Instant::now() + LONG;
    loop {
        match phone.write(&questions[at..]) {
            Ok(taken) => {
                at = (at + taken) % questions.len();
                asked += taken;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
        assert!(asked < 256 << 20, "it takes everything");
        assert!(Instant::now() < deadline, "{:#?}", server.snapshot());
    }
    wait_for(server, "cut off", |it| {
        // Over a connection that nobody acknowledges, the system may be the first to give up.
        let ends = &it.traffic.ends;
        ends[End::SlowReader as usize] + ends[End::Lost as usize] == 1
    });
}

#[test]
fn a_phone_that_reads_nothing_is_cut_off() {
    let mut settings = settings();
    settings.tcp.write_timeout_s = 1;
    let server = start(&settings);
    ask_and_read_nothing(&server);
    wait_for(&server, "nothing held", |it| it.buffered_bytes == 0);
}

#[test]
fn phones_register_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["edge.example".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let mut settings = settings();
    settings.tls = TlsSettings {
        enabled: true,
        listen: vec![(Ipv4Addr::LOCALHOST, 0).into()],
        certificate: folder.path().join("certificate.pem"),
        key: folder.path().join("key.pem"),
    };
    std::fs::write(&settings.tls.certificate, certificate.pem()).unwrap();
    std::fs::write(&settings.tls.key, key.serialize_pem()).unwrap();
    let server = start(&settings);

    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "edge.example".try_into().unwrap();
    let session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(server.local_addrs(Transport::Tls)[0]).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let port = stream.local_addr().unwrap().port();
    let mut phone = rustls::StreamOwned::new(session, stream);
    phone
        .write_all(register(3, "TLS", port).as_bytes())
        .unwrap();
    let mut reader = BufReader::new(&mut phone);
    let answer = read_head(&mut reader);
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    assert_eq!(registration(&server, 3).transport, Transport::Tls);

    // Who speaks no TLS gets no session.
    let mut plain = TcpStream::connect(server.local_addrs(Transport::Tls)[0]).unwrap();
    plain.write_all(&options(true)).unwrap();
    wait_for(&server, "no session", ended(End::Handshake));
}
