//! Settings that change while connections are there.

use super::*;

/// A server, and what has it follow other settings as a reload does.
struct Edge {
    live: Live<Settings>,
    server: Arc<Server>,
}

impl Edge {
    fn start(settings: Settings) -> Self {
        let live = Live::new(settings);
        let server = Server::start(live.clone(), desk()).unwrap();
        Self {
            live,
            server: Arc::new(server),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Settings)) -> Vec<String> {
        let mut other = Settings::clone(&self.live.get());
        change(&mut other);
        let take = self.server.prepare(&other).unwrap();
        self.live.set(other);
        take()
    }
}

#[test]
fn times_of_connections_that_there_are_may_change() {
    let edge = Edge::start(settings());
    let mut slow = connect(&edge.server);
    slow.write_all(&options(true)[..50]).unwrap();
    let count = |it: &Snapshot| it.traffic.connections[Transport::Tcp as usize];
    wait_for(&edge.server, "one", |it| {
        count(it) == 1 && it.buffered_bytes > 0
    });
    edge.change(|settings| settings.tcp.message_timeout_s = 1);
    wait_for(&edge.server, "slow", ended(End::SlowMessage));

    let _still = connect(&edge.server);
    wait_for(&edge.server, "another", |it| count(it) == 1);
    edge.change(|settings| settings.tcp.idle_timeout_s = 1);
    wait_for(&edge.server, "still", ended(End::Idle));

    edge.change(|settings| {
        settings.tcp.idle_timeout_s = 600;
        settings.tcp.write_timeout_s = 1;
    });
    ask_and_read_nothing(&edge.server);
}

#[test]
fn bounds_on_connections_may_change_while_there_are_some() {
    let edge = Edge::start(settings());
    let count = |it: &Snapshot| it.traffic.connections[Transport::Tcp as usize];
    let _held = connect(&edge.server);
    wait_for(&edge.server, "one", |it| count(it) == 1);
    edge.change(|settings| settings.tcp.max_connections = 1);
    assert_eq!(connect(&edge.server).read(&mut [0]).unwrap(), 0);
    wait_for(&edge.server, "all", ended(End::Connections));
    edge.change(|settings| {
        settings.tcp.max_connections = 100;
        settings.tcp.max_connections_per_source = 1;
    });
    assert_eq!(connect(&edge.server).read(&mut [0]).unwrap(), 0);
    wait_for(&edge.server, "source", ended(End::SourceConnections));
    edge.change(|settings| settings.tcp.max_connections_per_source = 100);
    let _other = connect(&edge.server);
    wait_for(&edge.server, "two", |it| count(it) == 2);
}

#[test]
fn another_certificate_is_shown_from_a_reload_on() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["edge.example".to_owned()]).unwrap();
        let made = params.self_signed(&key).unwrap();
        let certificate = folder.path().join(format!("{name}.pem"));
        std::fs::write(&certificate, made.pem()).unwrap();
        std::fs::write(certificate.with_extension("key"), key.serialize_pem()).unwrap();
        (certificate, made)
    });
    let mut settings = settings();
    settings.tls = TlsSettings {
        enabled: true,
        listen: vec![(Ipv4Addr::LOCALHOST, 0).into()],
        certificate: one.0.clone(),
        key: one.0.with_extension("key"),
    };
    let edge = Edge::start(settings);
    let is_trusted = |(_, root): &(std::path::PathBuf, rcgen::Certificate)| {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(root.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = "edge.example".try_into().unwrap();
        let mut session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let address = edge.server.local_addrs(Transport::Tls)[0];
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        session.complete_io(&mut stream).is_ok()
    };
    assert_eq!((is_trusted(&one), is_trusted(&two)), (true, false));
    let remarks = edge.change(|settings| {
        settings.tls.certificate = two.0.clone();
        settings.tls.key = two.0.with_extension("key");
    });
    assert_eq!(remarks.len(), 1, "{remarks:?}");
    assert_eq!((is_trusted(&one), is_trusted(&two)), (false, true));
}
