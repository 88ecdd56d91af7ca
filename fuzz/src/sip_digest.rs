//! Digest credentials: read, made, checked, and used again.
//!
//! Input: what is done with a good answer before it is checked, then an Authorization header. The
//! header is read as it is; the answer is changed by the input, and then is right only if nothing
//! in it counts that was changed.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use tftp_edge::register::sip::digest::{
    Algorithm, Claim, Credentials, Digest, Outcome, Parameters, Staleness,
};
use tftp_edge::register::sip::message::{Answer, Message, StartLine};

use crate::memory::within;
use crate::script::Script;

const SECRET: &str = "secret";
const METHOD: &[u8] = b"REGISTER";
const LIFETIME: Duration = Duration::from_secs(60);

fn source(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

pub fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let (how, at, bit, seconds) = (script.byte(), script.word(), script.byte(), script.byte());
    let header = script.rest();
    within(header, 4, 4 << 10, || check_read(header));
    check_use(how, usize::from(at), bit, seconds);
    check_foreign(header);
}

/// A header that is read says what it says however it is written.
fn check_read(header: &[u8]) {
    let Ok(read) = Credentials::parse(header) else {
        return;
    };
    assert!(read.response.len() <= 64);
    for part in [read.nonce, read.uri, read.response] {
        assert!(part.len() <= header.len());
    }
    let expected = read.expected(METHOD, SECRET);
    let digits = match read.algorithm {
        Algorithm::Md5 => 32,
        Algorithm::Sha256 => 64,
    };
    assert_eq!(expected.as_bytes().len(), digits);
    // Their bytes count as they stand between quotes, and these cannot stand there by themselves.
    let cnonce = read.qop.map_or(&b""[..], |qop| qop.cnonce);
    let raw = [read.nonce, read.uri, read.response, cnonce];
    if raw
        .iter()
        .any(|part| part.iter().any(|byte| matches!(byte, b'"' | b'\\')))
    {
        return;
    }
    let written = write(&read, read.response);
    let Ok(again) = Credentials::parse(&written) else {
        panic!("what is written is read");
    };
    assert!(again == read, "{}", String::from_utf8_lossy(&written));
}

/// The header in one spelling: all values in quotes that may be.
fn write(credentials: &Credentials<'_>, response: &[u8]) -> Vec<u8> {
    let quoted = |value: &[u8]| {
        let escaped = value.iter().flat_map(|&byte| match byte {
            b'"' | b'\\' => vec![b'\\', byte],
            byte => vec![byte],
        });
        [b"\"".to_vec(), escaped.collect(), b"\"".to_vec()].concat()
    };
    let mut header = b"Digest username=".to_vec();
    header.extend(quoted(&credentials.username));
    header.extend_from_slice(b", realm=");
    header.extend(quoted(&credentials.realm));
    // Of these the bytes between the quotes count, with their escapes.
    for (name, value) in [
        (&b", nonce=\""[..], credentials.nonce),
        (b"\", uri=\"", credentials.uri),
        (b"\", response=\"", response),
        (b"\", algorithm=", credentials.algorithm.as_str().as_bytes()),
    ] {
        header.extend_from_slice(name);
        header.extend_from_slice(value);
    }
    if let Some(qop) = credentials.qop {
        for (name, value) in [
            (&b", qop=auth, nc="[..], qop.written),
            (b", cnonce=\"", qop.cnonce),
        ] {
            header.extend_from_slice(name);
            header.extend_from_slice(value);
        }
        header.push(b'"');
    }
    header
}

fn digest(now: Instant) -> Digest {
    let parameters = Parameters {
        realm: "ccmsipline".into(),
        algorithms: vec![Algorithm::Md5, Algorithm::Sha256],
        accepts_no_qop: true,
        nonce_lifetime: LIFETIME,
        nonces: 16,
    };
    Digest::new(parameters, now)
}

/// The nonce of a challenge.
fn nonce(digest: &Digest, now: Instant) -> String {
    let mut answer = Answer::new(format_args!("SIP/2.0 401 Unauthorized"));
    digest.challenge(&mut answer, source(9), false, now);
    let bytes = answer.finish();
    let message = Message::scan(&bytes).expect("an answer of ours");
    assert!(matches!(
        message.start(),
        Ok(StartLine::Response { code: 401, .. })
    ));
    let text = String::from_utf8(bytes).expect("a challenge is ASCII");
    let (_, rest) = text
        .split_once("nonce=\"")
        .expect("a challenge has a nonce");
    rest.split('"')
        .next()
        .expect("a split has a part")
        .to_owned()
}

/// Answers a challenge, changes one bit, and lets some time pass.
fn check_use(how: u8, at: usize, bit: u8, seconds: u8) {
    let now = Instant::now();
    let digest = digest(now);
    let nonce = nonce(&digest, now);
    let algorithm = if how & 1 == 0 { "MD5" } else { "SHA-256" };
    let count = match how & 2 {
        0 => ", qop=auth, nc=00000001, cnonce=\"c\"",
        _ => "",
    };
    let unsigned = format!(
        "Digest username=\"1001\", realm=\"ccmsipline\", nonce=\"{nonce}\", uri=\"sip:edge\", \
         response=\"\", algorithm={algorithm}{count}"
    );
    let Ok(credentials) = Credentials::parse(unsigned.as_bytes()) else {
        panic!("{unsigned}");
    };
    let response = credentials.expected(METHOD, SECRET);
    let mut header = write(&credentials, response.as_bytes());
    let is_changed = how & 4 != 0;
    if is_changed {
        let place = at % header.len();
        header[place] ^= 1 << (bit % 8);
    }
    let sent = source(if how & 8 != 0 { 10 } else { 9 });
    let later = now + Duration::from_secs(seconds.into());
    let Ok(changed) = Credentials::parse(&header) else {
        assert!(is_changed, "{}", String::from_utf8_lossy(&header));
        return;
    };
    let claim = Claim {
        method: METHOD,
        source: sent,
        fingerprint: 1,
    };
    let outcome = digest.check(&changed, &claim, Some(SECRET), later);
    // What is hashed is all that counts; the response itself may be written in either case only as
    // it was asked for.
    let is_sound = changed.nonce == credentials.nonce
        && changed.response == changed.expected(METHOD, SECRET).as_bytes();
    let age = later.duration_since(now);
    match outcome {
        Outcome::Good => assert!(is_sound && age <= LIFETIME && sent == source(9)),
        Outcome::Stale(Staleness::Old) => assert!(age >= LIFETIME),
        Outcome::Stale(Staleness::Foreign) => {
            assert!(sent != source(9) || changed.nonce != credentials.nonce);
        }
        Outcome::Stale(Staleness::Replayed) => panic!("it was not used before"),
        Outcome::Wrong | Outcome::Unusable => assert!(!is_sound || is_changed),
    }
    if outcome == Outcome::Good {
        let again = digest.check(&changed, &claim, Some(SECRET), later);
        assert_eq!(
            again,
            Outcome::Good,
            "a repeated request is the same request"
        );
        let other = Claim {
            fingerprint: 2,
            ..claim
        };
        let replayed = digest.check(&changed, &other, Some(SECRET), later);
        assert_eq!(replayed, Outcome::Stale(Staleness::Replayed));
    }
    assert_ne!(digest.check(&changed, &claim, None, later), Outcome::Good);
}

/// Whatever a header says, without our nonce it is not good.
fn check_foreign(header: &[u8]) {
    let now = Instant::now();
    if let Ok(read) = Credentials::parse(header) {
        let claim = Claim {
            method: METHOD,
            source: source(9),
            fingerprint: 1,
        };
        let outcome = digest(now).check(&read, &claim, Some(SECRET), now);
        assert!(matches!(
            outcome,
            Outcome::Unusable | Outcome::Stale(Staleness::Foreign)
        ));
    }
}
