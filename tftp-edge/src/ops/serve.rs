//! The servers of operators: the metrics and the web page.
//!
//! hyper over a [`Bounded`] listener, with a loop of our own around it: what `axum::serve` drops in
//! silence, a connection that says nothing any HTTP begins with, is counted here by what was wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::{Request, Response, StatusCode};
use axum::{Extension, Router};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::task::JoinSet;

use super::bounded::{Bounded, Connection};
use super::streamed::Peer;

/// From the connection, or the answer before, to the end of a request's head.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// A request line and its header lines together.
const MAX_HEAD: usize = 16 << 10;
const MAX_HEADER_LINES: usize = 64;

/// Whose port it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    Metrics,
    Web,
}

impl Port {
    pub const COUNT: usize = 2;
    pub const ALL: [Self; Self::COUNT] = [Self::Metrics, Self::Web];

    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Web => "web",
        }
    }
}

/// Why a connection had to wait or was ended, or a request got no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// All places were taken: it waited for one.
    Waited,
    /// Not HTTP, or not what the page asks with: 400 and the like.
    Malformed,
    /// A head or a body that is too long: 413, 414, 431.
    TooLarge,
    /// A request was begun, and not ended in time or at all.
    Incomplete,
    /// No such page: 404.
    Absent,
    /// Not in this way: 405.
    Method,
    /// Not for this client, or not under this name: 401, 403, 421.
    Denied,
    /// Too often: 429.
    TooOften,
    /// As many as may be follow a stream: 503. The answer says so by having this as an extension.
    TooManyStreams,
}

impl Refusal {
    pub const COUNT: usize = 9;
    pub const ALL: [Self; Self::COUNT] = [
        Self::Waited,
        Self::Malformed,
        Self::TooLarge,
        Self::Incomplete,
        Self::Absent,
        Self::Method,
        Self::Denied,
        Self::TooOften,
        Self::TooManyStreams,
    ];

    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waited => "waited",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Incomplete => "incomplete",
            Self::Absent => "absent",
            Self::Method => "method",
            Self::Denied => "denied",
            Self::TooOften => "too_often",
            Self::TooManyStreams => "too_many_streams",
        }
    }

    /// None if the answer refuses nothing. That the daemon is not ready is no refusal.
    fn of<B>(answer: &Response<B>) -> Option<Self> {
        if let Some(refusal) = answer.extensions().get::<Self>() {
            return Some(*refusal);
        }
        match answer.status() {
            StatusCode::NOT_FOUND => Some(Self::Absent),
            StatusCode::METHOD_NOT_ALLOWED => Some(Self::Method),
            StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::URI_TOO_LONG
            | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Some(Self::TooLarge),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::MISDIRECTED_REQUEST => {
                Some(Self::Denied)
            }
            StatusCode::TOO_MANY_REQUESTS => Some(Self::TooOften),
            other => other.is_client_error().then_some(Self::Malformed),
        }
    }
}

/// Of each port, how often each was.
pub type Counts = [[u64; Refusal::COUNT]; Port::COUNT];

/// Live counters of both ports.
#[derive(Debug, Default)]
pub struct Refusals([[AtomicU64; Refusal::COUNT]; Port::COUNT]);

impl Refusals {
    pub(super) fn count(&self, port: Port, refusal: Refusal) {
        self.0[port as usize][refusal as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub fn counts(&self) -> Counts {
        let of = |port: usize| std::array::from_fn(|at| self.0[port][at].load(Ordering::Relaxed));
        std::array::from_fn(of)
    }
}

/// Serves until it is aborted, which ends its connections, too.
pub(super) async fn serve(
    mut listener: Bounded,
    router: Router,
    port: Port,
    refusals: Arc<Refusals>,
) {
    // No more than there are places, and those that ended since the last one came.
    let mut conversations = JoinSet::new();
    loop {
        while conversations.try_join_next().is_some() {}
        let waited = || refusals.count(port, Refusal::Waited);
        let (connection, peer) = listener.accept(waited).await;
        let peer = Peer {
            address: peer.ip(),
            leases: connection.leases(),
        };
        let router = router.clone().layer(Extension(ConnectInfo(peer)));
        conversations.spawn(converse(connection, router, port, Arc::clone(&refusals)));
    }
}

async fn converse(connection: Connection, router: Router, port: Port, refusals: Arc<Refusals>) {
    let heard = connection.heard();
    let pages = TowerToHyperService::new(router);
    let service = service_fn(|request: Request<Incoming>| {
        // What comes from here on is its body, or of the next one.
        heard.store(false, Ordering::Relaxed);
        let (answering, heard, refusals) = (pages.call(request), &heard, &refusals);
        async move {
            let answer = answering.await;
            heard.store(false, Ordering::Relaxed);
            if let Ok(answer) = &answer
                && let Some(refusal) = Refusal::of(answer)
            {
                refusals.count(port, refusal);
            }
            answer
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADER_LINES)
        .serve_connection(TokioIo::new(connection), service)
        .await;
    let Err(error) = served else { return };
    let refusal = if error.is_parse_too_large() {
        Refusal::TooLarge
    } else if error.is_parse() {
        Refusal::Malformed
    } else if heard.load(Ordering::Relaxed) {
        Refusal::Incomplete
    } else {
        // Idle for its time, or gone while it was answered.
        return;
    };
    refusals.count(port, refusal);
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use axum::body::Bytes;
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Notify;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::ops::streamed;

    const LONG: Duration = Duration::from_secs(20);

    async fn serving(
        router: Router,
        lifetime: Duration,
    ) -> (SocketAddr, JoinHandle<()>, Arc<Refusals>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let refusals = Arc::new(Refusals::default());
        let bounded = Bounded::new(listener, 4, lifetime);
        let task = tokio::spawn(serve(bounded, router, Port::Web, Arc::clone(&refusals)));
        (address, task, refusals)
    }

    async fn read_until(stream: &mut TcpStream, end: &str) {
        let mut read = Vec::new();
        while !read.ends_with(end.as_bytes()) {
            assert!(stream.read_buf(&mut read).await.unwrap() > 0);
        }
    }

    #[tokio::test]
    async fn who_follows_a_stream_and_leaves_is_noticed_though_nothing_is_written() {
        let gone = Arc::new(Notify::new());
        let tell = Arc::clone(&gone);
        let stream = async move |ConnectInfo(peer): ConnectInfo<Peer>| {
            streamed::answer("text/plain", peer.leases.take(), async move |pages| {
                pages.closed().await;
                tell.notify_one();
            })
        };
        let router = Router::new().route("/", get(stream));
        let (address, _task, refusals) = serving(router, LONG * 3).await;
        let mut reader = TcpStream::connect(address).await.unwrap();
        let head = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        reader.write_all(head).await.unwrap();
        read_until(&mut reader, "\r\n\r\n").await;
        drop(reader);
        tokio::time::timeout(LONG, gone.notified()).await.unwrap();
        assert_eq!(refusals.counts(), Counts::default());
    }

    #[tokio::test]
    async fn a_server_that_ends_ends_its_connections() {
        let router = Router::new().route("/", get(async || "page"));
        let (address, task, _) = serving(router, LONG * 3).await;
        let mut kept = TcpStream::connect(address).await.unwrap();
        let head = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        kept.write_all(head).await.unwrap();
        read_until(&mut kept, "page").await;
        task.abort();
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(LONG, kept.read_to_end(&mut rest));
        assert_eq!(ended.await.unwrap().unwrap(), 0);
    }

    #[tokio::test]
    async fn a_connection_that_is_kept_after_a_form_is_no_request_begun() {
        let router = Router::new().route("/", post(async |form: Bytes| form));
        let (address, _task, refusals) = serving(router, Duration::from_millis(300)).await;
        let mut kept = TcpStream::connect(address).await.unwrap();
        let head =
            b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
        kept.write_all(head).await.unwrap();
        // So the form comes in a segment of its own.
        read_until(&mut kept, "100 Continue\r\n\r\n").await;
        kept.write_all(b"form").await.unwrap();
        read_until(&mut kept, "form").await;
        let _ = kept.read_to_end(&mut Vec::new()).await;
        assert_eq!(refusals.counts(), Counts::default());
    }

    #[test]
    fn labels_are_unique_and_in_the_order_of_the_numbers() {
        for (number, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, number);
        }
        let mut labels = Refusal::ALL.map(Refusal::as_str);
        labels.sort_unstable();
        assert!(labels.windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!(Port::ALL.map(|it| it as usize), [0, 1]);
    }
}
