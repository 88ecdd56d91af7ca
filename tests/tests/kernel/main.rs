//! The kernel program as the kernel runs it: the table of cases, the same frames on the host, and
//! what the programs and their maps cost.

mod agree;
mod cost;
mod table;

use std::time::Duration;

/// A run that took longer is done again: "just now" may have become "a while ago".
const SOON: Duration = Duration::from_millis(500);
