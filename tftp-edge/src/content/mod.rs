//! What a name stands for: files on disk, generated files, and names that are known to be absent.
//!
//! [`Library`] is the catalog of a site. What it says to a name, in this order:
//! 1. a file beneath the root, by its exact spelling if several differ only in case, else the
//!    first of them in byte order. So an operator overrides any generated file;
//! 2. a file generated from the inventory, laid out by a template if there is one for it (the
//!    configuration of a device, the defaults, dial plans, soft keys and feature policies), or a
//!    list of the rings and pictures that lie on disk ([`Media`]);
//! 3. refused, if there is something that must not be served;
//! 4. what an [`upstream`] server has under that name, if there are any;
//! 5. absent. Of some names that is known beforehand, since phones ask for them in vain: optional
//!    rules and tones, and the trust lists of all devices, whether there is such a device or not. Of
//!    the configuration of a device that was removed, or never was, nothing is known anywhere: both
//!    take the same way to the same answer.
//!
//! Before all that, what belongs to a device whose provisioning window is closed is as absent as if
//! nobody knew the device. `XMLDefault.cnf.xml` is for phones whose site takes in unknown ones.
//!
//! Whoever holds a [`Version`] keeps it whole, whatever happens to the file.

mod by_site;
mod byte_size;
mod curator;
mod generated;
mod library;
mod loader;
mod media;
mod regeneration;
mod root;
mod settings;
mod survey;
mod table;
mod tree;
pub mod upstream;
mod watch;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use tftp_ebpf::stage::Stage;

use crate::inventory::Snapshot;
pub use byte_size::{ByteSize, ByteSizeError};
pub use generated::OPTIONAL;
pub use library::{Counts, Library, Regeneration};
pub use media::{Heads, Media, Remark};
pub use regeneration::{Cause, Regenerations};
pub use settings::{ContentError, Settings};
pub use survey::{OnDisk, Survey};
pub use upstream::Forwarders;

/// One immutable version of one file. A transfer keeps the version it began with.
#[derive(Clone)]
pub struct Version {
    /// Normalised: lower case, `/` between segments.
    pub name: Arc<str>,
    pub stage: Stage,
    /// Grows with every change of any file; never used twice.
    pub generation: u64,
    /// When it took the place of what was there before.
    pub published: SystemTime,
    pub bytes: Bytes,
}

impl fmt::Debug for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Version")
            .field("name", &self.name)
            .field("generation", &self.generation)
            .field("len", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// What the catalog says to a requested name.
#[derive(Clone, Debug)]
pub enum Lookup {
    Found(Arc<Version>),
    /// The file is there but not in memory, or may be upstream; [`Catalog::when_ready`] has it
    /// read or fetched and tells when to ask again. If the answer is the same then, there is no
    /// room for it at the moment, or no upstream server answers: the client had better ask again
    /// later.
    Loading,
    /// There is no such file: ERROR 1.
    Absent,
    /// There is something under that name that must not be served (a directory, a device, a file
    /// that cannot be read, a link out of the root, a name with dot segments): ERROR 2.
    Refused,
}

impl Lookup {
    /// For the log.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Found(_) => "found",
            Self::Loading => "loading",
            Self::Absent => "absent",
            Self::Refused => "refused",
        }
    }
}

/// One request for a name, over whatever protocol.
#[derive(Clone, Copy, Debug)]
pub struct Query<'n> {
    /// The name as the client wrote it.
    pub name: &'n [u8],
    /// Who asks: some names are another file in another site.
    pub client: IpAddr,
    /// Another edge asks on behalf of its own client: it gets what is on disk or generated here, and
    /// nothing is asked of a third. See [`Catalog::forwarders`].
    pub forwarded: bool,
}

impl<'n> Query<'n> {
    pub const fn new(name: &'n [u8], client: IpAddr) -> Self {
        Self {
            name,
            client,
            forwarded: false,
        }
    }

    pub const fn forwarded(self, forwarded: bool) -> Self {
        Self { forwarded, ..self }
    }
}

/// Answers names. Implementations never block: they are asked from the packet loops.
pub trait Catalog: Send + Sync + 'static {
    fn lookup(&self, query: Query<'_>) -> Lookup;

    /// After [`Lookup::Loading`]: has the file read, and runs `wake` once, from any thread, when
    /// the answer has changed or cannot change at the moment.
    fn when_ready(&self, query: Query<'_>, wake: Box<dyn FnOnce() + Send>);

    /// Tells which requests have [`Query::forwarded`] set.
    fn forwarders(&self) -> &Forwarders {
        const { &Forwarders::unknown() }
    }

    /// The names of a stage that can be found, normalised, in no order. It takes its time. None
    /// from a catalog that cannot tell.
    fn names(&self, stage: Stage) -> Vec<Arc<str>> {
        let _ = stage;
        Vec::new()
    }
}

/// What a name has become.
#[derive(Clone, Debug)]
pub enum State {
    /// There is a new version, in memory.
    Published(Arc<Version>),
    /// The file exists but only on disk (large firmware nobody has asked for yet).
    OnDisk,
    /// The name is known to be absent: worth an ERROR 1 without asking further.
    Absent,
    /// Nothing is known about the name any more.
    Forgotten,
}

#[derive(Clone, Debug)]
pub struct Change {
    /// Normalised.
    pub name: Arc<str>,
    pub stage: Stage,
    pub state: State,
}

/// Hears of every change, in order; the kernel's cache is one. Called from one thread at a time.
pub trait Listener: Send + Sync + 'static {
    fn changed(&self, changes: &[Change]);

    /// All changes so far have been handed out: the content is complete.
    fn settled(&self) {}

    /// The files on disk are others.
    fn surveyed(&self, _survey: &Arc<Survey>) {}

    /// The inventory is another; its files are about to change.
    fn inventory_changed(&self, _snapshot: &Arc<Snapshot>) {}
}

#[cfg(test)]
mod tests;
