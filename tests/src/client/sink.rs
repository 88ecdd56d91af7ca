//! Where the payload of a transfer goes.

use bytes::Bytes;

/// The first byte that is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    pub offset: u64,
}

/// Takes blocks in order, each once.
pub trait Sink {
    fn block(&mut self, payload: &[u8]) -> Result<(), Mismatch>;

    /// The last block has been given.
    fn end(&mut self) -> Result<(), Mismatch>;
}

/// Keeps everything.
#[derive(Clone, Debug, Default)]
pub struct Collect(pub Vec<u8>);

impl Sink for Collect {
    fn block(&mut self, payload: &[u8]) -> Result<(), Mismatch> {
        self.0.extend_from_slice(payload);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Mismatch> {
        Ok(())
    }
}

/// Compares with what is expected, and keeps nothing.
#[derive(Clone, Debug)]
pub struct Expect {
    expected: Bytes,
    at: usize,
}

impl Expect {
    pub fn new(expected: Bytes) -> Self {
        Self { expected, at: 0 }
    }
}

impl Sink for Expect {
    fn block(&mut self, payload: &[u8]) -> Result<(), Mismatch> {
        let rest = &self.expected[self.at..];
        if rest.starts_with(payload) {
            self.at += payload.len();
            return Ok(());
        }
        let same = rest.iter().zip(payload).take_while(|(a, b)| a == b).count();
        Err(Mismatch {
            offset: (self.at + same) as u64,
        })
    }

    fn end(&mut self) -> Result<(), Mismatch> {
        if self.at == self.expected.len() {
            return Ok(());
        }
        Err(Mismatch {
            offset: self.at as u64,
        })
    }
}
