//! Settings that may change while the daemon runs.
//!
//! Whoever goes by settings holds a [`Live`] of them and reads it where one piece of work begins: a
//! request, a connection, a registration. So one piece of work goes by one state of the settings to
//! its end, and reading costs a few nanoseconds and no lock. Who changes them is
//! [`crate::edge::reload`] alone, with settings that were checked as a whole before.

use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

/// Makes new settings hold in one part of the daemon, once all parts are ready for them. What it gives
/// back is for whoever asked for the reload to read.
pub type Take = Box<dyn FnOnce() -> Vec<String> + Send>;

/// A value that may be replaced at any time. Cheap to clone; all clones are the same.
pub struct Live<T>(Arc<ArcSwap<T>>);

impl<T> Live<T> {
    pub fn new(value: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(value)))
    }

    /// The value as it is now. To be let go soon: only so many are held at no cost.
    pub fn get(&self) -> Guard<Arc<T>> {
        self.0.load()
    }

    /// The same, to be kept for as long as a piece of work takes.
    pub fn take(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// From now on this holds.
    pub fn set(&self, value: T) {
        self.0.store(Arc::new(value));
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Default> Default for Live<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Live<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(formatter)
    }
}

/// Settings that nobody changes.
impl<T> From<T> for Live<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

/// Settings that nobody changes.
impl<T: Clone> From<&T> for Live<T> {
    fn from(value: &T) -> Self {
        Self::new(value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_hold_it_see_a_change_and_what_was_begun_keeps_what_it_began_with() {
        let live = Live::new(1);
        let (other, begun) = (live.clone(), live.take());
        live.set(2);
        assert_eq!((**other.get(), *begun), (2, 1));
    }
}
