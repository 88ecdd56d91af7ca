//! What the tests of the kernel program share: frames to build, a site to serve, memory in place
//! of the maps, and a table of cases.
//!
//! The table is run twice: here on the host, over [`memory`], and by the crate `tftp-edge-tests`
//! through the programs the kernel has verified. Nothing in this module is part of the product.

pub mod cases;
pub mod datagram;
pub mod host;
pub mod memory;
pub mod outcome;
pub mod random;
pub mod segment;
pub mod site;

pub use cases::{Case, Expected, table};
pub use datagram::Datagram;
pub use memory::{MemoryFrame, MemoryMaps};
pub use outcome::{Classified, Outcome, Transfers};
pub use segment::Segment;
pub use site::{Site, Standing, Talk};
