//! Simulated phones: each boots as its family does, one file at a time, and checks every byte.
//!
//! [`Phone`] is sans-IO on top of [`crate::client::Fetch`]. [`Fleet`] runs thousands of them on a
//! few threads, each phone with its own address and each file with its own port, and gives a
//! [`Report`]. Where they are told of an HTTP server, phones of newer families ask there first.
//! Fleets that are to [register](registration) do so with what their configurations say.

mod family;
mod fleet;
mod oracle;
mod over;
mod phone;
mod progress;
pub mod registration;
mod registration_report;
mod report;

pub use family::{Family, SiteNames};
pub use fleet::{Fleet, FleetOptions, Registering, try_open_files};
pub use oracle::{Expected, FileOracle, Oracle};
pub use over::Over;
pub use phone::{Action, FileResult, Phone, PhoneSpec};
pub use progress::Progress;
pub use registration_report::{OverReport, RegistrationReport};
pub use report::{PhoneFailure, Report, StageReport};
