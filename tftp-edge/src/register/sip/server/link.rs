//! One connection as others see it: what waits to be sent over it, and when it was last alive.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use parking_lot::Mutex;

use super::counters::End;
use super::room::Room;
use crate::register::{ConnectionId, NotSent, Transport};

/// What may wait for one phone, in bytes: a dozen answers.
const QUEUE_MAX: usize = 64 << 10;

/// With so much waiting, nothing more is read: who does not take answers gets no new ones.
const BACKED_UP: usize = 16 << 10;

/// See the module. Shared by the task that has the stream, and by whoever has something for it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: ConnectionId,
    pub(super) transport: Transport,
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    room: Arc<Room>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    queue: Vec<u8>,
    /// Of the queue, what was sent already.
    sent: usize,
    /// Of the task, to be woken when there is something to do.
    waker: Option<Waker>,
    end: Option<End>,
    heard: Instant,
    /// Since when nothing of the queue could be sent.
    stalled: Option<Instant>,
    /// Since when the half of a message that is there could have been more.
    inside: Option<Instant>,
}

/// Where what was read ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// With a whole message.
    Whole,
    /// Inside a message that follows one that was ended.
    Next,
    /// Inside the message that it began with.
    Same,
}

/// The times by which a link is judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since {
    pub(super) heard: Instant,
    pub(super) stalled: Option<Instant>,
    pub(super) inside: Option<Instant>,
}

impl Link {
    pub(super) fn new(
        id: ConnectionId,
        transport: Transport,
        (peer, local): (SocketAddr, SocketAddr),
        room: Arc<Room>,
        now: Instant,
    ) -> Self {
        Self {
            id,
            transport,
            peer,
            local,
            room,
            state: Mutex::new(State {
                queue: Vec::new(),
                sent: 0,
                waker: None,
                end: None,
                heard: now,
                stalled: None,
                inside: None,
            }),
        }
    }

    /// Puts a message behind what waits.
    pub(super) fn push(&self, bytes: &[u8]) -> Result<(), NotSent> {
        let mut state = self.state.lock();
        if state.end.is_some() {
            return Err(NotSent::NotConnected);
        }
        if state.queue.len() - state.sent + bytes.len() > QUEUE_MAX {
            return Err(NotSent::Busy);
        }
        let before = state.queue.capacity();
        state.queue.extend_from_slice(bytes);
        if !self.room.resize(before, state.queue.capacity()) {
            state.end = Some(End::Memory);
        }
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
        Ok(())
    }

    /// Ends the connection as soon as its task can.
    pub(super) fn end(&self, end: End) {
        let mut state = self.state.lock();
        state.end.get_or_insert(end);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// Has the task woken when something is pushed from now on. Returns how the connection is to
    /// end, if it is.
    pub(super) fn watch(&self, waker: &Waker) -> Option<End> {
        let mut state = self.state.lock();
        if !state.waker.as_ref().is_some_and(|it| it.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
        state.end
    }

    /// Something was read: how far it went.
    pub(super) fn heard(&self, now: Instant, reach: Reach) {
        let mut state = self.state.lock();
        state.heard = now;
        state.inside = match reach {
            Reach::Whole => None,
            Reach::Next => Some(now),
            Reach::Same => state.inside.or(Some(now)),
        };
    }

    /// Hands what waits to `write`, which says how much of it was taken: 0 is nothing now. Returns
    /// whether all of it was.
    pub(super) fn drain<E>(
        &self,
        now: Instant,
        mut write: impl FnMut(&[u8]) -> Result<usize, E>,
    ) -> Result<bool, E> {
        let mut state = self.state.lock();
        while state.sent < state.queue.len() {
            let taken = write(&state.queue[state.sent..])?;
            if taken == 0 {
                state.stalled.get_or_insert(now);
                return Ok(false);
            }
            state.sent += taken;
            if state.stalled.take().is_some() {
                // Meanwhile it was not read, so its message could not go on.
                state.inside = state.inside.map(|_| now);
            }
        }
        // Given back: most connections have nothing to say most of the time.
        self.room.resize(state.queue.capacity(), 0);
        state.queue = Vec::new();
        state.sent = 0;
        Ok(true)
    }

    pub(super) fn is_backed_up(&self) -> bool {
        let state = self.state.lock();
        state.queue.len() - state.sent > BACKED_UP
    }

    pub(super) fn since(&self) -> Since {
        let state = self.state.lock();
        Since {
            heard: state.heard,
            stalled: state.stalled,
            inside: state.inside,
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.room.resize(self.state.get_mut().queue.capacity(), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn link(room: &Arc<Room>) -> Link {
        let address = SocketAddr::from(([10, 0, 0, 1], 5060));
        let ends = (address, address);
        Link::new(
            ConnectionId(1),
            Transport::Tcp,
            ends,
            room.clone(),
            Instant::now(),
        )
    }

    #[test]
    fn what_waits_is_bounded_and_its_memory_counted() {
        let room = Arc::new(Room::new(1 << 20));
        let link = link(&room);
        let message = [b'x'; 1000];
        let pushed = (0..1000)
            .take_while(|_| link.push(&message).is_ok())
            .count();
        assert_eq!(pushed, QUEUE_MAX / message.len());
        assert_eq!(link.push(&message), Err(NotSent::Busy));
        assert!(link.is_backed_up());
        assert!(room.used() >= pushed * message.len());

        let now = Instant::now();
        let mut left = 2500;
        let mut write = |bytes: &[u8]| {
            let taken = bytes.len().min(left);
            left -= taken;
            Ok::<_, ()>(taken)
        };
        assert_eq!(link.drain(now, &mut write), Ok(false));
        assert_eq!(link.since().stalled, Some(now));
        assert_eq!(link.drain(now, |bytes| Ok::<_, ()>(bytes.len())), Ok(true));
        assert_eq!(link.since().stalled, None);
        assert_eq!(room.used(), 0);
    }

    #[test]
    fn half_a_message_counts_from_when_it_could_go_on() {
        let link = link(&Arc::new(Room::new(1 << 20)));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let inside = || link.since().inside;
        link.heard(at(0), Reach::Same);
        link.heard(at(1), Reach::Same);
        assert_eq!(inside(), Some(at(0)), "drop by drop");
        link.heard(at(2), Reach::Next);
        assert_eq!(inside(), Some(at(2)), "another one");
        link.push(b"answer").unwrap();
        assert_eq!(link.drain(at(3), |_| Ok::<_, ()>(0)), Ok(false));
        assert_eq!(inside(), Some(at(2)));
        assert_eq!(link.drain(at(4), |it| Ok::<_, ()>(it.len())), Ok(true));
        assert_eq!(inside(), Some(at(4)), "read again");
        link.heard(at(5), Reach::Whole);
        assert_eq!(inside(), None);
        link.push(b"answer").unwrap();
        assert_eq!(link.drain(at(6), |_| Ok::<_, ()>(0)), Ok(false));
        assert_eq!(link.drain(at(7), |it| Ok::<_, ()>(it.len())), Ok(true));
        assert_eq!(inside(), None);
    }

    #[test]
    fn a_connection_for_which_there_is_no_memory_ends() {
        let room = Arc::new(Room::new(100));
        let link = link(&room);
        link.push(&[0; 200]).unwrap();
        assert_eq!(link.watch(Waker::noop()), Some(End::Memory));
        assert_eq!(link.push(b"more"), Err(NotSent::NotConnected));
        drop(link);
        assert_eq!(room.used(), 0);
    }
}
