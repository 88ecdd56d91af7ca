//! What was done with a packet, and why: one list for kernel and daemon.
//!
//! Every packet ends in one [`Reason`], every reason has one counter, and [`Reason::verdict`] is
//! the only place where a reason becomes an action.

/// What happens to the packet that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It was turned into the answer, which goes back the way it came.
    Answer,
    /// It goes on untouched, to the next rung of the ladder.
    Pass,
    /// It ends here.
    Drop,
    /// It goes to the program that classifies registrations ([`crate::classify`]).
    Classify,
}

/// Who handled a packet. The label value `path` of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Rung {
    Xdp = 0,
    Tc = 1,
    Socket = 2,
}

impl Rung {
    pub const COUNT: usize = 3;
    pub const ALL: [Self; Self::COUNT] = [Self::Xdp, Self::Tc, Self::Socket];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::Tc => "tc",
            Self::Socket => "socket",
        }
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident => $verdict:ident $label:literal,)+) => {
        /// Why a packet got its verdict.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            pub const COUNT: usize = [$(Self::$name),+].len();
            pub const ALL: [Self; Self::COUNT] = [$(Self::$name),+];

            /// The metric label.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }

            pub const fn verdict(self) -> Verdict {
                match self { $(Self::$name => Verdict::$verdict,)+ }
            }
        }
    };
}

reasons! {
    // Answered.
    /// RRQ answered with DATA 1.
    FirstData => Answer "first_data",
    /// RRQ answered with OACK.
    Oack => Answer "oack",
    /// RRQ for a name that is known to be absent: ERROR 1.
    Absent => Answer "absent",
    /// ACK answered with the next DATA.
    Data => Answer "data",
    /// The packet that is outstanding sent again: a repeated RRQ, or an ACK repeated after the
    /// resend time.
    Repeat => Answer "repeat",
    /// RRQ that cannot be granted, answered with an ERROR other than 1.
    Refused => Answer "refused",
    /// ERROR 5 to a sender whose TID belongs to no transfer (RFC 1350 section 4).
    UnknownTid => Answer "unknown_tid",

    // The end of a transfer.
    /// The last block was acknowledged.
    Complete => Drop "complete",
    /// ERROR in answer to an OACK: the client only asked for the size.
    Probe => Drop "probe",
    /// ERROR from the client in mid-transfer.
    ClientError => Drop "client_error",
    /// Nothing came back in spite of all resends.
    TimedOut => Drop "timed_out",
    /// ICMP said that the client's port or host is not there.
    Unreachable => Drop "unreachable",
    /// The client asked for something else from the same port: its old transfer is over.
    Superseded => Drop "superseded",

    // Dropped.
    /// ACK of the block before the outstanding one, within the resend time (RFC 1123 4.2.3.1).
    DuplicateAck => Drop "duplicate_ack",
    /// ACK of any other block that is not outstanding.
    StrayAck => Drop "stray_ack",
    /// Neither ACK nor ERROR, to the port of a transfer.
    Junk => Drop "junk",
    /// RRQ repeated although its transfer is under way.
    LateRequest => Drop "late_request",
    /// ACK or ERROR to a TID of ours that has no transfer with this client.
    NoTransfer => Drop "no_transfer",
    /// DATA, ACK, ERROR or OACK to the request port: never answered (CVE-2024-2169).
    ReplyOpcode => Drop "reply_opcode",
    /// Fewer than four bytes to the request port.
    Short => Drop "short",
    /// Sent from port 69 or 0: an answer could loop.
    SourcePort => Drop "source_port",
    /// Sent from a multicast, broadcast or otherwise impossible address.
    SourceAddress => Drop "source_address",
    /// Sent to a broadcast or multicast address (RFC 1123 4.2.3.5).
    Broadcast => Drop "broadcast",
    /// The client is not on the allow list.
    Denied => Drop "denied",
    /// The source has too many first packets that nobody acknowledged.
    FirstBudget => Drop "first_budget",
    /// The source asked for too many names that do not exist.
    MissBudget => Drop "miss_budget",
    /// The source asked for the configurations of too many devices that nobody knows.
    UnknownBudget => Drop "unknown_budget",
    /// The bound on transfers was reached: silence, so that the phone asks again.
    Shed => Drop "shed",
    /// The answer could not be written after the frame had been resized.
    WriteFailed => Drop "write_failed",

    // Passed on.
    /// Not IPv4 or IPv6, or too short to be.
    NotIp => Pass "not_ip",
    /// IPv4 options, IPv6 extension headers or a fragment.
    IpComplex => Pass "ip_complex",
    /// Not UDP, or UDP that is not for us.
    NotOurs => Pass "not_ours",
    /// The UDP length does not fit the packet, or the packet its frame.
    Length => Pass "length",
    /// The UDP or the IPv4 header checksum is wrong, or UDP has none over IPv6.
    Checksum => Pass "checksum",
    /// A request without name, mode or closing NUL.
    Malformed => Pass "malformed",
    /// A request longer than the kernel reads.
    LongRequest => Pass "long_request",
    /// An opcode that RFC 1350 and 2347 do not know.
    Opcode => Pass "opcode",
    /// WRQ.
    Write => Pass "write",
    /// netascii, mail, or no mode we know.
    Mode => Pass "mode",
    /// A name that cannot be normalised without doubt.
    Name => Pass "name",
    /// A windowsize over 1, or a block size only the daemon serves.
    Option => Pass "option",
    /// A name that is not in the kernel's directory.
    UnknownName => Pass "unknown_name",
    /// A name the daemon has, and the kernel not.
    NotCached => Pass "not_cached",
    /// An interface or policy the daemon has not set up yet, or an interface that is not in use: the
    /// member of a bond in reserve.
    NotReady => Pass "not_ready",
    /// No daemon has been there for too long: what the program knows may be outdated.
    LeaseOver => Pass "lease_over",
    /// The frame could not be grown to hold the answer.
    CannotGrow => Pass "cannot_grow",
    /// The directory entry changed while it was read.
    Torn => Pass "torn",

    // Handed to the other program.
    /// From or to a place where phones register.
    Registration => Classify "registration",
}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn labels_are_unique_and_in_metric_form() {
        let mut labels: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert!(
            labels
                .iter()
                .all(|label| label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        );
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Reason::COUNT);
    }

    #[test]
    fn the_list_is_in_the_order_of_the_numbers() {
        for (number, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, number);
        }
    }
}
