//! How many connections there may be, in all and from one source.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use parking_lot::Mutex;
use tftp_ebpf::abi::Source;

use crate::recent::source_of;

/// Why there is no place for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// All are taken.
    Connections,
    /// The source has as many as it may have.
    Source,
}

/// The places there are.
#[derive(Debug)]
pub(crate) struct Admission {
    connections: usize,
    per_source: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    /// As many entries as connections at most.
    sources: HashMap<Source, usize>,
}

/// A connection's place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    source: Source,
}

impl Admission {
    pub(crate) fn new(connections: usize, per_source: usize) -> Arc<Self> {
        Arc::new(Self {
            connections,
            per_source,
            held: Mutex::default(),
        })
    }

    pub(crate) fn limit(&self) -> usize {
        self.connections
    }

    pub(crate) fn take(self: &Arc<Self>, client: IpAddr) -> Result<Place, Full> {
        let source = source_of(client);
        let mut held = self.held.lock();
        if held.all >= self.connections {
            return Err(Full::Connections);
        }
        let of_source = held.sources.get(&source).copied().unwrap_or(0);
        if of_source >= self.per_source {
            return Err(Full::Source);
        }
        held.all += 1;
        held.sources.insert(source, of_source + 1);
        Ok(Place {
            admission: Arc::clone(self),
            source,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.admission.held.lock();
        held.all -= 1;
        if let Some(of_source) = held.sources.get_mut(&self.source) {
            *of_source -= 1;
            if *of_source == 0 {
                held.sources.remove(&self.source);
            }
        }
    }
}

/// As many connections as are wanted, if the system has descriptors for them beside `others`, which
/// the rest of the daemon needs: reading files, and TFTP's sockets, must go on whatever happens.
/// `key` is the setting that wants them. Two servers that ask one after the other may still be
/// promised the same descriptors, so each keeps room for the other in `others`.
pub(crate) fn connections_allowed(wanted: usize, others: u64, key: &'static str) -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return wanted;
    };
    let needed = wanted as u64 + others;
    let limit = match soft < needed {
        true => {
            let raised = needed.min(hard);
            setrlimit(Resource::RLIMIT_NOFILE, raised, hard).map_or(soft, |()| raised)
        }
        false => soft,
    };
    let left = limit.saturating_sub(others);
    // A quarter, where the limit is so low that less than that would be left.
    let allowed = left.max(limit / 4).min(wanted as u64) as usize;
    if allowed < wanted {
        tracing::warn!(
            allowed,
            wanted,
            "fewer connections than {key}: the system allows {hard} open files; raise LimitNOFILE \
             to {needed}"
        );
    }
    allowed.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_place_that_is_given_back_can_be_taken_again() {
        let admission = Admission::new(2, 2);
        let first = admission.take(ip("10.0.0.1")).unwrap();
        let _second = admission.take(ip("10.0.0.2")).unwrap();
        let full = admission.take(ip("10.0.0.3")).unwrap_err();
        assert_eq!(full, Full::Connections);
        drop(first);
        assert!(admission.take(ip("10.0.0.3")).is_ok());
    }

    #[test]
    fn one_source_cannot_take_all_places() {
        let admission = Admission::new(10, 2);
        let _held = [(); 2].map(|()| admission.take(ip("10.0.0.1")).unwrap());
        // The same address, as an IPv6 socket would name it.
        let over = admission.take(ip("::ffff:10.0.0.1")).unwrap_err();
        assert_eq!(over, Full::Source);
        assert!(admission.take(ip("10.0.0.2")).is_ok());
    }

    #[test]
    fn sources_without_connections_take_no_memory() {
        let admission = Admission::new(10, 10);
        for last in 0..100 {
            drop(admission.take(IpAddr::from([10, 0, 0, last])).unwrap());
        }
        assert!(admission.held.lock().sources.is_empty());
    }
}
