//! Standing before servers that phones register at: what is behind this host is classified, paced
//! and reported, and answered by those servers alone.

mod settings;

pub use settings::Settings;
