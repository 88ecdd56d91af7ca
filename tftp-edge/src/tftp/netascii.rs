//! netascii: the text mode of RFC 1350 section 1, which is the NVT of RFC 854.
//!
//! A line feed travels as CR LF and a carriage return as CR NUL. The two bytes may fall into two
//! blocks, so a place in the text is an offset and, maybe, a byte that is still owed.

/// Where the next block begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    offset: usize,
    /// Second byte of a pair whose first ended the last block.
    owed: Option<u8>,
}

impl Cursor {
    /// Appends the block of at most `block_len` bytes that begins here; returns where the next one
    /// begins. A block shorter than `block_len` is the last.
    pub fn write_block(self, text: &[u8], block_len: usize, out: &mut Vec<u8>) -> Self {
        let end = out.len() + block_len;
        let mut next = self;
        if let Some(byte) = next.owed.take()
            && block_len > 0
        {
            out.push(byte);
        }
        while out.len() < end
            && let Some(rest) = text.get(next.offset..)
            && !rest.is_empty()
        {
            let room = end - out.len();
            let plain = rest
                .iter()
                .take(room)
                .position(|&byte| byte == b'\n' || byte == b'\r')
                .unwrap_or(rest.len().min(room));
            out.extend_from_slice(&rest[..plain]);
            next.offset += plain;
            if plain == room || plain == rest.len() {
                continue;
            }
            let second = if rest[plain] == b'\n' { b'\n' } else { 0 };
            next.offset += 1;
            out.push(b'\r');
            if out.len() < end {
                out.push(second);
            } else {
                next.owed = Some(second);
            }
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(text: &[u8], block_len: usize) -> Vec<Vec<u8>> {
        let mut cursor = Cursor::default();
        let mut blocks = Vec::new();
        loop {
            let mut block = Vec::new();
            cursor = cursor.write_block(text, block_len, &mut block);
            let last = block.len() < block_len;
            blocks.push(block);
            if last {
                return blocks;
            }
        }
    }

    #[test]
    fn line_feeds_and_carriage_returns_become_pairs() {
        assert_eq!(blocks(b"a\nb\rc\n", 512), [b"a\r\nb\r\0c\r\n"]);
    }

    #[test]
    fn a_pair_may_fall_into_two_blocks() {
        assert_eq!(
            blocks(b"1234567\n8", 8),
            [b"1234567\r".to_vec(), b"\n8".to_vec()]
        );
        assert_eq!(
            blocks(b"1234567\r", 8),
            [b"1234567\r".to_vec(), b"\0".to_vec()]
        );
    }

    #[test]
    fn a_converted_size_that_fills_its_blocks_ends_in_an_empty_one() {
        assert_eq!(blocks(b"123456\n", 8), [b"123456\r\n".to_vec(), Vec::new()]);
        assert_eq!(blocks(b"", 8), [Vec::<u8>::new()]);
    }

    proptest::proptest! {
        #[test]
        fn blocks_joined_are_the_converted_text(
            text in proptest::collection::vec(proptest::sample::select(&b"ab\r\n"[..]), 0..200),
            block_len in 8usize..40,
        ) {
            let mut expected = Vec::new();
            for &byte in &text {
                match byte {
                    b'\n' => expected.extend_from_slice(b"\r\n"),
                    b'\r' => expected.extend_from_slice(b"\r\0"),
                    byte => expected.push(byte),
                }
            }
            proptest::prop_assert_eq!(blocks(&text, block_len).concat(), expected);
        }
    }
}
