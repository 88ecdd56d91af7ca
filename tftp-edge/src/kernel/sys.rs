//! The `bpf(2)` calls that `aya` has no function for: maps made at run time, batched reads,
//! emptying the slot of an outer map, and pins of any kind.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// `enum bpf_cmd` of `linux/bpf.h`.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Command {
    CreateMap = 0,
    LookupElement = 1,
    UpdateElement = 2,
    DeleteElement = 3,
    PinObject = 6,
    GetObject = 7,
    QueryPrograms = 16,
    LookupBatch = 24,
    DetachLink = 34,
}

/// `enum bpf_map_type` of `linux/bpf.h`.
const ARRAY: u32 = 2;
const RING_BUFFER: u32 = 27;

/// The beginning of `union bpf_attr` for `BPF_MAP_CREATE`.
#[repr(C)]
#[derive(Default)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
}

/// `union bpf_attr` for `BPF_MAP_*_ELEM`.
#[repr(C)]
#[derive(Default)]
struct MapElem {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// The beginning of `union bpf_attr` for `BPF_PROG_QUERY`.
#[repr(C)]
#[derive(Default)]
struct ProgQuery {
    target_ifindex: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
    prog_attach_flags: u64,
    link_ids: u64,
    link_attach_flags: u64,
    revision: u64,
}

/// `union bpf_attr` for `BPF_MAP_*_BATCH`.
#[repr(C)]
#[derive(Default)]
struct MapBatch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// `union bpf_attr` for `BPF_OBJ_*`.
#[repr(C)]
#[derive(Default)]
struct PinnedObject {
    path: u64,
    descriptor: u32,
    flags: u32,
}

/// `union bpf_attr` for `BPF_LINK_DETACH`.
#[repr(C)]
struct LinkDetach {
    link: u32,
}

/// # Safety
/// `attr` must be the part of `union bpf_attr` that belongs to the command, and every address in
/// it must be good for what the command reads or writes there.
unsafe fn bpf<T>(command: Command, attr: &mut T) -> io::Result<i32> {
    // SAFETY: the caller's promise.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as u32,
            std::ptr::from_mut(attr),
            size_of::<T>(),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result as i32)
    }
}

/// The programs that are attached to the ingress of an interface, in the order in which they run:
/// their numbers, of at most 64 of them.
pub fn tcx_ingress_programs(ifindex: u32) -> io::Result<Vec<u32>> {
    /// `BPF_TCX_INGRESS` of `enum bpf_attach_type`.
    const TCX_INGRESS: u32 = 46;

    let mut ids = vec![0_u32; 64];
    let mut attr = ProgQuery {
        target_ifindex: ifindex,
        attach_type: TCX_INGRESS,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: ids.len() as u32,
        ..ProgQuery::default()
    };
    // SAFETY: the buffer has room for as many numbers as are said.
    unsafe { bpf(Command::QueryPrograms, &mut attr)? };
    ids.truncate(attr.prog_cnt as usize);
    Ok(ids)
}

/// A new array map.
pub fn create_array(value_size: u32, max_entries: u32, map_flags: u32) -> io::Result<OwnedFd> {
    create(MapCreate {
        map_type: ARRAY,
        key_size: 4,
        value_size,
        max_entries,
        map_flags,
    })
}

/// A new ring buffer; its size is a power of two, and whole pages.
pub fn create_ring(len_bytes: u32) -> io::Result<OwnedFd> {
    create(MapCreate {
        map_type: RING_BUFFER,
        max_entries: len_bytes,
        ..MapCreate::default()
    })
}

fn create(mut attr: MapCreate) -> io::Result<OwnedFd> {
    // SAFETY: the attributes hold no addresses.
    let descriptor = unsafe { bpf(Command::CreateMap, &mut attr)? };
    // SAFETY: the call returned a descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Pins what a descriptor stands for in a BPF file system.
pub fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = terminated(path)?;
    let mut attr = PinnedObject {
        path: path.as_ptr() as u64,
        descriptor: object.as_raw_fd() as u32,
        ..PinnedObject::default()
    };
    // SAFETY: the path ends with a zero and lives past the call.
    unsafe { bpf(Command::PinObject, &mut attr).map(drop) }
}

/// Opens what is pinned, of whatever kind it is.
pub fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    let path = terminated(path)?;
    let mut attr = PinnedObject {
        path: path.as_ptr() as u64,
        ..PinnedObject::default()
    };
    // SAFETY: the path ends with a zero and lives past the call.
    let descriptor = unsafe { bpf(Command::GetObject, &mut attr)? };
    // SAFETY: the call returned a descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn terminated(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

/// Takes the program of a link off its interface at once, whoever else has the link open.
pub fn detach_link(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = LinkDetach {
        link: link.as_raw_fd() as u32,
    };
    // SAFETY: the attributes hold no addresses.
    unsafe { bpf(Command::DetachLink, &mut attr).map(drop) }
}

/// The value of an element; `blank` is what it is read over.
pub fn lookup<K, V: Copy>(map: BorrowedFd<'_>, key: &K, blank: V) -> io::Result<V> {
    let mut value = blank;
    let mut attr = MapElem {
        map_fd: map.as_raw_fd() as u32,
        key: std::ptr::from_ref(key) as u64,
        value: std::ptr::from_mut(&mut value) as u64,
        ..MapElem::default()
    };
    // SAFETY: key and value have the sizes of the map's, which are the caller's types.
    unsafe { bpf(Command::LookupElement, &mut attr)? };
    Ok(value)
}

/// Writes an element, whether it is there or not.
pub fn update<K, V>(map: BorrowedFd<'_>, key: &K, value: &V) -> io::Result<()> {
    let mut attr = MapElem {
        map_fd: map.as_raw_fd() as u32,
        key: std::ptr::from_ref(key) as u64,
        value: std::ptr::from_ref(value) as u64,
        ..MapElem::default()
    };
    // SAFETY: key and value have the sizes of the map's, which are the caller's types, and are only
    // read.
    unsafe { bpf(Command::UpdateElement, &mut attr).map(drop) }
}

/// Removes an element, or empties a slot of an outer map.
pub fn delete<K>(map: BorrowedFd<'_>, key: &K) -> io::Result<()> {
    let mut attr = MapElem {
        map_fd: map.as_raw_fd() as u32,
        key: std::ptr::from_ref(key) as u64,
        ..MapElem::default()
    };
    // SAFETY: the key is good to read for as long as the map's keys are, which is the caller's type.
    unsafe { bpf(Command::DeleteElement, &mut attr).map(drop) }
}

/// Copies out the elements of a hash map, `keys.len()` at a time, and calls `each` with them. An
/// element that is there from beginning to end is seen; the walk takes no lock for longer than a
/// bucket.
pub fn for_each<K: Copy, V: Copy>(
    map: BorrowedFd<'_>,
    buffer: &mut Batch<K, V>,
    mut each: impl FnMut(&K, &V),
) -> io::Result<()> {
    let mut position = 0_u32;
    let mut next = 0_u32;
    let mut begun = false;
    loop {
        let mut attr = MapBatch {
            in_batch: if begun {
                std::ptr::from_mut(&mut position) as u64
            } else {
                0
            },
            out_batch: std::ptr::from_mut(&mut next) as u64,
            keys: buffer.keys.as_mut_ptr() as u64,
            values: buffer.values.as_mut_ptr() as u64,
            count: buffer.keys.len() as u32,
            map_fd: map.as_raw_fd() as u32,
            ..MapBatch::default()
        };
        // SAFETY: both buffers have room for `count` elements of the map's sizes, which are those
        // of `K` and `V`; the positions are words, as hash maps want them.
        let result = unsafe { bpf(Command::LookupBatch, &mut attr) };
        let done = match result {
            Ok(_) => false,
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
            Err(error) => return Err(error),
        };
        let count = attr.count as usize;
        for (key, value) in buffer.keys.iter().zip(&buffer.values).take(count) {
            each(key, value);
        }
        if done {
            return Ok(());
        }
        position = next;
        begun = true;
    }
}

/// Room for one batch.
pub struct Batch<K, V> {
    keys: Vec<K>,
    values: Vec<V>,
}

impl<K: Copy, V: Copy> Batch<K, V> {
    /// `len` must not be smaller than the longest chain of the map's buckets.
    pub fn new(len: usize, key: K, value: V) -> Self {
        Self {
            keys: vec![key; len],
            values: vec![value; len],
        }
    }
}
