//! The command line, by running the program.

// Clippy's leave for tests does not reach helpers of an integration test.
#![allow(clippy::unwrap_used)]

mod codes;
mod daemon;
mod files;
mod inventory;
mod life;
mod program;
mod serving;
