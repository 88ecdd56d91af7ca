//! The parts of the daemon that run.

use std::fmt;

/// What has been started, in order. Dropping it stops the parts in reverse, so that no part ever
/// runs without one it depends on; this is also the way out when a later part does not start.
#[derive(Default)]
pub struct Parts {
    started: Vec<Part>,
    keeping: Vec<Box<dyn Fn(bool) + Send>>,
}

struct Part {
    name: &'static str,
    stop: Box<dyn FnOnce() + Send>,
}

impl Parts {
    /// A part that stops when it is dropped.
    pub fn push(&mut self, name: &'static str, part: impl Send + 'static) {
        self.push_with(name, move || drop(part));
    }

    /// A part with its own way to stop.
    pub fn push_with(&mut self, name: &'static str, stop: impl FnOnce() + Send + 'static) {
        let stop = Box::new(stop);
        self.started.push(Part { name, stop });
    }

    /// A part that is told whether to leave something in place for the daemon that comes next.
    pub fn on_keep(&mut self, keep: impl Fn(bool) + Send + 'static) {
        self.keeping.push(Box::new(keep));
    }

    /// Whether the next daemon is to find what these parts can leave to it.
    pub fn keep(&self, is_kept: bool) {
        self.keeping.iter().for_each(|keep| keep(is_kept));
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        while let Some(Part { name, stop }) = self.started.pop() {
            stop();
            tracing::debug!(part = name, "stopped");
        }
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.started.iter().map(|part| part.name);
        formatter.debug_list().entries(names).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn parts_stop_in_reverse_order() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut parts = Parts::default();
        for name in ["kernel", "content", "sockets"] {
            let order = Arc::clone(&order);
            parts.push_with(name, move || order.lock().unwrap().push(name));
        }
        drop(parts);
        assert_eq!(*order.lock().unwrap(), ["sockets", "content", "kernel"]);
    }
}
