//! One connection, from its first request to its end.

use std::sync::Arc;

use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::answer::answer;
use super::counters::Refusal;
use super::link::Link;
use super::watched::Watched;

/// A request line and its header lines together; a phone's have some hundred bytes.
const MAX_HEAD: usize = 8 << 10;
const MAX_HEADER_LINES: usize = 64;

/// Answers requests until one of the two sides ends the connection.
pub(super) async fn serve<S>(stream: S, link: Arc<Link>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let settings = link.site.settings.take();
    let watched = Watched::new(stream, Arc::clone(&link), settings.write_timeout());
    let service = service_fn(|request: Request<Incoming>| {
        let link = Arc::clone(&link);
        async move { answer(&link, &request).await }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        // From the connection, or the answer before, to the end of a request's head.
        .header_read_timeout(settings.request_timeout())
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADER_LINES)
        // A client that sends nothing more after its request still wants the answer.
        .half_close(true)
        .serve_connection(TokioIo::new(watched), service)
        .await;
    if let Err(error) = served
        && let Some(refusal) = refusal(&error, &link)
    {
        link.lane().refuse(refusal);
    }
}

/// What ended a connection, if it was not its client: those come and go.
fn refusal(error: &hyper::Error, link: &Link) -> Option<Refusal> {
    if link.has_stalled() {
        // Was counted when it happened.
        None
    } else if error.is_parse_too_large() {
        Some(Refusal::TooLarge)
    } else if error.is_parse() {
        Some(Refusal::Malformed)
    } else if error.is_timeout() {
        Some(match link.is_in_request() {
            true => Refusal::SlowRequest,
            false => Refusal::Idle,
        })
    } else {
        None
    }
}
