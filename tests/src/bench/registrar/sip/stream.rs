//! A SIP phone on a TCP connection.

use std::net::SocketAddr;

use anyhow::Result;

use super::{Answer, Common, SipPhone, frame_len};
use crate::bench::registrar::talk::{Progress, Talk};

/// The phone, with its end of the connection as it stands in what it sends.
#[derive(Debug)]
pub struct SipStream {
    phone: SipPhone,
    common: Common,
    from: Option<SocketAddr>,
}

impl SipStream {
    pub fn new(number: u32, registrar: SocketAddr) -> Self {
        Self {
            phone: SipPhone::new(number),
            common: Common {
                registrar: registrar.ip().to_string(),
                transport: "TCP",
            },
            from: None,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        if let Some(from) = self.from {
            self.phone.write(&self.common, from, out);
        }
    }
}

impl Talk for SipStream {
    fn register(&mut self, from: SocketAddr, out: &mut Vec<u8>) {
        self.from = Some(from);
        self.refresh(out);
    }

    fn refresh(&mut self, out: &mut Vec<u8>) {
        self.phone.begin();
        self.write(out);
    }

    fn forget_nonce(&mut self) {
        self.phone.forget_nonce();
    }

    fn take(&mut self, incoming: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<Progress> {
        let mut progress = Progress::Wait;
        while let Some(len) = frame_len(incoming) {
            let taken = self
                .phone
                .take(&self.common, &Answer::parse(&incoming[..len])?)?;
            incoming.drain(..len);
            match taken {
                Progress::Wait => {}
                Progress::Again => self.write(out),
                end => progress = end,
            }
        }
        Ok(progress)
    }
}
