//! Messages out of a stream of bytes (RFC 3261 18.3, RFC 5626 3.5.1), and the little that is to be
//! seen of a message before anybody understands it.

mod first_line;
mod framer;

pub use first_line::FirstLine;
pub use framer::{Broken, Event, Framer};
