//! What a registrar answers, as far as a phone has to look at it.

use anyhow::{Context as _, Result};

/// A response (RFC 3261 section 7.2).
#[derive(Clone, Copy, Debug)]
pub struct Answer<'b> {
    pub status: u16,
    pub call_id: &'b str,
    pub cseq: u32,
    /// All headers, for those that only some answers have.
    head: &'b str,
}

impl<'b> Answer<'b> {
    /// Reads a whole message; what is no response to us is an error.
    pub fn parse(message: &'b [u8]) -> Result<Self> {
        let end = head_len(message).context("a message without an end of its headers")?;
        let head = std::str::from_utf8(&message[..end]).context("headers that are no UTF-8")?;
        let (first, rest) = head.split_once("\r\n").context("a message of one line")?;
        let status = first
            .strip_prefix("SIP/2.0 ")
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .with_context(|| format!("no response: {first}"))?;
        let mut answer = Self {
            status,
            call_id: "",
            cseq: 0,
            head: rest,
        };
        answer.call_id = answer.header("Call-ID").context("no Call-ID")?;
        let cseq = answer.header("CSeq").context("no CSeq")?;
        let (number, _) = cseq.split_once(' ').context("a CSeq without a method")?;
        answer.cseq = number.parse().context("a CSeq that is no number")?;
        Ok(answer)
    }

    fn header(&self, name: &str) -> Option<&'b str> {
        self.headers(name).next()
    }

    /// The values of all headers of this name.
    pub fn headers<'n>(&self, name: &'n str) -> impl Iterator<Item = &'b str> + use<'b, 'n> {
        self.head.split("\r\n").filter_map(move |line| {
            let rest = line
                .get(..name.len())
                .filter(|it| it.eq_ignore_ascii_case(name))
                .and_then(|_| line.get(name.len()..))?;
            rest.trim_start().strip_prefix(':').map(str::trim)
        })
    }
}

/// The headers with the empty line behind them.
fn head_len(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(end + 4)
}

/// The length of the message a stream begins with, if all of it is there.
pub fn frame_len(stream: &[u8]) -> Option<usize> {
    let head = head_len(stream)?;
    let text = std::str::from_utf8(&stream[..head]).ok()?;
    let body = text.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let named =
            matches!(name.trim(), "l" | "L") || name.trim().eq_ignore_ascii_case("content-length");
        named.then(|| value.trim().parse::<usize>().ok())?
    });
    let len = head + body.unwrap_or(0);
    (stream.len() >= len).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_where_the_body_ends() {
        let message = b"SIP/2.0 200 OK\r\nCall-ID: a@b\r\nCSeq: 1 REGISTER\r\n\
                        Content-Length: 3\r\n\r\nabcSIP/2.0 100";
        assert_eq!(frame_len(message), Some(message.len() - 11));
        assert_eq!(frame_len(&message[..message.len() - 12]), None);
        assert_eq!(Answer::parse(message).unwrap().status, 200);
        assert_eq!(frame_len(b"SIP/2.0 200 OK\r\n"), None);
    }
}
