//! Reads large files, one after the other, away from the requests and from the other changes.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};

use bytes::Bytes;

use super::root::{Denied, Fingerprint, Root};
use crate::service::capabilities::{Role, settle};

pub(super) struct Order {
    pub(super) name: Arc<str>,
    pub(super) path: PathBuf,
}

pub(super) type Loaded = Result<(Bytes, Fingerprint), Denied>;

/// A thread that works off orders; ends when dropped.
pub(super) struct Loader {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
    life: Weak<()>,
}

impl Loader {
    pub(super) fn start(
        root: Arc<Root>,
        done: impl Fn(Order, Loaded) + Send + 'static,
    ) -> io::Result<Self> {
        let (orders, incoming) = mpsc::channel::<Order>();
        let alive = Arc::new(());
        let life = Arc::downgrade(&alive);
        let work = move || {
            let _alive = alive;
            settle(Role::Plain);
            for order in incoming {
                let loaded = root.read(&order.path);
                done(order, loaded);
            }
        };
        Ok(Self {
            orders: Some(orders),
            thread: Some(thread::Builder::new().name("loader".into()).spawn(work)?),
            life,
        })
    }

    /// For others to see whether the thread is there: it is all that holds this.
    pub(super) fn life(&self) -> Weak<()> {
        self.life.clone()
    }

    pub(super) fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // Fails only when the thread has panicked, which has been printed.
            let _ = orders.send(order);
        }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
