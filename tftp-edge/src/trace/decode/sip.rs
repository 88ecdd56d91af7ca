//! SIP (RFC 3261): method or status, and CSeq. Names, numbers and digests stay in the packet.

use super::text;

/// The longest line that is looked at for a CSeq.
const LINES_MAX: usize = 64;

/// What a message says, if it begins with one of SIP.
pub fn message(payload: &[u8]) -> Option<String> {
    if !payload.is_empty() && payload.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
        // RFC 5626 3.5.1.
        return Some("keep-alive".to_owned());
    }
    let start = payload.trim_ascii_start();
    let mut lines = start.split(|&byte| byte == b'\n');
    let first = lines.next()?.trim_ascii_end();
    let cseq = lines
        .take(LINES_MAX)
        .map(<[u8]>::trim_ascii)
        .take_while(|line| !line.is_empty())
        .find_map(cseq);
    if let Some(status) = first.strip_prefix(b"SIP/2.0 ") {
        let cseq = cseq.map(|(number, method)| format!(" (CSeq {number} {method})"));
        return Some(format!("{}{}", text(status), cseq.unwrap_or_default()));
    }
    let head = first.strip_suffix(b" SIP/2.0")?;
    let method = head.split(|&byte| byte == b' ').next()?;
    if method.is_empty() || !method.iter().all(u8::is_ascii_uppercase) {
        return None;
    }
    let cseq = cseq.map(|(number, _)| format!(" CSeq {number}"));
    Some(format!("{}{}", text(method), cseq.unwrap_or_default()))
}

/// Number and method of a CSeq header.
fn cseq(line: &[u8]) -> Option<(String, String)> {
    let (name, value) = line.split_at_checked(line.iter().position(|&byte| byte == b':')?)?;
    if !name.trim_ascii().eq_ignore_ascii_case(b"CSeq") {
        return None;
    }
    let mut words = value[1..]
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    Some((text(words.next()?), text(words.next()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGISTER: &[u8] = b"REGISTER sip:10.0.0.1 SIP/2.0\r\n\
        Via: SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bK1\r\n\
        CSeq: 102 REGISTER\r\n\
        Authorization: Digest username=\"1001\",response=\"6629fae4\"\r\n\r\n";

    #[test]
    fn a_request_is_told_by_method_and_number_alone() {
        assert_eq!(message(REGISTER).unwrap(), "REGISTER CSeq 102");
    }

    #[test]
    fn a_response_is_told_with_what_it_answers() {
        let ok = b"SIP/2.0 200 OK\r\ncseq : 102  REGISTER\r\n\r\n";
        assert_eq!(message(ok).unwrap(), "200 OK (CSeq 102 REGISTER)");
        assert_eq!(message(b"SIP/2.0 503 Busy\r\n\r\n").unwrap(), "503 Busy");
    }

    #[test]
    fn what_is_behind_the_headers_is_not_looked_at() {
        let hidden = b"NOTIFY sip:1 SIP/2.0\r\nTo: x\r\n\r\nCSeq: 9 X\r\n";
        assert_eq!(message(hidden).unwrap(), "NOTIFY");
    }

    #[test]
    fn other_text_is_not_taken_for_sip() {
        assert_eq!(message(b"\r\n\r\n").unwrap(), "keep-alive");
        assert_eq!(message(b""), None);
        assert_eq!(message(b"GET /x HTTP/1.1\r\n"), None);
        assert_eq!(message(&[0, 3, 0, 1, 13, 10]), None);
        assert_eq!(message(b"register x SIP/2.0\r\n"), None);
    }
}
