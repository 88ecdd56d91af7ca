//! The read request a client sends.

use std::sync::Arc;

use tftp_ebpf::wire::tftp::{Mode, Options, opcode};

/// A read request, as it will stand on the wire.
#[derive(Clone, Debug)]
pub struct Request {
    pub name: Arc<str>,
    pub mode: Mode,
    pub options: Options,
    /// Bytes behind everything else: the stray NUL of old phones, options nobody knows.
    pub tail: &'static [u8],
}

impl Request {
    /// Octet mode, no options.
    pub fn plain(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            mode: Mode::Octet,
            options: Options::default(),
            tail: &[],
        }
    }

    /// Asks for the size, and for blocks of `blksize` bytes.
    pub fn sized(name: impl Into<Arc<str>>, blksize: u16) -> Self {
        let options = Options {
            blksize,
            tsize: true,
            ..Options::default()
        };
        Self {
            options,
            ..Self::plain(name)
        }
    }

    /// Whether any option is asked for that an OACK can answer.
    pub fn has_options(&self) -> bool {
        self.options != Options::default()
    }

    /// Appends the packet to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&opcode::RRQ.to_be_bytes());
        text(out, &self.name);
        text(
            out,
            match self.mode {
                Mode::Octet => "octet",
                Mode::Netascii => "netascii",
                Mode::Mail => "mail",
            },
        );
        if self.options.tsize {
            text(out, "tsize");
            text(out, "0");
        }
        let numbers = [
            ("blksize", self.options.blksize),
            ("timeout", self.options.timeout.into()),
            ("windowsize", self.options.windowsize),
        ];
        for (name, value) in numbers {
            if value != 0 {
                text(out, name);
                text(out, &value.to_string());
            }
        }
        out.extend_from_slice(self.tail);
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}
