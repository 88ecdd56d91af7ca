//! HTTP and HTTPS, over true sockets and a true library of files.

// Clippy's leave for tests does not reach helpers of an integration test.
#![allow(clippy::unwrap_used)]

mod answers;
mod curl;
mod journal;
mod limits;
mod live;
mod provisioning;
mod site;
mod tls;
