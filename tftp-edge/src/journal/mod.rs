//! What every phone did, boot by boot and stage by stage.
//!
//! ```text
//! kernel worker ─┐                       ┌─ Board    phones by stage, one phone's timeline
//! TFTP, HTTP    ─┼─▶ Journal ── Phone ───┤
//! registrars    ─┘    tell()             └─ Store    saved, and there again after a restart
//! ```
//!
//! An [`Event`] is one thing that somebody saw of one phone: a request for a file, a message of its
//! registration. [`Journal::tell`] takes it in at once, on the thread that saw it: there is no queue
//! that could be full. What only the kernel program saw comes through a ring, and what found no room
//! there leaves a [`Gap`]: in it, what is missing is unknown, and never taken for a success.

mod addresses;
mod board;
mod boot;
pub mod diagnosis;
mod event;
mod phone;
mod recorder;
mod search;
mod settings;
mod shared_text;
mod stage;
mod store;
pub(crate) mod view;

pub use board::Board;
pub use boot::{Boot, Entry, File, What};
pub use diagnosis::Cause;
pub use event::{Answer, Event, Fact, Happening, Heard, Outcome, Request};
pub use phone::{Failure, Phone};
pub use recorder::{Counts, Gap, IsKnown, Journal, unix_ms};
pub use settings::Settings;
pub use stage::Stage;
pub use store::{Snapshot as StoreSnapshot, Store};
pub use view::{
    BootView, EntryView, FailureView, Filter, Finding, Overview, Page, PhoneRow, PhoneView,
    SiteRow, WhatView,
};
