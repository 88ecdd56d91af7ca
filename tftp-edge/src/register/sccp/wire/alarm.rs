//! Alarm: what went wrong before, told when the phone is connected again.

use super::field::{text_at, u32_at};

const TEXT: usize = 4;
const TEXT_LEN: usize = 80;

/// Alarm 0x0020.
#[derive(Clone, Copy, Debug)]
pub struct Alarm<'b> {
    body: &'b [u8],
}

impl<'b> Alarm<'b> {
    /// Some firmware leaves out what stands behind the text, and the rest of the text's field.
    pub fn new(body: &'b [u8]) -> Option<Self> {
        (body.len() > TEXT).then_some(Self { body })
    }

    pub fn severity(&self) -> u32 {
        u32_at(self.body, 0).unwrap_or_default()
    }

    /// Such as `Name=SEP001122334455 Load=8.5(2) Last=Reset-Reset`, with a number in front of some.
    pub fn text(&self) -> &'b [u8] {
        let len = TEXT_LEN.min(self.body.len() - TEXT);
        text_at(self.body, TEXT, len).unwrap_or_default()
    }

    /// Why the phone lost its server the last time.
    pub fn code(&self) -> AlarmCode {
        let text = std::str::from_utf8(self.text()).unwrap_or_default();
        let leading = text.split(':').next().and_then(|it| it.trim().parse().ok());
        let last = text.split_once("Last=").map(|(_, last)| last.trim());
        let by_name = last.and_then(AlarmCode::of_name);
        by_name
            .or_else(|| leading.and_then(AlarmCode::of_number))
            .unwrap_or(AlarmCode::Unknown)
    }
}

macro_rules! codes {
    ($($name:ident = $number:literal => $label:literal, $text:literal;)+) => {
        /// By the numbers of phones, which SIP's `cisco-alarm` has too.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum AlarmCode {
            $($name,)+
        }

        impl AlarmCode {
            pub const COUNT: usize = [$(Self::$name),+].len();
            pub const ALL: [Self; Self::COUNT] = [$(Self::$name),+];

            pub const fn number(self) -> u8 {
                match self { $(Self::$name => $number,)+ }
            }

            /// The metric label.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }

            pub const fn of_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$name),)+ _ => None }
            }

            /// As it stands behind `Last=`: a number, or a name that phones abbreviate differently.
            fn of_name(last: &str) -> Option<Self> {
                let digits = last.len() - last.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                if digits > 0 {
                    return Self::of_number(last[..digits].parse().ok()?);
                }
                let folded = fold(last);
                $(if !$text.is_empty() && folded.starts_with($text) {
                    return Some(Self::$name);
                })+
                None
            }
        }
    };
}

/// Letters and digits only, in lower case: `Reset-Reset` and `reset reset` are the same.
fn fold(text: &str) -> String {
    let kept = text.chars().filter(char::is_ascii_alphanumeric);
    kept.map(|it| it.to_ascii_lowercase()).collect()
}

codes! {
    LoadRejected = 0 => "load_rejected", "loadrejected";
    LoadSize = 1 => "load_size", "tftpsize";
    Compressor = 2 => "compressor", "compressor";
    LoadVersion = 3 => "load_version", "version";
    DiskFull = 4 => "disk_full", "diskfull";
    Checksum = 5 => "checksum", "checksum";
    LoadNotFound = 6 => "load_not_found", "filenotfound";
    TftpTimeout = 7 => "tftp_timeout", "tftptimeout";
    TftpAccess = 8 => "tftp_access", "tftpaccess";
    TftpError = 9 => "tftp_error", "tftperror";
    TcpTimeout = 10 => "tcp_timeout", "tcptimeout";
    BadAck = 11 => "bad_ack", "tcpbadack";
    ResetTcp = 12 => "reset_tcp", "cmresettcp";
    AbortedTcp = 13 => "aborted_tcp", "cmabortedtcp";
    ClosedTcp = 14 => "closed_tcp", "cmclosedtcp";
    Unreachable = 15 => "unreachable", "icmpunreach";
    RejectedTcp = 16 => "rejected_tcp", "cmnaked";
    KeepaliveTimeout = 17 => "keepalive_timeout", "keepaliveto";
    FailBack = 18 => "fail_back", "failback";
    Keypad = 20 => "keypad", "phonekeypad";
    AddressChanged = 21 => "address_changed", "phonereip";
    Reset = 22 => "reset", "resetreset";
    Restart = 23 => "restart", "resetrestart";
    Rejected = 24 => "rejected", "phoneregrej";
    Initialised = 25 => "initialised", "initialized";
    Unknown = 26 => "unknown", "";
    WaitingForState = 27 => "waiting_for_state", "waitstate";
    WaitingForResponse = 28 => "waiting_for_response", "waitresponse";
    Dsp = 29 => "dsp", "dspalarm";
    Aborted = 30 => "aborted", "phoneabort";
    FileAuthentication = 31 => "file_authentication", "fileauthfail";
}

impl AlarmCode {
    /// Whether it says that the phone left because it was told to, by whomever.
    pub const fn is_restart(self) -> bool {
        matches!(
            self,
            Self::Keypad | Self::Reset | Self::Restart | Self::FailBack
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> AlarmCode {
        let mut body = vec![2, 0, 0, 0];
        body.extend(text.as_bytes());
        body.resize(body.len().max(92), 0);
        Alarm::new(&body).unwrap().code()
    }

    #[test]
    fn the_last_reason_is_read_by_number_and_by_name() {
        for (text, expected) in [
            (
                "Name=SEP001122334455 Load=8.5(2) Last=Reset-Reset",
                AlarmCode::Reset,
            ),
            (
                "25: Name=SEP001122334455 Load=8.5(2) Last=Initialized",
                AlarmCode::Initialised,
            ),
            (
                "Name=SEP001122334455 Load= 3.2 Last=KeepaliveTO",
                AlarmCode::KeepaliveTimeout,
            ),
            ("Name=SEP001122334455 Last=14", AlarmCode::ClosedTcp),
            (
                "14: Name=SEP001122334455 Load=9.1 Last=CM-closed-TCP",
                AlarmCode::ClosedTcp,
            ),
            ("23: Name=SEP001122334455 Last=", AlarmCode::Restart),
            ("Last=99", AlarmCode::Unknown),
            ("Last=no such thing", AlarmCode::Unknown),
            ("", AlarmCode::Unknown),
        ] {
            assert_eq!(code(text), expected, "{text}");
        }
    }

    #[test]
    fn an_alarm_may_end_early_but_not_before_its_text() {
        assert!(Alarm::new(&[0; 4]).is_none());
        let short = Alarm::new(b"\x01\0\0\0Last=22").unwrap();
        assert_eq!((short.severity(), short.code()), (1, AlarmCode::Reset));
    }

    #[test]
    fn codes_are_at_their_places_and_have_labels_of_their_own() {
        let mut labels: Vec<_> = AlarmCode::ALL.iter().map(|it| it.as_str()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), AlarmCode::COUNT);
        for (place, it) in AlarmCode::ALL.into_iter().enumerate() {
            assert_eq!(it as usize, place);
            assert_eq!(AlarmCode::of_number(it.number()), Some(it));
        }
    }
}
