//! A request that has all that a request must have.

use super::number::decimal;
use super::{CSeq, Defect, Message, Method, Name, NameAddr, StartLine, Uri, Via};

/// Longest Call-ID: it is kept as long as the phone is registered.
const MAX_CALL_ID_BYTES: usize = 256;

/// What every request says (RFC 3261 8.1.1), read and checked.
#[derive(Clone, Debug)]
pub struct Request<'a, 'm> {
    pub message: &'a Message<'m>,
    pub method: Method,
    /// As it was written.
    pub method_name: &'m [u8],
    pub uri: Uri<'m>,
    /// Its bytes.
    pub raw_uri: &'m [u8],
    pub via: Via<'m>,
    pub from: NameAddr<'m>,
    pub to: NameAddr<'m>,
    pub call_id: &'m [u8],
    pub cseq: CSeq<'m>,
    /// Absent in requests of before RFC 3261.
    pub max_forwards: Option<u32>,
    pub body: &'m [u8],
}

impl<'a, 'm> Request<'a, 'm> {
    /// Names the first thing that is wrong.
    pub fn check(message: &'a Message<'m>) -> Result<Self, Defect> {
        let StartLine::Request { method, name, uri } = message.start()? else {
            return Err(Defect::NotSip);
        };
        if let Some(defect) = message.defect() {
            return Err(defect);
        }
        if message.repeated().is_some() {
            return Err(Defect::Repeated);
        }
        let of = |name: Name, missing: Defect| message.first(name).ok_or(missing);
        let via = message
            .values(Name::Via)
            .next()
            .ok_or(Defect::NoVia)
            .and_then(|it| Via::parse(it).ok_or(Defect::Via))?;
        if message.values(Name::Via).any(|it| Via::parse(it).is_none()) {
            return Err(Defect::Via);
        }
        let from = NameAddr::parse(of(Name::From, Defect::NoFrom)?).ok_or(Defect::From)?;
        let to = NameAddr::parse(of(Name::To, Defect::NoTo)?).ok_or(Defect::To)?;
        from.uri().ok_or(Defect::From)?;
        to.uri().ok_or(Defect::To)?;
        let call_id = of(Name::CallId, Defect::NoCallId)?;
        let is_word = |&byte: &u8| byte.is_ascii_graphic();
        if !(1..=MAX_CALL_ID_BYTES).contains(&call_id.len()) || !call_id.iter().all(is_word) {
            return Err(Defect::CallId);
        }
        let cseq = CSeq::parse(of(Name::CSeq, Defect::NoCSeq)?).ok_or(Defect::CSeq)?;
        if cseq.method != name {
            return Err(Defect::Method);
        }
        let max_forwards = match message.first(Name::MaxForwards) {
            None => None,
            Some(value) => match decimal(value) {
                // RFC 3261 20.22.
                Some(hops @ 0..=255) => Some(hops),
                _ => return Err(Defect::MaxForwards),
            },
        };
        let body = message.body()?;
        let raw_uri = uri;
        let uri = Uri::parse(uri).ok_or(Defect::RequestUri)?;
        if uri.headers.is_some() {
            // They have no meaning there (19.1.1).
            return Err(Defect::RequestUri);
        }
        Ok(Self {
            message,
            method,
            method_name: name,
            uri,
            raw_uri,
            via,
            from,
            to,
            call_id,
            cseq,
            max_forwards,
            body,
        })
    }
}
