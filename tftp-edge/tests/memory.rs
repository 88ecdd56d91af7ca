//! What a registration costs in memory, and what phones did, all included: every byte the allocator hands out counts, as
//! the allocator sees it.

// Clippy's leave for tests does not reach helpers of an integration test.
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tftp_ebpf::stage::Stage;
use tftp_edge::inventory::{DeviceName, Protocol};
use tftp_edge::journal::{Answer, Event, Fact, Happening, Journal, Outcome, Request};
use tftp_edge::register::{Binding, ConnectionId, Edit, Registration, Table, Transport};
use tftp_edge::stats::Path;

const PHONES: u32 = 100_000;

/// Held by the test that counts.
static COUNTED: Mutex<()> = Mutex::new(());

/// The system's allocator, and how much it has given out.
struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// What glibc takes for an allocation: a header of 8 bytes, in steps of 16, at least 32.
const fn taken(bytes: usize) -> usize {
    let rounded = (bytes + 8).next_multiple_of(16);
    if rounded < 32 { 32 } else { rounded }
}

// SAFETY: every call goes to the system's allocator as it came; counting touches nothing else.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(taken(layout.size()), Ordering::Relaxed);
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        BYTES.fetch_sub(taken(layout.size()), Ordering::Relaxed);
        // SAFETY: as above; it came from there.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn device(number: u32) -> DeviceName {
    format!("SEP0023{number:08X}").parse().unwrap()
}

/// A phone with the texts that an 8851 sends, on its own address.
fn phone(number: u32) -> Registration {
    let address = std::net::Ipv4Addr::from(0x0a00_0000 + number);
    let until = SystemTime::now() + Duration::from_secs(3_600);
    let uuid = format!("{number:08x}-0f00-4b5c-8f0a-6bcf00023a11");
    Registration {
        device: device(number),
        protocol: Protocol::Sip,
        transport: Transport::Tcp,
        source: (address, 50_123).into(),
        connection: Some(ConnectionId(number.into())),
        type_id: Some(684),
        load: Some("sip88xx.14-1-1-0001-125".into()),
        version: 0,
        since: SystemTime::now(),
        expires: until,
        bindings: vec![Binding {
            line: format!("{}", 100_000 + number).into(),
            contact: format!("sip:{uuid}@{address}:50123;transport=tcp").into(),
            call_id: format!("00230000-{number:08x}-4a5b6c7d-0e1f2a3b@{address}").into(),
            cseq: 101,
            expires: until,
            all_lines: true,
        }],
    }
}

#[test]
fn a_registration_costs_less_than_a_kilobyte_and_a_keepalive_nothing() {
    let _alone = COUNTED
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let before = BYTES.load(Ordering::Relaxed);
    let table = Arc::new(Table::default());
    for number in 0..PHONES {
        let phone = phone(number);
        table.edit(&device(number), |_| ((), Edit::Put(phone)));
    }
    assert_eq!(table.count(Protocol::Sip), PHONES as usize);
    let each = (BYTES.load(Ordering::Relaxed) - before) / PHONES as usize;
    println!("{each} bytes for each of {PHONES} registrations");
    assert!(each < 1_000, "{each} bytes");

    let full = BYTES.load(Ordering::Relaxed);
    let names: Vec<_> = (0..PHONES).map(device).collect();
    let calls = CALLS.load(Ordering::Relaxed);
    for (number, name) in names.iter().enumerate() {
        let over = Some(ConnectionId(number as u64));
        let until = SystemTime::now() + Duration::from_secs(7_200);
        assert!(table.touch(name, over, until));
    }
    assert_eq!(
        CALLS.load(Ordering::Relaxed),
        calls,
        "a keepalive allocates"
    );
    drop(names);

    // As many refreshes again leave nothing behind.
    for number in 0..PHONES {
        let phone = phone(number);
        table.edit(&device(number), |_| ((), Edit::Put(phone)));
    }
    let grown = BYTES.load(Ordering::Relaxed).saturating_sub(full);
    assert!(grown < full / 100, "{grown} bytes more after refreshes");
    drop(table);
    let left = BYTES.load(Ordering::Relaxed).saturating_sub(before);
    assert!(left < 100_000, "{left} bytes are still held");
}

/// What an 8851 asks for at a boot; `{}` stands for its name.
const BOOT: [(&str, Outcome); 12] = [
    ("ctl{}.tlv", Outcome::Absent),
    ("itl{}.tlv", Outcome::Absent),
    ("itlfile.tlv", Outcome::Absent),
    ("{}.cnf.xml", Outcome::Complete),
    ("defaultheadsetconfig.json", Outcome::Absent),
    ("sk1a2b3c4d.xml", Outcome::Complete),
    ("german_germany/mk-sip.jar", Outcome::Complete),
    ("germany/g3-tones.xml", Outcome::Complete),
    ("dialplan.xml", Outcome::Absent),
    ("appdialrules.xml", Outcome::Absent),
    ("ringlist.xml", Outcome::Complete),
    ("distinctiveringlist.xml", Outcome::Absent),
];

/// The phone boots and registers.
fn boot(journal: &Journal, number: u32) {
    let name = device(number);
    let address = std::net::Ipv4Addr::from(0x0a00_0000 + number);
    let at = |more: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + more);
    let tell = |more, what| {
        journal.tell(&Event {
            at: at(more),
            device: Some(name),
            source: (address, 50_123).into(),
            what,
        });
    };
    for (more, (file, outcome)) in (0..).zip(BOOT) {
        let file = file.replace("{}", &name.as_str().to_ascii_lowercase());
        let request = Request {
            stage: Stage::of_name(file.as_bytes()),
            name: file.into(),
            path: Path::Http,
            generation: Some(1),
            len_bytes: 6_000,
        };
        let answer = Answer {
            outcome,
            took: Duration::from_millis(2),
            resends: 0,
        };
        tell(more, Happening::Answered(request, answer));
    }
    let registering = Fact::Registering {
        protocol: Protocol::Sip,
        transport: Transport::Tcp,
    };
    let registered = Fact::Registered {
        protocol: Protocol::Sip,
        transport: Transport::Tcp,
        load: Some("sip88xx.14-1-1-0001-125".into()),
    };
    tell(20, Happening::Fact(registering));
    tell(21, Happening::Fact(registered));
}

#[test]
fn what_a_hundred_thousand_phones_did_stays_within_its_limit() {
    let _alone = COUNTED
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let before = BYTES.load(Ordering::Relaxed);
    let journal = Journal::default();
    let empty = BYTES.load(Ordering::Relaxed);
    for number in 0..PHONES {
        boot(&journal, number);
    }
    let counts = journal.counts();
    let truly = (BYTES.load(Ordering::Relaxed) - empty) as u64;
    println!(
        "{PHONES} boots: {} phones, {} of {} bytes by its own account, {truly} in truth; {} boots \
         forgotten",
        counts.phones, counts.bytes, counts.bytes_limit, counts.forgotten
    );
    assert!(counts.bytes <= counts.bytes_limit, "{counts:?}");
    // Its tables grow in steps.
    assert!(truly <= counts.bytes * 5 / 4, "{truly}, {counts:?}");
    assert_eq!((counts.phones, counts.forgotten), (u64::from(PHONES), 0));
    drop(journal);
    let left = BYTES.load(Ordering::Relaxed).saturating_sub(before);
    assert!(left < 100_000, "{left} bytes are still held");
}

/// Not a test of speed: it prints what one event costs the thread that tells it.
#[test]
#[ignore = "prints a figure: --release -- --ignored --nocapture"]
fn the_cost_of_an_event() {
    let _alone = COUNTED
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let journal = Journal::default();
    let began = std::time::Instant::now();
    for number in 0..PHONES {
        boot(&journal, number);
    }
    let events = u64::from(PHONES) * (BOOT.len() as u64 + 2);
    assert_eq!(journal.counts().events, events);
    let each = began.elapsed().as_nanos() / u128::from(events);
    println!("{each} ns for each of {events} events, the making of it included");
}
