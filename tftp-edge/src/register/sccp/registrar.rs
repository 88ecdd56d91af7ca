//! What all sessions share.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::Settings;
use super::connections::Connections;
use super::counters::Counters;
use crate::live::Live;
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
    pub(super) settings: Live<Settings>,
    pub(super) desk: Arc<Desk>,
    pub(super) counters: Counters,
    pub(super) connections: Connections,
}

impl Registrar {
    pub(super) fn new(settings: impl Into<Live<Settings>>, desk: Arc<Desk>) -> Self {
        Self {
            settings: settings.into(),
            desk,
            counters: Counters::default(),
            connections: Connections::default(),
        }
    }
}
