//! SIP messages as bytes (RFC 3261 section 7): views over what came in, writers for what goes out.
//!
//! ```text
//! REGISTER sip:10.0.0.1 SIP/2.0          start line
//! Via: SIP/2.0/UDP 10.0.0.9:5060;…       headers: any case, some with a one-letter form,
//! f: <sip:1001@10.0.0.1>;tag=1            repeated or with commas, folded onto further lines
//!                                        an empty line
//! …                                      the body, as long as Content-Length says
//! ```
//!
//! [`Message`] finds the lines once and reads none of them; what a header means is read when it is
//! asked for, by the view of its grammar: [`Uri`], [`NameAddr`], [`Via`], [`CSeq`], [`Params`].
//! None of them allocates. [`Request`] has what every request must have, checked. Everything that
//! can be wrong is a [`Defect`].

mod address;
mod answer;
mod body;
mod cseq;
mod defect;
mod header;
mod number;
mod params;
mod request;
mod scan;
mod start;
#[cfg(test)]
mod tests;
mod text;
mod uri;
mod via;
mod write;

pub use address::NameAddr;
pub use answer::{Answer, Reply};
pub use body::{Part, parts};
pub use cseq::CSeq;
pub use defect::Defect;
pub use header::Name;
pub use number::{decimal, seconds};
pub use params::{Param, Params, unquoted};
pub use request::Request;
pub use scan::{MAX_HEAD_BYTES, MAX_HEADERS, Message};
pub use start::{Method, StartLine};
pub use text::{Values, ascii};
pub use uri::{Scheme, Uri};
pub use via::Via;
pub use write::Writer;
