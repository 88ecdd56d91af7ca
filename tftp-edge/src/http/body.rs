//! A file, or a part of it, on its way: pieces of the one buffer all transfers of that version
//! share. Nothing is copied, and whatever happens to the name, the version stays.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tftp_ebpf::stage::Stage;

use super::link::Link;

/// What hyper is given at a time. It takes the next piece when there is room in its buffers, so
/// this bounds what a connection has queued, and says how far a transfer has come.
const PIECE: usize = 64 << 10;

pub(super) struct Sending {
    rest: Bytes,
    stage: Stage,
    link: Arc<Link>,
}

impl Sending {
    pub(super) fn new(bytes: Bytes, stage: Stage, link: Arc<Link>) -> Self {
        Self {
            rest: bytes,
            stage,
            link,
        }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let len = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(len);
        self.link.gave(self.stage, len, self.rest.is_empty());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
