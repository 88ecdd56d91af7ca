//! What phones send, and a look at what they get.

use std::net::SocketAddr;

use super::Edge;
use crate::register::sip::core::Outgoing;
use crate::register::sip::digest::{Algorithm, Credentials};
use crate::register::{ConnectionId, Transport};

/// A phone with one line, and what it will send next.
#[derive(Clone, Debug)]
pub struct Phone {
    pub transport: Transport,
    pub source: SocketAddr,
    pub connection: Option<ConnectionId>,
    pub line: String,
    /// Parameters of the contact.
    pub contact_params: String,
    pub call_id: String,
    pub cseq: u32,
    pub expires: Option<u32>,
    /// Further headers, each with its line end.
    pub headers: String,
    pub body: String,
    pub user: String,
    pub secret: String,
    pub algorithm: Algorithm,
    /// The challenge it answers, and how often it has.
    pub nonce: Option<String>,
    pub count: u32,
}

impl Phone {
    pub fn new(transport: Transport, source: SocketAddr, connection: Option<ConnectionId>) -> Self {
        Self {
            transport,
            source,
            connection,
            line: "1001".into(),
            contact_params: ";+sip.instance=\"<urn:uuid:00000000-0000-0000-0000-0011223344ff>\"\
                ;+u.sip!devicename.ccm.cisco.com=\"SEP0011223344FF\"\
                ;+u.sip!model.ccm.cisco.com=\"684\""
                .into(),
            call_id: "00112233-44ff0003-255b99f4-783a63d4@10.0.0.9".into(),
            cseq: 101,
            expires: Some(3600),
            headers: String::new(),
            body: String::new(),
            user: "1001".into(),
            secret: "secret of 1001".into(),
            algorithm: Algorithm::Md5,
            nonce: None,
            count: 0,
        }
    }

    /// As another line, that says no more than that.
    pub fn nameless(mut self, line: &str) -> Self {
        self.line = line.into();
        self.user = line.into();
        self.secret = format!("secret of {line}");
        self.contact_params.clear();
        self
    }

    pub fn contact(&self) -> String {
        let (source, transport) = (self.source, self.transport);
        format!(
            "<sip:04984998-fe29@{source};transport={transport}>{}",
            self.contact_params
        )
    }

    pub fn register(&self) -> String {
        self.register_with(&format!("Contact: {}\r\n", self.contact()))
    }

    pub fn register_with(&self, contact: &str) -> String {
        self.write("REGISTER", "sip:10.0.0.1", contact)
    }

    pub fn write(&self, method: &str, uri: &str, contact: &str) -> String {
        let Self {
            source,
            line,
            call_id,
            cseq,
            headers,
            body,
            ..
        } = self;
        let transport = self.transport.as_str().to_ascii_uppercase();
        let expires = self.expires.map(|it| format!("Expires: {it}\r\n"));
        let expires = expires.unwrap_or_default();
        let authorization = self.authorization(method, uri);
        format!(
            "{method} {uri} SIP/2.0\r\n\
             Via: SIP/2.0/{transport} {source};branch=z9hG4bK{cseq:08x}\r\n\
             From: <sip:{line}@10.0.0.1>;tag=0011223344ff0014-7ecf20ad\r\n\
             To: <sip:{line}@10.0.0.1>\r\n\
             Call-ID: {call_id}\r\n\
             Max-Forwards: 70\r\n\
             CSeq: {cseq} {method}\r\n\
             User-Agent: Cisco-CP8851/12.5.1\r\n\
             {contact}{authorization}{headers}{expires}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn authorization(&self, method: &str, uri: &str) -> String {
        let Some(nonce) = &self.nonce else {
            return String::new();
        };
        let (user, algorithm) = (&self.user, self.algorithm.as_str());
        let write = |response: &str| {
            format!(
                "Digest username=\"{user}\",realm=\"ccmsipline\",uri=\"{uri}\",\
                 response=\"{response}\",nonce=\"{nonce}\",cnonce=\"00e9c1d5\",qop=auth,\
                 nc={:08x},algorithm={algorithm}",
                self.count
            )
        };
        let unsigned = write("");
        let credentials = Credentials::parse(unsigned.as_bytes()).ok().unwrap();
        let response = credentials.expected(method.as_bytes(), &self.secret);
        format!("Authorization: {}\r\n", write(response.as_str()))
    }

    /// Sends its next REGISTER, and answers the challenge to it.
    pub fn registers(&mut self, edge: &Edge) -> Answered {
        let answered = self.sends(edge);
        if answered.code != 401 {
            return answered;
        }
        self.nonce = Some(answered.nonce());
        self.count = 0;
        self.sends(edge)
    }

    /// Sends its next REGISTER.
    pub fn sends(&mut self, edge: &Edge) -> Answered {
        self.cseq += 1;
        self.count += 1;
        edge.answer(self, &self.register())
    }
}

/// An answer that was sent.
#[derive(Clone, Debug)]
pub struct Answered {
    pub outgoing: Outgoing,
    pub text: String,
    pub code: u16,
}

impl Answered {
    pub fn new(outgoing: Outgoing) -> Self {
        let text = String::from_utf8(outgoing.bytes.clone()).unwrap();
        let code = text["SIP/2.0 ".len()..][..3].parse().unwrap();
        Self {
            outgoing,
            text,
            code,
        }
    }

    /// The values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let head = self.text.split("\r\n\r\n").next().unwrap();
        let lines = head.split("\r\n").skip(1);
        let named = lines.filter_map(|line| line.split_once(": "));
        named.filter(|it| it.0 == name).map(|it| it.1).collect()
    }

    pub fn header(&self, name: &str) -> &str {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name} in\n{}", self.text);
        all[0]
    }

    pub fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").unwrap().1
    }

    pub fn reason(&self) -> &str {
        let line = self.text.split("\r\n").next().unwrap();
        &line["SIP/2.0 200 ".len()..]
    }

    pub fn nonce(&self) -> String {
        let challenge = self.all("WWW-Authenticate")[0];
        let after = challenge.split_once("nonce=\"").unwrap().1;
        after.split_once('"').unwrap().0.to_owned()
    }
}
