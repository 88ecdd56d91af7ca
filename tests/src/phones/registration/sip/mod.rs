//! A SIP phone's side of a registration: RFC 3261 section 10, and what Cisco's firmware makes of it.
//!
//! A 7961 registers each line over UDP or TCP. An 8851 sends an alarm first and then one REGISTER
//! for all of its lines, over TCP. Both answer a challenge with MD5, refresh shortly before the
//! end, wait as long as a 503 says, and do what a NOTIFY orders.

mod credentials;
mod digest;
mod grant;
mod message;
mod orders;
mod phone;
mod request;
mod transaction;

pub use digest::{Answer, Challenge};
pub(super) use phone::Phone;
