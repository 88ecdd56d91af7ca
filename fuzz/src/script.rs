//! Numbers out of an input, one after the other; zero once it is used up.

/// The part of an input that says what to do, as opposed to the bytes to do it to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script<'i> {
    rest: &'i [u8],
}

impl<'i> Script<'i> {
    pub(crate) const fn new(input: &'i [u8]) -> Self {
        Self { rest: input }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((&byte, rest)) => {
                self.rest = rest;
                byte
            }
            None => 0,
        }
    }

    pub(crate) fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// A number below `end`, which is not zero.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::from(self.word()) % end
    }

    pub(crate) const fn rest(self) -> &'i [u8] {
        self.rest
    }
}
