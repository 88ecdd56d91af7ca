//! One snapshot a second for everybody who looks, and what was in the last minutes.
//!
//! The snapshot is made while somebody looks, and then once for all: pages, API and events. Each
//! viewer's stream takes the newest when it has room: who reads slowly loses some, and none are kept
//! for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::mpsc::Sender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinError;
use tokio::time::{Instant, MissedTickBehavior};

use super::now::Now;
use crate::inventory::Protocol;
use crate::journal::unix_ms;
use crate::ops::sources::Sources;
use crate::ops::streamed::send;

/// Viewers that are sent events at one time.
pub(super) const VIEWERS: usize = 16;

/// How often there is a new snapshot.
const EVERY: Duration = Duration::from_secs(1);

/// Points of the history, one in so many snapshots' time: ten minutes.
const POINTS: usize = 120;
const POINT_EVERY: u32 = 5;

/// A snapshot and its JSON.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) now: Now,
    pub(super) json: Bytes,
}

/// The storm at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Point {
    /// Unix milliseconds.
    at_ms: u64,
    /// Phones that were told to come again.
    waiting: u64,
    /// Phones that were let in and are not registered yet.
    in_progress: u64,
    arrivals_per_second: f64,
    served_per_second: f64,
    registered: u64,
}

impl Point {
    fn new(sources: &Sources) -> Self {
        let register = (sources.register)();
        let storm = &register.storm;
        let tenths = |rate: f64| (rate * 10.0).round() / 10.0;
        Self {
            at_ms: unix_ms(std::time::SystemTime::now()),
            waiting: storm.waiting,
            in_progress: storm.in_progress,
            arrivals_per_second: tenths(storm.arrivals_per_second),
            served_per_second: tenths(storm.served_per_second),
            registered: Protocol::ALL
                .map(|it| register.table.registered(it))
                .iter()
                .sum(),
        }
    }
}

/// See the module.
pub(super) struct Live {
    sources: Arc<Sources>,
    newest: tokio::sync::Mutex<Option<(Instant, Arc<Frame>)>>,
    viewers: watch::Sender<Option<Arc<Frame>>>,
    slots: Arc<Semaphore>,
    history: Mutex<VecDeque<Point>>,
}

/// The place of one viewer.
pub(super) struct Viewer {
    frames: watch::Receiver<Option<Arc<Frame>>>,
    _slot: OwnedSemaphorePermit,
}

impl Live {
    pub(super) fn new(sources: Arc<Sources>) -> Self {
        Self {
            sources,
            newest: tokio::sync::Mutex::default(),
            viewers: watch::Sender::new(None),
            slots: Arc::new(Semaphore::new(VIEWERS)),
            history: Mutex::default(),
        }
    }

    /// The newest snapshot; one that is more than a second old is made anew. Fails only when the
    /// daemon ends, or the snapshot panicked.
    pub(super) async fn now(&self) -> Result<Arc<Frame>, JoinError> {
        let mut newest = self.newest.lock().await;
        match &*newest {
            Some((at, frame)) if at.elapsed() < EVERY => Ok(Arc::clone(frame)),
            _ => {
                let frame = self.frame().await?;
                *newest = Some((Instant::now(), Arc::clone(&frame)));
                Ok(frame)
            }
        }
    }

    async fn frame(&self) -> Result<Arc<Frame>, JoinError> {
        let sources = Arc::clone(&self.sources);
        // Reading the kernel's maps is a row of system calls.
        let now = tokio::task::spawn_blocking(move || Now::new(&sources)).await?;
        let json = serde_json::to_vec(&now).expect("names, numbers and texts are JSON");
        Ok(Arc::new(Frame {
            now,
            json: json.into(),
        }))
    }

    /// A place among [`VIEWERS`]; none if all are taken.
    pub(super) fn view(&self) -> Option<Viewer> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        Some(Viewer {
            frames: self.viewers.subscribe(),
            _slot: slot,
        })
    }

    /// The oldest first.
    pub(super) fn history(&self) -> Vec<Point> {
        self.history.lock().iter().copied().collect()
    }

    fn remember(&self, point: Point) {
        let mut history = self.history.lock();
        if history.len() >= POINTS {
            history.pop_front();
        }
        history.push_back(point);
    }

    /// Goes on for ever.
    pub(super) async fn run(&self) {
        let mut seconds = tokio::time::interval(EVERY);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for second in 0_u32.. {
            seconds.tick().await;
            if let Err(error) = self.step(second).await {
                tracing::error!(event = "web.snapshot_failed", %error, "no snapshot for the web page");
            }
        }
    }

    /// What is done each second: a snapshot if somebody waits for it, and at times a point.
    async fn step(&self, second: u32) -> Result<(), JoinError> {
        if second.is_multiple_of(POINT_EVERY) {
            let sources = Arc::clone(&self.sources);
            let point = tokio::task::spawn_blocking(move || Point::new(&sources)).await?;
            self.remember(point);
        }
        if self.viewers.receiver_count() > 0 {
            let frame = self.frame().await?;
            *self.newest.lock().await = Some((Instant::now(), Arc::clone(&frame)));
            self.viewers.send_replace(Some(frame));
        }
        Ok(())
    }
}

impl Viewer {
    /// Sends events until the viewer is gone, or takes none for a while. The first comes at once.
    pub(super) async fn follow(mut self, first: Arc<Frame>, pages: &Sender<Bytes>) {
        // How long a browser waits before it asks again when the connection is lost.
        let hello = Bytes::from_static(b"retry: 2000\n\n");
        if !send(pages, hello).await || !send(pages, event(&first)).await {
            return;
        }
        loop {
            tokio::select! {
                changed = self.frames.changed() => if changed.is_err() {
                    return;
                },
                () = pages.closed() => return,
            }
            let frame = self.frames.borrow_and_update().clone();
            if let Some(frame) = frame
                && !send(pages, event(&frame)).await
            {
                return;
            }
        }
    }
}

/// As the HTML standard has it (9.2.5): JSON has no line breaks of its own.
fn event(frame: &Frame) -> Bytes {
    let id = frame.now.at_ms.to_string();
    let parts: [&[u8]; 5] = [
        b"event: now\nid: ",
        id.as_bytes(),
        b"\ndata: ",
        &frame.json,
        b"\n\n",
    ];
    parts.concat().into()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::mpsc::{self, Receiver};

    use super::*;
    use crate::ops::sources::Devices;

    /// Sources that count how often they are asked.
    fn counted() -> (Arc<Sources>, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let sources = Sources {
            devices: Arc::new(move || {
                count.fetch_add(1, Ordering::Relaxed);
                Devices::default()
            }),
            ..Sources::default()
        };
        (Arc::new(sources), asked)
    }

    async fn next(stream: &mut Receiver<Bytes>) -> String {
        let page = tokio::time::timeout(Duration::from_secs(5), stream.recv()).await;
        String::from_utf8(page.unwrap().unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn nothing_is_made_while_nobody_looks_and_one_for_all_who_do() {
        let (sources, asked) = counted();
        let live = Live::new(sources);
        for second in 0..30 {
            live.step(second).await.unwrap();
        }
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        assert_eq!(live.history().len(), 6, "0, 5 .. 25 s");

        let mut streams = Vec::new();
        for _ in 0..VIEWERS {
            let (pages, stream) = mpsc::channel(100);
            let viewer = live.view().unwrap();
            let first = live.now().await.unwrap();
            tokio::spawn(async move { viewer.follow(first, &pages).await });
            streams.push(stream);
        }
        assert!(live.view().is_none(), "viewers are bounded");
        let before = asked.load(Ordering::Relaxed);
        for stream in &mut streams {
            assert_eq!(next(stream).await, "retry: 2000\n\n");
            assert!(next(stream).await.starts_with("event: now\nid: "));
        }
        for second in 1..4 {
            live.step(second).await.unwrap();
            for stream in &mut streams {
                let event = next(stream).await;
                let (_, data) = event.split_once("\ndata: ").unwrap();
                let json: serde_json::Value = serde_json::from_str(data.trim_end()).unwrap();
                assert!(json["phones"]["expected"].is_u64(), "{json}");
            }
        }
        assert_eq!(asked.load(Ordering::Relaxed), before + 3);
        drop(streams);
        // The streams see that on their own tasks.
        while live.viewers.receiver_count() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(live.view().is_some(), "who left has made room");
    }

    #[tokio::test]
    async fn a_slow_reader_loses_snapshots_and_gets_the_newest() {
        let (sources, asked) = counted();
        let live = Live::new(sources);
        let (pages, mut stream) = mpsc::channel(1);
        let viewer = live.view().unwrap();
        let first = live.now().await.unwrap();
        tokio::spawn(async move { viewer.follow(first, &pages).await });
        for second in 1..100 {
            live.step(second).await.unwrap();
        }
        assert_eq!(asked.load(Ordering::Relaxed), 100);
        let newest = live.now().await.unwrap().now.at_ms;
        // What was on its way, the first snapshot, and then the last one at once.
        next(&mut stream).await;
        next(&mut stream).await;
        let event = next(&mut stream).await;
        assert!(event.contains(&format!("\nid: {newest}\n")), "{event}");
        assert!(stream.try_recv().is_err(), "that was all there was");
    }

    #[test]
    fn the_history_is_bounded() {
        let live = Live::new(Arc::default());
        for at_ms in 0..1_000 {
            live.remember(Point {
                at_ms,
                ..Point::default()
            });
        }
        let history = live.history();
        assert_eq!(history.len(), POINTS);
        assert_eq!(history.last().unwrap().at_ms, 999);
    }
}
