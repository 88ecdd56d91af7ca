//! The server over real sockets, on the loopback.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::register::bans::Bans;
use crate::register::newcomers::Newcomers;
use crate::register::sip::message::Method;
use crate::register::storm::Storm;
use crate::register::{Directory, NoGuard, Table};

/// As long as anything may take on a busy machine.
const LONG: Duration = Duration::from_secs(20);

fn desk() -> Arc<Desk> {
    Arc::new(Desk {
        access: Arc::default(),
        alarms: Arc::default(),
        bans: Arc::new(Bans::default()),
        directory: Arc::new(Directory::default()),
        guard: Arc::new(NoGuard),
        newcomers: Arc::new(Newcomers::default()),
        storm: Arc::new(Storm::new(&Default::default())),
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
