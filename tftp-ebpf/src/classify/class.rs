//! The classes of registration packets, and what can become of them: closed lists for kernel and
//! daemon.

/// What becomes of a registration packet. The label value `verdict` of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Decision {
    Pass = 0,
    /// It was over the budget, and passed all the same: the budget is only observed.
    WouldDrop = 1,
    /// It was over the budget: silence, so that its sender's back-off brings it again later.
    Drop = 2,
}

impl Decision {
    pub const COUNT: usize = 3;
    pub const ALL: [Self; Self::COUNT] = [Self::Pass, Self::WouldDrop, Self::Drop];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::WouldDrop => "would_drop",
            Self::Drop => "drop",
        }
    }

    /// The decision with this number.
    pub const fn from_index(index: u8) -> Option<Self> {
        if (index as usize) < Self::COUNT {
            Some(Self::ALL[index as usize])
        } else {
            None
        }
    }
}

macro_rules! classes {
    ($($(#[doc = $doc:literal])* $name:ident => $told:ident $label:literal,)+) => {
        /// What a registration packet is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Class {
            $($(#[doc = $doc])* $name,)+
        }

        impl Class {
            pub const COUNT: usize = [$(Self::$name),+].len();
            pub const ALL: [Self; Self::COUNT] = [$(Self::$name),+];

            /// The metric label.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }

            const fn telling(self) -> Telling {
                match self { $(Self::$name => Telling::$told,)+ }
            }
        }
    };
}

/// What the daemon is told of a packet that passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Telling {
    Counted,
    Sampled,
    /// With the beginning of the message.
    WithHead,
}

classes! {
    // Without a look at the payload.
    /// IPv4 options, IPv6 extension headers or a fragment, from or to an address where phones
    /// register.
    Complex => Counted "complex",
    /// Lengths that do not fit the packet, or a wrong IPv4 header checksum.
    Malformed => Counted "malformed",
    /// TCP: a connection is asked for.
    Syn => Counted "syn",
    /// TCP without payload: everything else that opens, acknowledges and closes.
    TcpControl => Counted "tcp_control",
    /// Payload of TLS.
    Encrypted => Counted "encrypted",

    // SCCP.
    /// Register.
    SccpRegister => Sampled "sccp_register",
    /// RegisterTokenReq, of SPCP too.
    SccpToken => Sampled "sccp_token",
    /// KeepAlive.
    SccpKeepalive => Counted "sccp_keepalive",
    /// Unregister.
    SccpUnregister => Sampled "sccp_unregister",
    /// Alarm and XMLAlarm.
    SccpAlarm => Sampled "sccp_alarm",
    /// RegisterAck.
    SccpRegisterAck => Sampled "sccp_register_ack",
    /// RegisterReject.
    SccpRegisterReject => Sampled "sccp_register_reject",
    /// RegisterTokenAck.
    SccpTokenAck => Sampled "sccp_token_ack",
    /// RegisterTokenReject.
    SccpTokenReject => Sampled "sccp_token_reject",
    /// KeepAliveAck.
    SccpKeepaliveAck => Counted "sccp_keepalive_ack",
    /// Reset: reset, restart or apply-config.
    SccpReset => Sampled "sccp_reset",
    /// Any other message.
    SccpOther => Counted "sccp_other",
    /// A segment that does not begin with a message, or not with all of its header.
    SccpContinuation => Counted "sccp_continuation",

    // SIP.
    /// REGISTER.
    SipRegister => WithHead "sip_register",
    /// REFER: an alarm, or a request for a token.
    SipRefer => WithHead "sip_refer",
    SipOptions => Counted "sip_options",
    SipNotify => Counted "sip_notify",
    SipSubscribe => Counted "sip_subscribe",
    SipInvite => Counted "sip_invite",
    /// A request by any other method.
    SipRequest => Counted "sip_request",
    /// 100 to 199.
    SipProvisional => Counted "sip_1xx",
    /// 200 to 299 to a REGISTER: a phone is registered, or renewed, or has left.
    SipRegistered => WithHead "sip_registered",
    /// 200 to 299 to any other method.
    SipSuccess => Counted "sip_2xx",
    /// 401 and 407: who are you?
    SipChallenge => Counted "sip_challenge",
    /// 403 and 404.
    SipForbidden => WithHead "sip_forbidden",
    /// 423, interval too brief.
    SipTooBrief => WithHead "sip_too_brief",
    /// 503, with the time to come again in Retry-After.
    SipUnavailable => WithHead "sip_unavailable",
    /// Any other status.
    SipResponse => Counted "sip_response",
    /// A keep-alive of blank lines (RFC 5626 3.5.1), or of nothing.
    SipKeepalive => Counted "sip_keepalive",
    /// A segment of TCP that does not begin with a message.
    SipContinuation => Counted "sip_continuation",
    /// A datagram that is no message.
    SipGarbage => Counted "sip_garbage",
}

impl Class {
    /// The class with this number.
    pub const fn from_index(index: u8) -> Option<Self> {
        if (index as usize) < Self::COUNT {
            Some(Self::ALL[index as usize])
        } else {
            None
        }
    }

    /// Whether a packet of this class may begin a registration, and so draws on the budget of
    /// newcomers: a connection, or a REGISTER that needs none. What comes over a connection that was
    /// let in has been paid for.
    #[inline(always)]
    pub const fn draws(self, is_udp: bool) -> bool {
        matches!(self, Self::Syn) || is_udp && matches!(self, Self::SipRegister)
    }

    /// Whether the daemon is told of each packet, and not only of those over the budget.
    #[inline(always)]
    pub const fn is_told(self) -> bool {
        TOLD & 1 << self as u64 != 0
    }

    /// Whether the daemon is also given the beginning of the message, by number.
    #[inline(always)]
    pub(super) const fn has_head(class: u8) -> bool {
        HEADS >> (class & 63) & 1 != 0
    }
}

/// One bit a class. A table would be memory of the program, which is one more map.
const TOLD: u64 = bits(Telling::Sampled) | HEADS;
const HEADS: u64 = bits(Telling::WithHead);

const fn bits(telling: Telling) -> u64 {
    let mut bits = 0;
    let mut at = 0;
    while at < Class::COUNT {
        if Class::ALL[at].telling() as u8 == telling as u8 {
            bits |= 1 << at;
        }
        at += 1;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_unique_and_in_metric_form() {
        let mut labels: Vec<_> = Class::ALL.iter().map(|class| class.as_str()).collect();
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        assert!(labels.iter().all(|label| label.bytes().all(is_plain)));
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Class::COUNT);
    }

    #[test]
    fn numbers_lead_back_to_classes_and_decisions() {
        for (number, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, number);
            assert_eq!(Class::from_index(number as u8), Some(class));
        }
        for (number, decision) in Decision::ALL.into_iter().enumerate() {
            assert_eq!(Decision::from_index(number as u8), Some(decision));
        }
        assert_eq!(Class::from_index(Class::COUNT as u8), None);
        assert_eq!(Decision::from_index(3), None);
    }

    #[test]
    fn the_daemon_is_told_of_what_changes_a_registration() {
        assert!(Class::SccpRegister.is_told() && !Class::has_head(Class::SccpRegister as u8));
        assert!(Class::SipRegister.is_told() && Class::has_head(Class::SipRegister as u8));
        assert!(Class::SipUnavailable.is_told());
        for class in [Class::SccpKeepalive, Class::TcpControl, Class::SipInvite] {
            assert!(!class.is_told(), "{class:?}");
        }
    }

    #[test]
    fn what_needs_a_connection_pays_for_the_connection_alone() {
        assert!(Class::Syn.draws(false));
        assert!(Class::SipRegister.draws(true));
        assert!(!Class::SipRegister.draws(false));
        assert!(!Class::SccpRegister.draws(false));
        assert!(!Class::SipOptions.draws(true));
    }
}
