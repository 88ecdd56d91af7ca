//! SpeedDialStat: number and label of a speed dial.

use super::{Body, Dialect, Outgoing, Reply};

/// SpeedDialStat 0x0091, and 0x0149 with texts of any length.
#[derive(Clone, Copy, Debug)]
pub struct SpeedDialStat<'p> {
    /// Counted from 1.
    pub instance: u32,
    /// Empty for one that is not there.
    pub number: &'p str,
    pub label: &'p str,
}

impl Reply for SpeedDialStat<'_> {
    fn message(&self, dialect: Dialect) -> Outgoing {
        match dialect.has_dynamic_lines() {
            true => Outgoing::SpeedDialStatDynamic,
            false => Outgoing::SpeedDialStat,
        }
    }

    fn emit(&self, body: &mut Body<'_>) {
        body.u32(self.instance);
        if body.dialect().has_dynamic_lines() {
            body.string(self.number, 24);
            body.string(self.label, 40);
        } else {
            body.text(self.number, 24);
            body.text(self.label, 40);
        }
    }
}
