//! What all sessions share.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::Settings;
use super::connections::Connections;
use super::counters::Counters;
use crate::clock::Reading;
use crate::live::Live;
use crate::register::Desk;

/// One moment on all clocks: deadlines of a session are of the first, what people read is of the
/// second, and what the table keeps of the third; see [`crate::clock`].
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub instant: Instant,
    pub wall: SystemTime,
    pub steady: SystemTime,
}

impl Moment {
    pub fn now() -> Self {
        let Reading { wall, steady } = Reading::now();
        Self {
            instant: Instant::now(),
            wall,
            steady,
        }
    }
}

pub struct Registrar {
    pub(super) settings: Live<Settings>,
    pub(super) desk: Arc<Desk>,
    pub(super) counters: Counters,
    pub(super) connections: Connections,
}

impl Registrar {
    pub fn new(settings: impl Into<Live<Settings>>, desk: Arc<Desk>) -> Self {
        Self {
            settings: settings.into(),
            desk,
            counters: Counters::default(),
            connections: Connections::default(),
        }
    }
}
