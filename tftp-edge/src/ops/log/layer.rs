//! What lines of the log look like, which may change while the daemon runs.

use std::fmt;

use tracing::Event;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::Context;

use crate::live::Live;

/// Writes events in one style.
pub(super) type Written = Box<dyn tracing_subscriber::Layer<Registry> + Send + Sync>;

/// The style of the moment. Events alone are handed on: the gate lets no spans in.
#[derive(Clone, Default)]
pub(super) struct Layer(Live<Option<Written>>);

impl Layer {
    /// From now on lines are written by this one.
    pub(super) fn set(&self, written: Written) {
        self.0.set(Some(written));
    }
}

impl tracing_subscriber::Layer<Registry> for Layer {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, Registry>) {
        if let Some(written) = &**self.0.get() {
            written.on_event(event, context);
        }
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Layer").finish_non_exhaustive()
    }
}
