//! ForwardStat: where calls to a line go instead. Calls are a PBX's matter, so they never do.

use super::{Body, Dialect, Outgoing, Reply};

/// ForwardStat 0x0090 of a line that forwards nothing.
#[derive(Clone, Copy, Debug)]
pub struct ForwardStat {
    /// Counted from 1.
    pub line: u32,
}

impl Reply for ForwardStat {
    fn message(&self, _dialect: Dialect) -> Outgoing {
        Outgoing::ForwardStat
    }

    fn emit(&self, body: &mut Body<'_>) {
        let number_len = match body.dialect().has_packed_numbers() {
            true => 25,
            false => 24,
        };
        body.u32(0);
        body.u32(self.line);
        // All calls, those to a busy line, and those that nobody answers.
        for _ in 0..3 {
            body.u32(0);
            body.text("", number_len);
        }
    }
}
