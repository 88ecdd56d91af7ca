//! The clock of a 7940 or 7960 with SIP firmware: it knows time zones by abbreviation, and is told
//! when daylight saving time begins and ends.
//!
//! Only zones whose abbreviation is beyond doubt are here. In others the phone shows Greenwich time
//! until `xml.time_zone` names its zone.

use crate::inventory::PhoneSettings;

/// The first and the last day of daylight saving time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saving {
    None,
    /// Second Sunday in March to first Sunday in November, at 2.
    NorthAmerica,
    /// Last Sunday in March to last Sunday in October, at 2.
    Europe,
}

/// By the name that newer phones know the zone by.
const ZONES: &[(&str, &str, Saving)] = &[
    (
        "Pacific Standard/Daylight Time",
        "PST",
        Saving::NorthAmerica,
    ),
    (
        "Mountain Standard/Daylight Time",
        "MST",
        Saving::NorthAmerica,
    ),
    ("US Mountain Standard Time", "MST", Saving::None),
    (
        "Central Standard/Daylight Time",
        "CST",
        Saving::NorthAmerica,
    ),
    ("Canada Central Standard Time", "CST", Saving::None),
    (
        "Eastern Standard/Daylight Time",
        "EST",
        Saving::NorthAmerica,
    ),
    ("US Eastern Standard Time", "EST", Saving::None),
    ("SA Pacific Standard Time", "EST", Saving::None),
    (
        "Atlantic Standard/Daylight Time",
        "AST",
        Saving::NorthAmerica,
    ),
    ("SA Western Standard Time", "AST", Saving::None),
    (
        "Newfoundland Standard/Daylight Time",
        "NST",
        Saving::NorthAmerica,
    ),
    ("GMT Standard/Daylight Time", "GMT", Saving::Europe),
    ("Greenwich Standard Time", "GMT", Saving::None),
    ("W. Europe Standard/Daylight Time", "CET", Saving::Europe),
    ("Romance Standard/Daylight Time", "CET", Saving::Europe),
    (
        "Central Europe Standard/Daylight Time",
        "CET",
        Saving::Europe,
    ),
    ("E. Europe Standard/Daylight Time", "EET", Saving::Europe),
    ("GTB Standard/Daylight Time", "EET", Saving::Europe),
    ("South Africa Standard Time", "EET", Saving::None),
    ("Tokyo Standard Time", "JST", Saving::None),
];

/// The last week of a month, however many it has.
const LAST_WEEK: &str = "8";

pub(super) struct Clock<'s> {
    zone: Option<(&'static str, Saving)>,
    ntp: Option<&'s str>,
    /// Without what asks for a 12-hour clock.
    date_format: &'s str,
    is_24_hours: bool,
}

impl<'s> Clock<'s> {
    pub(super) fn of(settings: &'s PhoneSettings) -> Self {
        let zone = ZONES.iter().find(|(name, ..)| *name == settings.time_zone);
        let template = settings.date_template.as_str();
        Self {
            zone: zone.map(|&(_, abbreviation, saving)| (abbreviation, saving)),
            ntp: settings.ntp.first().map(String::as_str),
            date_format: template.trim_end_matches('A'),
            is_24_hours: !template.ends_with('A'),
        }
    }

    /// The value of a parameter, if it has one here.
    pub(super) fn get(&self, parameter: &str) -> Option<&str> {
        match parameter {
            "sntp_mode" => self.ntp.map(|_| "unicast"),
            "sntp_server" => self.ntp,
            "date_format" => Some(self.date_format),
            "time_format_24hr" => Some(if self.is_24_hours { "1" } else { "0" }),
            "time_zone" => self.zone.map(|(abbreviation, _)| abbreviation),
            parameter => {
                let (_, saving) = self.zone?;
                saving.get(parameter)
            }
        }
    }
}

impl Saving {
    fn get(self, parameter: &str) -> Option<&'static str> {
        let (start_week, stop_month, stop_week) = match self {
            Self::None => return (parameter == "dst_auto_adjust").then_some("0"),
            Self::NorthAmerica => ("2", "November", "1"),
            Self::Europe => (LAST_WEEK, "October", LAST_WEEK),
        };
        match parameter {
            "dst_auto_adjust" => Some("1"),
            "dst_start_month" => Some("March"),
            "dst_start_week_of_month" => Some(start_week),
            "dst_stop_month" => Some(stop_month),
            "dst_stop_week_of_month" => Some(stop_week),
            "dst_start_day_of_week" | "dst_stop_day_of_week" => Some("Sun"),
            "dst_start_time" | "dst_stop_time" => Some("02:00"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(zone: &str, date_template: &str) -> PhoneSettings {
        PhoneSettings {
            time_zone: zone.into(),
            date_template: date_template.into(),
            ..PhoneSettings::default()
        }
    }

    #[test]
    fn a_zone_brings_its_daylight_saving_time() {
        let berlin = settings("W. Europe Standard/Daylight Time", "D.M.Y");
        let clock = Clock::of(&berlin);
        for (parameter, value) in [
            ("time_zone", "CET"),
            ("dst_auto_adjust", "1"),
            ("dst_stop_month", "October"),
            ("dst_stop_week_of_month", "8"),
            ("date_format", "D.M.Y"),
            ("time_format_24hr", "1"),
        ] {
            assert_eq!(clock.get(parameter), Some(value), "{parameter}");
        }
        let tokyo = settings("Tokyo Standard Time", "M/D/YA");
        let clock = Clock::of(&tokyo);
        assert_eq!(clock.get("dst_auto_adjust"), Some("0"));
        assert_eq!(clock.get("dst_start_month"), None);
        assert_eq!(clock.get("date_format"), Some("M/D/Y"));
        assert_eq!(clock.get("time_format_24hr"), Some("0"));
    }

    #[test]
    fn a_zone_without_a_sure_abbreviation_is_left_to_the_operator() {
        let fiji = settings("Fiji Standard Time", "D/M/Y");
        let clock = Clock::of(&fiji);
        assert_eq!(clock.get("time_zone"), None);
        assert_eq!(clock.get("sntp_server"), None);
    }
}
