use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::*;
use crate::register::sccp::testing::*;
use crate::register::sccp::wire::Outgoing;

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
