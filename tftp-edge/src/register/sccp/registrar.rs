//! What all sessions share.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::Settings;
use super::connections::Connections;
use super::counters::Counters;
use crate::register::Desk;

/// One moment on both clocks: deadlines are of one, what people read of the other.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub instant: Instant,
    pub wall: SystemTime,
}

impl Moment {
    pub fn now() -> Self {
        Self {
            instant: Instant::now(),
            wall: SystemTime::now(),
        }
    }
}

pub struct Registrar {
    pub(super) settings: Settings,
    pub(super) desk: Arc<Desk>,
    pub(super) counters: Counters,
    pub(super) connections: Connections,
}

impl Registrar {
    pub fn new(settings: &Settings, desk: Arc<Desk>) -> Self {
        Self {
            settings: settings.clone(),
            desk,
            counters: Counters::default(),
            connections: Connections::default(),
        }
    }
}
