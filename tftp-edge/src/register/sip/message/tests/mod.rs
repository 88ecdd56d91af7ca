//! Messages as a phone, and as somebody who means harm, writes them.

mod cut;
mod round_trip;
mod torture;

use super::{Defect, Message, Request};

/// A REGISTER with everything in it that phones write.
pub const REGISTER: &str = "REGISTER sip:10.0.0.1 SIP/2.0\r\n\
    Via: SIP/2.0/TCP 10.0.0.9:51778;branch=z9hG4bK66da98ae\r\n\
    From: <sip:2222@10.0.0.1>;tag=c80084aa8743001411d7279b-7ecf20ad\r\n\
    To: <sip:2222@10.0.0.1>\r\n\
    Call-ID: c80084aa-87430003-255b99f4-783a63d4@10.0.0.9\r\n\
    Max-Forwards: 70\r\n\
    CSeq: 113 REGISTER\r\n\
    User-Agent: Cisco-CP8851/12.5.1\r\n\
    Contact: <sip:04984998-fe29-08c0-6d47-5593bf4ce606@10.0.0.9:51778;transport=tcp>\
    ;+sip.instance=\"<urn:uuid:00000000-0000-0000-0000-c80084aa8743>\"\
    ;+u.sip!devicename.ccm.cisco.com=\"SEPC80084AA8743\";+u.sip!model.ccm.cisco.com=\"684\"\r\n\
    Supported: replaces,join,sdp-anat,norefersub\r\n\
    Reason: SIP;cause=200;text=\"cisco-alarm:25 Name=SEPC80084AA8743 ActiveLoad=a.loads\"\r\n\
    Authorization: Digest username=\"2222\",realm=\"ccmsipline\",uri=\"sip:10.0.0.1\",\
    response=\"0123456789abcdef0123456789abcdef\",nonce=\"0\",cnonce=\"1\",qop=auth,nc=00000001\r\n\
    Expires: 3600\r\n\
    Content-Type: multipart/mixed;boundary=uniqueBoundary\r\n\
    Content-Length: 4\r\n\r\nbody";

/// What is wrong with a request as such.
pub fn check(bytes: &[u8]) -> Result<(), Defect> {
    let message = Message::scan(bytes)?;
    Request::check(&message).map(|_| ())
}
