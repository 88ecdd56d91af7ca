//! What is written is read as it was meant, whatever was in it.

use proptest::prelude::*;

use super::super::*;

fn word() -> impl Strategy<Value = String> {
    "[A-Za-z0-9.!_*+'~-]{1,20}"
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<std::net::Ipv4Addr>().prop_map(|it| it.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|it| format!("[{it}]")),
        "[a-z0-9]{1,8}(\\.[a-z]{2,8}){0,2}",
    ]
}

proptest! {
    #[test]
    fn uris_are_read_as_they_are_written(
        user in proptest::option::of("[a-zA-Z0-9;?/&=+$,_.!~*'()-]{1,20}"),
        host in host(),
        port in proptest::option::of(any::<u16>()),
        params in proptest::collection::vec((word(), proptest::option::of("[a-z0-9]{1,8}")), 0..4),
    ) {
        let user_part = user.as_ref().map(|it| format!("{it}@")).unwrap_or_default();
        let port_part = port.map(|it| format!(":{it}")).unwrap_or_default();
        let param = |(name, value): &(String, Option<String>)| match value {
            Some(value) => format!(";{name}={value}"),
            None => format!(";{name}"),
        };
        let params_part: String = params.iter().map(param).collect();
        let text = format!("sip:{user_part}{host}{port_part}{params_part}");
        let uri = Uri::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(uri.user, user.as_ref().map(|it| it.as_bytes()));
        prop_assert_eq!(uri.host, host.as_bytes());
        prop_assert_eq!(uri.port, port);
        prop_assert_eq!(uri.params.iter().count(), params.len());
        prop_assert!(uri.is_same(&uri));
        let address = format!("\"a \\\" b\" <{text}>;x=1");
        let address = NameAddr::parse(address.as_bytes()).unwrap();
        prop_assert_eq!(address.uri, text.as_bytes());
        prop_assert_eq!(address.params.value("x"), Some(&b"1"[..]));
    }

    #[test]
    fn an_answer_has_what_the_request_had(
        method in word(),
        call_id in "[!-~]{1,40}",
        number in 0_u32..1 << 31,
        tag in word(),
        branch in word(),
        display in "[ !#-\\[\\]-~]{0,20}",
    ) {
        let from = format!("\"{display}\" <sip:a@10.0.0.9>;tag={tag}");
        let request = format!(
            "{method} sip:10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.9;branch={branch}\r\n\
             f: {from}\r\nt: <sip:b@10.0.0.1>\r\ni: {call_id}\r\nCSeq: {number} {method}\r\n\r\n"
        );
        let message = Message::scan(request.as_bytes()).unwrap();
        let read = Request::check(&message).unwrap();
        prop_assert_eq!(read.cseq.number, number);
        let reply = Reply::new(&message, ([10, 0, 0, 9], 5060).into(), 7).unwrap();
        let bytes = reply.begin(200, "OK").finish_with("text/plain", b"body");
        let answer = Message::scan(&bytes).unwrap();
        let is_200 = matches!(answer.start(), Ok(StartLine::Response { code: 200, .. }));
        prop_assert!(is_200);
        prop_assert_eq!(answer.defect(), None);
        for name in [Name::Via, Name::From, Name::CallId, Name::CSeq] {
            prop_assert_eq!(answer.first(name), message.first(name));
        }
        let to = NameAddr::parse(answer.first(Name::To).unwrap()).unwrap();
        prop_assert_eq!(to.tag(), Some(&b"0000000000000007"[..]));
        prop_assert_eq!(answer.body(), Ok(&b"body"[..]));
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut message = b"REGISTER sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nContact: ".to_vec();
        message.extend(&bytes);
        for bytes in [&bytes, &message] {
            if let Ok(message) = Message::scan(bytes) {
                let _ = Request::check(&message);
                let reply = Reply::new(&message, ([10, 0, 0, 9], 5060).into(), 7);
                if let Some(reply) = reply {
                    let bytes = reply.begin(400, "Bad Request").finish();
                    // Nothing of it ends the head of the answer early.
                    let answer = Message::scan(&bytes).unwrap();
                    prop_assert_eq!(answer.first(Name::ContentLength), Some(&b"0"[..]));
                }
            }
        }
    }
}
