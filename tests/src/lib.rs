//! The lab.

pub mod programs;
