//! Views over packet bytes: one protocol a file, no allocation, no panic on any input.

pub mod tftp;
