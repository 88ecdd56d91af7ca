//! An edge in this process: its library, and its TFTP sockets on the loopback.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;
use tftp_edge::alarms::Alarms;
use tftp_edge::content::upstream::{Settings, Snapshot};
use tftp_edge::content::{self, Change, Library, Listener, State};
use tftp_edge::http::{self, Scheme};
use tftp_edge::inventory::{self, Edit, Inventory, Origin, SqliteStore, Store, Table, Want};
use tftp_edge::live::Live;
use tftp_edge::misses::Misses;
use tftp_edge::provisioning;
use tftp_edge::tftp::sources::Sources;
use tftp_edge::tftp::{self, BudgetSettings, Server};
use tftp_edge_tests::client::{Fetched, Outcome, Request, Retry, get, http_get};

/// Clients ask from here; servers upstream have other addresses, since who asks from theirs is one
/// of them.
pub const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A device of the inventory.
pub const DEVICE: &str = "SEP001B54AA0001";

/// What a client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    File(Vec<u8>),
    /// ERROR 1.
    Absent,
    /// Nothing, however often it asks.
    Silence,
}

impl Got {
    pub fn file(content: impl AsRef<[u8]>) -> Self {
        Self::File(content.as_ref().to_vec())
    }
}

#[derive(Default)]
struct Heard(std::sync::Mutex<Vec<Change>>);

impl Listener for Heard {
    fn changed(&self, changes: &[Change]) {
        self.0.lock().unwrap().extend_from_slice(changes);
    }
}

/// What the kernel is told of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Published(Bytes),
    OnDisk,
    Absent,
    Forgotten,
}

pub struct Edge {
    folder: TempDir,
    heard: Arc<Heard>,
    pub alarms: Arc<Alarms>,
    pub library: Arc<Library>,
    pub settings: Live<Settings>,
    pub address: SocketAddr,
    pub http: SocketAddr,
    _http: http::Server,
    _server: Server,
}

/// Settings in which everything happens soon.
pub fn settings(servers: &[String]) -> Settings {
    Settings {
        servers: servers.iter().map(|it| it.parse().unwrap()).collect(),
        timeout_ms: 300,
        ..Settings::default()
    }
}

impl Edge {
    /// In front of these servers.
    pub fn behind(servers: &[String]) -> Self {
        Self::with(settings(servers))
    }

    pub fn with(upstream: Settings) -> Self {
        Self::at("127.0.0.1:0", upstream)
    }

    pub fn at(listen: &str, upstream: Settings) -> Self {
        Self::start(listen, upstream, provisioning::Settings::default())
    }

    /// With windows; its device's is closed.
    pub fn closed(upstream: Settings) -> Self {
        let windows = provisioning::Settings { window_minutes: 1 };
        Self::start("127.0.0.1:0", upstream, windows)
    }

    /// Over TFTP and HTTP on one address; on one port, too, if it is given.
    fn start(listen: &str, upstream: Settings, windows: provisioning::Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir(&root).unwrap();
        let database = folder.path().join("inventory.db");
        let mut inventory = Inventory::open(&inventory::Settings {
            database,
            ..inventory::Settings::default()
        })
        .unwrap();
        let device = Edit::of_record(
            Table::Devices,
            Want::New,
            vec![DEVICE.to_owned()],
            [("model", "7961"), ("protocol", "sip"), ("lines", "1001")]
                .map(|(column, value)| (column.into(), value.to_owned()))
                .into(),
        );
        let origin = Origin::of_process("test");
        inventory.apply(&device, &origin, false).unwrap();
        let (heard, alarms) = (Arc::<Heard>::default(), Arc::<Alarms>::default());
        upstream.validate().unwrap();
        let settings = Live::new(upstream);
        let library = Library::start(
            &content::Settings {
                root,
                ..content::Settings::default()
            },
            settings.clone(),
            inventory,
            windows,
            alarms.clone(),
            vec![heard.clone()],
        )
        .unwrap();
        let listen = vec![listen.parse().unwrap()];
        let misses = Arc::new(Misses::new(BudgetSettings::default(), None));
        let server = Server::start(
            &tftp::Settings {
                listen: listen.clone(),
                workers: 2,
                ..tftp::Settings::default()
            },
            Live::default(),
            library.clone(),
            Arc::default(),
            Arc::new(Sources::new(BudgetSettings::default())),
            misses.clone(),
            Arc::default(),
        )
        .unwrap();
        let http = http::Server::start(
            &http::Settings {
                listen,
                ..http::Settings::default()
            },
            http::Parts {
                access: Live::default(),
                catalog: library.clone(),
                sources: server.sources(),
                misses,
                alarms: alarms.clone(),
                journal: Arc::default(),
                dscp: 0,
            },
        )
        .unwrap();
        Self {
            folder,
            heard,
            alarms,
            library,
            settings,
            address: server.local_addrs()[0],
            http: http.local_addrs(Scheme::Http)[0],
            _http: http,
            _server: server,
        }
    }

    /// As an upstream of another edge.
    pub fn url(&self) -> String {
        format!("tftp://{}", self.address)
    }

    /// Serves a file from disk, and waits until it does.
    pub fn put(&self, name: &str, content: &[u8]) {
        let fresh = self.folder.path().join("fresh");
        fs::write(&fresh, content).unwrap();
        fs::rename(&fresh, self.folder.path().join("root").join(name)).unwrap();
        self.until("the file is there", |edge| {
            edge.told(name) == Some(Told::Published(Bytes::copy_from_slice(content)))
        });
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.folder.path().join("root").join(name)).unwrap();
    }

    pub fn get(&self, name: &str) -> Got {
        got(&self.fetch(Request::plain(name), CLIENT))
    }

    pub fn fetch(&self, request: Request, client: IpAddr) -> Fetched {
        let retry = Retry {
            first: Duration::from_millis(700),
            longest: Duration::from_millis(700),
            sends: 3,
        };
        get(client, self.address, request, retry).unwrap()
    }

    /// Over HTTP. Silence is whatever sends a phone to TFTP.
    pub fn get_over_http(&self, name: &str, client: IpAddr) -> Got {
        match http_get(client, self.http, name).unwrap() {
            Some((Outcome::Complete, bytes)) => Got::File(bytes),
            Some((Outcome::Refused { code: 1, .. }, _)) => Got::Absent,
            Some((other, _)) => panic!("{other:?}"),
            None => Got::Silence,
        }
    }

    /// Opens the window of [`DEVICE`] until this Unix second, or closes it.
    pub fn open_until(&self, until: Option<u64>) {
        let mut store = SqliteStore::open(&self.folder.path().join("inventory.db")).unwrap();
        store
            .set_windows(&[DEVICE.parse().unwrap()], until)
            .unwrap();
    }

    pub fn upstream(&self) -> Snapshot {
        self.library.upstream()
    }

    /// How often the first server gave this outcome.
    pub fn outcomes(&self, outcome: &str) -> u64 {
        self.upstream().servers[0].fetches[outcome]
    }

    /// The last thing the kernel was told of a name.
    pub fn told(&self, name: &str) -> Option<Told> {
        let heard = self.heard.0.lock().unwrap();
        let last = heard
            .iter()
            .rfind(|change| change.name.eq_ignore_ascii_case(name));
        last.map(|change| match &change.state {
            State::Published(version) => Told::Published(version.bytes.clone()),
            State::OnDisk => Told::OnDisk,
            State::Absent => Told::Absent,
            State::Forgotten => Told::Forgotten,
        })
    }

    pub fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !is_so(self) {
            assert!(Instant::now() < deadline, "not in time: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

pub fn got(fetched: &Fetched) -> Got {
    match &fetched.outcome {
        Outcome::Complete => Got::File(fetched.bytes.clone()),
        Outcome::Refused { code: 1, .. } => Got::Absent,
        Outcome::Failed(_) if fetched.tid.is_none() => Got::Silence,
        other => panic!("{other:?}"),
    }
}
