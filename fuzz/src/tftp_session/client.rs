//! The client, and what it may be sent.

use super::Wish;

/// Datagrams before the first ACK for which there was no question: one repeat by the server.
const UNASKED: usize = 1;

/// A client that fetches a file it knows.
pub(super) struct Client<'c> {
    /// The file as it travels.
    content: &'c [u8],
    wish: Wish,
    /// What was agreed; before the first answer, as without options.
    block_len: usize,
    window: u64,
    is_open: bool,
    /// The last block that came in order, not wrapped.
    have: u64,
    bytes: Vec<u8>,
    is_done: bool,
    /// The highest block whose ACK has reached the server, if any has.
    acknowledged: Option<u64>,
    questions: usize,
    answers: usize,
    last: Vec<u8>,
}

impl std::fmt::Debug for Client<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Client")
            .field("wish", &self.wish)
            .field("content_len", &self.content.len())
            .field("have", &self.have)
            .field("acknowledged", &self.acknowledged)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

impl<'c> Client<'c> {
    pub(super) fn new(content: &'c [u8], wish: Wish) -> Self {
        Self {
            content,
            wish,
            block_len: 512,
            window: 1,
            is_open: false,
            have: 0,
            bytes: Vec::new(),
            is_done: false,
            acknowledged: None,
            questions: 0,
            answers: 0,
            last: Vec::new(),
        }
    }

    fn has_options(&self) -> bool {
        self.wish.blksize.is_some() || self.wish.windowsize.is_some() || self.wish.tsize
    }

    /// The request; servers here know the file and the wish already.
    pub(super) fn request(&mut self) -> Vec<u8> {
        self.last = vec![0, 1];
        self.last.clone()
    }

    /// What it sends when it has waited for too long.
    pub(super) fn repeat(&self) -> Option<Vec<u8>> {
        (!self.is_done).then(|| self.last.clone())
    }

    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }

    /// A forged ACK has acknowledged what never came: a server has no reason to send it again.
    pub(super) fn is_spoilt(&self) -> bool {
        self.acknowledged.is_some_and(|block| block > self.have)
    }

    /// Blocks of the file, at the block size that was asked for.
    pub(super) fn blocks(&self) -> usize {
        let block_len = usize::from(self.wish.blksize.unwrap_or(512));
        self.content.len() / block_len.max(1) + 1
    }

    /// A datagram has come to the server.
    pub(super) fn reached(&mut self, datagram: &[u8]) {
        self.questions += 1;
        // Before there is a transfer, an ACK is nobody's.
        if let [0, 4, high, low] = *datagram
            && self.answers > 0
        {
            self.count_ack(u16::from_be_bytes([high, low]));
        }
    }

    /// The server takes every ACK of what is outstanding, whoever wrote it.
    fn count_ack(&mut self, number: u16) {
        match self.acknowledged {
            None => {
                // ACK 0 answers an OACK, ACK 1 to the window the first DATA.
                let first = u64::from(number);
                let fits = match self.has_options() {
                    true => first == 0,
                    false => (1..=self.window).contains(&first),
                };
                if fits {
                    self.acknowledged = Some(first);
                }
            }
            Some(before) => {
                let ahead = u64::from(number.wrapping_sub(before as u16));
                if (1..=self.wished_window()).contains(&ahead) {
                    self.acknowledged = Some(before + ahead);
                }
            }
        }
    }

    fn wished_window(&self) -> u64 {
        u64::from(self.wish.windowsize.unwrap_or(1))
    }

    /// Whether the server may send this now.
    pub(super) fn check_sent(&mut self, datagram: &[u8]) {
        self.answers += 1;
        if self.acknowledged.is_none() {
            assert!(
                self.answers <= self.questions + UNASKED,
                "{} answers to {} questions, and nothing was acknowledged",
                self.answers,
                self.questions
            );
        }
        match datagram {
            [0, 3, high, low, data @ ..] => {
                let block_len = usize::from(self.wish.blksize.unwrap_or(512));
                assert!(data.len() <= block_len, "{} bytes of data", data.len());
                let acknowledged = self.acknowledged.unwrap_or(0);
                let number = u16::from_be_bytes([*high, *low]);
                let block = nearest(number, acknowledged);
                assert!(
                    block >= 1 && block <= acknowledged + self.wished_window(),
                    "block {block} when {acknowledged} is acknowledged"
                );
                let begin = (block - 1) as usize * block_len;
                let end = (begin + block_len).min(self.content.len());
                assert_eq!(
                    Some(data),
                    self.content.get(begin..end),
                    "block {block} is not of the file"
                );
            }
            [0, 6, ..] => assert!(self.has_options(), "an OACK to no options"),
            other => panic!("the server sent {other:?}"),
        }
    }

    /// Takes a datagram; says what it answers.
    pub(super) fn receive(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        match datagram {
            [0, 6, ..] => {
                if self.have > 0 {
                    return None;
                }
                self.open();
                self.last = vec![0, 4, 0, 0];
                Some(self.last.clone())
            }
            [0, 3, high, low, data @ ..] => {
                if self.has_options() && !self.is_open {
                    // It comes before the OACK that agreed on it; that will come again.
                    return None;
                }
                let number = u16::from_be_bytes([*high, *low]);
                if number != (self.have + 1) as u16 {
                    return None;
                }
                self.have += 1;
                self.bytes.extend_from_slice(data);
                if data.len() < self.block_len {
                    assert_eq!(self.bytes, self.content, "the file arrived otherwise");
                    self.is_done = true;
                }
                self.last = vec![0, 4, *high, *low];
                // In the middle of a window it waits for more.
                let is_due = self.is_done || self.have.is_multiple_of(self.window);
                is_due.then(|| self.last.clone())
            }
            other => panic!("the server sent {other:?}"),
        }
    }

    fn open(&mut self) {
        if !self.is_open {
            self.is_open = true;
            self.block_len = usize::from(self.wish.blksize.unwrap_or(512));
            self.window = self.wished_window();
        }
    }
}

/// The block whose number, of 16 bits, is nearest to one.
fn nearest(number: u16, to: u64) -> u64 {
    let ahead = number.wrapping_sub(to as u16) as i16;
    to.saturating_add_signed(ahead.into())
}
