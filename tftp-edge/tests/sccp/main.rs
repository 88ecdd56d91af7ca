//! What the SCCP server takes of the process: memory, descriptors, allocations. In a process of its
//! own, one test after the other, so that nobody else's are counted.

// Clippy's leave for tests does not reach helpers of an integration test.
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tftp_edge::inventory::{Edit, Inventory, Origin, Site, SqliteStore, Table as Records, Want};
use tftp_edge::register::sccp::wire::{Incoming, Outgoing};
use tftp_edge::register::sccp::{BadFrame, Ending, Server, Settings, Snapshot};
use tftp_edge::register::storm::Storm;
use tftp_edge::register::{Desk, Directory, NoGuard, Table};

/// The system's allocator, counted.
struct Counted;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is the system's allocator's; counting allocates nothing.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller's.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTED: Counted = Counted;

static ALONE: Mutex<()> = Mutex::new(());

const PHONE: &str = "SEP001122334455";

struct Lab {
    server: Server,
    _alone: MutexGuard<'static, ()>,
}

impl Lab {
    fn start() -> Self {
        let alone = ALONE.lock().unwrap_or_else(|it| it.into_inner());
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("inventory.db")).unwrap();
        let mut inventory = Inventory::new(Box::new(store), Site::default());
        let columns = [("model", "7941"), ("protocol", "sccp"), ("lines", "1001")];
        let columns = columns.map(|(column, value)| (column.into(), value.to_owned()));
        let edit = Edit::of_record(
            Records::Devices,
            Want::New,
            vec![PHONE.to_owned()],
            columns.into(),
        );
        let origin = Origin::of_process("test");
        inventory.apply(&edit, &origin, false).unwrap();
        let directory = Directory::default();
        directory.update(Arc::new(inventory.snapshot().unwrap()));
        let desk = Desk {
            access: tftp_edge::live::Live::default(),
            alarms: Arc::default(),
            bans: Arc::default(),
            directory: Arc::new(directory),
            guard: Arc::new(NoGuard),
            journal: Arc::default(),
            newcomers: Arc::default(),
            storm: Arc::new(Storm::new(tftp_edge::register::storm::Settings::default())),
            table: Arc::new(Table::default()),
        };
        let settings = Settings {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            ..Settings::default()
        };
        Self {
            server: Server::start(&settings, Arc::new(desk)).unwrap(),
            _alone: alone,
        }
    }

    /// A connection from one of the addresses of the loopback network.
    fn connect(&self, own: [u8; 4]) -> TcpStream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((own, 0)).into()).unwrap();
        socket
            .connect(&self.server.local_addrs()[0].into())
            .unwrap();
        let stream = TcpStream::from(socket);
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    fn register(&self) -> TcpStream {
        let mut body = vec![0; 124];
        body[..PHONE.len()].copy_from_slice(PHONE.as_bytes());
        body[28] = 115;
        body[40] = 17;
        let mut phone = self.connect([127, 0, 0, 1]);
        let mut stream = message(Incoming::Register.id(), &body);
        stream.extend(message(Incoming::CapabilitiesRes.id(), &[0; 4]));
        // The last question of a registration.
        stream.extend(message(Incoming::TimeDateReq.id(), &[]));
        phone.write_all(&stream).unwrap();
        while read(&mut phone) != Outgoing::DefineTimeDate.id() {}
        phone
    }

    fn wait_for(&self, has_happened: impl Fn(&Snapshot) -> bool) {
        let give_up = Instant::now() + Duration::from_secs(30);
        while !has_happened(&self.server.snapshot()) {
            assert!(Instant::now() < give_up, "{:?}", self.server.snapshot());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn message(id: u32, body: &[u8]) -> Vec<u8> {
    let length = body.len() as u32 + 4;
    let header = [length, 0, id].map(u32::to_le_bytes).concat();
    [&header, body].concat()
}

/// The id of the next message.
fn read(stream: &mut TcpStream) -> u32 {
    let mut header = [0; 12];
    stream.read_exact(&mut header).unwrap();
    let number = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
    let mut body = [0; 512];
    stream
        .read_exact(&mut body[..number(0) as usize - 4])
        .unwrap();
    number(8)
}

/// Open descriptors and resident memory in bytes.
fn held() -> (usize, usize) {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let memory = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = memory.split(' ').nth(1).unwrap().parse().unwrap();
    (descriptors, pages * 4096)
}

#[test]
fn a_million_bad_frames_leave_nothing_behind() {
    const CONNECTIONS: usize = 500;
    /// As many as a connection may send in five seconds.
    const FRAMES: usize = 2000;
    let lab = Lab::start();
    // Bodies without their last field, then one that only servers send.
    let mut frames = message(Incoming::HeadsetStatus.id(), &[]).repeat(FRAMES - 1);
    frames.extend(message(Outgoing::RegisterAck.id(), &[0; 20]));
    // All are there before the first is heard: its source may be shut out for what it sends. The
    // phone at the end has another address.
    let mut streams: Vec<_> = (0..CONNECTIONS)
        .map(|_| lab.connect([127, 0, 0, 9]))
        .collect();
    lab.wait_for(|it| it.connections == CONNECTIONS as u64);
    let (descriptors_open, _) = held();
    let mut bytes_at_first = None;
    for mut stream in streams.drain(..) {
        stream.write_all(&frames).unwrap();
        // It ends without a word.
        assert_eq!(stream.read(&mut [0; 16]).unwrap_or_default(), 0);
        // What the first one has made the process take stays with it.
        bytes_at_first.get_or_insert_with(|| held().1);
    }
    lab.wait_for(|it| it.connections == 0);
    let (descriptors, bytes) = held();
    assert_eq!(descriptors_open - descriptors, 2 * CONNECTIONS);
    let bytes_at_first = bytes_at_first.unwrap();
    assert!(
        bytes < bytes_at_first + (4 << 20),
        "{bytes_at_first} {bytes}"
    );
    let counts = lab.server.snapshot();
    let bad = CONNECTIONS as u64 * (FRAMES as u64 - 1);
    assert_eq!(counts.bad(BadFrame::ShortBody), bad);
    assert_eq!(counts.bad(BadFrame::WrongDirection), CONNECTIONS as u64);
    assert_eq!(counts.ended(Ending::BadFrame), CONNECTIONS as u64);
    lab.register();
}

#[test]
fn a_keepalive_allocates_nothing() {
    const KEEPALIVES: u64 = 1000;
    let lab = Lab::start();
    let mut phone = lab.register();
    let keepalive = message(Incoming::KeepAlive.id(), &[]);
    let mut exchange = || {
        phone.write_all(&keepalive).unwrap();
        assert_eq!(read(&mut phone), Outgoing::KeepAliveAck.id());
    };
    // Both threads of the server have their buffers after a while.
    for _ in 0..200 {
        exchange();
    }
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for _ in 0..KEEPALIVES {
        exchange();
    }
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    // The runtime's own, now and then.
    assert!(allocations < KEEPALIVES / 10, "{allocations}");
}
