use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use super::*;

const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));

fn digest(now: Instant) -> Digest {
    let parameters = Parameters {
        realm: "ccmsipline".into(),
        algorithms: vec![Algorithm::Md5, Algorithm::Sha256],
        accepts_no_qop: true,
        nonce_lifetime: Duration::from_secs(60),
        nonces: 1024,
    };
    Digest::new(parameters, now)
}

/// The credentials a phone makes.
fn header(nonce: &str, algorithm: Algorithm, count: Option<u32>, secret: &str) -> String {
    let count = count.map(|count| format!(", qop=auth, cnonce=\"c\", nc={count:08x}"));
    let write = |response: &str| {
        format!(
            "Digest username=\"1001\", realm=\"ccmsipline\", nonce=\"{nonce}\", \
             uri=\"sip:%65dge;a=b\", algorithm={}, response=\"{response}\"{}",
            algorithm.as_str(),
            count.as_deref().unwrap_or_default()
        )
    };
    let unsigned = write("");
    let credentials = Credentials::parse(unsigned.as_bytes()).ok().unwrap();
    write(credentials.expected(b"REGISTER", secret).as_str())
}

fn check_from(
    digest: &Digest,
    header: &str,
    source: IpAddr,
    fingerprint: u64,
    now: Instant,
) -> Outcome {
    let credentials = Credentials::parse(header.as_bytes()).ok().unwrap();
    let claim = Claim {
        method: b"REGISTER",
        source,
        fingerprint,
    };
    digest.check(&credentials, &claim, Some("secret"), now)
}

fn check(digest: &Digest, header: &str, fingerprint: u64, now: Instant) -> Outcome {
    check_from(digest, header, SOURCE, fingerprint, now)
}

/// Our nonce, as it stands in the challenge.
fn nonce(digest: &Digest, now: Instant) -> String {
    digest.nonces.issue(SOURCE, now).as_str().to_owned()
}

fn is_good(outcome: Outcome) -> bool {
    outcome == Outcome::Good
}

#[test]
fn the_example_of_rfc_2617_has_its_response() {
    let header = br#"Digest username="Mufasa", realm="testrealm@host.com",
        nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", qop=auth, nc=00000001,
        cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1",
        opaque="5ccc069c403ebaf9f0171e9517f40e41""#;
    let credentials = Credentials::parse(header).ok().unwrap();
    let expected = credentials.expected(b"GET", "Circle Of Life");
    assert_eq!(expected.as_bytes(), credentials.response);
}

#[test]
fn the_examples_of_rfc_7616_have_their_responses() {
    let md5 = br#"Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html",
        algorithm=MD5, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001,
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth,
        response="8ca523f5e9506fed4657c9700eebdbec",
        opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#;
    let sha256 =
        br#"Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html",
        algorithm=SHA-256, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001,
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth,
        response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#;
    for header in [&md5[..], sha256] {
        let credentials = Credentials::parse(header).ok().unwrap();
        let expected = credentials.expected(b"GET", "Circle of Life");
        assert_eq!(expected.as_bytes(), credentials.response);
    }
}

#[test]
fn both_algorithms_authenticate_and_the_bytes_of_the_uri_count() {
    let now = Instant::now();
    let digest = digest(now);
    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        let good = header(&nonce(&digest, now), algorithm, Some(1), "secret");
        // The same URI, written otherwise.
        let other = good.replace("%65dge", "edge");
        assert_eq!(check(&digest, &other, 1, now), Outcome::Wrong);
        assert!(is_good(check(&digest, &good, 1, now)));
    }
}

#[test]
fn a_wrong_password_and_an_unknown_user_are_wrong_in_the_same_way() {
    let now = Instant::now();
    let digest = digest(now);
    let bad = header(&nonce(&digest, now), Algorithm::Md5, Some(1), "guess");
    assert_eq!(check(&digest, &bad, 1, now), Outcome::Wrong);
    let credentials = Credentials::parse(bad.as_bytes()).ok().unwrap();
    let claim = Claim {
        method: b"REGISTER",
        source: SOURCE,
        fingerprint: 1,
    };
    let outcome = digest.check(&credentials, &claim, None, now);
    assert_eq!(outcome, Outcome::Wrong);
}

#[test]
fn a_count_is_taken_once_and_only_upwards() {
    let now = Instant::now();
    let digest = digest(now);
    let nonce = nonce(&digest, now);
    let replayed = Outcome::Stale(Staleness::Replayed);
    let with = |count| header(&nonce, Algorithm::Md5, Some(count), "secret");
    assert!(is_good(check(&digest, &with(1), 1, now)));
    assert!(is_good(check(&digest, &with(3), 3, now)));
    assert_eq!(check(&digest, &with(2), 2, now), replayed);
    assert_eq!(check(&digest, &with(3), 4, now), replayed);
    // The very same request once more is a retransmission.
    assert!(is_good(check(&digest, &with(3), 3, now)));
}

#[test]
fn a_wrong_answer_uses_no_count_up() {
    let now = Instant::now();
    let digest = digest(now);
    let nonce = nonce(&digest, now);
    let bad = header(&nonce, Algorithm::Md5, Some(u32::MAX), "guess");
    assert_eq!(check(&digest, &bad, 1, now), Outcome::Wrong);
    let good = header(&nonce, Algorithm::Md5, Some(1), "secret");
    assert!(is_good(check(&digest, &good, 2, now)));
}

#[test]
fn without_a_count_a_nonce_is_good_for_one_request() {
    let now = Instant::now();
    let mut digest = digest(now);
    let header = header(&nonce(&digest, now), Algorithm::Md5, None, "secret");
    assert!(is_good(check(&digest, &header, 1, now)));
    assert!(is_good(check(&digest, &header, 1, now)));
    let replayed = Outcome::Stale(Staleness::Replayed);
    assert_eq!(check(&digest, &header, 2, now), replayed);
    digest.accepts_no_qop = false;
    assert_eq!(check(&digest, &header, 1, now), Outcome::Unusable);
}

#[test]
fn a_nonce_is_stale_when_its_time_is_over_or_it_is_not_ours_or_not_for_that_address() {
    let now = Instant::now();
    let digest = digest(now);
    let header_of = |nonce: &str| header(nonce, Algorithm::Md5, Some(1), "secret");
    let good = header_of(&nonce(&digest, now));
    let late = now + Duration::from_secs(61);
    assert_eq!(
        check(&digest, &good, 1, late),
        Outcome::Stale(Staleness::Old)
    );
    let foreign = Outcome::Stale(Staleness::Foreign);
    let elsewhere = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 10));
    assert_eq!(check_from(&digest, &good, elsewhere, 1, now), foreign);
    let other = super::tests::digest(now);
    assert_eq!(check(&other, &good, 1, now), foreign);
    for nonce in [
        "",
        "abc",
        &"0".repeat(48),
        &"z".repeat(48),
        &"0".repeat(1000),
    ] {
        assert_eq!(check(&digest, &header_of(nonce), 1, now), foreign);
    }
    assert!(is_good(check(&digest, &good, 1, now)));
}

#[test]
fn the_memory_of_uses_is_bounded_and_what_it_forgets_cannot_be_replayed() {
    let now = Instant::now();
    let digest = digest(now);
    let first = header(&nonce(&digest, now), Algorithm::Md5, Some(1), "secret");
    assert!(is_good(check(&digest, &first, 1, now)));
    let later = now + Duration::from_secs(1);
    for at in 0..5000 {
        let time = later + Duration::from_millis(at);
        let header = header(&nonce(&digest, time), Algorithm::Md5, Some(1), "secret");
        let outcome = check(&digest, &header, at, time);
        assert!(is_good(outcome), "{at}: {outcome:?}");
    }
    let kept: usize = digest.replays.known();
    assert!(kept <= 1024 + 32, "{kept}");
    assert_eq!(
        check(&digest, &first, 2, later),
        Outcome::Stale(Staleness::Replayed)
    );
}

#[test]
fn what_cannot_be_checked_is_told_from_what_is_malformed() {
    let of = |text: &str| Credentials::parse(text.as_bytes()).err();
    let good = header("0", Algorithm::Md5, Some(1), "secret");
    assert_eq!(of(&good), None);
    assert_eq!(of("Basic abc"), Some(Unreadable::Other));
    assert_eq!(
        of("NoOneKnowsThisScheme opaque-data=here"),
        Some(Unreadable::Other)
    );
    assert_eq!(
        of(&good.replace("=MD5", "=MD5-sess")),
        Some(Unreadable::Other)
    );
    assert_eq!(
        of(&good.replace("qop=auth", "qop=auth-int")),
        Some(Unreadable::Other)
    );
    assert_eq!(
        of(&good.replace("nc=00000001", "nc=1")),
        Some(Unreadable::Malformed)
    );
    assert_eq!(
        of(&good.replace("username", "user")),
        Some(Unreadable::Malformed)
    );
    assert_eq!(
        of(&format!("{good}, nonce=\"1\"")),
        Some(Unreadable::Malformed)
    );
    assert_eq!(of(&format!("{good}, ,")), Some(Unreadable::Malformed));
}

#[test]
fn nothing_secret_is_printed() {
    let digest = digest(Instant::now());
    let printed = format!("{digest:?}");
    assert!(!printed.contains(&digest.nobody), "{printed}");
}
