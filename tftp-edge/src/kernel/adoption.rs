//! Makes what the daemon before has left that of this one, while the programs serve from it.
//!
//! What is new comes first, and then what is not to be there any more goes: nobody who may ask is
//! refused in between, and nothing that is served stops being so.

use std::collections::BTreeSet;
use std::os::fd::{AsFd as _, BorrowedFd};

use tftp_ebpf::abi::trace::TRACE_SLOTS;
use tftp_ebpf::abi::{Address, FileEntry, Policy, Transfer, TransferKey};
use tftp_ebpf::name::KEY_LEN;

use super::directory::Directory;
use super::engine::{BATCH, KernelFiles};
use super::error::Error;
use super::object::{KernelBanks, Object, Traces};
use super::pins::{self, Pins};
use super::settings::Settings;
use super::sys;

/// The programs with the maps that were left, if those are what this daemon would make.
///
/// # Errors
/// Why they are not.
pub(super) fn load(
    settings: &Settings,
    sizes: super::object::Sizes,
    pins: &Pins,
) -> Result<Object, String> {
    let shapes = Object::shapes(settings, sizes).map_err(|error| error.to_string())?;
    pins::fits(pins, &shapes)?;
    pins.create().map_err(|error| error.to_string())?;
    let loaded = Object::load_with(settings, sizes, Some(&pins.maps()));
    let mut object = loaded.map_err(|error| error.to_string())?;
    let before = object.policy.get(&0, 0);
    let before = before.map_err(|error| error.to_string())?;
    let ports = settings.tid_ports;
    if (before.tid_first, before.tid_count) != (ports.first, ports.count()) {
        return Err("kernel.tid_ports is another: transfers that run have the ports before".into());
    }
    let banks = object.banks.adopt(pins.banks());
    banks.map_err(|error| error.to_string())?;
    Ok(object)
}

/// The policy of the settings, with what must not change while phones are served: the ports that
/// transfers have, and that they are served at all.
pub(super) fn carried_over(policy: Policy, before: &Policy, is_silent: bool) -> Policy {
    Policy {
        enabled: if is_silent { 0 } else { before.enabled },
        tid_secret: before.tid_secret,
        // What it lacks, the directory that was left lacks still.
        is_partial: before.is_partial,
        ..policy
    }
}

/// Nobody reads any more what a dead daemon's traces want to be told.
pub(super) fn end_traces(traces: &mut Traces) {
    let there: Vec<Address> = traces.traced.keys().filter_map(Result::ok).collect();
    for address in there {
        let _ = traces.traced.remove(&address);
    }
    for slot in 0..TRACE_SLOTS as u32 {
        // Most are empty.
        let _ = sys::delete(traces.rings.as_fd(), &slot);
    }
}

/// Takes over what was published, and what live transfers read. Returns how many entries and
/// transfers made no sense and were removed.
pub(super) fn take_over(
    directory: &mut Directory<KernelFiles, KernelBanks>,
    files: BorrowedFd<'_>,
    transfers: BorrowedFd<'_>,
) -> Result<usize, Error> {
    let mut entries = Vec::new();
    let mut batch = sys::Batch::new(BATCH, [0; KEY_LEN], FileEntry::default());
    sys::for_each(files, &mut batch, |key, entry| entries.push((*key, *entry)))
        .map_err(|error| Error::map("FILES", "read", error))?;
    let mut removed = directory.adopt(entries);

    // After the entries: none begins any more at one that was removed.
    let mut reading = BTreeSet::new();
    let mut running = Vec::new();
    let mut batch = sys::Batch::new(BATCH, TransferKey::default(), Transfer::EMPTY);
    sys::for_each(transfers, &mut batch, |key, transfer| {
        reading.insert((transfer.position, u64::from(transfer.length)));
        running.push((*key, transfer.position, transfer.length));
        directory.reserve_id(transfer.file_id);
    })
    .map_err(|error| Error::map("TRANSFERS", "read", error))?;
    let lost = directory.adopt_transfers(&reading);
    for (key, position, length) in running {
        if length > 0 && lost.contains(&position) && sys::delete(transfers, &key).is_ok() {
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::policy::policy;
    use crate::tftp;

    #[test]
    fn ports_of_transfers_and_being_served_outlive_the_daemon() {
        let new = || policy(&Settings::default(), &tftp::Settings::default());
        let before = Policy {
            enabled: 1,
            is_partial: 1,
            resend_after_ns: 7,
            ..new()
        };
        let after = carried_over(new(), &before, false);
        assert_eq!((after.enabled, after.is_partial), (1, 1));
        assert_eq!(after.tid_secret, before.tid_secret);
        assert_ne!(after.resend_after_ns, 7, "the settings are the new ones");
        assert_eq!(carried_over(new(), &before, true).enabled, 0);
    }
}
