//! Answers over HTTP that are written while they are read.
//!
//! Nobody makes the daemon hold a whole answer: a page of it is written when the one before was
//! taken, and who takes none for a while is left.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::Frame;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::bounded::{Lease, Leases};

/// How long a reader may take for a page.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pages on their way to a reader.
const PAGES: usize = 2;

/// Who asks, and over what.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    pub(super) leases: Leases,
}

/// Whether the reader took the page before in time, and there is room for this one.
pub(super) async fn send(pages: &Sender<Bytes>, text: impl Into<Bytes>) -> bool {
    let text = text.into();
    text.is_empty() || pages.send_timeout(text, PATIENCE).await.is_ok()
}

/// An answer that is written while it is read. The connection may last as long as that goes on.
pub(super) fn answer<F>(
    media_type: &'static str,
    lease: Lease,
    write: impl FnOnce(Sender<Bytes>) -> F + Send + 'static,
) -> Response
where
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, pages) = mpsc::channel(PAGES);
    tokio::spawn(async move {
        write(sender).await;
        // With a reader that does not read, the connection ends at its next limit.
        drop(lease);
    });
    let body = Body::new(Pages(pages));
    ([(header::CONTENT_TYPE, media_type)], body).into_response()
}

struct Pages(Receiver<Bytes>);

impl hyper::body::Body for Pages {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let page = self.0.poll_recv(context);
        page.map(|page| page.map(|page| Ok(Frame::data(page))))
    }
}
