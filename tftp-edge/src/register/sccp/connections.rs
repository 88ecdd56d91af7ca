//! The connections there are, and how they are told something from outside.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::register::{ConnectionId, NotSent, Order};

/// Maps that are locked apart from each other.
const SHARDS: usize = 16;

/// What a connection is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Letter {
    /// Its phone has registered over another one.
    Superseded,
    Order(Order),
}

impl Letter {
    const ALL: [Self; 4] = [
        Self::Superseded,
        Self::Order(Order::Reset),
        Self::Order(Order::Restart),
        Self::Order(Order::ApplyConfig),
    ];

    const fn bit(self) -> u8 {
        match self {
            Self::Superseded => 1,
            Self::Order(Order::Reset) => 2,
            Self::Order(Order::Restart) => 4,
            Self::Order(Order::ApplyConfig) => 8,
        }
    }
}

/// What waits to be told to a connection. The same thing twice is told once.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    letters: AtomicU8,
    is_blocked: AtomicBool,
    notify: Notify,
}

impl Mailbox {
    fn put(&self, letter: Letter) {
        self.letters.fetch_or(letter.bit(), Ordering::Release);
        self.notify.notify_one();
    }

    pub(super) async fn arrived(&self) {
        self.notify.notified().await;
    }

    /// All that waits; the first of them matters most.
    pub(super) fn take(&self) -> impl Iterator<Item = Letter> {
        let letters = self.letters.swap(0, Ordering::Acquire);
        let waits = move |letter: &Letter| letters & letter.bit() != 0;
        Letter::ALL.into_iter().filter(waits)
    }

    /// Whether its phone takes nothing at the moment.
    pub(super) fn set_blocked(&self, is_blocked: bool) {
        self.is_blocked.store(is_blocked, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
pub(super) struct Connections {
    last: AtomicU64,
    shards: [Mutex<HashMap<ConnectionId, Arc<Mailbox>>>; SHARDS],
}

impl Connections {
    pub(super) fn open(&self) -> (ConnectionId, Arc<Mailbox>) {
        let id = ConnectionId(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        let mailbox = Arc::new(Mailbox::default());
        self.shard(id).lock().insert(id, Arc::clone(&mailbox));
        (id, mailbox)
    }

    pub(super) fn close(&self, id: ConnectionId) {
        self.shard(id).lock().remove(&id);
    }

    pub(super) fn is_open(&self, id: ConnectionId) -> bool {
        self.shard(id).lock().contains_key(&id)
    }

    pub(super) fn supersede(&self, id: ConnectionId) {
        if let Some(mailbox) = self.shard(id).lock().get(&id) {
            mailbox.put(Letter::Superseded);
        }
    }

    pub(super) fn order(&self, id: ConnectionId, order: Order) -> Result<(), NotSent> {
        let shard = self.shard(id).lock();
        let mailbox = shard.get(&id).ok_or(NotSent::NotConnected)?;
        if mailbox.is_blocked.load(Ordering::Relaxed) {
            return Err(NotSent::Busy);
        }
        mailbox.put(Letter::Order(order));
        Ok(())
    }

    fn shard(
        &self,
        ConnectionId(number): ConnectionId,
    ) -> &Mutex<HashMap<ConnectionId, Arc<Mailbox>>> {
        &self.shards[number as usize % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_reach_open_connections_that_are_not_blocked() {
        let connections = Connections::default();
        let (id, mailbox) = connections.open();
        let (other, _) = connections.open();
        assert_ne!(id, other);
        assert_eq!(connections.order(id, Order::Restart), Ok(()));
        assert_eq!(connections.order(id, Order::Restart), Ok(()));
        connections.supersede(id);
        let letters: Vec<_> = mailbox.take().collect();
        assert_eq!(letters, [Letter::Superseded, Letter::Order(Order::Restart)]);
        assert_eq!(mailbox.take().count(), 0);
        mailbox.set_blocked(true);
        assert_eq!(connections.order(id, Order::Reset), Err(NotSent::Busy));
        connections.close(id);
        assert!(!connections.is_open(id));
        assert_eq!(
            connections.order(id, Order::Reset),
            Err(NotSent::NotConnected)
        );
    }
}
