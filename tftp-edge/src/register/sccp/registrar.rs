//! What all sessions share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use parking_lot::Mutex;

use super::Settings;
use super::alarm_log::AlarmLog;
use super::connections::Connections;
use super::counters::Counters;
use crate::register::Desk;

/// One moment on both clocks: deadlines are of one, what people read of the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) instant: Instant,
    pub(super) wall: SystemTime,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self {
            instant: Instant::now(),
            wall: SystemTime::now(),
        }
    }
}

pub(super) struct Registrar {
    pub(super) settings: Settings,
    pub(super) desk: Arc<Desk>,
    pub(super) counters: Counters,
    pub(super) alarms: AlarmLog,
    pub(super) connections: Connections,
    /// How many phones are registered from each address: the guard is told of the first and the
    /// last. As many entries as registrations at most.
    sources: Mutex<HashMap<IpAddr, usize>>,
}

impl Registrar {
    pub(super) fn new(settings: &Settings, desk: Arc<Desk>) -> Self {
        Self {
            settings: settings.clone(),
            desk,
            counters: Counters::default(),
            alarms: AlarmLog::default(),
            connections: Connections::default(),
            sources: Mutex::default(),
        }
    }

    pub(super) fn source_has_phone(&self, source: IpAddr) {
        *self.sources.lock().entry(source).or_default() += 1;
        self.desk.guard.registered(source);
    }

    pub(super) fn source_lost_phone(&self, source: IpAddr) {
        let mut sources = self.sources.lock();
        if let Some(phones) = sources.get_mut(&source) {
            *phones -= 1;
            if *phones == 0 {
                sources.remove(&source);
                self.desk.guard.left(source);
            }
        }
    }
}
