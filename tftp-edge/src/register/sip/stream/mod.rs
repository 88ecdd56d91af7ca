//! Messages out of a stream of bytes (RFC 3261 18.3, RFC 5626 3.5.1), and what can be seen of a
//! message without understanding it.

mod framer;
mod head;
mod start_line;

pub use framer::{Broken, Event, Framer};
pub use head::{content_length, end_of_head, fields};
pub use start_line::{Method, StartLine};
