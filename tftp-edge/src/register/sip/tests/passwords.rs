//! Who gets in, and what the others learn.

use super::*;
use crate::register::Refusal;
use crate::register::sip::digest::Algorithm;

#[test]
fn both_algorithms_are_offered_md5_first_with_one_nonce() {
    let edge = Edge::new();
    let challenged = udp().sends(&edge);
    let [md5, sha256] = challenged.all("WWW-Authenticate")[..] else {
        panic!("two challenges")
    };
    let nonce = challenged.nonce();
    let expected = |algorithm: &str| {
        format!(
            "Digest realm=\"ccmsipline\", nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\""
        )
    };
    assert_eq!(md5, expected("MD5"));
    assert_eq!(sha256, expected("SHA-256"));
    let mut phone = udp();
    phone.algorithm = Algorithm::Sha256;
    assert_eq!(phone.registers(&edge).code, 200);
}

#[test]
fn an_algorithm_that_is_not_offered_is_not_taken() {
    let edge = Edge::with(|settings| settings.digest.algorithms = vec![Algorithm::Sha256]);
    assert_eq!(udp().sends(&edge).all("WWW-Authenticate").len(), 1);
    assert_eq!(udp().registers(&edge).code, 401);
}

/// All but what differs from one answer to the next anyway.
fn same_again(answered: &Answered) -> String {
    let nonce = match answered.code {
        401 => answered.nonce(),
        _ => "-".to_owned(),
    };
    answered.text.replace(&nonce, "nonce")
}

#[test]
fn unknown_users_unknown_devices_and_wrong_passwords_cannot_be_told_apart() {
    let edge = Edge::new();
    let wrong = |_: &mut Phone| {};
    let user = |phone: &mut Phone| phone.user = "nobody".into();
    let line = |phone: &mut Phone| phone.line = "9999".into();
    let other_line = |phone: &mut Phone| phone.line = "1003".into();
    let device = |phone: &mut Phone| {
        phone.contact_params = phone.contact_params.replace("44FF", "44EE");
    };
    let sccp = |phone: &mut Phone| {
        phone.contact_params = phone
            .contact_params
            .replace("SEP0011223344FF", "SEP001122334488");
        phone.line = "1008".into();
    };
    let model = |phone: &mut Phone| {
        phone.contact_params = phone.contact_params.replace("684", "621");
    };
    let changes: [&dyn Fn(&mut Phone); 7] =
        [&wrong, &user, &line, &other_line, &device, &sccp, &model];
    let told: Vec<_> = changes
        .iter()
        .map(|change| {
            let mut phone = udp();
            phone.secret = "guess".into();
            change(&mut phone);
            let challenged = phone.sends(&edge);
            phone.nonce = Some(challenged.nonce());
            let refused = phone.sends(&edge);
            assert_eq!((challenged.code, refused.code), (401, 403));
            // What is the phone's own does not count.
            let own = |text: String| {
                let lines = text.split("\r\n").map(str::to_owned);
                let ours = lines.filter(|it| !it.starts_with("To: ") && !it.starts_with("From: "));
                ours.collect::<Vec<_>>()
            };
            (own(same_again(&challenged)), own(same_again(&refused)))
        })
        .collect();
    for one in &told {
        assert_eq!(*one, told[0]);
    }
    assert_eq!(edge.core.counts().refusal(Refusal::Authentication), 7);
}

#[test]
fn a_line_without_a_password_is_let_in_where_the_settings_say_so() {
    let of = |require| {
        Edge::of(
            INVENTORY,
            |settings| settings.digest.require = require,
            |_| {},
        )
    };
    let always = of(RequireDigest::Always);
    assert_eq!(udp().registers(&always).code, 403);
    let with_secret = of(RequireDigest::LinesWithSecret);
    assert_eq!(udp().sends(&with_secret).code, 200);
    let edge = Edge::with(|it| it.digest.require = RequireDigest::LinesWithSecret);
    assert_eq!(udp().sends(&edge).code, 401);
    assert_eq!(udp().registers(&edge).code, 200);
}

#[test]
fn an_old_nonce_is_stale_and_the_phone_asked_again() {
    let mut edge = Edge::with(|settings| settings.digest.nonce_lifetime_s = 60);
    let mut phone = udp();
    phone.registers(&edge);
    edge.pass(61);
    let stale = phone.sends(&edge);
    assert_eq!(stale.code, 401);
    assert!(
        stale
            .all("WWW-Authenticate")
            .iter()
            .all(|it| it.ends_with(", stale=TRUE"))
    );
    assert_eq!(phone.registers(&edge).code, 200);
    assert_eq!(edge.count(Event::NonceOld), 2);
}

#[test]
fn what_was_heard_on_the_wire_cannot_be_sent_again_by_others() {
    let edge = Edge::new();
    let mut phone = udp();
    phone.registers(&edge);
    let heard = phone.register();
    // The credentials cover neither contact nor call.
    let hijack = heard.replace("sip:04984998-fe29@10.0.0.9:49152", "sip:evil@10.0.0.66");
    assert_eq!(edge.answer(&phone, &hijack).code, 401);
    assert_eq!(edge.count(Event::NonceReplayed), 1);
    let mut other = phone.clone();
    other.source = ([10, 0, 0, 66], 5060).into();
    assert_eq!(edge.answer(&other, &heard).code, 401);
    assert_eq!(edge.count(Event::NonceForeign), 1);
    let registration = edge.registered("SEP0011223344FF").unwrap();
    assert_eq!(registration.bindings.len(), 1);
    assert_eq!(registration.source, phone.source);
}

#[test]
fn credentials_for_others_are_passed_over_and_broken_ones_refused() {
    let edge = Edge::new();
    let mut phone = udp();
    phone.headers = "Authorization: NoOneKnowsThisScheme opaque-data=here\r\n\
        Authorization: Digest username=\"a\",realm=\"other\",nonce=\"1\",uri=\"sip:b\",\
        response=\"2\"\r\n"
        .into();
    assert_eq!(phone.sends(&edge).code, 401);
    assert_eq!(phone.registers(&edge).code, 200);
    phone.headers = "Authorization: Digest username\r\n".into();
    phone.nonce = None;
    let refused = phone.sends(&edge);
    assert_eq!(
        (refused.code, refused.reason()),
        (400, "Malformed Authorization Header")
    );
}

#[test]
fn proxy_authorization_counts_too() {
    let edge = Edge::new();
    let mut phone = udp();
    let challenged = phone.sends(&edge);
    phone.nonce = Some(challenged.nonce());
    phone.cseq += 1;
    let text = phone
        .register()
        .replace("Authorization:", "Proxy-Authorization:");
    assert_eq!(edge.answer(&phone, &text).code, 200);
}

#[test]
fn passwords_are_not_printed() {
    let edge = Edge::new();
    let printed = format!("{:?}", edge.core.registrar);
    assert!(!printed.contains("secret of"), "{printed}");
}
