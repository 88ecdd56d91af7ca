//! The banks of slabs: maps that the kernel program reads, and this process writes through its own
//! memory.

use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

use aya::maps::{ArrayOfMaps, MapData};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use tftp_ebpf::abi::{BANK_BYTES, BANK_SLABS, SLAB_BYTES};

use super::error::Error;
use super::object::memory_of;
use super::slabs::Banks;
use super::sys;

/// `BPF_F_MMAPABLE` of `linux/bpf.h`.
const MMAPABLE: u32 = 1 << 10;

/// The banks of slabs as inner maps of `SLABS`, each mapped into this process.
pub struct KernelBanks {
    outer: ArrayOfMaps<MapData, MapData>,
    /// The outer map again: its type has no way to empty a slot.
    outer_fd: OwnedFd,
    banks: Vec<Bank>,
    /// Where they are pinned, if they are.
    pins: Option<PathBuf>,
    warned_unpinned: bool,
}

struct Bank {
    map: MapData,
    memory: NonNull<u8>,
}

// SAFETY: the pointer is to a mapping that only this value owns; it is written under `&mut` only.
unsafe impl Send for Bank {}

impl Drop for Bank {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this length, and nobody borrows it any more. That it
        // can be unmapped cannot fail.
        let _ = unsafe { munmap(self.memory.cast(), BANK_BYTES) };
    }
}

impl KernelBanks {
    /// Bytes of the banks' maps, as the kernel accounts them.
    pub fn map_bytes(&self) -> u64 {
        self.banks
            .iter()
            .map(|bank| memory_of(bank.map.fd().as_fd().as_raw_fd()))
            .sum()
    }

    pub(super) fn new(outer: ArrayOfMaps<MapData, MapData>, outer_fd: OwnedFd) -> Self {
        Self {
            outer,
            outer_fd,
            banks: Vec::new(),
            pins: None,
            warned_unpinned: false,
        }
    }

    /// From now on banks are pinned in a directory as they come.
    pub(super) fn pin_in(&mut self, directory: PathBuf) {
        self.pins = Some(directory);
    }

    /// Opens the banks that a daemon before has pinned in a directory, as far as they are those in
    /// the outer map, and takes the others out of both. A daemon that is killed while it adds or
    /// removes one leaves one too many.
    pub(super) fn adopt(&mut self, directory: PathBuf) -> Result<(), Error> {
        while let Some(map) = self.pinned(&directory, self.banks.len()) {
            self.banks.push(Bank::open(map)?);
        }
        for index in self.banks.len()..self.outer.len() as usize {
            // Most are not there.
            let _ = sys::delete(self.outer_fd.as_fd(), &(index as u32));
            let _ = fs::remove_file(directory.join(index.to_string()));
        }
        self.pins = Some(directory);
        Ok(())
    }

    /// The bank that is pinned by this number, if it is in the outer map under it.
    fn pinned(&self, directory: &Path, index: usize) -> Option<MapData> {
        let there: u32 = sys::lookup(self.outer_fd.as_fd(), &(index as u32), 0).ok()?;
        let map = sys::open_pin(&directory.join(index.to_string())).ok()?;
        let map = MapData::from_fd(map).ok()?;
        let info = map.info().ok()?;
        let fits = info.id() == there
            && info.value_size() == SLAB_BYTES as u32
            && info.max_entries() == BANK_SLABS
            && info.map_flags() == MMAPABLE;
        fits.then_some(map)
    }

    /// A bank that cannot be pinned is as good as any, until the daemon ends.
    fn pin(&mut self, bank: &Bank) {
        let Some(directory) = &self.pins else {
            return;
        };
        let path = directory.join(self.banks.len().to_string());
        if let Err(error) = sys::pin(bank.map.fd().as_fd(), &path)
            && !std::mem::replace(&mut self.warned_unpinned, true)
        {
            tracing::warn!(event = "kernel.bank_unpinned", %error, path = %path.display(), "what lies in this bank of slabs ends with the daemon");
        }
    }
}

impl Bank {
    fn open(map: MapData) -> Result<Self, Error> {
        let length = std::num::NonZeroUsize::new(BANK_BYTES).expect("a bank has bytes");
        // SAFETY: a new shared mapping of a map that was created to be mapped; nothing else is at
        // that address.
        let memory = unsafe {
            mmap(
                None,
                length,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED,
                map.fd().as_fd(),
                0,
            )
        }
        .map_err(|errno| Error::Mmap(errno.into()))?
        .cast();
        Ok(Self { map, memory })
    }
}

impl Banks for KernelBanks {
    type Error = Error;

    fn add(&mut self) -> Result<(), Error> {
        let descriptor = sys::create_array(SLAB_BYTES as u32, BANK_SLABS, MMAPABLE)
            .map_err(|error| Error::map("SLABS", "extended by a bank", error))?;
        let map = MapData::from_fd(descriptor)
            .map_err(|error| Error::map("SLABS", "extended by a bank", error))?;
        let bank = Bank::open(map)?;
        // First pinned, then used: nothing that is served lies in a bank that nobody finds again.
        self.pin(&bank);
        let index = u32::try_from(self.banks.len()).expect("banks are bounded by the outer map");
        self.outer
            .set(index, &bank.map, 0)
            .map_err(|error| Error::map("SLABS", "extended by a bank", error))?;
        self.banks.push(bank);
        Ok(())
    }

    fn remove(&mut self) {
        if self.banks.pop().is_none() {
            return;
        }
        // An empty bank that stays in the outer map costs memory, but is never read.
        if let Err(error) = sys::delete(self.outer_fd.as_fd(), &(self.banks.len() as u32)) {
            tracing::warn!(event = "kernel.bank_kept", %error, "an empty bank of slabs could not be given back");
        }
        if let Some(directory) = &self.pins {
            // One that is left is taken for what it is by whoever adopts the others.
            let _ = fs::remove_file(directory.join(self.banks.len().to_string()));
        }
    }

    fn count(&self) -> usize {
        self.banks.len()
    }

    fn memory(&self, bank: usize) -> &[u8] {
        // SAFETY: the mapping has this length and lives as long as the bank; the kernel only reads
        // it, and we write it under `&mut self` only.
        unsafe { std::slice::from_raw_parts(self.banks[bank].memory.as_ptr(), BANK_BYTES) }
    }

    fn memory_mut(&mut self, bank: usize) -> &mut [u8] {
        // SAFETY: as above; `&mut self` makes us the only writer. The kernel program may read while
        // we write, but never what it was not yet told of.
        unsafe { std::slice::from_raw_parts_mut(self.banks[bank].memory.as_ptr(), BANK_BYTES) }
    }
}
