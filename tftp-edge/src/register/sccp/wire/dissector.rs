//! Every message we send, in every version, as Wireshark's dissector reads it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use super::dialect::dialects;
use super::*;
use crate::register::Order;

/// What tshark is to find in one message: fields of the dissector without `skinny.`, and their
/// values in the order they come.
type Expected = Vec<(&'static str, String)>;

struct Case {
    dialect: Dialect,
    message: Outgoing,
    bytes: Vec<u8>,
    expected: Expected,
}

fn case(dialect: Dialect, reply: &impl Reply, expected: &[(&'static str, &str)]) -> Case {
    let mut bytes = Vec::new();
    let message = write(reply, dialect, &mut bytes);
    let value = |&(field, value): &(&'static str, &str)| (field, value.to_owned());
    Case {
        dialect,
        message,
        bytes,
        expected: expected.iter().map(value).collect(),
    }
}

/// A line of this name is longer than its field, and cut.
const LONG: &str = "Besprechungszimmer im Erdgeschoss, Südflügel";
const BUTTONS: [(u8, Button); 3] = [
    (1, Button::Line),
    (2, Button::BusyLamp),
    (0, Button::Nothing),
];

fn cases(dialect: Dialect) -> Vec<Case> {
    let version = dialect.version.number();
    let at = |since: u8, then: &'static str, before: &'static str| {
        if version >= since { then } else { before }
    };
    let server = |name, port, address: &str| StationServer {
        name,
        port,
        address: address.parse().unwrap(),
    };
    let servers = [
        server("10.0.0.1", 2000, "10.0.0.1"),
        server("cm2.example.net", 2443, "10.0.0.2"),
    ];
    let keys = [
        TemplateKey {
            label: Label::Dictionary(1),
            event: 1,
        },
        TemplateKey {
            label: Label::Text("Barge"),
            event: 21,
        },
    ];
    let mut set = [0; MAX_KEYS];
    set[..3].copy_from_slice(&[1, 2, 5]);
    vec![
        case(
            dialect,
            &RegisterAck {
                keepalive_s: 27,
                secondary_keepalive_s: 60,
                date_template: "M/D/YA",
            },
            &[
                ("keepAliveInterval", "27"),
                ("dateTemplate", "M/D/YA"),
                ("secondaryKeepAliveInterval", "60"),
                ("maxProtocolVer", &version.to_string()),
                ("PhoneFeatures.UTF8", at(4, "1", "0")),
                ("PhoneFeatures.DynamicMessages", at(4, "1", "0")),
                ("PhoneFeatures.Bit9", at(11, "1", "0")),
                ("PhoneFeatures.Abbreviated.Dial", at(4, "1", "0")),
            ],
        ),
        case(
            dialect,
            &RegisterReject {
                text: "Registered elsewhere, 41 s",
            },
            &[("text", "Registered elsewhere, 41 s")],
        ),
        case(dialect, &Outgoing::KeepAliveAck, &[]),
        case(dialect, &Outgoing::CapabilitiesReq, &[]),
        case(dialect, &Outgoing::RegisterTokenAck, &[]),
        case(
            dialect,
            &RegisterTokenReject { wait_s: 45 },
            &[("waitTimeBeforeNextReq", "45")],
        ),
        case(dialect, &UnregisterAck, &[("status", "0")]),
        case(dialect, &Reset(Order::Reset), &[("resetType", "1")]),
        case(dialect, &Reset(Order::Restart), &[("resetType", "2")]),
        case(dialect, &Reset(Order::ApplyConfig), &[("resetType", "3")]),
        case(
            dialect,
            &ButtonTemplate { buttons: &BUTTONS },
            &[
                ("buttonOffset", "0"),
                ("buttonCount", "3"),
                ("totalButtonCount", "3"),
                ("instanceNumber", "1,2,0"),
                ("buttonDefinition", "9,21,255"),
            ],
        ),
        case(
            dialect,
            &SoftKeyTemplateRes { keys: &keys },
            &[
                ("softKeyCount", "2"),
                ("totalSoftKeyCount", "2"),
                ("softKeyEvent", "1,21"),
            ],
        ),
        case(
            dialect,
            &SoftKeySetRes { sets: &[set] },
            &[
                ("softKeySetCount", "1"),
                ("totalSoftKeySetCount", "1"),
                ("softKeyTemplateIndex", "1,2,5,0,0,0,0,0,0,0,0,0,0,0,0,0"),
                ("softKeyInfoIndex", "301,302,305,0,0,0,0,0,0,0,0,0,0,0,0,0"),
            ],
        ),
        case(
            dialect,
            &SelectSoftKeys {
                line: 0,
                call_reference: 0,
                set: 0,
                valid: 0b101,
            },
            &[
                ("softKeySetIndex", "0"),
                ("SoftKeyMask.SoftKey1", "1"),
                ("SoftKeyMask.SoftKey2", "0"),
                ("SoftKeyMask.SoftKey3", "1"),
            ],
        ),
        case(
            dialect,
            &ConfigStat {
                device: "SEP001122334455",
                user: "anna",
                server: "10.0.0.1",
                lines: 2,
                speed_dials: 7,
            },
            &[
                ("DeviceName", "SEP001122334455"),
                ("instance", "1"),
                ("userName", "anna"),
                ("serverName", "10.0.0.1"),
                ("numberOfLines", "2"),
                ("numberOfSpeedDials", "7"),
            ],
        ),
        case(
            dialect,
            &LineStat {
                line: 2,
                number: "1002",
                display_name: LONG,
                label: "Zentrale",
            },
            &[
                ("lineNumber", "2"),
                ("lineDirNumber", "1002"),
                ("lineTextLabel", "Zentrale"),
            ],
        ),
        case(
            dialect,
            &ForwardStat { line: 2 },
            &[
                ("lineNumber", "2"),
                ("activeForward", "0"),
                ("forwardAllActive", "0"),
                ("forwardBusyActive", "0"),
                ("forwardNoAnswerActive", "0"),
            ],
        ),
        case(
            dialect,
            &SpeedDialStat {
                instance: 3,
                number: "4711",
                label: "Lager",
            },
            &[
                ("speedDialNumber", "3"),
                ("speedDialDirNumber", "4711"),
                ("speedDialDisplayName", "Lager"),
            ],
        ),
        case(
            dialect,
            &FeatureStat {
                index: 4,
                button: Button::BusyLamp,
                label: "Pforte",
                state: 1,
            },
            &[
                ("featureIndex", "4"),
                ("featureID", "21"),
                ("featureTextLabel", "Pforte"),
                ("featureStatus", "1"),
            ],
        ),
        case(
            dialect,
            &ServiceUrlStat {
                index: 1,
                url: "http://10.0.0.1/menu",
                label: "Menu",
            },
            &[
                ("serviceURLIndex", "1"),
                // The dissector has no texts in the later form.
                ("serviceURL", at(8, "", "http://10.0.0.1/menu")),
                ("serviceURLDisplayName", at(8, "", "Menu")),
            ],
        ),
        case(
            dialect,
            &VersionRes {
                load: "SCCP41.9-4-2SR3-1S",
            },
            &[("versionStr", "SCCP41.9-4-2SR3")],
        ),
        case(
            dialect,
            &ServerRes { servers: &servers },
            &[
                ("ServerName", "10.0.0.1,cm2.example.net,,,"),
                ("serverTcpListenPort", "2000,2443,0,0,0"),
                (
                    // It names the field by whether there is a family in front.
                    at(17, "stationIpAddr.ipv4", "stationIpAddr"),
                    "10.0.0.1,10.0.0.2,0.0.0.0,0.0.0.0,0.0.0.0",
                ),
            ],
        ),
        case(
            dialect,
            &DefineTimeDate {
                year: 2026,
                month: 3,
                day_of_week: 0,
                day: 29,
                hour: 3,
                minute: 15,
                second: 59,
                millisecond: 250,
                system_time: 1_774_746_959,
            },
            &[
                ("wYear", "2026"),
                ("wMonth", "3"),
                ("wDayOfWeek", "0"),
                ("wDay", "29"),
                ("wHour", "3"),
                ("wMinute", "15"),
                ("wSecond", "59"),
                ("wMilliseconds", "250"),
                ("systemTime", "1774746959"),
            ],
        ),
    ]
    .into_iter()
    .inspect(|case| {
        assert_eq!(case.bytes.len() % 4, 0);
    })
    .collect()
}

/// A capture file of TCP segments from port 2000, one message in each: raw IPv4 in classic pcap.
fn capture(messages: &[Case]) -> Vec<u8> {
    let mut file = Vec::new();
    for field in [0xA1B2_C3D4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(field.to_le_bytes());
    }
    let mut sequence = 1_u32;
    for case in messages {
        let payload = &case.bytes;
        let total = (40 + payload.len()) as u16;
        let mut packet = vec![0x45, 0];
        packet.extend(total.to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 7]);
        packet.extend(2000_u16.to_be_bytes());
        packet.extend(50_000_u16.to_be_bytes());
        packet.extend(sequence.to_be_bytes());
        packet.extend(1_u32.to_be_bytes());
        // Five words of header, PSH and ACK, a window, no checksum, nothing urgent.
        packet.extend([0x50, 0x18, 0xFF, 0xFF, 0, 0, 0, 0]);
        packet.extend(payload);
        sequence += payload.len() as u32;
        let len = packet.len() as u32;
        for field in [0, 0, len, len] {
            file.extend(u32::to_le_bytes(field));
        }
        file.extend(packet);
    }
    file
}

/// The fields of each frame, by name; none if tshark is not there.
fn dissect(file: &Path, fields: &[&'static str]) -> Option<Vec<BTreeMap<&'static str, String>>> {
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-r"]).arg(file).args(["-T", "fields"]);
    for field in fields {
        let name = match field.starts_with('_') {
            true => (*field).to_owned(),
            false => format!("skinny.{field}"),
        };
        tshark.args(["-e", &name]);
    }
    let output = tshark.output().ok()?;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let text = String::from_utf8(output.stdout).unwrap();
    let frame = |line: &str| {
        fields
            .iter()
            .copied()
            .zip(line.split('\t').map(decimal))
            .collect()
    };
    Some(text.lines().map(frame).collect())
}

/// Values as they are, numbers in hexadecimal as decimal ones.
fn decimal(values: &str) -> String {
    let value = |value: &str| {
        let number = value.strip_prefix("0x");
        let number = number.and_then(|hex| u64::from_str_radix(hex, 16).ok());
        number.map_or(value.to_owned(), |number| number.to_string())
    };
    values.split(',').map(value).collect::<Vec<_>>().join(",")
}

#[test]
fn every_message_of_every_version_is_what_the_dissector_reads() {
    let messages: Vec<Case> = dialects().flat_map(cases).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sccp.pcap");
    std::fs::write(&file, capture(&messages)).unwrap();
    let mut fields = vec![
        "_ws.malformed",
        "_ws.expert.message",
        "messageId",
        "hdr_version",
    ];
    let expected = messages.iter().flat_map(|case| &case.expected);
    fields.extend(expected.map(|(field, _)| *field));
    fields.sort_unstable();
    fields.dedup();
    let Some(frames) = dissect(&file, &fields) else {
        let why = "SKIPPED every_message_of_every_version: there is no tshark";
        let _ = writeln!(std::io::stderr(), "{why}");
        return;
    };
    assert_eq!(frames.len(), messages.len());
    let mut wrong = Vec::new();
    for (case, frame) in messages.iter().zip(&frames) {
        let version = case.dialect.version.number();
        let what = format!("{:?} of version {version}", case.message);
        let header = case.dialect.header_version(case.message).to_string();
        let id = case.message.id().to_string();
        let whole = [
            ("_ws.malformed", ""),
            ("_ws.expert.message", ""),
            ("messageId", &id),
            ("hdr_version", &header),
        ];
        let own = case
            .expected
            .iter()
            .map(|(field, value)| (*field, value.as_str()));
        for (field, value) in whole.into_iter().chain(own) {
            if frame[field] != value {
                wrong.push(format!(
                    "{what}: {field} is {:?}, not {value:?}",
                    frame[field]
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let sent: std::collections::BTreeSet<_> =
        messages.iter().map(|case| case.message.id()).collect();
    // Wireshark does not know the messages of the SPA series.
    let unseen = Outgoing::ALL
        .into_iter()
        .filter(|it| !sent.contains(&it.id()));
    assert!(unseen.eq([Outgoing::SpcpTokenAck, Outgoing::SpcpTokenReject]));
}
