//! Reset: a phone is told to begin anew.

use super::{Body, Dialect, Outgoing, Reply};
use crate::register::Order;

/// Reset 0x009F.
#[derive(Clone, Copy, Debug)]
pub struct Reset(pub Order);

impl Reply for Reset {
    fn message(&self, _dialect: Dialect) -> Outgoing {
        Outgoing::Reset
    }

    fn emit(&self, body: &mut Body<'_>) {
        body.u32(match self.0 {
            Order::Reset => 1,
            Order::Restart => 2,
            Order::ApplyConfig => 3,
        });
    }
}
