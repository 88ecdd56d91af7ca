//! SIP (RFC 3261), as far as the kernel program reads it: the start line, and the method that a
//! response answers.
//!
//! A start line begins with a method and a space, or with `SIP/2.0` and a status code (section 7),
//! so sixteen bytes tell what a message is. What a *response* answers is in its `CSeq` alone, which
//! has no fixed place: [`find_cseq`] looks for it, in a bounded loop.

use crate::wire::{Bytes, below};

/// The first bytes of a message.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Start([u32; Self::LEN / 4]);

// SAFETY: words without padding.
unsafe impl Bytes for Start {}

/// The methods the kernel program tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Register,
    Refer,
    Options,
    Notify,
    Subscribe,
    Invite,
    /// Any other of the IANA registry.
    Other,
}

/// What stands at the beginning of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine {
    Request(Method),
    /// A response with this status code: 100 to 699.
    Response(u16),
    /// So many bytes of CRLF: a keep-alive (RFC 5626 3.5.1), or what a sender may put before a
    /// message (RFC 3261 7.5).
    Blank(usize),
    /// Neither.
    Nothing,
}

/// A token of a start line with the space behind it, in the form of [`Start`].
struct Token {
    words: [u32; Start::LEN / 4],
    mask: [u32; Start::LEN / 4],
}

impl Token {
    const fn new(text: &str) -> Self {
        let text = text.as_bytes();
        let mut bytes = [[0; 4]; Start::LEN / 4];
        let mut mask = [[0; 4]; Start::LEN / 4];
        let mut at = 0;
        while at <= text.len() {
            bytes[at / 4][at % 4] = if at < text.len() { text[at] } else { b' ' };
            mask[at / 4][at % 4] = 0xff;
            at += 1;
        }
        let mut token = Self {
            words: [0; Start::LEN / 4],
            mask: [0; Start::LEN / 4],
        };
        let mut word = 0;
        while word < Start::LEN / 4 {
            token.words[word] = u32::from_ne_bytes(bytes[word]);
            token.mask[word] = u32::from_ne_bytes(mask[word]);
            word += 1;
        }
        token
    }
}

impl Start {
    pub const LEN: usize = 16;
    pub const EMPTY: Self = Self([0; Self::LEN / 4]);

    /// Methods are case-sensitive (RFC 3261 7.1).
    #[inline(always)]
    pub const fn line(&self) -> StartLine {
        const REGISTER: Token = Token::new("REGISTER");
        const REFER: Token = Token::new("REFER");
        const OPTIONS: Token = Token::new("OPTIONS");
        const NOTIFY: Token = Token::new("NOTIFY");
        const SUBSCRIBE: Token = Token::new("SUBSCRIBE");
        const INVITE: Token = Token::new("INVITE");
        const ACK: Token = Token::new("ACK");
        const BYE: Token = Token::new("BYE");
        const CANCEL: Token = Token::new("CANCEL");
        const INFO: Token = Token::new("INFO");
        const MESSAGE: Token = Token::new("MESSAGE");
        const PRACK: Token = Token::new("PRACK");
        const PUBLISH: Token = Token::new("PUBLISH");
        const UPDATE: Token = Token::new("UPDATE");
        const VERSION: Token = Token::new("SIP/2.0");

        if self.begins(&VERSION) {
            return self.status();
        }
        if self.begins(&REGISTER) {
            return StartLine::Request(Method::Register);
        }
        if self.begins(&REFER) {
            return StartLine::Request(Method::Refer);
        }
        if self.begins(&OPTIONS) {
            return StartLine::Request(Method::Options);
        }
        if self.begins(&NOTIFY) {
            return StartLine::Request(Method::Notify);
        }
        if self.begins(&SUBSCRIBE) {
            return StartLine::Request(Method::Subscribe);
        }
        if self.begins(&INVITE) {
            return StartLine::Request(Method::Invite);
        }
        if self.begins(&ACK)
            || self.begins(&BYE)
            || self.begins(&CANCEL)
            || self.begins(&INFO)
            || self.begins(&MESSAGE)
            || self.begins(&PRACK)
            || self.begins(&PUBLISH)
            || self.begins(&UPDATE)
        {
            return StartLine::Request(Method::Other);
        }
        match self.blank() {
            0 => StartLine::Nothing,
            bytes => StartLine::Blank(bytes),
        }
    }

    #[inline(always)]
    const fn begins(&self, token: &Token) -> bool {
        let mut differs = 0;
        let mut at = 0;
        while at < Self::LEN / 4 {
            differs |= self.0[at] & token.mask[at] ^ token.words[at];
            at += 1;
        }
        differs == 0
    }

    #[inline(always)]
    const fn status(&self) -> StartLine {
        let [hundreds, tens, ones, space] = self.0[2].to_ne_bytes();
        let is_code = hundreds >= b'1'
            && hundreds <= b'6'
            && tens.is_ascii_digit()
            && ones.is_ascii_digit()
            && space == b' ';
        if !is_code {
            return StartLine::Nothing;
        }
        StartLine::Response(
            (hundreds - b'0') as u16 * 100 + (tens - b'0') as u16 * 10 + (ones - b'0') as u16,
        )
    }

    /// Bytes of CRLF at the beginning: none, one, or the two of a keep-alive.
    #[inline(always)]
    const fn blank(&self) -> usize {
        const TWO: u32 = u32::from_ne_bytes(*b"\r\n\r\n");
        const ONE: u32 = u32::from_ne_bytes(*b"\r\n\0\0");
        const MASK: u32 = u32::from_ne_bytes([0xff, 0xff, 0, 0]);
        if self.0[0] == TWO {
            4
        } else if self.0[0] & MASK == ONE {
            2
        } else {
            0
        }
    }
}

/// How much of a message is looked at, and copied for the daemon.
pub const HEAD_MAX: usize = 1024;

/// Longest value of a `CSeq` that is looked at: blanks, ten digits and a method.
const CSEQ_MAX: usize = 32;

/// Looks for the `CSeq` in the first `len` bytes of a message; `at` is where its value begins
/// afterwards, zero if it was not found. One that is written with blanks before its colon is not
/// found: no stack that phones register at writes it so.
///
/// The place is left in memory, because of what the verifier makes of it there: nothing. In a
/// register it would be another number on each way out of the loop, and all that follows would be
/// walked for each of them.
#[inline(always)]
pub fn find_cseq(head: &[u8; HEAD_MAX], len: usize, at: &mut u32) {
    const NAME: u64 = u64::from_be_bytes(*b"\0\0\ncseq:");
    /// Header names have no case; only the letters may be folded.
    const FOLD: u64 = u64::from_be_bytes(*b"\0\0\0    \0");
    const NAME_MASK: u64 = (1 << 48) - 1;
    *at = 0;
    let mut window = 0_u64;
    let mut next = 0;
    while next < HEAD_MAX {
        if next >= len {
            return;
        }
        window = window << 8 | head[next] as u64;
        next += 1;
        if (window | FOLD) & NAME_MASK == NAME {
            *at = next as u32;
            return;
        }
    }
}

/// Whether the value of a `CSeq` that begins at `at`, as [`find_cseq`] says it, names REGISTER.
#[inline(always)]
pub fn names_register(head: &[u8; HEAD_MAX], len: usize, at: &u32) -> bool {
    const METHOD: u64 = u64::from_be_bytes(*b"REGISTER");
    // SAFETY: a reference is valid to read. Or the compiler would keep it in a register all the same.
    let at = below::<HEAD_MAX>(unsafe { core::ptr::read_volatile(at) } as usize);
    if at == 0 || at > HEAD_MAX - CSEQ_MAX {
        return false;
    }
    let mut window = 0_u64;
    let mut seen = 0;
    while seen < CSEQ_MAX {
        if at + seen >= len {
            return false;
        }
        let byte = head[at + seen];
        if byte == b'\n' {
            return false;
        }
        window = window << 8 | byte as u64;
        if window == METHOD {
            return true;
        }
        seen += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> StartLine {
        let mut start = Start::EMPTY;
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(Start::LEN, b'x');
        start.as_bytes_mut().copy_from_slice(&bytes);
        start.line()
    }

    fn head(text: &str) -> ([u8; HEAD_MAX], usize) {
        let mut head = [0xee; HEAD_MAX];
        let len = text.len().min(HEAD_MAX);
        head[..len].copy_from_slice(&text.as_bytes()[..len]);
        (head, len)
    }

    fn answers(text: &str) -> bool {
        let (head, len) = head(text);
        let mut at = 0;
        find_cseq(&head, len, &mut at);
        names_register(&head, len, &at)
    }

    #[test]
    fn methods_are_told_by_their_whole_name() {
        for (text, method) in [
            ("REGISTER sip:10.0.0.1 SIP/2.0", Method::Register),
            ("REFER sip:10.0.0.1 SIP/2.0", Method::Refer),
            ("OPTIONS sip:10.0.0.1 SIP/2.0", Method::Options),
            ("NOTIFY sip:1001@10.0.0.9 SIP/2.0", Method::Notify),
            ("SUBSCRIBE sip:1001@10.0.0.1", Method::Subscribe),
            ("INVITE sip:1002@10.0.0.1 SIP/2.0", Method::Invite),
            ("ACK sip:1002@10.0.0.1 SIP/2.0", Method::Other),
            ("PUBLISH sip:1002@10.0.0.1 SIP/2.0", Method::Other),
        ] {
            assert_eq!(line(text), StartLine::Request(method), "{text}");
        }
        for text in [
            "REGISTERS sip:a",
            "REGISTER\tsip:a",
            "register sip:a",
            "XREGISTER sip:a",
            "REFERsip:a",
            "",
        ] {
            assert_eq!(line(text), StartLine::Nothing, "{text}");
        }
    }

    #[test]
    fn a_status_is_three_digits() {
        assert_eq!(line("SIP/2.0 200 OK"), StartLine::Response(200));
        assert_eq!(line("SIP/2.0 503 Service"), StartLine::Response(503));
        for text in [
            "SIP/2.0 099 No",
            "SIP/2.0 700 No",
            "SIP/2.0 20x OK",
            "SIP/2.0 2000 OK",
            "SIP/1.0 200 OK",
            "sip/2.0 200 OK",
        ] {
            assert_eq!(line(text), StartLine::Nothing, "{text}");
        }
    }

    #[test]
    fn blank_lines_are_counted_in_bytes() {
        assert_eq!(line("\r\n\r\nREGISTER"), StartLine::Blank(4));
        assert_eq!(line("\r\nREGISTER sip:"), StartLine::Blank(2));
        assert_eq!(line("\n\nREGISTER sip:"), StartLine::Nothing);
    }

    #[test]
    fn a_response_is_told_by_the_method_of_its_cseq() {
        let response = |cseq: &str| {
            format!(
                "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.9\r\n{cseq}\r\nTo: <sip:REGISTER>\r\n\r\n"
            )
        };
        assert!(answers(&response("CSeq: 101 REGISTER")));
        assert!(answers(&response("cseq:1  REGISTER")));
        assert!(!answers(&response("CSeq: 101 OPTIONS")));
        assert!(!answers(&response("X-CSeq: 101 REGISTER")));
        assert!(!answers("SIP/2.0 200 OK\r\nCSeq: 101 REGIS"));
        assert!(!answers(""));
    }

    #[test]
    fn a_cseq_is_looked_for_as_far_as_its_value_is_sure_to_be_there() {
        let behind = |bytes: usize| format!("{}\r\nCSeq: 1 REGISTER\r\n", "v".repeat(bytes));
        assert!(answers(&behind(HEAD_MAX - CSEQ_MAX - 7)));
        assert!(!answers(&behind(HEAD_MAX - CSEQ_MAX - 6)));
    }
}
