//! What the enterprise series adds: bodies, standby keepalives, REFER for alarms and tokens.

use super::*;
use crate::register::Refusal;

const NAME: &str = "SEP0011223344FF";

/// The body of the first REGISTER.
const BODY: &str = "--uniqueBoundary\r\n\
    Content-Type: application/x-cisco-remotecc-request+xml\r\n\
    Content-Disposition: session;handling=optional\r\n\r\n\
    <?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<x-cisco-remotecc-request>\r\n\
    <bulkregisterreq>\r\n<contact all=\"true\">\r\n<register></register>\r\n</contact>\r\n\
    </bulkregisterreq>\r\n</x-cisco-remotecc-request>\r\n\
    --uniqueBoundary\r\n\
    Content-Type: application/x-cisco-remotecc-request+xml\r\n\
    Content-Disposition: session;handling=optional\r\n\r\n\
    <?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<x-cisco-remotecc-request>\r\n<optionsind>\r\n\
    <combine max=\"6\">\r\n<remotecc><status></status></remotecc>\r\n\
    <service-control></service-control>\r\n</combine>\r\n\
    <dialog usage=\"hook status\"><unot></unot><sub></sub></dialog>\r\n\
    <dialog usage=\"shared line\"><unot></unot><sub></sub></dialog>\r\n\
    <presence usage=\"blf speed dial\"><unot></unot><sub></sub></presence>\r\n\
    <joinreq></joinreq>\r\n<cfwdall-anyline></cfwdall-anyline>\r\n<coaching></coaching>\r\n\
    <oosalarm></oosalarm>\r\n<ix></ix>\r\n<bfcp></bfcp>\r\n\
    </optionsind>\r\n</x-cisco-remotecc-request>\r\n\
    --uniqueBoundary--\r\n";

/// As it comes after a start.
fn starting() -> Phone {
    let mut phone = tcp();
    phone.headers =
        "Supported: replaces,join,sdp-anat,norefersub,resource-priority,extended-refer,\
        X-cisco-callinfo,X-cisco-serviceuri,X-cisco-escapecodes,X-cisco-service-control,\
        X-cisco-srtp-fallback,X-cisco-monrec,X-cisco-config,X-cisco-sis-7.0.0,\
        X-cisco-xsi-8.5.1\r\n\
        Reason: SIP;cause=200;text=\"cisco-alarm:25 Name=SEP0011223344FF \
        ActiveLoad=sip88xx.12-5-1SR1-4.loads InactiveLoad=sip88xx.11-5-1-18.loads \
        Last=initialized\"\r\n\
        Mime-Version: 1.0\r\n\
        Content-Type: multipart/mixed;boundary=uniqueBoundary\r\n"
            .into();
    phone.body = BODY.into();
    phone
}

#[test]
fn the_first_register_registers_all_lines_and_its_options_are_answered() {
    let edge = Edge::new();
    let mut phone = starting();
    let answered = phone.registers(&edge);
    assert_eq!(answered.code, 200, "{}", answered.text);
    assert_eq!(
        answered.header("Content-Type"),
        "application/x-cisco-remotecc-response+xml"
    );
    assert_eq!(
        answered.body(),
        "<x-cisco-remotecc-response>\n<response>\n<code>200</code>\n<optionsind>\n\
         <combine max=\"6\">\n<remotecc><status/></remotecc>\n<service-control/>\n</combine>\n\
         <dialog usage=\"hook status\"><unot/></dialog>\n\
         <dialog usage=\"shared line\"><unot/></dialog>\n\
         <presence usage=\"blf speed dial\"><unot/></presence>\n\
         <joinreq></joinreq>\n<ix/>\n<bfcp/>\n\
         </optionsind>\n</response>\n</x-cisco-remotecc-response>\n"
    );
    let length: usize = answered.header("Content-Length").parse().unwrap();
    assert_eq!(length, answered.body().len());
    let registration = edge.registered(NAME).unwrap();
    assert!(registration.bindings[0].all_lines);
    assert_eq!(registration.load.as_deref(), Some("sip88xx.12-5-1SR1-4"));
    // A refresh has no body, and is for the lines it was for.
    phone.headers.clear();
    phone.body.clear();
    let refreshed = phone.sends(&edge);
    assert_eq!((refreshed.code, refreshed.body()), (200, ""));
    assert!(edge.registered(NAME).unwrap().bindings[0].all_lines);
}

#[test]
fn a_standby_keepalive_is_answered_and_changes_nothing() {
    let edge = Edge::new();
    let mut phone = tcp();
    let registered = |edge: &Edge| edge.registered(NAME).map(|it| Registration::clone(&it));
    for is_registered in [false, true] {
        if is_registered {
            phone.registers(&edge);
        }
        let before = registered(&edge);
        assert_eq!(before.is_some(), is_registered);
        let mut standby = tcp();
        standby.expires = Some(0);
        standby.call_id = "standby@10.0.0.9".into();
        standby
            .contact_params
            .push_str(";expires=0;cisco-keep-alive");
        let answered = standby.sends(&edge);
        assert_eq!(answered.code, 200, "{}", answered.text);
        assert_eq!(registered(&edge), before);
    }
    assert_eq!(edge.count(Event::KeepAlive), 2);
}

#[test]
fn only_with_expires_0_a_contact_is_a_keepalive() {
    let edge = Edge::without_digest();
    let mut phone = tcp();
    phone.contact_params.push_str(";cisco-keep-alive");
    assert_eq!(phone.sends(&edge).code, 200);
    assert!(edge.registered(NAME).is_some());
}

fn alarm(phone: &mut Phone) {
    phone.headers = "Require: norefersub\r\nReferred-By: <sip:1001@10.0.0.9>\r\n\
        Refer-To: cid:1234abcd@10.0.0.9\r\nRefer-Sub: false\r\nContent-Id: <1234abcd@10.0.0.9>\r\n\
        Content-Type: application/x-cisco-alarm+xml\r\n"
        .into();
    phone.body = "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<x-cisco-alarm>\n\
        <Alarm Name=\"LastOutOfServiceInformation\">\n<ParameterList>\n\
        <String name=\"DeviceName\">SEP0011223344FF</String>\n\
        <Enum name=\"ReasonForOutOfService\">25</Enum>\n</ParameterList>\n</Alarm>\n\
        </x-cisco-alarm>\n"
        .into();
    phone.expires = Some(10);
    phone.cseq = 1000;
}

fn refer(edge: &Edge, phone: &Phone) -> Answered {
    let contact = format!("Contact: {}\r\n", phone.contact());
    edge.answer(phone, &phone.write("REFER", "sip:10.0.0.1", &contact))
}

#[test]
fn an_alarm_is_taken_over_a_connection_before_the_phone_registers() {
    let edge = Edge::new();
    let mut phone = tcp();
    alarm(&mut phone);
    let answered = refer(&edge, &phone);
    assert_eq!(answered.code, 202, "{}", answered.text);
    assert_eq!(
        answered.header("Contact"),
        "<sip:10.0.0.1:5060;transport=tcp>"
    );
    assert_eq!(answered.header("Refer-Sub"), "false");
    assert_eq!(edge.count(Event::Alarm), 1);
}

#[test]
fn by_datagram_an_alarm_is_taken_from_where_the_phone_is_registered() {
    let edge = Edge::new();
    let mut phone = udp();
    alarm(&mut phone);
    assert_eq!(refer(&edge, &phone).code, 403);
    udp().registers(&edge);
    assert_eq!(refer(&edge, &phone).code, 202);
    phone.source = ([10, 0, 0, 66], 49_152).into();
    assert_eq!(refer(&edge, &phone).code, 403);
    assert_eq!(edge.core.counts().refusal(Refusal::Authentication), 2);
}

#[test]
fn a_token_is_granted_to_a_phone_that_wants_to_come_back() {
    let edge = Edge::new();
    let mut phone = tcp();
    phone.headers = "Refer-To: <urn:X-cisco-remotecc:token-registration>\r\n".into();
    assert_eq!(refer(&edge, &phone).code, 202);
    assert_eq!(edge.count(Event::TokenGranted), 1);
    assert!(edge.registered(NAME).is_none());
}

#[test]
fn what_a_registered_phone_publishes_is_taken() {
    let edge = Edge::new();
    let mut phone = udp();
    phone.registers(&edge);
    // Of the device, by its address alone.
    phone.line = "0011223344FF".into();
    phone.headers = "Event: presence\r\n".into();
    let publish = phone.write("PUBLISH", "sip:0011223344FF@10.0.0.1", "");
    let answered = edge.answer(&phone, &publish);
    assert_eq!(answered.code, 200, "{}", answered.text);
    assert_eq!(answered.header("Expires"), "3600");
    assert_eq!(answered.header("SIP-ETag").len(), 16);
    phone.source = ([10, 0, 0, 66], 49_152).into();
    assert_eq!(edge.answer(&phone, &publish).code, 403);
}

#[test]
fn another_model_of_the_name_is_refused_and_told_why() {
    let edge = Edge::new();
    let mut phone = tcp();
    phone.contact_params = phone.contact_params.replace("684", "621");
    let refused = phone.registers(&edge);
    assert_eq!(refused.code, 403);
    let warning = "399 tftp-edge \"This device is configured as another model\"";
    assert_eq!(refused.header("Warning"), warning);
    assert_eq!(edge.core.counts().refusal(Refusal::WrongModel), 1);
}

#[test]
fn without_passwords_each_refusal_tells_its_reason() {
    let edge = Edge::without_digest();
    let mut line = tcp();
    line.line = "1003".into();
    let mut sccp = tcp();
    sccp.line = "1008".into();
    sccp.contact_params = sccp
        .contact_params
        .replace("SEP0011223344FF", "SEP001122334488");
    let mut unknown = tcp();
    unknown.contact_params = unknown
        .contact_params
        .replace("SEP0011223344FF", "SEP00112233EEEE");
    for (mut phone, code, refusal) in [
        (line, 403, Refusal::LineMismatch),
        (sccp, 403, Refusal::ProtocolMismatch),
        (unknown, 404, Refusal::UnknownDevice),
    ] {
        let refused = phone.sends(&edge);
        assert_eq!(refused.code, code, "{}", refused.text);
        assert_eq!(edge.core.counts().refusal(refusal), 1);
        assert_eq!(refused.all("Warning").len(), usize::from(code == 403));
    }
}

#[test]
fn trying_is_said_first_where_the_settings_say_so() {
    let edge = Edge::with(|settings| settings.trying = true);
    let phone = tcp();
    let (_, out) = edge.receive(&phone, phone.register().as_bytes());
    let codes: Vec<_> = out.into_iter().map(|it| Answered::new(it).code).collect();
    assert_eq!(codes, [100, 401]);

    let mut other = (**edge.core.registrar.settings.get()).clone();
    other.trying = false;
    other.digest.require = RequireDigest::Never;
    edge.core.registrar.settings.set(other);
    let (_, out) = edge.receive(&phone, phone.register().as_bytes());
    let codes: Vec<_> = out.into_iter().map(|it| Answered::new(it).code).collect();
    assert_eq!(codes, [200], "as the settings are now");
}
