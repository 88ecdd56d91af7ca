//! What a phone is told by NOTIFY with `Event: service-control`.

/// The `action=` of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Boots anew.
    Reset,
    /// Reads its configuration and registers again.
    Restart,
    /// Reads its configuration, and restarts if it has to.
    ApplyConfig,
}

impl Action {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Restart => "restart",
            Self::ApplyConfig => "apply-config",
        }
    }
}

/// Of which the phone has a version, in the order it was seen in. A fifth, for headsets, made an
/// 8861 refuse the whole.
const STAMPS: [&str; 4] = [
    "ConfigVersionStamp",
    "DialplanVersionStamp",
    "SoftkeyVersionStamp",
    "FeatureControlVersionStamp",
];

/// A version that no phone has: it fetches all anew.
const NO_VERSION: &str = "0000000000000000";

/// The body. A phone does nothing unless the Call-ID is that of its own REGISTER.
pub fn body(action: Action, register_call_id: &str) -> String {
    let action = action.as_str();
    let mut body = format!("action={action}\r\nRegisterCallId={{{register_call_id}}}\r\n");
    for stamp in STAMPS {
        body.push_str(&format!("{stamp}={{{NO_VERSION}}}\r\n"));
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_the_call_in_braces_and_four_stamps() {
        assert_eq!(
            body(Action::ApplyConfig, "00112233-44ff@10.0.0.9"),
            "action=apply-config\r\n\
             RegisterCallId={00112233-44ff@10.0.0.9}\r\n\
             ConfigVersionStamp={0000000000000000}\r\n\
             DialplanVersionStamp={0000000000000000}\r\n\
             SoftkeyVersionStamp={0000000000000000}\r\n\
             FeatureControlVersionStamp={0000000000000000}\r\n"
        );
    }
}
