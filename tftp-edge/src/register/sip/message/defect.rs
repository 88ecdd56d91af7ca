//! What can be wrong with a message.

/// By what it concerns. The label value `defect` of the metrics, and what the sender is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Defect {
    /// Neither a request nor a response of SIP.
    #[error("Not SIP")]
    NotSip,
    #[error("Too Many Headers")]
    TooManyHeaders,
    #[error("Headers Too Long")]
    TooLong,
    #[error("Malformed Start Line")]
    StartLine,
    #[error("Version Not Supported")]
    Version,
    #[error("Malformed Request-URI")]
    RequestUri,
    #[error("Unsupported URI Scheme")]
    Scheme,
    #[error("Malformed Header Line")]
    HeaderLine,
    #[error("No Empty Line After Headers")]
    Cut,
    #[error("Missing Via Header")]
    NoVia,
    #[error("Missing From Header")]
    NoFrom,
    #[error("Missing To Header")]
    NoTo,
    #[error("Missing Call-ID Header")]
    NoCallId,
    #[error("Missing CSeq Header")]
    NoCSeq,
    #[error("Header Repeated")]
    Repeated,
    #[error("Malformed Via Header")]
    Via,
    #[error("Malformed From Header")]
    From,
    #[error("Malformed To Header")]
    To,
    #[error("Malformed Call-ID Header")]
    CallId,
    #[error("Malformed CSeq Header")]
    CSeq,
    #[error("CSeq Method Mismatch")]
    Method,
    #[error("Malformed Max-Forwards Header")]
    MaxForwards,
    #[error("Malformed Contact Header")]
    Contact,
    #[error("Too Many Contacts")]
    Contacts,
    #[error("Contact * Needs Expires: 0 And No Other Contact")]
    Star,
    #[error("Malformed Expires")]
    Expires,
    #[error("Malformed Content-Length Header")]
    ContentLength,
    #[error("Body Shorter Than Content-Length")]
    Body,
    #[error("Malformed Authorization Header")]
    Authorization,
}

impl Defect {
    pub const ALL: [Self; 29] = [
        Self::NotSip,
        Self::TooManyHeaders,
        Self::TooLong,
        Self::StartLine,
        Self::Version,
        Self::RequestUri,
        Self::Scheme,
        Self::HeaderLine,
        Self::Cut,
        Self::NoVia,
        Self::NoFrom,
        Self::NoTo,
        Self::NoCallId,
        Self::NoCSeq,
        Self::Repeated,
        Self::Via,
        Self::From,
        Self::To,
        Self::CallId,
        Self::CSeq,
        Self::Method,
        Self::MaxForwards,
        Self::Contact,
        Self::Contacts,
        Self::Star,
        Self::Expires,
        Self::ContentLength,
        Self::Body,
        Self::Authorization,
    ];

    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotSip => "not_sip",
            Self::TooManyHeaders => "too_many_headers",
            Self::TooLong => "too_long",
            Self::StartLine => "start_line",
            Self::Version => "version",
            Self::RequestUri => "request_uri",
            Self::Scheme => "scheme",
            Self::HeaderLine => "header_line",
            Self::Cut => "cut",
            Self::NoVia => "no_via",
            Self::NoFrom => "no_from",
            Self::NoTo => "no_to",
            Self::NoCallId => "no_call_id",
            Self::NoCSeq => "no_cseq",
            Self::Repeated => "repeated",
            Self::Via => "via",
            Self::From => "from",
            Self::To => "to",
            Self::CallId => "call_id",
            Self::CSeq => "cseq",
            Self::Method => "method",
            Self::MaxForwards => "max_forwards",
            Self::Contact => "contact",
            Self::Contacts => "contacts",
            Self::Star => "star",
            Self::Expires => "expires",
            Self::ContentLength => "content_length",
            Self::Body => "body",
            Self::Authorization => "authorization",
        }
    }

    /// The status code that tells it.
    pub const fn code(self) -> u16 {
        match self {
            Self::Version => 505,
            Self::Scheme => 416,
            Self::TooManyHeaders | Self::TooLong => 513,
            _ => 400,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_defect_has_a_label_of_its_own_at_its_place() {
        let mut labels: Vec<_> = Defect::ALL.iter().map(|it| it.as_str()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Defect::ALL.len());
        for (place, defect) in Defect::ALL.iter().enumerate() {
            assert_eq!(*defect as usize, place);
        }
    }
}
