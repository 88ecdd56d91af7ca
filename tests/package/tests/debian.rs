//! The Debian package, which `cargo xtask test` builds of the debug build.

// Clippy's leave for tests does not reach helpers of an integration test.
#![allow(clippy::unwrap_used)]

mod package;
