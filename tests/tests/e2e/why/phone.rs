//! What a phone of this case does, for once without a fleet: just what leads to its fault.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use socket2::{Domain, Socket, Type};
use tftp_edge_tests::client::{Exchange, Request, Retry, get};
use tftp_edge_tests::lab::SERVER_V4;
use tftp_edge_tests::phones::registration::{Answer, Challenge};
use tftp_edge_tests::rig::OVER_V4;

const SIP: SocketAddr = SocketAddr::new(IpAddr::V4(SERVER_V4), 5060);
const SCCP: SocketAddr = SocketAddr::new(IpAddr::V4(SERVER_V4), 2000);

/// As long as an answer may take on a busy machine.
const ANSWER: Duration = Duration::from_secs(10);

/// A phone is told to wait no shorter.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// A phone, by the last octet of its address and the last digits of its name.
#[derive(Clone, Copy)]
pub struct Phone(pub u8);

impl Phone {
    pub fn device(self) -> String {
        format!("SEP0000F00D00{:02X}", self.0)
    }

    pub fn config(self) -> String {
        format!("{}.cnf.xml", self.device())
    }

    pub fn address(self) -> IpAddr {
        Ipv4Addr::new(10, 80, 7, self.0).into()
    }

    pub fn mac(self) -> String {
        format!("00:00:f0:0d:00:{:02x}", self.0)
    }

    pub fn line(self) -> String {
        format!("70{:02}", self.0)
    }

    pub fn password(self) -> String {
        format!("secret{}", self.0)
    }

    pub fn ask(self, name: &str) -> Result<()> {
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

    pub fn boots_for_a_load(self) -> Result<()> {
        self.ask(&self.config())?;
        self.ask("sip88xx.14-9.loads")
    }

    /// Asks for its configuration and acknowledges nothing, as long as what is given back is there.
    pub fn asks_deaf(self) -> Result<Vec<Exchange>> {
        let mut packet = Vec::new();
        Request::plain(self.config()).encode(&mut packet);
        let ask = |_| {
            let exchange = self.exchange()?;
            exchange.send(OVER_V4, &packet)?;
            Ok(exchange)
        };
        (0..3).map(ask).collect()
    }

    /// Ends a transfer of its configuration in the middle, with an ERROR.
    pub fn stops_in_the_middle(self) -> Result<()> {
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
    pub fn registers(self, type_id: u32, password: &str) -> Result<String> {
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

    /// Comes again as often as it is told to wait.
    pub fn registers_in_its_turn(self, type_id: u32, password: &str) -> Result<String> {
        let deadline = Instant::now() + ANSWER;
        loop {
            let status = self.registers(type_id, password)?;
            if status != "503" || Instant::now() > deadline {
                return Ok(status);
            }
            std::thread::sleep(SHORTEST_WAIT);
        }
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

    fn connects(self, to: SocketAddr) -> Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(self.address(), 0).into())?;
        socket.connect(&to.into())?;
        let stream: TcpStream = socket.into();
        stream.set_read_timeout(Some(ANSWER))?;
        Ok(stream)
    }

    /// Says over a connection of SIP which trust list it holds.
    pub fn tells_its_trust_list(self, sha1: &str) -> Result<()> {
        let mut stream = self.connects(SIP)?;
        let (local, line, device) = (stream.local_addr()?, self.line(), self.device());
        let body = format!(
            "<x-cisco-alarm><Alarm Name=\"DeviceTLInfo\"><ParameterList>\
             <String name=\"DeviceName\">{device}</String>\
             <String name=\"CTL_Signature\"></String>\
             <String name=\"ITL_Signature\">{sha1}</String></ParameterList></Alarm></x-cisco-alarm>"
        );
        write!(
            stream,
            "REFER sip:{SERVER_V4} SIP/2.0\r\nVia: SIP/2.0/TCP {local};branch=z9hG4bK{line}\r\n\
             From: <sip:{line}@{SERVER_V4}>;tag={line}\r\nTo: <sip:{line}@{SERVER_V4}>\r\n\
             Call-ID: {line}@{local}\r\nMax-Forwards: 70\r\nCSeq: 101 REFER\r\n\
             Contact: <sip:{line}@{local};transport=tcp>;\
             +u.sip!devicename.ccm.cisco.com=\"{device}\"\r\n\
             Require: norefersub\r\nRefer-To: cid:1234abcd@{local}\r\n\
             Content-Type: application/x-cisco-alarm+xml\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = [0; 2048];
        let read = stream.read(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer[..read]);
        ensure!(answer.starts_with("SIP/2.0 202"), "{answer}");
        Ok(())
    }

    /// Registers over SCCP as far as the messages go that are given, and leaves without a word.
    pub fn registers_over_sccp(self, messages: &[Vec<u8>]) -> Result<()> {
        let mut stream = self.connects(SCCP)?;
        for message in messages {
            stream.write_all(message)?;
            let mut answer = [0; 2048];
            ensure!(stream.read(&mut answer)? > 0, "the connection was ended");
        }
        Ok(())
    }

    pub fn sccp_register(self, type_id: u32) -> Vec<u8> {
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
pub fn sccp(id: u32, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    message.extend((body.len() as u32 + 4).to_le_bytes());
    message.extend(0_u32.to_le_bytes());
    message.extend(id.to_le_bytes());
    message.extend(body);
    message
}
