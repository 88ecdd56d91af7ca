//! Datagrams for any protocol: sockets that tell which address of ours was asked, and batches of
//! datagrams in and out that leave from it.

mod batch;
mod outbox;
pub mod socket;

pub use batch::{BATCH, Datagram, Receiver, Sender};
pub use outbox::{Client, Local, Outbox, Queued, SocketId};
