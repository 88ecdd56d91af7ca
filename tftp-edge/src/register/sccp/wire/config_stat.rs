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
    fn id(&self, dialect: Dialect) -> Outgoing {
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
            // bytes here, then the counts; the dissector has two numbers before texts of any
            // length. With chan-sccp's order the dissector takes the user's name for the numbers,
            // so the numbers come first.
            body.u32(self.lines);
            body.u32(self.speed_dials);
            body.string(self.server, 12);
            body.string(self.user, 40);
        } else {
            body.text(self.user, 40);
            body.text(self.server, 40);
            body.u32(self.lines);
            body.u32(self.speed_dials);
        }
    }
}
