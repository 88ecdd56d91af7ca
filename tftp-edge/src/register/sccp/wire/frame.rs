//! Framing: where one message ends and the next begins in a TCP stream.
//!
//! ```text
//! 0        4                8            12
//! | length | header version | message id | body …
//! ```
//!
//! All three are little-endian. `length` counts from the message id on, so a message takes
//! `length + 8` bytes (chan-sccp, Wireshark's skinny dissector).

use super::field::u32_at;

/// Length, header version and message id.
pub const HEADER_LEN: usize = 12;

/// What `length` does not count.
const UNCOUNTED: usize = 8;

/// The largest `length` that is taken. The largest messages of phones are the third
/// UpdateCapabilities, below 3,000 bytes, and XMLAlarm with 2,048 bytes of text.
pub const MAX_LENGTH: usize = 4096;

/// The most bytes of a message.
pub const MAX_FRAME: usize = MAX_LENGTH + UNCOUNTED;

/// Phones write 0 or the version in use, which has one byte everywhere else.
const MAX_HEADER_VERSION: u32 = u8::MAX as u32;

/// A message as it lies in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'b> {
    pub id: u32,
    pub body: &'b [u8],
}

/// Why bytes cannot be a message. What follows them cannot be found, so the stream is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unframed {
    #[error("a length of {0} has no room for the message id; at least 4 is expected")]
    TooShort(u32),
    #[error("a length of {0} is more than {MAX_LENGTH}, which no message of a phone has")]
    TooLong(u32),
    #[error("{0} is no version of a header")]
    HeaderVersion(u32),
}

impl<'b> Frame<'b> {
    /// The first message in `bytes` and how many of them it takes; none as long as its end is
    /// missing. A wrong header is told as soon as the wrong field is there.
    pub fn first(bytes: &'b [u8]) -> Result<Option<(Self, usize)>, Unframed> {
        let Some(length) = u32_at(bytes, 0) else {
            return Ok(None);
        };
        if length < 4 {
            return Err(Unframed::TooShort(length));
        }
        if length as usize > MAX_LENGTH {
            return Err(Unframed::TooLong(length));
        }
        match u32_at(bytes, 4) {
            Some(version) if version > MAX_HEADER_VERSION => {
                return Err(Unframed::HeaderVersion(version));
            }
            _ => {}
        }
        let whole = length as usize + UNCOUNTED;
        let (Some(id), Some(body)) = (u32_at(bytes, 8), bytes.get(HEADER_LEN..whole)) else {
            return Ok(None);
        };
        Ok(Some((Self { id, body }, whole)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SpeedDialStatReq for the second speed dial.
    const MESSAGE: [u8; 16] = [8, 0, 0, 0, 17, 0, 0, 0, 0x0A, 0, 0, 0, 2, 0, 0, 0];

    #[test]
    fn a_message_ends_where_its_length_says() {
        let mut stream = MESSAGE.to_vec();
        stream.extend(MESSAGE);
        let (frame, len) = Frame::first(&stream).unwrap().unwrap();
        assert_eq!((frame.id, frame.body), (0x0A, &[2, 0, 0, 0][..]));
        assert_eq!(len, MESSAGE.len());
    }

    #[test]
    fn nothing_is_said_before_the_end_is_there() {
        for cut in 0..MESSAGE.len() {
            assert_eq!(Frame::first(&MESSAGE[..cut]), Ok(None), "{cut}");
        }
    }

    #[test]
    fn a_length_that_cannot_be_is_told_before_the_rest_is_there() {
        let with = |length: u32| Frame::first(&length.to_le_bytes()).map(|it| it.is_some());
        for length in 0..4 {
            assert_eq!(with(length), Err(Unframed::TooShort(length)));
        }
        assert_eq!(with(4), Ok(false));
        assert_eq!(with(MAX_LENGTH as u32), Ok(false));
        let over = MAX_LENGTH as u32 + 1;
        assert_eq!(with(over), Err(Unframed::TooLong(over)));
        // An HTTP request, read as a length.
        let get = u32::from_le_bytes(*b"GET ");
        assert_eq!(with(get), Err(Unframed::TooLong(get)));
    }

    #[test]
    fn a_header_version_has_one_byte() {
        let mut message = MESSAGE;
        message[5] = 1;
        assert_eq!(Frame::first(&message), Err(Unframed::HeaderVersion(0x0111)));
    }
}
