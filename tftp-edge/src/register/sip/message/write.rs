//! Writing a message.

use std::fmt;
use std::io::Write as _;

/// A message that is being written.
#[derive(Debug)]
pub struct Writer {
    bytes: Vec<u8>,
}

/// Fits an answer with two challenges, or a 200 with what a phone wrote into its Contact.
const USUAL_BYTES: usize = 1024;

impl Writer {
    /// Begins with a first line.
    pub fn new(start: fmt::Arguments<'_>) -> Self {
        let mut writer = Self {
            bytes: Vec::with_capacity(USUAL_BYTES),
        };
        writer.put(start);
        writer.bytes.extend_from_slice(b"\r\n");
        writer
    }

    fn put(&mut self, text: fmt::Arguments<'_>) {
        // Writing to memory cannot fail.
        let _ = self.bytes.write_fmt(text);
    }

    pub fn header(&mut self, name: &str, value: fmt::Arguments<'_>) {
        self.begin(name);
        self.put(value);
        self.end();
    }

    /// A value as someone wrote it. Folded lines become one.
    pub fn raw_header(&mut self, name: &str, value: &[u8]) {
        self.begin(name);
        self.raw(value);
        self.end();
    }

    /// Begins a header that is written in parts.
    pub fn begin(&mut self, name: &str) {
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b": ");
    }

    /// A part of a value as someone wrote it: what ends lines, or texts, becomes spaces. An answer is
    /// sound even where the request it repeats was not.
    pub fn raw(&mut self, value: &[u8]) {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(value);
        for byte in &mut self.bytes[from..] {
            if matches!(byte, b'\r' | b'\n' | 0) {
                *byte = b' ';
            }
        }
    }

    /// A part of a value.
    pub fn text(&mut self, value: fmt::Arguments<'_>) {
        self.put(value);
    }

    /// The end of a header that was begun.
    pub fn end(&mut self) {
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// The end of a message without a body.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(b"Content-Length: 0\r\n\r\n");
        self.bytes
    }

    pub fn finish_with(mut self, content_type: &str, body: &[u8]) -> Vec<u8> {
        self.header("Content-Type", format_args!("{content_type}"));
        self.header("Content-Length", format_args!("{}", body.len()));
        self.bytes.extend_from_slice(b"\r\n");
        self.bytes.extend_from_slice(body);
        self.bytes
    }
}
