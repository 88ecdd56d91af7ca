//! A SIP phone as far as it registers, without sockets: what it sends, and what it makes of an
//! answer. Written from the RFCs alone: nothing here is shared with the registrar it measures.

mod answer;
mod digest;
mod stream;

use std::io::Write as _;
use std::net::SocketAddr;

use anyhow::Result;

use self::digest::{Challenge, Credentials};
use super::population;
use super::talk::Progress;

pub use self::answer::Answer;
pub use self::stream::SipStream;

use self::answer::frame_len;

/// What the phone supports, as a desk phone lists it (facts of captured phones).
const SUPPORTED: &str = "replaces,join,sdp-anat,norefersub,resource-priority,extended-refer,\
    X-cisco-callinfo,X-cisco-serviceuri,X-cisco-escapecodes,X-cisco-service-control,\
    X-cisco-srtp-fallback,X-cisco-monrec,X-cisco-config,X-cisco-sis-7.0.0,X-cisco-xsi-8.5.1";

/// What the phone asks for, in seconds.
const EXPIRES: u32 = 3600;

/// Attempts of one registration: one without credentials, one with, one more if the nonce was old.
const ATTEMPTS: u8 = 3;

/// What all phones of a run have in common.
#[derive(Clone, Debug)]
pub struct Common {
    /// The host of the request URI.
    pub registrar: String,
    /// As it stands in `Via`.
    pub transport: &'static str,
}

/// One phone with one line.
#[derive(Debug)]
pub struct SipPhone {
    number: u32,
    cseq: u32,
    attempts: u8,
    credentials: Option<Box<Credentials>>,
}

impl SipPhone {
    pub fn new(number: u32) -> Self {
        Self {
            number,
            cseq: 100,
            attempts: 0,
            credentials: None,
        }
    }

    /// Begins a registration, or the refresh of one; [`write`](Self::write) gives its bytes.
    pub fn begin(&mut self) {
        self.cseq += 1;
        self.attempts = 1;
        if let Some(credentials) = &mut self.credentials {
            credentials.next();
        }
    }

    /// Forgets the nonce: the next request will be challenged.
    pub fn forget_nonce(&mut self) {
        self.credentials = None;
    }

    /// The number of the phone that an answer is for, from its Call-ID.
    pub fn number_of(answer: &Answer<'_>) -> Option<u32> {
        let (local, _) = answer.call_id.split_once('@')?;
        let (_, number) = local.rsplit_once('-')?;
        u32::from_str_radix(number, 16).ok()
    }

    /// Writes the request of the moment; the same bytes each time it is asked.
    pub fn write(&self, common: &Common, from: SocketAddr, out: &mut Vec<u8>) {
        let (number, cseq) = (self.number, self.cseq);
        let mac = population::mac(number);
        let (line, type_id) = (population::line(number), population::SIP_MODEL.1);
        let Common {
            registrar,
            transport,
        } = common;
        let lower = transport.to_ascii_lowercase();
        let write = write!(
            out,
            "REGISTER sip:{registrar} SIP/2.0\r\n\
             Via: SIP/2.0/{transport} {from};branch=z9hG4bK{number:08x}{cseq:08x}\r\n\
             From: <sip:{line}@{registrar}>;tag={mac}0002{number:08x}\r\n\
             To: <sip:{line}@{registrar}>\r\n\
             Call-ID: {}-{}0002-{number:08x}@{}\r\n\
             Max-Forwards: 70\r\n\
             CSeq: {cseq} REGISTER\r\n\
             User-Agent: Cisco-CP8851/12.5.1\r\n\
             Contact: <sip:7c9d0e1a-0000-4000-8000-{mac}@{from};transport={lower}>;\
             +sip.instance=\"<urn:uuid:00000000-0000-0000-0000-{mac}>\";\
             +u.sip!devicename.ccm.cisco.com=\"SEP{mac}\";\
             +u.sip!model.ccm.cisco.com=\"{type_id}\"\r\n\
             Supported: {SUPPORTED}\r\n\
             Expires: {EXPIRES}\r\n",
            &mac[..8],
            &mac[8..],
            from.ip(),
        );
        write.expect("writing to a vector cannot fail");
        if let Some(credentials) = &self.credentials {
            credentials.write(registrar, out);
        }
        out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    }

    /// What comes of an answer; after [`Progress::Again`] the next request is to be written.
    pub fn take(&mut self, common: &Common, answer: &Answer<'_>) -> Result<Progress> {
        if answer.cseq != self.cseq {
            // To a request that was sent twice.
            return Ok(Progress::Wait);
        }
        match answer.status {
            100..200 => Ok(Progress::Wait),
            200..300 => Ok(Progress::Done),
            401 if self.attempts < ATTEMPTS => {
                let challenge = Challenge::parse(answer)?;
                let line = population::line(self.number).to_string();
                let secret = population::secret(self.number);
                let credentials = Credentials::new(challenge, line, &secret, &common.registrar);
                self.credentials = Some(Box::new(credentials));
                self.cseq += 1;
                self.attempts += 1;
                Ok(Progress::Again)
            }
            status => Ok(Progress::Refused(status.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common() -> Common {
        Common {
            registrar: "10.77.0.1".into(),
            transport: "UDP",
        }
    }

    fn written(phone: &SipPhone) -> String {
        let mut out = Vec::new();
        phone.write(&common(), "10.80.1.7:5062".parse().unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_phone_that_is_challenged_asks_again_with_credentials_and_keeps_its_nonce() {
        let mut phone = SipPhone::new(7);
        phone.begin();
        let first = written(&phone);
        assert!(first.contains("CSeq: 101 REGISTER\r\n") && !first.contains("Authorization"));
        let text = "SIP/2.0 401 Unauthorized\r\nCall-ID: 00BE0000-00070002-00000007@10.80.1.7\r\n\
                    CSeq: 101 REGISTER\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n\
                    Content-Length: 0\r\n\r\n";
        let challenged = Answer::parse(text.as_bytes()).unwrap();
        assert_eq!(SipPhone::number_of(&challenged), Some(7));
        assert_eq!(phone.take(&common(), &challenged).unwrap(), Progress::Again);
        let second = written(&phone);
        assert!(second.contains("CSeq: 102 REGISTER\r\n") && second.contains("nc=00000001"));
        // The same answer again is an old one by now.
        assert_eq!(phone.take(&common(), &challenged).unwrap(), Progress::Wait);
        let text = text
            .replace("401 Unauthorized", "200 OK")
            .replace("101", "102");
        let registered = Answer::parse(text.as_bytes()).unwrap();
        assert_eq!(phone.take(&common(), &registered).unwrap(), Progress::Done);
        phone.begin();
        assert!(written(&phone).contains("nc=00000002"));
        phone.forget_nonce();
        assert!(!written(&phone).contains("Authorization"));
    }
}
