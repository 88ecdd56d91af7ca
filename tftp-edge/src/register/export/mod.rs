//! The table for others: PBXs, billing, people.
//!
//! # A registration
//!
//! ```json
//! {"device":"SEP001122334455","protocol":"sip","transport":"tcp","address":"10.1.2.3","port":50123,
//!  "lines":[{"number":"1001","contact":"sip:1001@10.1.2.3:50123;transport=tcp"}],
//!  "site":"berlin","model":"8851","load":"sip88xx.14-1-1-0001-125",
//!  "since":1790000000,"expires":1790003600,"connected":true}
//! ```
//!
//! Times are Unix seconds. `lines` holds the lines of the phone with what reaches each: for SIP the
//! contact it registered, and where it registered one for all of its lines, that contact for each
//! of them; for SCCP no contact, since all are reached over the phone's connection. `model` and
//! `load` are there if they are known. `connected` is false for a phone that was restored after a
//! restart of the daemon and has not come back over its connection yet.
//!
//! # The stream
//!
//! One JSON object a line. It begins with a whole state and goes on with changes:
//!
//! ```text
//! {"event":"resync"}                                forget what you had; a whole state follows
//! {"event":"registered","registration":{…}}         …each, and later each new one
//! {"event":"synced","registrations":2}              that was all of it; changes follow
//! {"event":"moved","registration":{…}}              anything but its times is another one
//! {"event":"left","device":"SEP…","protocol":"sip","reason":"keepalive_timeout","cause":13}
//! {"event":"heartbeat","time":1790000000}           nothing happened for 15 s
//! ```
//!
//! `cause` is the number of CISCO-CCM-MIB, `CcmDevUnregCauseCode`. A refresh is no event: a phone
//! is registered until it has `left`, whatever `expires` was. Between `resync` and `synced` a phone
//! may be told twice, or to have left without having been told; the last word counts. A reader that
//! is slower than the changes gets another `resync` instead of a gap. With a filter, a phone that
//! moves out of it has `left` with the reason `filtered` and no cause.

mod feed;
mod filter;
mod row;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Directory, SHARDS, Table};
use crate::access::Access;
use crate::inventory::DeviceName;
use crate::live::Live;
pub use feed::{Event, Feed, HEARTBEAT};
pub use filter::{Filter, FilterError};
pub use row::{Line, Row};

/// Readers of the stream at one time, over HTTP and the control socket.
pub const FOLLOWERS: usize = 16;

/// Who is registered, in the form that others read.
#[derive(Debug)]
pub struct Export {
    table: Arc<Table>,
    directory: Arc<Directory>,
    allow: Live<Access>,
    followers: Arc<Semaphore>,
}

impl Default for Export {
    /// Of an empty table.
    fn default() -> Self {
        let nobody = Access::from_nets(Vec::new());
        Self::new(Arc::default(), Arc::default(), nobody)
    }
}

impl Export {
    pub fn new(
        table: Arc<Table>,
        directory: Arc<Directory>,
        allow: impl Into<Live<Access>>,
    ) -> Self {
        Self {
            table,
            directory,
            allow: allow.into(),
            followers: Arc::new(Semaphore::new(FOLLOWERS)),
        }
    }

    /// Whether an address may read over HTTP: this host, and those that the settings name.
    pub fn allows(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        client.is_loopback() || self.allow.get().allows(client)
    }

    /// A part of the table, none behind the last one. There are [`SHARDS`]: nobody has to hold all
    /// of it at once.
    pub fn page(&self, at: usize, filter: &Filter) -> Option<Vec<Row>> {
        let page = self.table.page(at)?;
        let snapshot = self.directory.snapshot();
        let rows = page.iter().map(|it| Row::new(it, snapshot.as_deref()));
        Some(rows.filter(|row| filter.takes(row)).collect())
    }

    /// One phone, if it is registered.
    pub fn device(&self, name: &DeviceName) -> Option<Row> {
        let registration = self.table.get(name)?;
        let snapshot = self.directory.snapshot();
        Some(Row::new(&registration, snapshot.as_deref()))
    }

    /// Follows the changes; none if too many do already.
    pub fn follow(&self, filter: Filter) -> Option<Feed> {
        let slot = Arc::clone(&self.followers).try_acquire_owned().ok()?;
        Some(Feed::new(
            Arc::clone(&self.table),
            Arc::clone(&self.directory),
            filter,
            slot,
        ))
    }
}

/// The place of one reader among [`FOLLOWERS`].
type Slot = OwnedSemaphorePermit;

const _: () = assert!(SHARDS > 1, "a page is a part of the table");
