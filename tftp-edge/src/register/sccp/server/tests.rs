use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::*;
use crate::register::bans::{self, Bans};
use crate::register::sccp::counters::Ending;
use crate::register::sccp::testing::*;
use crate::register::sccp::wire::Outgoing;
use crate::register::{Change, Departure};

fn start(settings: &Settings) -> (Server, Arc<Desk>) {
    let desk = Arc::new(desk(contents()));
    let server = Server::start(settings, Arc::clone(&desk)).unwrap();
    (server, desk)
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.local_addrs()[0]).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream
}

/// One message, whole.
fn read(stream: &mut TcpStream) -> Outgoing {
    let mut header = [0; 12];
    stream.read_exact(&mut header).unwrap();
    let length = u32::from_le_bytes(header[..4].try_into().unwrap()) as usize;
    let mut body = vec![0; length - 4];
    stream.read_exact(&mut body).unwrap();
    kinds(&[&header[..], &body].concat())[0]
}

fn read_until(stream: &mut TcpStream, last: Outgoing) -> Vec<Outgoing> {
    let mut kinds = Vec::new();
    loop {
        kinds.push(read(stream));
        if kinds.last() == Some(&last) {
            return kinds;
        }
    }
}

#[test]
fn a_phone_registers_over_a_connection() {
    let (server, desk) = start(&settings());
    let mut phone = connect(&server);
    phone.write_all(&register(PHONE, TYPE_7941, 17)).unwrap();
    read_until(&mut phone, Outgoing::CapabilitiesReq);
    for question in questions() {
        phone.write_all(&question).unwrap();
    }
    let answers = read_until(&mut phone, Outgoing::DefineTimeDate);
    assert_eq!(
        answers,
        [
            Outgoing::ButtonTemplate,
            Outgoing::SoftKeyTemplateRes,
            Outgoing::SoftKeySetRes,
            Outgoing::SelectSoftKeys,
            Outgoing::ConfigStatDynamic,
            Outgoing::LineStatDynamic,
            Outgoing::LineStatDynamic,
            Outgoing::ForwardStat,
            Outgoing::SpeedDialStatDynamic,
            Outgoing::FeatureStatDynamic,
            Outgoing::ServiceUrlStatDynamic,
            Outgoing::Version,
            Outgoing::ServerRes,
            Outgoing::DefineTimeDate,
        ]
    );
    let registration = desk.table.get(&PHONE.parse().unwrap()).unwrap();
    assert_eq!(registration.source, phone.local_addr().unwrap());
    assert_eq!(
        (registration.version, registration.type_id),
        (17, Some(115))
    );
    assert_eq!(registration.load.as_deref(), Some("SCCP41.9-4-2S"));
    assert_eq!(server.order(&registration, Order::Restart), Ok(()));
    assert_eq!(read(&mut phone), Outgoing::Reset);
    assert_eq!(server.snapshot().completed, 1);
}

/// Waits until something has happened that the server counts.
fn wait_for(server: &Server, has_happened: impl Fn(&Snapshot) -> bool) -> Snapshot {
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
        let snapshot = server.snapshot();
        if has_happened(&snapshot) {
            return snapshot;
        }
        assert!(Instant::now() < give_up, "{snapshot:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn registered(server: &Server) -> TcpStream {
    let mut phone = connect(server);
    phone.write_all(&register(PHONE, TYPE_7941, 17)).unwrap();
    read_until(&mut phone, Outgoing::CapabilitiesReq);
    phone.write_all(&capabilities()).unwrap();
    phone
}

/// Reads to the end of the connection, however it comes.
fn drain(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    rest
}

#[test]
fn a_phone_that_reads_nothing_is_cut_off_and_what_waits_for_it_stays_small() {
    let quick = Settings {
        write_timeout_s: 1,
        ..settings()
    };
    let (server, desk) = start(&quick);
    let mut phone = registered(&server);
    // Each is answered with more than 600 bytes: more than the system takes for both sides.
    let questions = message(0x0025, &[]).repeat(1900);
    phone
        .set_write_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let _ = phone.write_all(&questions);
    let counts = wait_for(&server, |it| it.connections == 0);
    assert_eq!(counts.ended(Ending::SlowReader), 1);
    assert_eq!(counts.left(Departure::NoResponse), 1);
    assert!(desk.table.get(&PHONE.parse().unwrap()).is_none());
    // What it had asked beyond was never answered.
    assert!(counts.sent(Outgoing::SoftKeySetRes) < 1900);
}

#[test]
fn a_refused_phone_reads_why_before_the_connection_ends() {
    let (server, _) = start(&settings());
    let mut phone = connect(&server);
    let stranger = register("SEPFFFFFFFFFFFF", TYPE_7941, 17);
    phone
        .write_all(&[stranger, message(0x000E, &[])].concat())
        .unwrap();
    let answer = drain(&mut phone);
    assert_eq!(kinds(&answer), [Outgoing::RegisterReject]);
    drop(phone);
    let counts = wait_for(&server, |it| it.connections == 0);
    assert_eq!(counts.ended(Ending::Refused), 1);
}

#[test]
fn the_connection_before_ends_when_the_phone_registers_over_another() {
    let (server, desk) = start(&settings());
    let mut first = registered(&server);
    let second = registered(&server);
    assert!(drain(&mut first).is_empty());
    let there = desk.table.get(&PHONE.parse().unwrap()).unwrap();
    assert_eq!(there.source, second.local_addr().unwrap());
    let counts = wait_for(&server, |it| it.connections == 1);
    assert_eq!(counts.ended(Ending::Superseded), 1);
    assert_eq!(counts.registered, 1);
}

#[test]
fn connections_over_a_bound_are_closed_at_once_and_counted() {
    let narrow = Settings {
        max_connections: 3,
        max_connections_per_source: 2,
        ..settings()
    };
    let (server, _) = start(&narrow);
    let held = [(); 2].map(|()| connect(&server));
    assert!(drain(&mut connect(&server)).is_empty());
    let counts = wait_for(&server, |it| it.rejected(Rejection::SourceConnections) == 1);
    assert_eq!((counts.accepted, counts.connections_limit), (2, 3));
    drop(held);
    wait_for(&server, |it| it.connections == 0);
    registered(&server);
}

#[test]
fn an_order_to_reset_reaches_the_phone_and_is_why_it_leaves() {
    let (server, desk) = start(&settings());
    let mut phone = registered(&server);
    let registration = desk.table.get(&PHONE.parse().unwrap()).unwrap();
    let mut changes = desk.table.changes();
    let dispatch: &dyn Dispatch = &server;
    assert_eq!(dispatch.order(&registration, Order::Reset), Ok(()));
    let mut reset = [0; 16];
    phone.read_exact(&mut reset).unwrap();
    let words: Vec<_> = reset
        .chunks_exact(4)
        .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
        .collect();
    // Reset, of the hard kind.
    assert_eq!((words[2], words[3]), (0x009F, 1));
    drop(phone);
    let counts = wait_for(&server, |it| it.connections == 0);
    assert_eq!(counts.left(Departure::Reset), 1);
    let Ok(Change::Left { was, why }) = changes.try_recv() else {
        panic!("the phone has left");
    };
    assert_eq!((was.device.as_str(), why), (PHONE, Departure::Reset));
}

#[test]
fn a_server_that_stops_leaves_its_phones_in_the_table() {
    let (server, desk) = start(&settings());
    let _phone = registered(&server);
    let mut changes = desk.table.changes();
    drop(server);
    assert!(desk.table.get(&PHONE.parse().unwrap()).is_some());
    assert!(changes.try_recv().is_err());
}

#[test]
fn a_source_that_is_shut_out_is_not_listened_to() {
    let mut desk = desk(contents());
    let bans = bans::Settings {
        guesses: 2,
        ..bans::Settings::default()
    };
    desk.bans = Arc::new(Bans::new(&bans, Box::new(|_| false)));
    let server = Server::start(settings(), Arc::new(desk)).unwrap();
    for stranger in ["SEPFFFFFFFFFFFF", "SEPFFFFFFFFFFFE"] {
        let mut phone = connect(&server);
        phone.write_all(&register(stranger, TYPE_7941, 17)).unwrap();
        assert_eq!(kinds(&drain(&mut phone)), [Outgoing::RegisterReject]);
    }
    assert!(drain(&mut connect(&server)).is_empty());
    wait_for(&server, |it| it.rejected(Rejection::Banned) == 1);
}

#[test]
fn a_port_that_is_taken_is_told_with_its_owner() {
    let (server, desk) = start(&settings());
    let taken = Settings {
        listen: server.local_addrs(),
        ..settings()
    };
    let Err(error) = Server::start(&taken, desk) else {
        panic!("the port is taken");
    };
    let told = error.to_string();
    assert!(told.contains("register.sccp.listen"), "{told}");
    assert!(told.contains(&std::process::id().to_string()), "{told}");
    assert_eq!(error.exit(), Exit::Unavailable);
}

#[test]
fn bounds_on_connections_may_change_while_there_are_some() {
    let live = Live::new(settings());
    let server = Server::start(live.clone(), Arc::new(desk(contents()))).unwrap();
    let follow = |change: &dyn Fn(&mut Settings)| {
        let mut other = settings();
        change(&mut other);
        live.set(other);
        server.follow();
    };
    let _held = registered(&server);
    follow(&|it| it.max_connections = 1);
    assert!(drain(&mut connect(&server)).is_empty());
    wait_for(&server, |it| it.rejected(Rejection::Connections) == 1);
    follow(&|it| it.max_connections_per_source = 1);
    assert!(drain(&mut connect(&server)).is_empty());
    wait_for(&server, |it| it.rejected(Rejection::SourceConnections) == 1);
    follow(&|_| ());
    let mut other = connect(&server);
    other.write_all(&register(PHONE, TYPE_7941, 17)).unwrap();
    read_until(&mut other, Outgoing::CapabilitiesReq);
}

#[test]
fn how_long_a_phone_may_take_nothing_may_change() {
    let patient = Settings {
        write_timeout_s: 600,
        ..settings()
    };
    let live = Live::new(patient.clone());
    let server = Server::start(live.clone(), Arc::new(desk(contents()))).unwrap();
    let mut phone = registered(&server);
    live.set(Settings {
        write_timeout_s: 1,
        ..patient
    });
    // More answers than the system takes for both sides.
    let questions = message(0x0025, &[]).repeat(1900);
    phone
        .set_write_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let _ = phone.write_all(&questions);
    wait_for(&server, |it| it.ended(Ending::SlowReader) == 1);
}
