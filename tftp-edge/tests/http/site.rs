//! A server with a folder of files, and a bare client that sees every byte.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;
use tftp_ebpf::stage::Stage;
use tftp_edge::access::Access;
use tftp_edge::alarms::Alarms;
use tftp_edge::content::{self, Library, upstream};
use tftp_edge::http::{Parts, Refusal, Scheme, Server, Settings, Snapshot};
use tftp_edge::inventory::{self, Edit, Inventory, Origin, SqliteStore, Table, Want};
use tftp_edge::journal::Journal;
use tftp_edge::live::Live;
use tftp_edge::misses::Misses;
use tftp_edge::provisioning;
use tftp_edge::stats::StageCounter;
use tftp_edge::tftp::settings::BudgetSettings;
use tftp_edge::tftp::sources::Sources;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What is chosen about a site, beside the settings of HTTP.
pub(crate) struct Choice {
    pub(crate) settings: Settings,
    pub(crate) access: Access,
    pub(crate) budget: BudgetSettings,
    pub(crate) content: content::Settings,
    pub(crate) upstream: upstream::Settings,
    pub(crate) has_windows: bool,
    /// The inventory; made when it is first opened.
    pub(crate) database: PathBuf,
}

impl Choice {
    pub(crate) fn store(&self) -> SqliteStore {
        SqliteStore::open(&self.database).unwrap()
    }

    /// Adds a record to the inventory.
    pub(crate) fn set(&self, table: Table, name: &str, columns: &[(&'static str, &str)]) {
        let columns = columns
            .iter()
            .map(|&(column, value)| (column.into(), value.to_owned()));
        let edit = Edit::of_record(table, Want::New, vec![name.to_owned()], columns.collect());
        let mut inventory = Inventory::new(Box::new(self.store()), inventory::Site::default());
        inventory
            .apply(&edit, &Origin::of_process("test"), false)
            .unwrap();
    }
}

impl Default for Choice {
    fn default() -> Self {
        Self {
            settings: Settings {
                listen: vec![(Ipv4Addr::LOCALHOST, 0).into()],
                ..Settings::default()
            },
            access: Access::default(),
            budget: BudgetSettings::default(),
            content: content::Settings::default(),
            upstream: upstream::Settings::default(),
            has_windows: false,
            database: PathBuf::new(),
        }
    }
}

pub(crate) struct Site {
    pub(crate) settings: Live<Settings>,
    // Dropped in this order.
    pub(crate) server: Arc<Server>,
    pub(crate) access: Live<Access>,
    pub(crate) sources: Arc<Sources>,
    pub(crate) misses: Arc<Misses>,
    pub(crate) alarms: Arc<Alarms>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) library: Arc<Library>,
    pub(crate) folder: TempDir,
}

impl Site {
    pub(crate) fn start(files: &[(&str, &[u8])]) -> Self {
        Self::with(files, |_| {})
    }

    pub(crate) fn with(files: &[(&str, &[u8])], choose: impl FnOnce(&mut Choice)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut choice = Choice::default();
        choice.content.root = folder.path().join("root");
        fs::create_dir(&choice.content.root).unwrap();
        choice.database = folder.path().join("inventory.db");
        choose(&mut choice);
        for (name, content) in files {
            let path = choice.content.root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let inventory = Inventory::open(&inventory::Settings {
            database: choice.database,
            ..inventory::Settings::default()
        });
        let alarms = Arc::new(Alarms::default());
        let library = Library::start(
            &choice.content,
            &choice.upstream,
            inventory.unwrap(),
            provisioning::Settings {
                window_minutes: choice.has_windows.into(),
            },
            Arc::clone(&alarms),
            Vec::new(),
        );
        let library = library.unwrap();
        let sources = Arc::new(Sources::new(&choice.budget));
        let misses = Arc::new(Misses::new(&choice.budget, None));
        let journal = Arc::<Journal>::default();
        let settings = Live::new(choice.settings);
        let access = Live::new(choice.access);
        let parts = Parts {
            access: access.clone(),
            catalog: Arc::clone(&library) as Arc<_>,
            sources: Arc::clone(&sources),
            misses: Arc::clone(&misses),
            alarms: Arc::clone(&alarms),
            journal: Arc::clone(&journal),
            dscp: 24,
        };
        Self {
            server: Arc::new(Server::start(settings.clone(), parts).unwrap()),
            access,
            settings,
            sources,
            misses,
            alarms,
            journal,
            library,
            folder,
        }
    }

    /// Has the server follow other settings, as a reload does; gives back what is told of it.
    pub(crate) fn reload(&self, change: impl FnOnce(&mut Settings)) -> Vec<String> {
        let mut other = Settings::clone(&self.settings.get());
        change(&mut other);
        let take = self.server.prepare(&other).unwrap();
        self.settings.set(other);
        take()
    }

    /// Puts a new version in the place of a file, in one step.
    pub(crate) fn replace(&self, name: &str, content: &[u8]) {
        let fresh = self.folder.path().join("fresh");
        fs::write(&fresh, content).unwrap();
        fs::rename(fresh, self.folder.path().join("root").join(name)).unwrap();
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.local_addrs(Scheme::Http)[0]
    }

    pub(crate) fn connect(&self) -> Client {
        Client::new(TcpStream::connect(self.address()).unwrap())
    }

    /// From another address of the loopback, and with a receive buffer of so many bytes.
    pub(crate) fn connect_from(&self, source: [u8; 4], buffer: Option<usize>) -> Client {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        if let Some(bytes) = buffer {
            socket.set_recv_buffer_size(bytes).unwrap();
        }
        let source = SocketAddr::from((source, 0));
        socket.bind(&source.into()).unwrap();
        socket.connect(&self.address().into()).unwrap();
        Client::new(socket.into())
    }

    /// One request over a connection of its own.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.connect().get(path)
    }

    /// Asks for a file until it is `content`.
    pub(crate) fn wait_for_content(&self, path: &str, content: &[u8]) {
        let deadline = Instant::now() + PATIENCE;
        while self.get(path).body != content {
            assert!(Instant::now() < deadline, "{path} does not change");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.server.snapshot()
    }

    pub(crate) fn stage(&self, stage: Stage, counter: StageCounter) -> u64 {
        self.snapshot().traffic[Scheme::Http as usize]
            .tally
            .stage(stage, counter)
    }

    /// Waits until something was counted so often: an answer may be here before its count is.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, count: u64, read: impl Fn(&Snapshot) -> u64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = read(&self.snapshot());
            if now == count {
                return;
            }
            assert!(Instant::now() < deadline, "{what}: {now}, expected {count}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[track_caller]
    pub(crate) fn wait_for_refusal(&self, refusal: Refusal, count: u64) {
        self.wait_for(refusal.as_str(), count, |snapshot| {
            snapshot.traffic[Scheme::Http as usize].refused(refusal)
        });
    }
}

pub(crate) fn networks(nets: &[&str]) -> Access {
    Access::from_nets(
        nets.iter()
            .map(|net| net.parse::<IpNet>().unwrap())
            .collect(),
    )
}

/// Bytes without a short period.
pub(crate) fn content(len: usize) -> Vec<u8> {
    (0..len as u32)
        .map(|at| (at.wrapping_mul(0x9e37_79b1) >> 24) as u8)
        .collect()
}

/// An answer with a length.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// One connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            read: Vec::new(),
        }
    }

    pub(crate) fn source(&self) -> IpAddr {
        self.stream.local_addr().unwrap().ip()
    }

    pub(crate) fn send(&mut self, request: &str) {
        self.stream.write_all(request.as_bytes()).unwrap();
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, &[])
    }

    pub(crate) fn ask(&mut self, method: &str, path: &str, headers: &[&str]) -> Answer {
        let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"
        ));
        self.answer(method != "HEAD").expect("an answer")
    }

    /// The next answer; none if the connection ends before its head has.
    pub(crate) fn answer(&mut self, has_body: bool) -> Option<Answer> {
        let end = loop {
            let end = self.read.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                break end + 4;
            }
            if !self.more() {
                assert!(self.read.is_empty(), "half a head: {:?}", self.read);
                return None;
            }
        };
        let head: Vec<u8> = self.read.drain(..end).collect();
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer {
            status,
            head,
            body: Vec::new(),
        };
        let len = answer
            .header("content-length")
            .map(|len| len.parse().unwrap());
        let len = len.filter(|_| has_body).unwrap_or(0_usize);
        while self.read.len() < len {
            assert!(self.more(), "{} of {len} bytes came", self.read.len());
        }
        answer.body = self.read.drain(..len).collect();
        Some(answer)
    }

    /// Reads what is there; false at the end.
    fn more(&mut self) -> bool {
        let mut buffer = [0; 65_536];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(len) => {
                self.read.extend_from_slice(&buffer[..len]);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("reading: {error}"),
        }
    }

    /// Nothing more comes, and the connection ends.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        while self.more() {}
        assert!(self.read.is_empty(), "{} bytes came", self.read.len());
    }
}
