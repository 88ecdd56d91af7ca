//! What a registration costs in memory, all included: every byte the allocator hands out counts, as
//! the allocator sees it.

// Clippy's leave for tests does not reach helpers of an integration test.
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use tftp_edge::inventory::{DeviceName, Protocol};
use tftp_edge::register::{Binding, ConnectionId, Edit, Registration, Table, Transport};

const PHONES: u32 = 100_000;

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
