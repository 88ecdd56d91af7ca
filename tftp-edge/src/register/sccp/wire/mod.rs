//! SCCP's messages: what phones send is read in place, what we send is written into a buffer.
//!
//! One message or family in a file. A view reads a body whose length was checked once; a reply has
//! the fields to send, and `write` frames it in the [`Dialect`] of a phone.
//!
//! Sources: chan-sccp, working with phones of all families, for layouts, versions and limits;
//! Wireshark's skinny dissector, which the tests have read every message that is sent.

mod alarm;
mod body;
mod button_template;
mod capabilities;
mod config_stat;
mod dialect;
#[cfg(test)]
mod dissector;
mod feature_stat;
mod field;
mod forward_stat;
mod frame;
mod id;
mod line_stat;
mod register;
mod request;
mod reset;
mod server;
mod service_url_stat;
mod soft_keys;
mod speed_dial_stat;
mod time_date;
mod token;
mod unregister;
mod version;

pub use alarm::{Alarm, AlarmCode};
pub use body::{Body, Reply, write};
pub use button_template::{Button, ButtonTemplate, MAX_BUTTONS};
pub use capabilities::{Capabilities, MAX_CAPABILITIES};
pub use config_stat::ConfigStat;
pub use dialect::{Charset, Dialect, VERSIONS, Version};
pub use feature_stat::{FeatureStat, FeatureStatReq};
pub use forward_stat::ForwardStat;
pub use frame::{Frame, HEADER_LEN, MAX_FRAME, MAX_LENGTH, Unframed};
pub use id::{Incoming, Outgoing};
pub use line_stat::LineStat;
pub use register::{Register, RegisterAck, RegisterReject};
pub use request::{BadBody, Request};
pub use reset::Reset;
pub use server::{SERVERS, ServerRes, StationServer};
pub use service_url_stat::ServiceUrlStat;
pub use soft_keys::{
    EVENTS, Label, MAX_KEYS, SelectSoftKeys, SoftKeySetRes, SoftKeyTemplateRes, TemplateKey,
};
pub use speed_dial_stat::SpeedDialStat;
pub use time_date::DefineTimeDate;
pub use token::{RegisterTokenReject, SpcpTokenAck, SpcpTokenReject, TokenReq};
pub use unregister::{UnregisterAck, UnregisterReason};
pub use version::VersionRes;
