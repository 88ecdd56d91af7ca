//! Version: the firmware a phone is to run.

use super::{Body, Dialect, Outgoing, Reply};

/// Version 0x0098.
#[derive(Clone, Copy, Debug)]
pub struct VersionRes<'p> {
    /// Without `.loads`; 15 bytes are taken, and newer loads have longer names. Phones take their
    /// firmware from the configuration, and only show this.
    pub load: &'p str,
}

impl Reply for VersionRes<'_> {
    fn message(&self, _dialect: Dialect) -> Outgoing {
        Outgoing::Version
    }

    fn emit(&self, body: &mut Body<'_>) {
        body.text(self.load, 16);
    }
}
