//! The library as its users see it: what lies on disk, what is generated, and who is told.

mod absent;
mod disk;
mod library;
mod live;
mod memory;
mod names;
mod provisioning;
mod regeneration;
mod site;
mod versions;
