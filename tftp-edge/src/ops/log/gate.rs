//! Decides which events are logged: by level, by whom they are about, and by how often they come.
//!
//! What is off costs nothing: as long as no device is followed, callsites below the level are told
//! "never" once, and from then on are one comparison of a number in memory. With a device followed,
//! those that could be about a device are told "perhaps", and only they look at their fields.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::level::Level;
use super::limit::Limiter;
use super::traced::TracedSet;

/// What is asked for at the moment.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) level: Level,
    /// None if no device is followed.
    pub(super) traced: Option<Arc<TracedSet>>,
}

/// Shared by the gate and by who changes it.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) wanted: ArcSwap<Wanted>,
    pub(super) limiter: Limiter,
    pub(super) started: Instant,
}

impl Rules {
    pub(super) fn new(level: Level) -> Self {
        Self {
            wanted: ArcSwap::from_pointee(Wanted {
                level,
                traced: None,
            }),
            limiter: Limiter::default(),
            started: Instant::now(),
        }
    }

    /// From now on. Callsites are asked anew.
    pub(super) fn want(&self, wanted: Wanted) {
        self.wanted.store(Arc::new(wanted));
        tracing::callsite::rebuild_interest_cache();
    }
}

/// Outermost of the layers: what it does not let through reaches none.
pub(super) struct Gate(pub(super) Arc<Rules>);

/// The target of what libraries write through the `log` crate. Its real target is gone by the time
/// the event is there, and was looked at before.
const FOREIGN: &str = "log";

impl Gate {
    fn may_log(&self, metadata: &Metadata<'_>) -> bool {
        let wanted = self.0.wanted.load();
        // There are no spans of ours; one that was begun in one style of the log could not be
        // written in another.
        !metadata.is_span()
            && (wanted.level.takes(metadata)
                || wanted.traced.is_some() && TracedSet::may_tell(metadata))
    }
}

impl<S: Subscriber> Layer<S> for Gate {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.may_log(metadata) {
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.may_log(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let wanted = self.0.wanted.load();
        Some(match wanted.traced {
            Some(_) => LevelFilter::TRACE,
            None => wanted.level.most(),
        })
    }

    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        let wanted = self.0.wanted.load();
        if let Some(traced) = &wanted.traced
            && metadata.target() != FOREIGN
            && !wanted.level.takes(metadata)
        {
            return traced.takes(event);
        }
        let is_warning = *metadata.level() <= tracing::Level::WARN;
        !is_warning || self.0.limiter.admits(event, self.0.started.elapsed())
    }
}
