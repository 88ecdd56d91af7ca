//! The kinds of messages of RFC 4475, in renderings of our own: those that are valid are read as
//! they are meant, the others are refused for what is wrong with them.

use super::super::*;
use super::check;

/// A request, sound but for what is put in the place of something.
fn with(what: &str, instead: &str) -> String {
    let sound = "OPTIONS sip:edge@10.0.0.1 SIP/2.0\r\n\
        Via: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK1\r\n\
        From: <sip:a@10.0.0.9>;tag=1\r\n\
        To: <sip:edge@10.0.0.1>\r\n\
        Call-ID: 1@10.0.0.9\r\n\
        CSeq: 1 OPTIONS\r\n\
        Max-Forwards: 70\r\n\
        Content-Length: 0\r\n\r\n";
    assert!(sound.contains(what), "{what}");
    sound.replace(what, instead)
}

fn checked(text: &str) -> Result<(), Defect> {
    check(text.as_bytes())
}

/// 3.1.1.1.
#[test]
fn a_short_tortuous_request_is_read() {
    let text = "INVITE sip:vivi@edge.example;unknownparam SIP/2.0\r\n\
        TO :\r\n sip:vivi@edge.example ;   tag    = 1918n\r\n\
        from   : \"J Rosenberg \\\\\\\"\"       <sip:jd@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n\
        MaX-fOrWaRdS: 0068\r\n\
        Call-ID: wsinv.ndaks@192.0.2.1\r\n\
        Content-Length   : 3\r\n\
        cseq: 0009\r\n  INVITE\r\n\
        Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\n\
        s :\r\n\
        NewFangledHeader:   newfangled value\r\n continued newfangled value\r\n\
        UnknownHeaderWithUnusualValue: ;;,,;;,;\r\n\
        Route:\r\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\r\n\
        v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n\
        \x20SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239\r\n\
        m:\"Quoted string \\\"\\\"\" <sip:jd@example.com> ; newparam =\r\n      newvalue ;\r\n\
        \x20 secondparam ; q = 0.33\r\n\r\nabc";
    let message = Message::scan(text.as_bytes()).unwrap();
    let request = Request::check(&message).unwrap();
    assert_eq!(request.method, Method::Invite);
    assert_eq!(request.to.tag(), Some(&b"1918n"[..]));
    assert_eq!(request.from.tag(), Some(&b"98asjd8"[..]));
    assert_eq!(request.max_forwards, Some(68));
    assert_eq!(request.cseq.number, 9);
    assert_eq!(request.via.host, b"192.0.2.2");
    assert_eq!(request.body, b"abc");
    let vias: Vec<_> = message
        .values(Name::Via)
        .map(|it| Via::parse(it).unwrap())
        .map(|it| (it.transport, it.branch().unwrap()))
        .collect();
    assert_eq!(vias[1], (&b"TCP"[..], &b"z9hG4bK9ikj8"[..]));
    assert_eq!(vias[2], (&b"UDP"[..], &b"z9hG4bK30239"[..]));
    let contact = NameAddr::parse(message.first(Name::Contact).unwrap()).unwrap();
    assert_eq!(contact.params.value("Q"), Some(&b"0.33"[..]));
    assert!(contact.params.get("secondparam").is_some());
}

/// 3.1.1.2.
#[test]
fn a_wide_range_of_characters_is_read() {
    let method = "!interesting-Method0123456789_*+`.%indeed'~";
    let text = with("OPTIONS", method)
        .replace(
            "sip:edge@10.0.0.1 SIP",
            "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.\
             (doesn't-it)@example.com SIP",
        )
        .replace(
            "<sip:a@10.0.0.9>",
            "token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fps=1",
        );
    let message = Message::scan(text.as_bytes()).unwrap();
    let request = Request::check(&message).unwrap();
    assert_eq!(request.method, Method::Unknown);
    assert_eq!(request.method_name, method.as_bytes());
    assert_eq!(request.uri.host, b"example.com");
    assert_eq!(
        request.uri.user_text().unwrap(),
        "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    );
}

/// 3.1.1.3 and 3.1.1.4.
#[test]
fn escapes_are_read_where_they_are_some() {
    let user =
        |text: &str| Uri::parse(text.as_bytes()).and_then(|it| it.user_text().map(String::from));
    assert_eq!(
        user("sip:sips%3Auser%40example.com@example.net").unwrap(),
        "sips:user@example.com"
    );
    assert_eq!(user("sip:cal%6Cer@host5.example.net").unwrap(), "caller");
    // A NUL is one character, and no user of ours.
    assert!(Uri::parse(b"sip:null-%00-null@example.com").is_some());
    assert_eq!(user("sip:null-%00-null@example.com"), None);
    assert_eq!(user("sip:%zz@example.com"), None);
    assert!(Uri::parse(b"sip:%z@example.com").is_none());
}

/// 3.1.1.5: what looks like an escape in a method or a display name is none.
#[test]
fn percent_signs_elsewhere_mean_nothing() {
    let text = with("OPTIONS", "RE%47IST%45R").replace("<sip:a@", "\"%Z%45\" <sip:a@");
    let message = Message::scan(text.as_bytes()).unwrap();
    assert_eq!(Request::check(&message).unwrap().method, Method::Unknown);
}

/// 3.1.1.6.
#[test]
fn a_display_name_needs_no_space_before_its_bracket() {
    assert_eq!(checked(&with("From: <", "From: caller<")), Ok(()));
}

/// 3.1.1.7.
#[test]
fn long_values_are_read() {
    let long = "x".repeat(1000);
    let text = with(
        "From: <",
        &format!("From: \"I have a user name of {long}\" <"),
    )
    .replace("edge@", &format!("{long}edge@"))
    .replace(
        "Max-Forwards",
        &format!("Unknown-{long}: {long}\r\nMax-Forwards"),
    );
    assert_eq!(checked(&text), Ok(()));
}

/// 3.1.1.8: a datagram with more than its message.
#[test]
fn what_follows_the_message_in_a_datagram_is_nobodys() {
    let text = format!(
        "{}REGISTER sip:example.com SIP/2.0\r\n",
        with("OPTIONS", "OPTIONS")
    );
    let message = Message::scan(text.as_bytes()).unwrap();
    assert_eq!(Request::check(&message).unwrap().body, b"");
}

/// 3.1.1.9.
#[test]
fn semicolons_in_the_user_part_are_the_users() {
    let uri = Uri::parse(b"sip:user;par=u%40example.net@example.com").unwrap();
    assert_eq!(uri.user_text().unwrap(), "user;par=u@example.net");
    assert_eq!(uri.params, Params::default());
}

/// 3.1.1.10.
#[test]
fn transports_may_be_any_word() {
    for transport in ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"] {
        let via = format!("SIP/2.0/{transport} t1.example.com;branch=z9hG4bKkdjuw");
        assert_eq!(
            Via::parse(via.as_bytes()).unwrap().transport,
            transport.as_bytes()
        );
    }
}

/// 3.1.1.12 and 3.1.1.13.
#[test]
fn reason_phrases_may_be_anything_or_nothing() {
    for (line, code) in [
        ("SIP/2.0 200 = 2**3 * 5**2 \u{43d}\u{43e}", 200),
        ("SIP/2.0 100 ", 100),
        ("SIP/2.0 100", 100),
    ] {
        let Ok(StartLine::Response { code: read, .. }) = StartLine::parse(line.as_bytes()) else {
            panic!("{line}")
        };
        assert_eq!(read, code);
    }
}

/// 3.1.2, by what is wrong.
#[test]
fn what_is_invalid_is_refused_for_what_it_is() {
    let big = "36893488147419103232";
    for (what, instead, defect) in [
        // .1 separators too many
        ("10.0.0.9;branch=z9hG4bK1", "192.0.2.15;;,;,,", Defect::Via),
        // .2 and .3 a Content-Length that is not so
        ("Content-Length: 0", "Content-Length: 9999", Defect::Body),
        (
            "Content-Length: 0",
            "Content-Length: -999",
            Defect::ContentLength,
        ),
        // .4 numbers too large
        ("CSeq: 1", &format!("CSeq: {big}"), Defect::CSeq),
        ("CSeq: 1", "CSeq: 2147483648", Defect::CSeq),
        ("Max-Forwards: 70", "Max-Forwards: 300", Defect::MaxForwards),
        ("Max-Forwards: 70", "Max-Forwards: x", Defect::MaxForwards),
        // .6 a quote that does not end
        ("To: <", "To: \"Mr. J. User <", Defect::To),
        // .7 to .11 Request-URIs
        (
            "sip:edge@10.0.0.1 SIP",
            "<sip:edge@10.0.0.1> SIP",
            Defect::RequestUri,
        ),
        (
            "sip:edge@10.0.0.1 SIP",
            "sip:edge@10.0.0.1; lr SIP",
            Defect::StartLine,
        ),
        ("OPTIONS sip:edge", "OPTIONS  sip:edge", Defect::StartLine),
        ("SIP/2.0\r\nVia", "SIP/2.0  \r\nVia", Defect::StartLine),
        (
            "@10.0.0.1 SIP",
            "@10.0.0.1?Route=%3Csip:b%3E SIP",
            Defect::RequestUri,
        ),
        // .14 and .15 names and brackets
        (
            "To: <sip:edge@10.0.0.1>",
            "To: \"W, T\" < sip:t@example.org >",
            Defect::To,
        ),
        ("From: <", "From: Bell, Alexander <", Defect::From),
        // .16 a version
        ("SIP/2.0\r\nVia", "SIP/7.0\r\nVia", Defect::Version),
        // .17 and .18 the method twice
        ("CSeq: 1 OPTIONS", "CSeq: 1 INVITE", Defect::Method),
        ("OPTIONS sip", "NEWMETHOD sip", Defect::Method),
        // 3.3.1 what must be there
        ("From: <sip:a@10.0.0.9>;tag=1\r\n", "", Defect::NoFrom),
        ("To: <sip:edge@10.0.0.1>\r\n", "", Defect::NoTo),
        ("Call-ID: 1@10.0.0.9\r\n", "", Defect::NoCallId),
        ("CSeq: 1 OPTIONS\r\n", "", Defect::NoCSeq),
        (
            "Via: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK1\r\n",
            "",
            Defect::NoVia,
        ),
        // 3.3.8 and 3.3.9 what must be there once
        (
            "CSeq: 1 OPTIONS",
            "CSeq: 1 OPTIONS\r\nCSeq: 2 OPTIONS",
            Defect::Repeated,
        ),
        ("To: <", "t: <sip:b@c>\r\nTo: <", Defect::Repeated),
        (
            "Content-Length: 0",
            "Content-Length: 0\r\nl: 5",
            Defect::Repeated,
        ),
        // and what no RFC has thought of
        ("Max-Forwards: 70", "Max-Forwards 70", Defect::HeaderLine),
        ("Max-Forwards", "Max Forwards", Defect::HeaderLine),
        ("Max-Forwards: 70", "X: a\0b", Defect::HeaderLine),
        ("\r\nVia", "\r\n folded\r\nVia", Defect::HeaderLine),
        ("Call-ID: 1@", "Call-ID: 1 2@", Defect::CallId),
        ("Call-ID: 1@10.0.0.9", "Call-ID:", Defect::CallId),
        (
            "Call-ID: 1@",
            &format!("Call-ID: {}@", "1".repeat(256)),
            Defect::CallId,
        ),
        ("CSeq: 1 OPTIONS", "CSeq: 1", Defect::CSeq),
        ("CSeq: 1 ", "CSeq: one ", Defect::CSeq),
        ("SIP/2.0/UDP 10.0.0.9", "SIP/2.0/UDP", Defect::Via),
        ("SIP/2.0/UDP 10.0.0.9", "HTTP/2.0/UDP 10.0.0.9", Defect::Via),
        ("10.0.0.9;branch", "10.0.0.9:99999;branch", Defect::Via),
        ("10.0.0.9;branch", "[::g];branch", Defect::Via),
        ("sip:edge@10.0.0.1 SIP", "sip: SIP", Defect::RequestUri),
        ("sip:edge@10.0.0.1 SIP", "edge SIP", Defect::RequestUri),
        ("sip:edge@10.0.0.1 SIP", "sip:edge@ SIP", Defect::RequestUri),
        (
            "sip:edge@10.0.0.1 SIP",
            "sip:@10.0.0.1 SIP",
            Defect::RequestUri,
        ),
        ("\r\n\r\n", "\r\n", Defect::Cut),
        (
            "OPTIONS sip:edge@10.0.0.1 SIP/2.0",
            "GET / HTTP/1.1",
            Defect::NotSip,
        ),
        ("OPTIONS sip", "OPT\u{e9}ONS sip", Defect::StartLine),
    ] {
        assert_eq!(checked(&with(what, instead)), Err(defect), "{instead:?}");
    }
}

/// 3.1.2.5 and 3.1.2.19.
#[test]
fn codes_out_of_range_are_no_responses() {
    for line in [
        "SIP/2.0 4294967301 better not break the receiver",
        "SIP/2.0 99 Low",
        "SIP/2.0 700 High",
        "SIP/2.0 20x Odd",
        "SIP/2.0",
        "SIP/2.0 ",
    ] {
        assert_eq!(
            StartLine::parse(line.as_bytes()),
            Err(Defect::StartLine),
            "{line}"
        );
    }
}

/// 3.4: requests of before RFC 3261 have no branch and no Max-Forwards.
#[test]
fn an_older_request_is_read() {
    let text = with(";branch=z9hG4bK1", "")
        .replace("Max-Forwards: 70\r\n", "")
        .replace("Content-Length: 0\r\n", "");
    assert_eq!(checked(&text), Ok(()));
}

#[test]
fn headers_are_bounded_in_number_and_length() {
    let many = |lines: usize| {
        with(
            "Max-Forwards",
            &format!("{}Max-Forwards", "X: y\r\n".repeat(lines)),
        )
    };
    assert_eq!(checked(&many(MAX_HEADERS - 7)), Ok(()));
    assert_eq!(checked(&many(MAX_HEADERS - 6)), Err(Defect::TooManyHeaders));
    let long = |bytes: usize| {
        with(
            "Max-Forwards",
            &format!("X: {}\r\nMax-Forwards", "y".repeat(bytes)),
        )
    };
    assert_eq!(checked(&long(30_000)), Ok(()));
    assert_eq!(checked(&long(MAX_HEAD_BYTES)), Err(Defect::TooLong));
    // A body may be longer.
    let body = with("Content-Length: 0\r\n\r\n", "\r\n") + &"z".repeat(60_000);
    assert_eq!(checked(&body), Ok(()));
}

#[test]
fn addresses_of_both_families_are_read() {
    for (uri, host, port) in [
        ("sip:[2001:db8::10]", "[2001:db8::10]", None),
        (
            "sip:a@[2001:db8::9:1]:5070;transport=tcp",
            "[2001:db8::9:1]",
            Some(5070),
        ),
        ("sips:a:secret@10.0.0.1:5061", "10.0.0.1", Some(5061)),
        ("sip:host-1.example.com", "host-1.example.com", None),
    ] {
        let read = Uri::parse(uri.as_bytes()).unwrap();
        assert_eq!((read.host, read.port), (host.as_bytes(), port), "{uri}");
    }
    let with_password = Uri::parse(b"sips:a:secret@10.0.0.1").unwrap();
    assert_eq!(with_password.user, Some(&b"a"[..]));
    for uri in [
        "sip:[2001:db8::10",
        "sip:2001:db8::10",
        "sip:[1.2.3.4]",
        "sip:a@b c",
        "sip:a b@c",
    ] {
        assert!(Uri::parse(uri.as_bytes()).is_none(), "{uri}");
    }
}

/// RFC 3261 19.1.4.
#[test]
fn uris_are_the_same_by_their_meaning() {
    let is_same = |one: &str, two: &str| {
        let of = |text: &'static str| Uri::parse(text.as_bytes()).unwrap();
        let (one, two) = (String::from(one).leak(), String::from(two).leak());
        let there = of(one).is_same(&of(two));
        assert_eq!(there, of(two).is_same(&of(one)), "{one} {two}");
        there
    };
    for (one, two) in [
        (
            "sip:%61lice@atlanta.com;transport=TCP",
            "sip:alice@AtlanTa.CoM;Transport=tcp",
        ),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        (
            "sip:carol@chicago.com;security=on",
            "sip:carol@chicago.com;newparam=5",
        ),
    ] {
        assert!(is_same(one, two), "{one} {two}");
    }
    for (one, two) in [
        ("SIP:ALICE@AtLanTa.CoM", "sip:alice@atlanta.com"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sips:bob@biloxi.com"),
        (
            "sip:carol@chicago.com",
            "sip:carol@chicago.com?Subject=next%20meeting",
        ),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        (
            "sip:carol@chicago.com;security=on",
            "sip:carol@chicago.com;security=off",
        ),
        ("sip:carol@chicago.com;user=phone", "sip:carol@chicago.com"),
    ] {
        assert!(!is_same(one, two), "{one} {two}");
    }
}

#[test]
fn a_nul_has_no_place_in_a_header_nor_in_what_it_goes_on_with() {
    for instead in ["To: \0<", "To:\r\n \0 <", "To: \"\r\n\t\0\" <"] {
        assert_eq!(checked(&with("To: <", instead)), Err(Defect::HeaderLine));
    }
}
