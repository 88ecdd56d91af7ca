//! What records may be called.

use super::super::{Protocol, check_object_name, text};

/// The name of a site, a profile, a server group or a service.
pub(super) fn of_text(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is empty".into()),
        name => text::value(name, 50),
    }
}

/// A name that becomes part of a file's.
pub(super) fn of_file(text: &str) -> Result<String, String> {
    let name = text.trim();
    check_object_name(name)?;
    Ok(name.into())
}

/// A load is that of a model with a protocol.
pub(super) fn of_load(model: &str, protocol: Protocol) -> String {
    format!("{model}/{protocol}")
}

pub(super) fn unknown_model(name: &str) -> String {
    format!(
        "{name:?} is no known model; `tftp-edge inventory model list` shows them, and `tftp-edge \
         inventory set models NAME protocols=… lines=…` adds one"
    )
}
