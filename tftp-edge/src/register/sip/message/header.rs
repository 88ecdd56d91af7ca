//! The names of headers.

/// A header that means something here. All others are [`Name::Other`], and left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    Other,
    Accept,
    Authorization,
    CSeq,
    CallId,
    Contact,
    ContentEncoding,
    ContentLength,
    ContentType,
    Event,
    Expires,
    From,
    MaxForwards,
    ProxyAuthorization,
    ProxyRequire,
    Reason,
    RecordRoute,
    ReferSub,
    ReferTo,
    Require,
    Route,
    Supported,
    To,
    UserAgent,
    Via,
}

/// In the order in which phones write most of them.
const NAMES: [(&[u8], Name); 24] = [
    (b"via", Name::Via),
    (b"from", Name::From),
    (b"to", Name::To),
    (b"call-id", Name::CallId),
    (b"max-forwards", Name::MaxForwards),
    (b"cseq", Name::CSeq),
    (b"user-agent", Name::UserAgent),
    (b"contact", Name::Contact),
    (b"authorization", Name::Authorization),
    (b"supported", Name::Supported),
    (b"reason", Name::Reason),
    (b"content-length", Name::ContentLength),
    (b"content-type", Name::ContentType),
    (b"expires", Name::Expires),
    (b"accept", Name::Accept),
    (b"content-encoding", Name::ContentEncoding),
    (b"event", Name::Event),
    (b"proxy-authorization", Name::ProxyAuthorization),
    (b"proxy-require", Name::ProxyRequire),
    (b"record-route", Name::RecordRoute),
    (b"refer-sub", Name::ReferSub),
    (b"refer-to", Name::ReferTo),
    (b"require", Name::Require),
    (b"route", Name::Route),
];

impl Name {
    /// By its full or its compact form (RFC 3261 7.3.3 and 20), in any case.
    pub fn of(written: &[u8]) -> Self {
        if let [letter] = written {
            return match letter.to_ascii_lowercase() {
                b'c' => Self::ContentType,
                b'e' => Self::ContentEncoding,
                b'f' => Self::From,
                b'i' => Self::CallId,
                b'k' => Self::Supported,
                b'l' => Self::ContentLength,
                b'm' => Self::Contact,
                b'o' => Self::Event,
                b'r' => Self::ReferTo,
                b't' => Self::To,
                b'v' => Self::Via,
                _ => Self::Other,
            };
        }
        let known = NAMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(written));
        known.map_or(Self::Other, |&(_, name)| name)
    }

    /// Of which a message has one at most, and in which two would contradict each other.
    pub const fn is_single(self) -> bool {
        matches!(
            self,
            Self::CSeq
                | Self::CallId
                | Self::ContentLength
                | Self::ContentType
                | Self::Event
                | Self::Expires
                | Self::From
                | Self::MaxForwards
                | Self::ReferTo
                | Self::To
        )
    }
}
