use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

/// The server's port for the transfer.
const TID: u16 = 50_000;

struct Case {
    download: Download,
    now: Instant,
}

impl Case {
    fn new() -> Self {
        Self::with_limit(1 << 20)
    }

    fn with_limit(max_len: u64) -> Self {
        let now = Instant::now();
        Self {
            download: Download::new(b"Ringlist.xml", max_len, PATIENCE, now),
            now,
        }
    }

    fn packet(&mut self, packet: &[u8]) -> Reaction {
        self.download.on_packet(TID, packet, self.now)
    }

    fn data(&mut self, number: u16, len: usize) -> Reaction {
        self.packet(&data(number, len))
    }

    fn oack(&mut self, options: &str) -> Reaction {
        let mut packet = vec![0, 6];
        packet.extend_from_slice(options.as_bytes());
        self.packet(&packet)
    }

    fn after(&mut self, time: Duration) -> Reaction {
        self.now += time;
        self.download.on_timer(self.now)
    }
}

fn data(number: u16, len: usize) -> Vec<u8> {
    let mut packet = vec![0, 3];
    packet.extend_from_slice(&number.to_be_bytes());
    packet.resize(4 + len, number as u8);
    packet
}

fn ack(number: u16) -> Vec<u8> {
    [&[0, 4], &number.to_be_bytes()[..]].concat()
}

#[test]
fn a_request_has_the_options_and_says_that_it_is_forwarded() {
    let case = Case::new();
    assert_eq!(
        case.download.packet(),
        b"\0\x01Ringlist.xml\0octet\0blksize\x001428\0tsize\x000\0windowsize\x0016\0\
          cdn-loop\0tftp-edge\0"
    );
}

#[test]
fn a_server_without_options_is_read_block_by_block() {
    let mut case = Case::new();
    assert_eq!(case.data(1, 512), Reaction::Send);
    assert_eq!(case.download.packet(), ack(1));
    assert_eq!(case.data(2, 3), Reaction::Complete);
    assert_eq!(case.download.packet(), ack(2));
    assert_eq!(case.download.into_body().len(), 515);
}

#[test]
fn a_file_that_fills_its_blocks_ends_with_an_empty_one() {
    let mut case = Case::new();
    assert_eq!(case.data(1, 512), Reaction::Send);
    assert_eq!(case.data(2, 0), Reaction::Complete);
    assert_eq!(case.download.len(), 512);
}

#[test]
fn a_window_has_one_ack() {
    let mut case = Case::new();
    assert_eq!(case.oack("blksize\x008\0windowsize\x004\0"), Reaction::Send);
    assert_eq!(case.download.packet(), ack(0));
    for number in 1..=3 {
        assert_eq!(case.data(number, 8), Reaction::Wait);
    }
    assert_eq!(case.data(4, 8), Reaction::Send);
    assert_eq!(case.download.packet(), ack(4));
    assert_eq!(case.data(5, 1), Reaction::Complete);
    assert_eq!(case.download.packet(), ack(5));
}

#[test]
fn a_gap_is_told_once_and_the_server_goes_on_before_it() {
    let mut case = Case::new();
    case.oack("blksize\x008\0windowsize\x008\0");
    case.data(1, 8);
    assert_eq!(case.data(3, 8), Reaction::Send);
    assert_eq!(case.download.packet(), ack(1));
    assert_eq!(case.data(4, 8), Reaction::Wait);
    case.data(2, 8);
    assert_eq!(case.data(3, 0), Reaction::Complete);
    assert_eq!(case.download.len(), 16);
}

#[test]
fn a_block_that_came_before_is_not_answered() {
    let mut case = Case::new();
    case.data(1, 512);
    assert_eq!(case.data(1, 512), Reaction::Wait);
    assert_eq!(case.data(0, 512), Reaction::Wait);
    assert_eq!(case.download.len(), 512);
}

#[test]
fn block_numbers_wrap_to_zero() {
    let mut case = Case::new();
    case.oack("blksize\x008\0");
    for number in 1..=65_540_u32 {
        assert_eq!(case.data(number as u16, 8), Reaction::Send, "{number}");
    }
    assert_eq!(case.data(5, 0), Reaction::Complete);
    assert_eq!(case.download.len(), 65_540 * 8);
}

#[test]
fn what_is_not_answered_is_sent_again_and_in_the_end_given_up() {
    let mut case = Case::new();
    assert_eq!(case.after(FIRST_RESEND / 2), Reaction::Wait);
    assert_eq!(case.after(FIRST_RESEND / 2), Reaction::Send);
    assert_eq!(case.after(FIRST_RESEND), Reaction::Wait, "it doubles");
    assert_eq!(case.after(FIRST_RESEND), Reaction::Send);
    assert_eq!(case.after(PATIENCE), Reaction::Failed(Failure::Timeout));
    // Nobody has answered, so nobody is told.
    assert!(case.download.packet().is_empty());
}

#[test]
fn the_timer_acknowledges_what_came_of_a_window() {
    let mut case = Case::new();
    case.oack("blksize\x008\0windowsize\x008\0");
    case.data(1, 8);
    case.data(2, 8);
    assert_eq!(case.after(FIRST_RESEND), Reaction::Send);
    assert_eq!(case.download.packet(), ack(2));
    assert_eq!(case.after(PATIENCE), Reaction::Failed(Failure::Timeout));
    assert_eq!(case.download.packet(), error(ErrorCode::NotDefined));
}

#[test]
fn a_stranger_is_told_a_few_times_and_changes_nothing() {
    let mut case = Case::new();
    case.data(1, 512);
    let stranger = |case: &mut Case, packet: &[u8]| {
        let now = case.now;
        case.download.on_packet(TID + 1, packet, now)
    };
    // Two servers that answer each other's ERRORs would never stop.
    assert_eq!(stranger(&mut case, b"\0\x05\0\x01no\0"), Reaction::Wait);
    let told = (0..100).filter(|_| stranger(&mut case, &data(2, 1)) == Reaction::Complain);
    assert_eq!(told.count(), MAX_COMPLAINTS as usize - 1);
    assert_eq!(case.data(2, 1), Reaction::Complete);
}

#[test]
fn errors_are_told_apart() {
    for (code, failure) in [
        (1, Failure::NotFound),
        (2, Failure::Forbidden),
        (0, Failure::Broken),
        (4, Failure::Broken),
        (99, Failure::Broken),
    ] {
        let packet = [0, 5, 0, code, 0];
        assert_eq!(
            Case::new().packet(&packet),
            Reaction::Failed(failure),
            "{code}"
        );
    }
}

#[test]
fn a_server_that_refuses_options_is_asked_without() {
    let mut case = Case::new();
    assert_eq!(case.packet(b"\0\x05\0\x08\0"), Reaction::Send);
    assert_eq!(case.download.packet(), b"\0\x01Ringlist.xml\0octet\0");
    assert_eq!(
        case.packet(b"\0\x05\0\x08\0"),
        Reaction::Failed(Failure::Broken),
        "but once"
    );
}

#[test]
fn an_oack_with_more_than_was_asked_for_is_refused() {
    for options in [
        "blksize\x001429\0",
        "blksize\x007\0",
        "blksize\0x\0",
        "windowsize\x0017\0",
        "windowsize\x000\0",
        "tsize\0-1\0",
        "multicast\0\0",
        "blksize\x00512",
        "blksize\0",
    ] {
        let mut case = Case::new();
        assert_eq!(
            case.oack(options),
            Reaction::Failed(Failure::Broken),
            "{options:?}"
        );
        assert_eq!(case.download.packet(), error(ErrorCode::OptionRefused));
    }
}

#[test]
fn a_file_that_is_longer_or_shorter_than_it_was_said_to_be_is_none() {
    for (len, reaction) in [
        (99, Reaction::Failed(Failure::Broken)),
        (100, Reaction::Complete),
        (101, Reaction::Failed(Failure::Broken)),
    ] {
        let mut case = Case::new();
        case.oack("tsize\x00100\0");
        assert_eq!(case.data(1, len), reaction, "{len}");
    }
}

#[test]
fn no_more_is_taken_than_there_may_be() {
    let mut case = Case::with_limit(1000);
    assert_eq!(
        case.oack("tsize\x001001\0"),
        Reaction::Failed(Failure::TooLarge)
    );
    let mut case = Case::with_limit(1000);
    case.data(1, 512);
    assert_eq!(case.data(2, 512), Reaction::Failed(Failure::TooLarge));
    assert_eq!(case.download.packet(), error(ErrorCode::DiskFull));
}

#[test]
fn a_block_over_its_size_is_refused() {
    assert_eq!(Case::new().data(1, 513), Reaction::Failed(Failure::Broken));
}

#[test]
fn junk_changes_nothing() {
    let mut case = Case::new();
    for packet in [
        &b""[..],
        b"\0",
        b"\0\x03",
        b"\0\x04\0\x01",
        b"\0\x01x\0octet\0",
        &[255; 600],
    ] {
        assert_eq!(case.packet(packet), Reaction::Wait, "{packet:?}");
    }
    assert_eq!(case.download.tid(), None);
    assert_eq!(case.data(1, 5), Reaction::Complete);
}
