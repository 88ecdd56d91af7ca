//! The stream of one reader.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use super::row::unix_seconds;
use super::{Filter, Row, Slot};
use crate::inventory::{DeviceName, Protocol};
use crate::register::{Change, Departure, Directory, Registration, Table};

/// A reader that hears nothing for longer than this has lost the daemon.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// One line of the stream; see [`super`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Resync,
    Registered {
        registration: Row,
    },
    Synced {
        registrations: u64,
    },
    Moved {
        registration: Row,
    },
    Left {
        device: DeviceName,
        protocol: Protocol,
        reason: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<u8>,
    },
    Heartbeat {
        time: u64,
    },
}

/// What a reader gets, a piece at a time, as fast as it asks. It holds a page of the table at most.
pub struct Feed {
    table: Arc<Table>,
    directory: Arc<Directory>,
    filter: Filter,
    changes: Receiver<Change>,
    /// The page to read next; none once all have been told.
    page: Option<usize>,
    told: u64,
    pub(super) heartbeat: Duration,
    _slot: Slot,
}

impl Feed {
    pub(super) fn new(
        table: Arc<Table>,
        directory: Arc<Directory>,
        filter: Filter,
        slot: Slot,
    ) -> Self {
        Self {
            changes: table.changes(),
            table,
            directory,
            filter,
            page: Some(0),
            told: 0,
            heartbeat: HEARTBEAT,
            _slot: slot,
        }
    }

    /// The next events: at least one, a page of the table at most. Waits for a change that is
    /// something to this reader, or [`HEARTBEAT`]: what happens to others keeps nobody from hearing
    /// that the daemon is there.
    pub async fn next(&mut self) -> Vec<Event> {
        if let Some(page) = self.page {
            return self.sync(page);
        }
        let silent_until = Instant::now() + self.heartbeat;
        loop {
            match timeout_at(silent_until, self.changes.recv()).await {
                Ok(Ok(change)) => {
                    if let Some(event) = self.event(change) {
                        return vec![event];
                    }
                }
                Ok(Err(RecvError::Lagged(lost))) => {
                    tracing::debug!(lost, "a reader of the registrations was too slow");
                    return self.begin_anew();
                }
                // The table is gone, and with it the daemon.
                Ok(Err(RecvError::Closed)) | Err(_) => {
                    let time = unix_seconds(SystemTime::now());
                    return vec![Event::Heartbeat { time }];
                }
            }
        }
    }

    fn begin_anew(&mut self) -> Vec<Event> {
        // All that is in the queue happened before the pages are read.
        self.changes = self.table.changes();
        self.told = 0;
        self.sync(0)
    }

    fn sync(&mut self, page: usize) -> Vec<Event> {
        let mut events = Vec::new();
        if page == 0 {
            events.push(Event::Resync);
        }
        match self.table.page(page) {
            Some(registrations) => {
                let rows = registrations.iter().filter_map(|it| self.row(it));
                let rows = rows.map(|registration| Event::Registered { registration });
                let before = events.len();
                events.extend(rows);
                self.told += (events.len() - before) as u64;
                self.page = Some(page + 1);
                match events.is_empty() {
                    true => self.sync(page + 1),
                    false => events,
                }
            }
            None => {
                self.page = None;
                let registrations = self.told;
                events.push(Event::Synced { registrations });
                events
            }
        }
    }

    fn row(&self, registration: &Registration) -> Option<Row> {
        let snapshot = self.directory.snapshot();
        let row = Row::new(registration, snapshot.as_deref());
        self.filter.takes(&row).then_some(row)
    }

    /// Of a device that is not in the inventory any more nobody can tell the site and the lines:
    /// whoever asked for some of them may have been told of it.
    fn row_of_unknown(&self, registration: &Registration) -> Option<Row> {
        if self.directory.device(&registration.device).is_some() {
            return None;
        }
        let row = Row::new(registration, None);
        let filter = Filter {
            site: None,
            line: None,
            ..self.filter.clone()
        };
        filter.takes(&row).then_some(row)
    }

    /// None if it is nothing to this reader.
    fn event(&self, change: Change) -> Option<Event> {
        let left = |was: &Registration, reason: &str, cause| Event::Left {
            device: was.device,
            protocol: was.protocol,
            reason: reason.to_owned(),
            cause,
        };
        match change {
            Change::New(now) => {
                let registration = self.row(&now)?;
                Some(Event::Registered { registration })
            }
            Change::Moved { before, now } => match (self.row(&before), self.row(&now)) {
                (Some(_), Some(registration)) => Some(Event::Moved { registration }),
                (None, Some(registration)) => Some(Event::Registered { registration }),
                (Some(_), None) => Some(left(&before, "filtered", None)),
                (None, None) => None,
            },
            Change::Left { was, why } => {
                self.row(&was).or_else(|| self.row_of_unknown(&was))?;
                Some(left(&was, Departure::as_str(why), Some(why.cause_code())))
            }
        }
    }
}
