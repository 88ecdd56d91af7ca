//! What a connection, the answers given over it and their bodies tell each other.
//!
//! An answer is complete when its last byte has been handed to the system: its body has given all
//! it has, and the connection was flushed after that. One that is still under way when the
//! connection ends has failed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tftp_ebpf::stage::Stage;

use super::counters::{Lane, Refusal, Scheme};
use super::server::Site;
use crate::journal::{Happening, Outcome, Request};
use crate::stats::{StageCounter, Unserved};

/// One connection.
pub(super) struct Link {
    pub(super) site: Arc<Site>,
    pub(super) scheme: Scheme,
    pub(super) client: IpAddr,
    pub(super) peer: SocketAddr,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Something of the next request has come.
    heard: bool,
    stalled: bool,
    under_way: Option<UnderWay>,
}

/// A file, or what is known about it, that is about to be sent.
pub(super) struct Begun {
    pub(super) stage: Stage,
    /// When it was asked for.
    pub(super) since: Instant,
    pub(super) has_body: bool,
    /// The file for the journal, and what has become of it when all has gone out. None if the
    /// journal is not to have it.
    pub(super) told: Option<(Request, Outcome)>,
}

struct UnderWay {
    begun: Begun,
    /// The body has given something, and all it has.
    first_given: bool,
    given: bool,
}

impl Link {
    pub(super) fn new(site: Arc<Site>, scheme: Scheme, peer: SocketAddr) -> Arc<Self> {
        site.lane(scheme).opened();
        Arc::new(Self {
            site,
            scheme,
            client: peer.ip(),
            peer,
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

    pub(super) fn begin(&self, begun: Begun) {
        let stages = &self.lane().stages;
        stages.add(begun.stage, StageCounter::Requests, 1);
        if begun.has_body
            && let Some((request, _)) = &begun.told
        {
            self.tell(Happening::Requested(request.clone()));
        }
        let under_way = UnderWay {
            first_given: false,
            given: !begun.has_body,
            begun,
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
                stages.first_byte(stage, under_way.begun.since.elapsed());
            }
            under_way.given |= all;
        }
    }

    /// All that was given has gone out.
    pub(super) fn flushed(&self) {
        let mut state = self.state.lock();
        let complete = state.under_way.take_if(|under_way| under_way.given);
        drop(state);
        if let Some(UnderWay { begun, .. }) = complete {
            let now = Instant::now();
            let took = now - begun.since;
            self.lane().stages.completed(begun.stage, took);
            self.lane().ended();
            if let Some((request, outcome)) = begun.told {
                self.tell_answered(request, outcome, took);
            }
            // A TCP connection proves the address as the ACK of a block does.
            self.site.sources.proved(self.client, now, 0);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        let stalled = state.stalled;
        if let Some(UnderWay { begun, .. }) = state.under_way.take() {
            let stages = &self.lane().stages;
            let outcome = match stalled {
                true => {
                    stages.ended(begun.stage, Unserved::TimedOut);
                    Outcome::TimedOut
                }
                false => {
                    stages.add(begun.stage, StageCounter::Aborted, 1);
                    Outcome::Aborted
                }
            };
            self.lane().ended();
            if let Some((request, _)) = begun.told {
                self.tell_answered(request, outcome, begun.since.elapsed());
            }
        }
        self.lane().closed();
    }
}
