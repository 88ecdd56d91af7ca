//! What is in the package, what becomes of it on a machine, and whether what it installs runs as the
//! user it is meant to run as.

mod contents;
mod life;
mod service;
mod units;
