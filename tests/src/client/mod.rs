//! TFTP clients: one of our own that checks every byte, and the real ones.
//!
//! [`Fetch`] is sans-IO: datagrams and time go in, datagrams and deadlines come out. The phones run
//! thousands of it; [`get`] runs one on a blocking socket. [`HttpFetch`] is the same over HTTP. It shares no code with the server it
//! tests, but for the names of options and modes.

mod blocking;
mod fetch;
mod http;
mod real;
mod request;
mod sink;

pub use blocking::{Exchange, Fault, Fetched, get, get_with};
pub use fetch::{Failure, Fetch, Outcome, Reaction, Retry, Tally};
pub(crate) use http::stream;
pub use http::{HttpFetch, HttpReaction, http_get};
pub use real::{Asked, Fetcher, RealClient};
pub use request::Request;
pub use sink::{Collect, Expect, Mismatch, Sink};
