//! HTTP: what is asked for, without what may be secret behind the path, and the status.

use super::text;

const METHODS: [&[u8]; 5] = [b"GET", b"HEAD", b"POST", b"PUT", b"OPTIONS"];

/// What a segment says, if a message of HTTP/1 begins in it.
pub fn message(payload: &[u8]) -> Option<String> {
    let end = payload.iter().position(|&byte| byte == b'\n')?;
    let first = payload[..end].trim_ascii_end();
    if first.starts_with(b"HTTP/1.") {
        let status = &first[first.iter().position(|&byte| byte == b' ')? + 1..];
        return Some(text(status));
    }
    let mut words = first.split(|&byte| byte == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if !METHODS.contains(&method) || !version.starts_with(b"HTTP/1.") {
        return None;
    }
    let path = target.split(|&byte| byte == b'?').next()?;
    Some(format!("{} {}", text(method), text(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_by_its_path() {
        let asked = b"GET /SEP001122334455.cnf.xml?key=secret HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_eq!(message(asked).unwrap(), "GET /SEP001122334455.cnf.xml");
    }

    #[test]
    fn an_answer_is_told_by_its_status() {
        let answered = b"HTTP/1.1 404 Not Found\r\n\r\nbody";
        assert_eq!(message(answered).unwrap(), "404 Not Found");
    }

    #[test]
    fn what_is_not_http_is_left_to_others() {
        assert_eq!(message(b"REGISTER sip:x SIP/2.0\r\n"), None);
        assert_eq!(message(b"GET /x"), None);
        assert_eq!(message(&[4, 0, 0, 0, 10]), None);
    }
}
