//! Phones that do not get on, each for a reason of its own, all at once; `tftp-edge why` names every
//! one of them, and finds nothing with a phone that is well.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tftp_ebpf::verdict::Rung;
use tftp_edge_tests::client::{Exchange, Request, Retry, get};
use tftp_edge_tests::lab::SERVER_V4;
use tftp_edge_tests::phones::registration::{Answer, Challenge};
use tftp_edge_tests::rig::{OVER_V4, Rig, run, wait_for};

const SIP: SocketAddr = SocketAddr::new(IpAddr::V4(SERVER_V4), 5060);
const SCCP: SocketAddr = SocketAddr::new(IpAddr::V4(SERVER_V4), 2000);

/// Type ids: 8851, 8851NR, 7961.
const TYPE_8851: u32 = 684;
const TYPE_8851NR: u32 = 36_232;
const TYPE_7961: u32 = 30_018;

/// As long as an answer may take on a busy machine.
const ANSWER: Duration = Duration::from_secs(10);

/// Phones that come at once, to a registrar that takes two a second.
const CROWD: u8 = 40;

/// A phone, by the last octet of its address and the last digits of its name.
#[derive(Clone, Copy)]
struct Phone(u8);

const HEALTHY: Phone = Phone(1);
const SILENT: Phone = Phone(2);
const DEAF: Phone = Phone(3);
const CONFIG_REFUSED: Phone = Phone(4);
const LOAD_MISSING: Phone = Phone(5);
const BAD_XML: Phone = Phone(6);
const FOREIGN_TRUST: Phone = Phone(7);
const WRONG_MODEL: Phone = Phone(8);
const WRONG_PASSWORD: Phone = Phone(9);
const STRANGER: Phone = Phone(10);
const LOST: Phone = Phone(11);
const STOPPING: Phone = Phone(12);
const NOT_ASKING: Phone = Phone(13);
const WRONG_PROTOCOL: Phone = Phone(14);
const FIRST_OF_CROWD: u8 = 100;

impl Phone {
    fn device(self) -> String {
        format!("SEP0000F00D00{:02X}", self.0)
    }

    fn config(self) -> String {
        format!("{}.cnf.xml", self.device())
    }

    fn address(self) -> IpAddr {
        Ipv4Addr::new(10, 80, 7, self.0).into()
    }

    fn line(self) -> String {
        format!("70{:02}", self.0)
    }

    fn password(self) -> String {
        format!("secret{}", self.0)
    }

    fn ask(self, name: &str) -> Result<()> {
        get(
            self.address(),
            OVER_V4,
            Request::plain(name),
            Retry::default(),
        )
        .map(drop)
    }

    fn exchange(self) -> Result<Exchange> {
        Exchange::new(self.address(), 0)
    }

    /// Asks for its configuration and never acknowledges anything.
    fn asks_deaf(self) -> Result<()> {
        let mut packet = Vec::new();
        Request::plain(self.config()).encode(&mut packet);
        for _ in 0..3 {
            self.exchange()?.send(OVER_V4, &packet)?;
        }
        Ok(())
    }

    /// Ends a transfer of its configuration in the middle, with an ERROR.
    fn stops_in_the_middle(self) -> Result<()> {
        let exchange = self.exchange()?;
        let mut packet = Vec::new();
        Request::plain(self.config()).encode(&mut packet);
        exchange.send(OVER_V4, &packet)?;
        for block in 1..=2_u8 {
            let (from, data) = exchange.receive(ANSWER)?.context("no DATA")?;
            ensure!(data[..4] == [0, 3, 0, block], "{:?}", &data[..4]);
            let answer: &[u8] = match block {
                1 => &[0, 4, 0, 1],
                _ => b"\0\x05\0\0no room\0",
            };
            exchange.send(from, answer)?;
        }
        Ok(())
    }

    /// Sends REGISTER over UDP, once more with its password if it is asked for; gives back the last
    /// status.
    fn registers(self, type_id: u32, password: &str) -> Result<String> {
        let exchange = self.exchange()?;
        let local = SocketAddr::new(self.address(), exchange.local_port()?);
        let uri = format!("sip:{SERVER_V4}");
        let mut authorization = String::new();
        let mut status = String::new();
        for cseq in 101..=102 {
            exchange.send(
                SIP,
                &self.register(local, &uri, cseq, type_id, &authorization),
            )?;
            let answer = loop {
                let (_, answer) = exchange.receive(ANSWER)?.context("no answer")?;
                if !answer.starts_with(b"SIP/2.0 100") {
                    break String::from_utf8(answer)?;
                }
            };
            status = answer.get(8..11).unwrap_or_default().to_owned();
            let challenge = answer
                .lines()
                .find_map(|line| line.strip_prefix("WWW-Authenticate:"));
            let Some(challenge) = challenge.and_then(Challenge::parse) else {
                break;
            };
            let line = self.line();
            let answer = Answer {
                user: &line,
                password,
                method: "REGISTER",
                uri: &uri,
                count: 1,
                cnonce: "0a4f113b",
            };
            authorization = format!("Authorization: {}\r\n", answer.header(&challenge));
        }
        Ok(status)
    }

    fn register(
        self,
        local: SocketAddr,
        uri: &str,
        cseq: u32,
        type_id: u32,
        authorization: &str,
    ) -> Vec<u8> {
        let (line, device) = (self.line(), self.device());
        let mac = device.trim_start_matches("SEP").to_lowercase();
        format!(
            "REGISTER {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{mac}{cseq}\r\n\
             From: <sip:{line}@{SERVER_V4}>;tag={mac}\r\nTo: <sip:{line}@{SERVER_V4}>\r\n\
             Call-ID: {mac}@{local}\r\nMax-Forwards: 70\r\nCSeq: {cseq} REGISTER\r\n{authorization}\
             Contact: <sip:{line}@{local};transport=udp>;\
             +sip.instance=\"<urn:uuid:00000000-0000-0000-0000-{mac}>\";\
             +u.sip!devicename.ccm.cisco.com=\"{device}\";+u.sip!model.ccm.cisco.com=\"{type_id}\"\r\n\
             Expires: 3600\r\nContent-Length: 0\r\n\r\n"
        )
        .into_bytes()
    }

    /// Registers over SCCP as far as the messages go that are given, and leaves without a word.
    fn registers_over_sccp(self, messages: &[Vec<u8>]) -> Result<()> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(self.address(), 0).into())?;
        socket.connect(&SCCP.into())?;
        let mut stream: TcpStream = socket.into();
        stream.set_read_timeout(Some(ANSWER))?;
        for message in messages {
            stream.write_all(message)?;
            let mut answer = [0; 2048];
            ensure!(stream.read(&mut answer)? > 0, "the connection was ended");
        }
        Ok(())
    }

    fn sccp_register(self, type_id: u32) -> Vec<u8> {
        const NAME: usize = 0;
        const INSTANCE: usize = 20;
        const TYPE: usize = 28;
        const VERSION: usize = 40;
        let mut body = vec![0; 124];
        let device = self.device();
        body[NAME..device.len()].copy_from_slice(device.as_bytes());
        body[INSTANCE] = 1;
        body[TYPE..TYPE + 4].copy_from_slice(&type_id.to_le_bytes());
        body[VERSION] = 17;
        sccp(0x0001, &body)
    }
}

/// A message of SCCP.
fn sccp(id: u32, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    message.extend((body.len() as u32 + 4).to_le_bytes());
    message.extend(0_u32.to_le_bytes());
    message.extend(id.to_le_bytes());
    message.extend(body);
    message
}

fn inventory(rig: &Rig<'_>) -> Result<()> {
    let mut csv = String::from("name,model,protocol,lines,secret,load\n");
    let crowd = (FIRST_OF_CROWD..FIRST_OF_CROWD + CROWD).map(Phone);
    for phone in (1..=14).map(Phone).chain(crowd) {
        let (model, protocol) = match phone.0 {
            11 => ("7961", "sccp"),
            _ => ("8851", "sip"),
        };
        let load = match phone.0 {
            5 => "sip88xx.14-9",
            _ => "",
        };
        if phone.0 != STRANGER.0 {
            let (device, line, secret) = (phone.device(), phone.line(), phone.password());
            writeln!(csv, "{device},{model},{protocol},{line},{secret},{load}")?;
        }
    }
    let file = rig.file("phones.csv");
    std::fs::write(&file, csv)?;
    rig.edge.import(&file)?;
    rig.edge.set(&[format!("servers={SERVER_V4}")])
}

/// Everything goes wrong, each with its own phone.
fn play() -> Result<()> {
    ensure!(HEALTHY.registers(TYPE_8851, &HEALTHY.password())? == "200");
    DEAF.asks_deaf()?;
    CONFIG_REFUSED.ask(&CONFIG_REFUSED.config())?;
    LOAD_MISSING.ask(&LOAD_MISSING.config())?;
    LOAD_MISSING.ask("sip88xx.14-9.loads")?;
    BAD_XML.ask(&BAD_XML.config())?;
    FOREIGN_TRUST.ask(&format!("{}.sgn", FOREIGN_TRUST.config()))?;
    ensure!(WRONG_MODEL.registers(TYPE_8851NR, &WRONG_MODEL.password())? == "403");
    ensure!(WRONG_PASSWORD.registers(TYPE_8851, "guessed")? == "403");
    STRANGER.ask(&STRANGER.config())?;
    STRANGER.ask("XMLDefault.cnf.xml")?;
    for _ in 0..2 {
        STOPPING.stops_in_the_middle()?;
    }
    NOT_ASKING.ask(&NOT_ASKING.config())?;
    WRONG_PROTOCOL.registers_over_sccp(&[WRONG_PROTOCOL.sccp_register(TYPE_8851)])?;
    let (capabilities, time) = (sccp(0x0010, &[0; 4]), sccp(0x000D, &[]));
    let register = LOST.sccp_register(TYPE_7961);
    LOST.registers_over_sccp(&[register, [capabilities, time].concat()])
}

/// Gives back one that was told to wait.
fn crowd() -> Result<Phone> {
    let phones = (FIRST_OF_CROWD..FIRST_OF_CROWD + CROWD).map(Phone);
    let mut waits = None;
    for phone in phones {
        if phone.registers(TYPE_8851, &phone.password())? == "503" {
            waits = Some(phone);
        }
    }
    waits.context("nobody had to wait")
}

/// The causes of those that are stuck, by device.
fn stuck(rig: &Rig<'_>) -> Result<BTreeMap<String, String>> {
    let lines = rig.edge.command(&["phones", "--stuck", "--json"])?;
    let lines = String::from_utf8(lines)?;
    let mut stuck = BTreeMap::new();
    for line in lines.lines() {
        let row: Value = serde_json::from_str(line)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        stuck.insert(text(&row["device"]), text(&row["stuck"]["cause"]));
    }
    Ok(stuck)
}

/// What `why` says, and how it ends.
fn why(rig: &Rig<'_>, whom: &str) -> Result<(String, Option<i32>)> {
    let output = rig.edge.output(&["why", whom])?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(error.is_empty(), "{error}");
    Ok((String::from_utf8(output.stdout)?, output.status.code()))
}

#[test]
fn every_phone_that_does_not_get_on_is_told_why() {
    run(Rung::Socket, |rig| {
        inventory(rig)?;
        rig.edge.register("max_registrations_per_second = 2\n")?;
        rig.edge.configure(
            "\n[journal]\nstuck_after_s = 1\nstuck_in_firmware_after_s = 1\nsilent_after_s = 2\n",
        )?;
        rig.put(&BAD_XML.config(), b"<device>\n  <member>\n</device>\n")?;
        std::fs::create_dir_all(rig.edge.root().join(CONFIG_REFUSED.config()))?;
        rig.start()?;
        rig.as_client(play)?;

        let expected = [
            (SILENT, "no_dhcp_option", "option 150"),
            (DEAF, "no_reply", "ip route get 10.80.7.3"),
            (CONFIG_REFUSED, "config_missing", "cannot be served"),
            (LOAD_MISSING, "load_missing", "sip88xx.14-9.loads"),
            (BAD_XML, "invalid_xml", "line 3, column"),
            (FOREIGN_TRUST, "trust_list_mismatch", "**#"),
            (WRONG_MODEL, "wrong_model", "8851"),
            (WRONG_PASSWORD, "wrong_password", "secret=-"),
            (STRANGER, "unknown_device", "phones adopt"),
            (LOST, "keepalive_lost", "ping 10.80.7.11"),
            (STOPPING, "transfer_stops", "in the middle, twice"),
            (NOT_ASKING, "no_registration", "5060"),
            (WRONG_PROTOCOL, "protocol_mismatch", "speaks sip"),
        ];
        let mut found = BTreeMap::new();
        let waited = wait_for("all of them to be stuck", || {
            found = stuck(rig).unwrap_or_default();
            let is_found = |(phone, cause, _): &(Phone, &str, &str)| {
                found.get(&phone.device()).is_some_and(|it| it == cause)
            };
            expected.iter().all(is_found)
        });
        waited.with_context(|| format!("{found:#?}"))?;
        ensure!(!found.contains_key(&HEALTHY.device()), "{found:?}");

        for (phone, cause, words) in expected {
            let (text, code) = why(rig, &phone.device())?;
            let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
            ensure!(code == Some(1), "{code:?}: {text}");
            ensure!(
                flat.contains(cause) && flat.contains(words),
                "{cause}, {words}: {text}"
            );
        }
        let (text, code) = why(rig, &HEALTHY.device())?;
        ensure!(
            code == Some(0) && text.contains("Nothing is the matter"),
            "{text}"
        );
        // However it is written.
        for whom in ["00:00:f0:0d:00:05", "0000.f00d.0005", "10.80.7.5"] {
            let (text, _) = why(rig, whom)?;
            ensure!(text.starts_with(&LOAD_MISSING.device()), "{whom}: {text}");
        }

        // Who waits for its turn is not stuck, and is told so.
        let waits = rig.as_client(crowd)?;
        let (text, code) = why(rig, &waits.device())?;
        ensure!(code == Some(1) && text.contains("storm_wait"), "{text}");
        ensure!(text.contains("phones are before it"), "{text}");
        ensure!(!stuck(rig)?.contains_key(&waits.device()), "{text}");

        let shown = rig.edge.command(&["phones", "show", &BAD_XML.device()])?;
        let shown = String::from_utf8(shown)?;
        let config = BAD_XML.config().to_lowercase();
        ensure!(
            shown.contains("model = 8851") && shown.contains(&config),
            "{shown}"
        );
        let report = String::from_utf8(rig.edge.command(&["report", "--csv"])?)?;
        let row = report
            .lines()
            .find(|line| line.starts_with(&WRONG_PASSWORD.device()));
        ensure!(
            row.is_some_and(|row| row.ends_with(",wrong_password")),
            "{report}"
        );
        let labels = [("cause", "wrong_model")];
        let counted = rig.metrics()?.sum("tftp_edge_phones_stuck", &labels);
        ensure!(counted == 1.0, "{counted} phones of a wrong model");
        Ok(())
    });
}
