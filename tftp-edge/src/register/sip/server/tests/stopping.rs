//! What becomes of phones when the server stops and starts again, and when they are taken out of the
//! inventory meanwhile.

use super::*;
use crate::content::Listener as _;
use crate::register::pacer::{self, Orders};
use crate::register::{Change, Departure};

fn registered_over_tcp(server: &Server, number: usize) -> TcpStream {
    let mut phone = connect(server);
    let port = phone.local_addr().unwrap().port();
    phone
        .write_all(register(number, "TCP", port).as_bytes())
        .unwrap();
    let mut reader = BufReader::new(phone.try_clone().unwrap());
    assert!(read_head(&mut reader).starts_with("SIP/2.0 200 "));
    phone
}

#[test]
fn a_server_that_stops_leaves_its_phones_in_the_table() {
    let server = start(&settings());
    let _phones = (
        registered(&server, 0),
        registered_over_tcp(&server, 1),
        registered_over_tcp(&server, 2),
    );
    let table = Arc::clone(&server.hub.desk.table);
    let mut changes = table.changes();
    assert_eq!(table.len(), 3);
    drop(server);
    assert_eq!(table.len(), 3);
    assert!(changes.try_recv().is_err());
}

#[test]
fn a_phone_over_udp_is_ordered_after_a_restart() {
    for listen in [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED] {
        let mut settings = settings();
        settings.listen = vec![(listen, 0).into()];
        let server = start(&settings);
        let port = server.local_addrs(Transport::Udp)[0].port();
        let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
        phone.set_read_timeout(Some(LONG)).unwrap();
        phone.connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let own = phone.local_addr().unwrap().port();
        phone.send(register(0, "UDP", own).as_bytes()).unwrap();
        assert!(receive(&phone).starts_with("SIP/2.0 200 "));
        let desk = Arc::clone(&server.hub.desk);
        drop(server);

        settings.listen = vec![(listen, port).into()];
        // Somebody else may have its port for a moment.
        let deadline = Instant::now() + LONG;
        let server = loop {
            match Server::start(&settings, Arc::clone(&desk)) {
                Ok(server) => break server,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        server
            .order(&registration(&server, 0), Order::Reset)
            .unwrap();
        let notify = receive(&phone);
        assert!(notify.starts_with("NOTIFY sip:4000@127.0.0.1"), "{notify}");
        let via = format!("\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};");
        assert!(notify.contains(&via), "{notify}");
        phone.send(answer_to(&notify).as_bytes()).unwrap();
        wait_for(&server, "the answer", |it| it.transactions == 0);
    }
}

#[test]
fn a_phone_that_leaves_the_inventory_is_reset_and_registered_no_more() {
    let server = start(&settings());
    let phone = registered(&server, 0);
    let desk = Arc::clone(&server.hub.desk);
    let mut changes = desk.table.changes();
    let (table, directory) = (Arc::clone(&desk.table), Arc::clone(&desk.directory));
    let orders = Orders::new(pacer::Settings::default(), table, directory);
    let orders = Arc::new(orders);
    orders.settled();
    let _running = orders.start(Arc::new(server)).unwrap();

    let nobody = Arc::new(InventorySnapshot::new(
        Contents::default(),
        &Site::default(),
    ));
    desk.directory.update(Arc::clone(&nobody));
    orders.inventory_changed(&nobody);
    orders.settled();
    let notify = receive(&phone);
    assert!(notify.contains("\r\naction=reset\r\n"), "{notify}");
    phone.send(answer_to(&notify).as_bytes()).unwrap();
    let Ok(Change::Left { was, why }) = changes.blocking_recv() else {
        panic!("it has left");
    };
    assert_eq!(was.device.as_str(), device(0));
    assert_eq!(why, Departure::ConfigurationMismatch);
    assert!(desk.table.is_empty());
}
