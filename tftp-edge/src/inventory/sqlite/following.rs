//! The database as the daemon has it: it may be unusable at any time, and come back.

use std::path::Path;
use std::time::Duration;

use super::super::{
    Change, Contents, DeviceName, Entry, HistoryQuery, HistorySettings, Origin, Scope, Settings,
    Store, StoreError,
};
use super::SqliteStore;

/// How long the daemon waits for whoever has the database: it asks again soon, and its end is not to
/// wait for long.
const BUSY: Duration = Duration::from_secs(2);

/// A database that is opened when it is wanted, and anew after it failed.
pub struct Following {
    settings: Settings,
    open: Option<SqliteStore>,
}

impl Following {
    pub fn new(settings: &Settings) -> Self {
        Self {
            settings: settings.clone(),
            open: None,
        }
    }

    fn with<T>(
        &mut self,
        act: impl FnOnce(&mut SqliteStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Settings {
            database, history, ..
        } = &self.settings;
        let mut store = match self.open.take() {
            Some(store) => store,
            None => opened(database, *history)?,
        };
        let done = act(&mut store);
        // What a connection remembers of a file that failed is worth nothing. A row that nobody
        // understands is no fault of it.
        if matches!(done, Ok(_) | Err(StoreError::Row { .. })) {
            self.open = Some(store);
        }
        done
    }
}

fn opened(path: &Path, history: HistorySettings) -> Result<SqliteStore, StoreError> {
    Ok(SqliteStore::open_waiting(path, BUSY)?.keeping(history))
}

impl Store for Following {
    fn read(&mut self) -> Result<Contents, StoreError> {
        self.with(SqliteStore::read)
    }

    fn changed(&mut self) -> Result<bool, StoreError> {
        self.with(SqliteStore::changed)
    }

    fn edit(
        &mut self,
        scope: Scope<'_>,
        origin: &Origin,
        edit: &mut dyn FnMut(Contents) -> Vec<Change>,
    ) -> Result<Vec<Change>, StoreError> {
        self.with(|store| store.edit(scope, origin, edit))
    }

    fn history(&mut self, query: &HistoryQuery) -> Result<Vec<Entry>, StoreError> {
        self.with(|store| store.history(query))
    }

    fn copy_to(&mut self, path: &Path) -> Result<(), StoreError> {
        self.with(|store| store.copy_to(path))
    }

    fn set_windows(
        &mut self,
        devices: &[DeviceName],
        until: Option<u64>,
    ) -> Result<(), StoreError> {
        self.with(|store| store.set_windows(devices, until))
    }
}
