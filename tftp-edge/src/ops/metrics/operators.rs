//! What comes to the ports of operators and is no request of theirs.

use super::family::Family;
use crate::ops::serve::{Port, Refusal};
use crate::ops::sources::Reading;

pub(super) fn family(reading: &Reading) -> Family {
    let mut family = Family::counter(
        "ops_refused_total",
        "Connections ended or kept waiting and requests refused at the ports of metrics and web page, by reason.",
    );
    for port in Port::ALL {
        for refusal in Refusal::ALL {
            let count = reading.refusals[port as usize][refusal as usize];
            let labels = [("port", port.as_str()), ("reason", refusal.as_str())];
            family.add(&labels, count as f64);
        }
    }
    family
}
