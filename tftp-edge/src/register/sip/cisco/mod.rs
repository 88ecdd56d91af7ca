//! What Cisco's phones say in SIP that no RFC has: who they are in parameters of the Contact, why
//! they come in the Reason, wishes in bodies of XML, alarms and tokens in REFER; and what they are
//! told by NOTIFY.
//!
//! ```text
//! Contact: <sip:UUID@IP:PORT;transport=tcp>;+sip.instance="<urn:uuid:00000000-0000-0000-0000-MAC>"
//!          ;+u.sip!devicename.ccm.cisco.com="SEPMAC";+u.sip!model.ccm.cisco.com="621"
//! Reason: SIP;cause=200;text="cisco-alarm:25 Name=SEPMAC ActiveLoad=… InactiveLoad=… Last=…"
//! ```

mod alarm;
mod claims;
mod reason;
mod remotecc;
mod service_control;

pub use alarm::Alarm;
pub use claims::{Claims, device_in_contact, device_in_reason};
pub use reason::Reason;
pub use remotecc::Wishes;
pub use service_control::{Action, body as service_control};

/// Types of bodies.
pub const ALARM_TYPE: &str = "application/x-cisco-alarm+xml";
pub const REQUEST_TYPE: &str = "application/x-cisco-remotecc-request+xml";
pub const RESPONSE_TYPE: &str = "application/x-cisco-remotecc-response+xml";

/// What a phone refers to when it asks whether it may come back.
pub const TOKEN_URN: &str = "urn:X-cisco-remotecc:token-registration";

/// Marks a REGISTER to a standby server: it changes nothing.
pub const KEEP_ALIVE: &str = "cisco-keep-alive";

/// Marks the contact of a new registration. On a refresh it would tell the phone that the server had
/// restarted.
pub const NEW_REGISTRATION: &str = "x-cisco-newreg";

/// What we can, in the words phones look for.
pub const SUPPORTED: &str = "X-cisco-srtp-fallback,X-cisco-sis-8.0.0";
