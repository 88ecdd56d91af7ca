//! The header fields of a message as they stand there: names and raw values, nothing understood.

use super::Broken;

/// Where the body begins, if the head is whole.
pub fn end_of_head(message: &[u8]) -> Option<usize> {
    let at = message.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(at + 4)
}

/// The fields of a head, first line and body left out. A value that is folded over several lines
/// (RFC 3261 7.3.1) comes with its line ends.
pub fn fields(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = after_line(head);
    std::iter::from_fn(move || {
        loop {
            let line = take_field(&mut rest)?;
            if let Some(colon) = line.iter().position(|&byte| byte == b':') {
                let (name, value) = (&line[..colon], &line[colon + 1..]);
                return Some((name.trim_ascii(), value.trim_ascii()));
            }
        }
    })
}

/// What `Content-Length` says; none if there is no such field.
pub fn content_length(head: &[u8]) -> Result<Option<usize>, Broken> {
    let is_length = |name: &[u8]| {
        name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"l")
    };
    let lengths = fields(head).filter(|(name, _)| is_length(name));
    let mut found = None;
    for (_, value) in lengths {
        let length = number(value).ok_or(Broken::Length)?;
        // Twice the same is odd and harmless; two lengths are how requests are smuggled.
        if found.replace(length).is_some_and(|other| other != length) {
            return Err(Broken::Length);
        }
    }
    Ok(found)
}

fn number(digits: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(digits).ok()?;
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // More than fits is more than anybody takes.
    is_number.then(|| text.parse().unwrap_or(usize::MAX))
}

/// One field with its continuation lines; none at the end of the head.
fn take_field<'h>(rest: &mut &'h [u8]) -> Option<&'h [u8]> {
    let from = *rest;
    if from.is_empty() || from.starts_with(b"\r\n") {
        return None;
    }
    let mut at = 0;
    let end = loop {
        at += line_len(&from[at..]);
        if !matches!(from.get(at), Some(b' ' | b'\t')) {
            break at;
        }
    };
    *rest = &from[end..];
    Some(&from[..end])
}

fn after_line(bytes: &[u8]) -> &[u8] {
    &bytes[line_len(bytes)..]
}

/// Its end included; all there is if it does not end.
fn line_len(bytes: &[u8]) -> usize {
    let end = bytes.windows(2).position(|two| two == b"\r\n");
    end.map_or(bytes.len(), |end| end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(fields: &str) -> Result<Option<usize>, Broken> {
        content_length(format!("OPTIONS sip:a SIP/2.0\r\n{fields}\r\n").as_bytes())
    }

    #[test]
    fn the_length_is_found_however_it_is_written() {
        assert_eq!(length("Via: x\r\nContent-Length: 12\r\n"), Ok(Some(12)));
        assert_eq!(length("l:7\r\n"), Ok(Some(7)));
        assert_eq!(length("cOnTeNt-lEnGtH  :\r\n  0042\r\n"), Ok(Some(42)));
        assert_eq!(length("l: 3\r\nContent-Length: 3\r\n"), Ok(Some(3)));
        assert_eq!(length("Subject: Content-Length: 9\r\n"), Ok(None));
        assert_eq!(length("Subject: x\r\n l: 9\r\n"), Ok(None));
    }

    #[test]
    fn a_length_that_is_none_is_an_error() {
        for fields in [
            "l:\r\n",
            "l: -1\r\n",
            "l: 1 2\r\n",
            "l: 0x1\r\n",
            "l: 1\r\nl: 2\r\n",
        ] {
            assert_eq!(length(fields), Err(Broken::Length), "{fields}");
        }
        assert_eq!(
            length("l: 99999999999999999999999\r\n"),
            Ok(Some(usize::MAX))
        );
    }

    #[test]
    fn fields_end_with_the_head() {
        let message = b"OPTIONS sip:a SIP/2.0\r\nA: 1\r\nno colon\r\nB : 2\r\n 3\r\n\r\nC: 4\r\n";
        let found: Vec<_> = fields(message).collect();
        assert_eq!(found, [(&b"A"[..], &b"1"[..]), (b"B", b"2\r\n 3")]);
        assert_eq!(&message[end_of_head(message).unwrap()..], b"C: 4\r\n");
    }
}
