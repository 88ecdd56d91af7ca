//! What phones would be given now.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::content::{Catalog, Lookup, Query};

/// Looks files up for a diagnosis, as if the phone at an address asked. Nobody hears of it: it is
/// neither counted nor asked of anybody else.
pub trait Served: Send + Sync {
    fn file(&self, name: &str, client: IpAddr) -> Held;
}

/// What there is under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    Bytes(Bytes),
    /// It is there, and not in memory.
    OnDisk,
    Refused,
    Absent,
    /// An upstream server may have it.
    Elsewhere,
}

impl Held {
    /// It is not here, and nobody else is asked for it.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// The catalog that phones are served from.
pub struct FromCatalog {
    pub catalog: Arc<dyn Catalog>,
    /// Upstream servers are asked for what is not here.
    pub has_upstream: bool,
}

impl Served for FromCatalog {
    fn file(&self, name: &str, client: IpAddr) -> Held {
        // As for another edge: nothing is asked of a third, and no knock is noted.
        let query = Query::new(name.as_bytes(), client).forwarded(true);
        match self.catalog.lookup(query) {
            Lookup::Found(version) => Held::Bytes(version.bytes.clone()),
            Lookup::Loading => Held::OnDisk,
            Lookup::Refused => Held::Refused,
            Lookup::Absent if self.has_upstream => Held::Elsewhere,
            Lookup::Absent => Held::Absent,
        }
    }
}
