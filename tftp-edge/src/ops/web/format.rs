//! Figures as people read them. `assets/page.js` has the same for what comes later; a test in a
//! browser holds the two together.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use minijinja::value::{Value, ValueKind};

use crate::ops::status::{duration, size};

/// A value in the words of its kind; nothing for what is not there.
pub(super) fn told(value: &Value, kind: &str) -> String {
    if kind == "unless_all" {
        return number(value).map_or_else(|| "all".to_owned(), |it| grouped(it as u64));
    }
    if value.is_none() || value.is_undefined() {
        return match kind {
            "or_unknown" => "?".to_owned(),
            "rate" => "no limit known".to_owned(),
            _ => String::new(),
        };
    }
    let shown = match kind {
        "count" => number(value).map(|it| grouped(it as u64)),
        "percent" => number(value).map(percent),
        "width" => number(value).map(|it| format!("{:.2}%", it.clamp(0.0, 1.0) * 100.0)),
        "rate" => number(value).map(|it| format!("{it:.1}")),
        "bytes" => number(value).map(|it| size(it as u64)),
        "duration" => number(value).map(|it| duration(Duration::from_secs(it as u64))),
        "after" => number(value).map(|it| format!("+{:.3} s", it / 1000.0)),
        "micros" => number(value).map(|it| format!("{:.1} ms", it / 1000.0)),
        "span" => number(value).map(|it| format!("{:.1} s", it / 1000.0)),
        "more" => number(value).map(more),
        "time" => number(value).map(|it| time(it as i64)),
        "time_ms" => number(value).map(|it| time(it as i64 / 1000)),
        "words" => Some(value.to_string().replace(['_', '-'], " ")),
        "rung" => Some(rung(&value.to_string())),
        "list" => Some(list(value)),
        _ => None,
    };
    shown.unwrap_or_else(|| value.to_string())
}

fn number(value: &Value) -> Option<f64> {
    f64::try_from(value.clone()).ok()
}

/// `12,345`.
pub(in crate::ops) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// All of it only if it is all of it: `100 %` is not said of 99,999 of 100,000.
fn percent(share: f64) -> String {
    let tenths = (share * 1000.0).floor() / 10.0;
    format!("{tenths:.1} %")
}

/// How often, if it is more than once.
fn more(times: f64) -> String {
    match times > 1.0 {
        true => format!("{} times", grouped(times as u64)),
        false => String::new(),
    }
}

fn time(unix_s: i64) -> String {
    let Ok(at) = Timestamp::from_second(unix_s) else {
        return String::new();
    };
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn rung(path: &str) -> String {
    match path {
        "socket" => "sockets".to_owned(),
        "off" => "off".to_owned(),
        other => other.to_uppercase(),
    }
}

fn list(value: &Value) -> String {
    let mut text = String::new();
    if value.kind() != ValueKind::Seq {
        return value.to_string();
    }
    for item in value.try_iter().into_iter().flatten() {
        let separator = match text.is_empty() {
            true => "",
            false => ", ",
        };
        write!(text, "{separator}{item}").expect("writing to a string cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_readable() {
        for (value, kind, text) in [
            (Value::from(0), "count", "0"),
            (Value::from(999), "count", "999"),
            (Value::from(1_234_567), "count", "1,234,567"),
            (Value::from(0.914_9), "percent", "91.4 %"),
            (Value::from(0.999_99), "percent", "99.9 %"),
            (Value::from(1), "percent", "100.0 %"),
            (Value::from(1.5), "width", "100.00%"),
            (Value::from(75), "duration", "1 min 15 s"),
            (Value::from(1_234), "after", "+1.234 s"),
            (Value::from(1_250), "micros", "1.2 ms"),
            (Value::from(61_300), "span", "61.3 s"),
            (Value::from(1), "more", ""),
            (Value::from(3), "more", "3 times"),
            (Value::from(12_345), "bytes", "12.3 kB"),
            (Value::from(0), "time", "1970-01-01 00:00:00 UTC"),
            (Value::from("number_pool"), "words", "number pool"),
            (Value::from("xdp"), "rung", "XDP"),
            (Value::from(vec!["1001", "1002"]), "list", "1001, 1002"),
            (Value::from(()), "count", ""),
            (Value::from(()), "rate", "no limit known"),
            (Value::from(()), "unless_all", "all"),
            (Value::UNDEFINED, "", ""),
        ] {
            assert_eq!(told(&value, kind), text, "{value:?} as {kind}");
        }
    }
}
