//! What a connection, the answers given over it and their bodies tell each other.
//!
//! An answer is complete when its last byte has been handed to the system: its body has given all
//! it has, and the connection was flushed after that. One that is still under way when the
//! connection ends has failed.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tftp_ebpf::stage::Stage;

use super::counters::{Lane, Refusal, Scheme};
use super::server::Site;
use crate::stats::{Outcome, StageCounter};

/// One connection.
pub(super) struct Link {
    pub(super) site: Arc<Site>,
    pub(super) scheme: Scheme,
    pub(super) client: IpAddr,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Something of the next request has come.
    heard: bool,
    stalled: bool,
    under_way: Option<UnderWay>,
}

struct UnderWay {
    stage: Stage,
    since: Instant,
    /// The body has given something, and all it has.
    first_given: bool,
    given: bool,
}

impl Link {
    pub(super) fn new(site: Arc<Site>, scheme: Scheme, client: IpAddr) -> Arc<Self> {
        site.lane(scheme).opened();
        Arc::new(Self {
            site,
            scheme,
            client,
            state: Mutex::default(),
        })
    }

    pub(super) fn lane(&self) -> &Lane {
        self.site.lane(self.scheme)
    }

    /// Something came in.
    pub(super) fn heard(&self) {
        self.state.lock().heard = true;
    }

    /// A request is whole. What came in behind it counts for nothing yet.
    pub(super) fn asked(&self) {
        self.state.lock().heard = false;
    }

    /// Something of a request came in that is not whole.
    pub(super) fn is_in_request(&self) -> bool {
        self.state.lock().heard
    }

    /// The client takes too little.
    pub(super) fn stall(&self) {
        self.state.lock().stalled = true;
        self.lane().refuse(Refusal::SlowReader);
    }

    pub(super) fn has_stalled(&self) -> bool {
        self.state.lock().stalled
    }

    /// A file, or what is known about it, is about to be sent. `since` is when it was asked for.
    pub(super) fn begin(&self, stage: Stage, since: Instant, has_body: bool) {
        self.lane().stages.add(stage, StageCounter::Requests, 1);
        let under_way = UnderWay {
            stage,
            since,
            first_given: false,
            given: !has_body,
        };
        let before = self.state.lock().under_way.replace(under_way);
        if before.is_none() {
            self.lane().began();
        }
    }

    /// The body has given a part of the file, and perhaps all.
    pub(super) fn gave(&self, stage: Stage, bytes: usize, all: bool) {
        let bytes = bytes as u64;
        let stages = &self.lane().stages;
        stages.add(stage, StageCounter::Bytes, bytes);
        if let Some(under_way) = &mut self.state.lock().under_way {
            if !std::mem::replace(&mut under_way.first_given, true) {
                stages.first_byte(stage, under_way.since.elapsed());
            }
            under_way.given |= all;
        }
    }

    /// All that was given has gone out.
    pub(super) fn flushed(&self) {
        let mut state = self.state.lock();
        let complete = state.under_way.take_if(|under_way| under_way.given);
        drop(state);
        if let Some(UnderWay { stage, since, .. }) = complete {
            let now = Instant::now();
            self.lane().stages.completed(stage, now - since);
            self.lane().ended();
            // A TCP connection proves the address as the ACK of a block does.
            self.site.sources.proved(self.client, now, 0);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let State {
            stalled, under_way, ..
        } = std::mem::take(self.state.get_mut());
        if let Some(UnderWay { stage, .. }) = under_way {
            match stalled {
                true => self.lane().stages.ended(stage, Outcome::TimedOut),
                false => self.lane().stages.add(stage, StageCounter::Aborted, 1),
            }
            self.lane().ended();
        }
        self.lane().closed();
    }
}
