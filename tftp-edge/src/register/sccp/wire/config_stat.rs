//! ConfigStat: what the server knows of the phone.

use super::{Body, Dialect, Outgoing, Reply};

/// ConfigStat 0x0093, and 0x0142 with texts of any length.
#[derive(Clone, Copy, Debug)]
pub struct ConfigStat<'p> {
    pub device: &'p str,
    /// Whose phone it is.
    pub user: &'p str,
    pub server: &'p str,
    pub lines: u32,
    pub speed_dials: u32,
}

impl Reply for ConfigStat<'_> {
    fn message(&self, dialect: Dialect) -> Outgoing {
        match dialect.has_dynamic_lines() {
            true => Outgoing::ConfigStatDynamic,
            false => Outgoing::ConfigStat,
        }
    }

    fn emit(&self, body: &mut Body<'_>) {
        body.text(self.device, 16);
        // The user's number, and which of several devices of this name it is.
        body.u32(0);
        body.u32(1);
        if body.dialect().has_dynamic_lines() {
            // chan-sccp and Wireshark disagree about what follows. chan-sccp has two fields of 121
            // bytes, then the counts; the dissector has the counts, then texts of any length, as
            // in all other dynamic messages. It would take chan-sccp's user name for the counts.
            body.u32(self.lines);
            body.u32(self.speed_dials);
            body.string(self.user, 40);
            body.string(self.server, 40);
        } else {
            body.text(self.user, 40);
            body.text(self.server, 40);
            body.u32(self.lines);
            body.u32(self.speed_dials);
        }
    }
}
