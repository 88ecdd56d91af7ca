//! DefineTimeDate: the clock of a phone, in its own time zone.

use super::{Body, Dialect, Outgoing, Reply};

/// DefineTimeDate 0x0094.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefineTimeDate {
    pub year: u32,
    /// From 1.
    pub month: u32,
    /// Sunday is 0.
    pub day_of_week: u32,
    /// From 1.
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
    pub millisecond: u32,
    /// Seconds since 1970, in Greenwich.
    pub system_time: u32,
}

impl Reply for DefineTimeDate {
    fn message(&self, _dialect: Dialect) -> Outgoing {
        Outgoing::DefineTimeDate
    }

    fn emit(&self, body: &mut Body<'_>) {
        for field in [
            self.year,
            self.month,
            self.day_of_week,
            self.day,
            self.hour,
            self.minute,
            self.second,
            self.millisecond,
            self.system_time,
        ] {
            body.u32(field);
        }
    }
}
