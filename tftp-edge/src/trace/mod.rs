//! Traces: every packet of one phone while it runs, and what became of each.
//!
//! A packet is told once. Where the kernel program is attached, what comes in is told by the
//! program, since it knows what it did with it, and so is an answer under XDP, which leaves without
//! anybody else seeing it. What leaves by the host's own way, under TC too, and everything on
//! interfaces without the program is told by a packet socket. `merge` puts the two in order.
//!
//! Nothing of this exists while no trace runs: see [`crate::kernel::mirror`] for the program's side.
//! A trace is bounded in time, packets and bytes, and whoever reads too slowly loses packets and is
//! told how many.

pub mod decode;
mod filter;
mod interfaces;
mod merge;
mod packet;
pub mod pcapng;
mod session;
mod tap;
mod told;
mod tracer;

pub use packet::{Decision, Direction, Via};
pub use told::{Ending, Lost, Source, Told, TracedPacket, from_hex};
pub use tracer::{Addresses, Order, TRACES, Target, TraceError, Tracer};
