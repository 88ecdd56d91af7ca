//! An SCCP phone's side of a registration.
//!
//! ```text
//! TCP ─ Alarm ─ (KeepAlive) ─ Register ─▶        ◀─ RegisterAck, CapabilitiesReq
//! CapabilitiesRes ─ ButtonTemplateReq ─ SoftKeyTemplateReq ─ SoftKeySetReq ─ ConfigStatReq ─
//! LineStatReq × n ─ ForwardStatReq × n ─ SpeedDial, Feature, ServiceURL × n ─
//! RegisterAvailableLines ─ TimeDateReq ─▶        ◀─ DefineTimeDate: registered
//! ```

mod message;
mod model;
mod phone;
mod question;

pub(super) use model::Model;
pub use phone::AFTER_REJECT;
pub(super) use phone::Phone;
