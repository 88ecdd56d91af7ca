//! The kernel side: loading, attaching, publishing, sweeping. The only place that names `aya`.

mod snapshot;

pub use snapshot::{InterfaceStatus, Mode, Snapshot};
