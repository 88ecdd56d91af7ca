//! Everything we send, read by somebody else: tshark's dissector for SIP.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::register::Order;
use crate::register::sip::settings::RequireDigest;

/// A capture of packets that begin with an IPv4 header (`LINKTYPE_RAW`), each one message in a
/// datagram between the SIP ports.
fn capture(messages: &[Vec<u8>]) -> Vec<u8> {
    const MAGIC: u32 = 0xa1b2_c3d4;
    const RAW: u32 = 101;
    let mut file = Vec::new();
    let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_ne_bytes());
    word(&mut file, MAGIC);
    file.extend(2_u16.to_ne_bytes());
    file.extend(4_u16.to_ne_bytes());
    for value in [0, 0, 65_535, RAW] {
        word(&mut file, value);
    }
    for message in messages {
        let udp_len = 8 + message.len() as u16;
        let ip_len = 20 + udp_len;
        for value in [0, 0, u32::from(ip_len), u32::from(ip_len)] {
            word(&mut file, value);
        }
        let [len_high, len_low] = ip_len.to_be_bytes();
        file.extend([0x45, 0, len_high, len_low, 0, 0, 0, 0, 64, 17, 0, 0]);
        file.extend(Ipv4Addr::new(10, 0, 0, 1).octets());
        file.extend(Ipv4Addr::new(10, 0, 0, 9).octets());
        for port in [5060_u16, 5060] {
            file.extend(port.to_be_bytes());
        }
        file.extend(udp_len.to_be_bytes());
        // No checksum.
        file.extend([0, 0]);
        file.extend(message);
    }
    file
}

/// The values of fields, one line for each frame; none if tshark is not there.
fn dissect(file: &Path, fields: &[&str]) -> Option<Vec<Vec<String>>> {
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-r"]).arg(file).args(["-T", "fields"]);
    for field in fields {
        tshark.args(["-e", field]);
    }
    let output = tshark.output().ok()?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let values = |line: &str| line.split('\t').map(str::to_owned).collect();
    Some(text.lines().map(values).collect())
}

/// One of each answer there is, and the requests we send.
fn messages() -> Vec<Vec<u8>> {
    let edge = Edge::with(|settings| settings.trying = true);
    let mut out: Vec<Outgoing> = Vec::new();
    let mut phone = udp();
    let take = |phone: &Phone, text: &str, out: &mut Vec<Outgoing>| {
        let (_, sent) = edge.receive(phone, text.as_bytes());
        assert!(!sent.is_empty(), "{text}");
        out.extend(sent);
    };
    let via_nat = |text: String| text.replace(";branch", ";rport;branch");
    take(&phone, &via_nat(phone.register()), &mut out);
    let challenged = Answered::new(out[1].clone());
    phone.nonce = Some(challenged.nonce());
    phone.cseq += 1;
    phone.count = 1;
    phone.headers = "Content-Type: application/x-cisco-remotecc-request+xml\r\n".into();
    phone.body = "<x-cisco-remotecc-request><optionsind><combine max=\"6\"/><ix/></optionsind>\
                  </x-cisco-remotecc-request>"
        .into();
    take(&phone, &phone.register(), &mut out);
    // The same nonce and count in another message.
    phone.cseq += 1;
    take(&phone, &phone.register(), &mut out);
    phone.nonce = None;
    for text in [
        phone.write("OPTIONS", "sip:10.0.0.1", ""),
        phone.write("INVITE", "sip:1002@10.0.0.1", ""),
        phone.write("BYE", "sip:1002@10.0.0.1", ""),
        phone.write("FLY", "sip:1002@10.0.0.1", ""),
        phone.write("OPTIONS", "tel:1", ""),
        phone.write("OPTIONS", "sip:10.0.0.1", "Require: wings\r\n"),
        phone.register_with("Contact: *\r\n"),
        phone.register().replace("SIP/2.0\r\nVia", "SIP/3.0\r\nVia"),
    ] {
        take(&phone, &text, &mut out);
    }
    let order = |device: &str| {
        let registration = edge.registered(device).unwrap();
        edge.core
            .order(&registration, Order::Restart, |_| None, edge.now)
            .unwrap()
    };
    out.push(order("SEP0011223344FF"));
    let mut old = udp().nameless("1007");
    assert_eq!(
        old.sends(&Edge::with(|it| it.digest.require = RequireDigest::Never))
            .code,
        200
    );
    let open = Edge::without_digest();
    let mut brief = old.clone();
    brief.expires = Some(10);
    for phone in [&mut old, &mut brief] {
        out.push(phone.sends(&open).outgoing);
    }
    let mut elsewhere = old.clone();
    elsewhere.source = ([10, 0, 0, 10], 5060).into();
    out.push(elsewhere.sends(&open).outgoing);
    let registration = open.registered("SIP001122334477").unwrap();
    out.push(
        open.core
            .order(&registration, Order::Reset, |_| None, open.now)
            .unwrap(),
    );
    out.into_iter().map(|it| it.bytes).collect()
}

#[test]
fn tshark_reads_all_we_send_as_it_is_meant() {
    let messages = messages();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sip.pcap");
    std::fs::write(&file, capture(&messages)).unwrap();
    let fields = [
        "sip.Status-Code",
        "sip.Method",
        "sip.CSeq.method",
        "sip.to.tag",
        "sip.Via.rport",
        "sip.Via.received",
        "sip.auth.realm",
        "sip.auth.algorithm",
        "sip.auth.stale",
        "sip.Expires",
        "sip.contact.uri",
        "sip.Min-Expires",
        "sip.Warning",
        "sip.Retry-After",
        "sip.Unsupported",
        "sip.Event",
        "sip.Subscription-State",
        "sip.Date",
        "_ws.malformed",
        "_ws.expert.severity",
    ];
    let Some(frames) = dissect(&file, &fields) else {
        println!("SKIPPED tshark_reads_all_we_send_as_it_is_meant: there is no tshark");
        return;
    };
    assert_eq!(frames.len(), messages.len());
    let value = |frame: usize, field: &str| -> &str {
        let at = fields.iter().position(|it| *it == field).unwrap();
        frames[frame].get(at).map_or("", String::as_str)
    };
    let codes: Vec<_> = (0..frames.len())
        .map(|it| value(it, "sip.Status-Code"))
        .collect();
    assert_eq!(
        codes,
        [
            "100", "401", "100", "200", "100", "401", "200", "405", "481", "501", "416", "420",
            "100", "400", "505", "", "200", "423", "403", ""
        ]
    );
    for (frame, message) in messages.iter().enumerate() {
        let text = String::from_utf8_lossy(message);
        assert_eq!(value(frame, "_ws.malformed"), "", "{text}");
        // PI_WARN and PI_ERROR.
        let worst = value(frame, "_ws.expert.severity");
        let is_bad = worst
            .split(',')
            .any(|it| it == "6291456" || it == "8388608");
        assert!(!is_bad, "{worst} in\n{text}");
        assert_ne!(value(frame, "sip.CSeq.method"), "", "{text}");
    }
    assert_eq!(value(1, "sip.auth.realm"), "\"ccmsipline\",\"ccmsipline\"");
    assert_eq!(value(1, "sip.auth.algorithm"), "MD5,SHA-256");
    assert_eq!(value(1, "sip.Via.rport"), "49152");
    assert_eq!(value(1, "sip.Via.received"), "10.0.0.9");
    assert_eq!(value(5, "sip.auth.stale"), "TRUE,TRUE");
    assert_eq!(
        value(3, "sip.contact.uri"),
        "sip:04984998-fe29@10.0.0.9:49152;transport=udp"
    );
    assert_eq!(value(3, "sip.Date"), "Mon, 23 Nov 2026 00:00:00 GMT");
    assert!((84..=120).contains(&value(3, "sip.Expires").parse().unwrap()));
    assert_eq!(value(11, "sip.Unsupported"), "wings");
    for (frame, event, state) in [
        (15, "service-control", "active"),
        (19, "check-sync", "terminated"),
    ] {
        assert_eq!(value(frame, "sip.Method"), "NOTIFY");
        assert_eq!(value(frame, "sip.Event"), event);
        assert_eq!(value(frame, "sip.Subscription-State"), state);
    }
    assert_eq!(value(17, "sip.Min-Expires"), "65");
    assert_eq!(value(18, "sip.Retry-After"), "35");
    assert!(value(18, "sip.Warning").contains("active for another client"));
}
