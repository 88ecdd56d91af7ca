//! LineStat: number and label of a line.

use super::{Body, Dialect, Outgoing, Reply};

/// Everything that a phone can show of a line.
const DISPLAY_OPTIONS: u32 = 0x0F;

/// LineStat 0x0092, and 0x0147 with texts of any length.
#[derive(Clone, Copy, Debug)]
pub struct LineStat<'p> {
    /// Counted from 1.
    pub line: u32,
    /// Empty for a line that is not there.
    pub number: &'p str,
    /// The name others see.
    pub display_name: &'p str,
    /// What stands beside the button.
    pub label: &'p str,
}

impl Reply for LineStat<'_> {
    fn message(&self, dialect: Dialect) -> Outgoing {
        match dialect.has_dynamic_lines() {
            true => Outgoing::LineStatDynamic,
            false => Outgoing::LineStat,
        }
    }

    fn emit(&self, body: &mut Body<'_>) {
        body.u32(self.line);
        if body.dialect().has_dynamic_lines() {
            body.u32(DISPLAY_OPTIONS);
            body.string(self.number, 25);
            // chan-sccp has room for 121 bytes, Wireshark reads 40: more is shown nowhere.
            body.string(self.display_name, 40);
            body.string(self.label, 40);
        } else {
            body.text(self.number, 24);
            body.text(self.display_name, 40);
            body.text(self.label, 40);
            body.u32(DISPLAY_OPTIONS);
        }
    }
}
