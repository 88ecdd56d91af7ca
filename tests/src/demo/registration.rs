//! The table of the registrations, for people and as JSON.

use std::fmt;

use serde::Serialize;

use super::table::quantile_ms;
use crate::phones::registration::Setback;
use crate::phones::{Over, RegistrationReport};

/// One protocol over one transport.
#[derive(Clone, Debug, Serialize)]
pub struct OverRow {
    pub over: Over,
    /// Phones that have registered, and those that were registered at the end.
    pub registered: u64,
    pub at_end: u64,
    /// From power-on until registered.
    pub from_power_p50_ms: f64,
    pub from_power_p99_ms: f64,
    /// From the first ask until registered.
    pub from_ask_p50_ms: f64,
    pub from_ask_p99_ms: f64,
    /// How often a phone asked until it was registered.
    pub asks_mean: f64,
    pub asks_max: u64,
}

/// Why phones had to come again, and how many times.
#[derive(Clone, Debug, Serialize)]
pub struct SetbackRow {
    pub why: Setback,
    pub times: u64,
}

/// All phones of a fleet that register.
#[derive(Clone, Debug, Serialize)]
pub struct Registrations {
    pub phones: u64,
    pub registered: u64,
    pub at_end: u64,
    pub over: Vec<OverRow>,
    /// From the first ask until the last phone was registered, seconds.
    pub drain_s: f64,
    /// The most asks in one second.
    pub peak_per_second: u32,
    /// How often a phone asked until it was registered.
    pub asks_mean: f64,
    pub asks_p99: u64,
    pub asks_max: u64,
    pub setbacks: Vec<SetbackRow>,
    /// Packets the phones sent again, over UDP.
    pub resends: u64,
    /// Restarts that were ordered.
    pub orders: u64,
}

impl Registrations {
    /// `phones` is how many were to register.
    pub fn new(phones: u64, report: &RegistrationReport) -> Self {
        let row = |over: Over| {
            let seen = report.over(over);
            OverRow {
                over,
                registered: seen.phones,
                at_end: seen.at_end,
                from_power_p50_ms: quantile_ms(&seen.from_power_us, 0.5),
                from_power_p99_ms: quantile_ms(&seen.from_power_us, 0.99),
                from_ask_p50_ms: quantile_ms(&seen.from_ask_us, 0.5),
                from_ask_p99_ms: quantile_ms(&seen.from_ask_us, 0.99),
                asks_mean: seen.asks_each.mean(),
                asks_max: seen.asks_each.max(),
            }
        };
        let setback = |why: Setback| SetbackRow {
            why,
            times: report.setbacks(why),
        };
        Self {
            phones,
            registered: report.phones(),
            at_end: report.at_end(),
            over: Over::ALL.map(row).into(),
            drain_s: report.drain().as_secs_f64(),
            peak_per_second: report.peak_per_second(),
            asks_mean: report.asks_each.mean(),
            asks_p99: report.asks_each.value_at_quantile(0.99),
            asks_max: report.asks_each.max(),
            setbacks: Setback::ALL
                .map(setback)
                .into_iter()
                .filter(|row| row.times > 0)
                .collect(),
            resends: report.resends,
            orders: report.orders,
        }
    }

    /// Whether every phone is registered, and that still.
    pub fn is_complete(&self) -> bool {
        self.registered == self.phones && self.at_end == self.phones
    }
}

impl fmt::Display for Registrations {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            to,
            "registered: {} of {} phones, the last one {:.1} s after the first had asked",
            self.registered, self.phones, self.drain_s
        )?;
        writeln!(
            to,
            "{:<10} {:>10} {:>8} | {:>9} {:>9} from power | {:>9} {:>9} from first ask | {:>5} {:>4} asks",
            "over", "registered", "at end", "p50 ms", "p99 ms", "p50 ms", "p99 ms", "mean", "max"
        )?;
        for row in &self.over {
            writeln!(
                to,
                "{:<10} {:>10} {:>8} | {:>9.1} {:>9.1} {:>10} | {:>9.1} {:>9.1} {:>14} | {:>5.2} {:>4}",
                row.over.as_str(),
                row.registered,
                row.at_end,
                row.from_power_p50_ms,
                row.from_power_p99_ms,
                "",
                row.from_ask_p50_ms,
                row.from_ask_p99_ms,
                "",
                row.asks_mean,
                row.asks_max
            )?;
        }
        write!(
            to,
            "asks a phone: {:.2} on average, 99 % at most {}, none more than {}; peak {} asks/s",
            self.asks_mean, self.asks_p99, self.asks_max, self.peak_per_second
        )?;
        for row in &self.setbacks {
            write!(to, "; {}: {}", row.why.as_str(), row.times)?;
        }
        writeln!(to)
    }
}
