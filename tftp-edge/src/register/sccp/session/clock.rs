//! The time as a phone is to show it.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::zones;
use crate::register::sccp::wire::DefineTimeDate;

/// The time in a zone with a name as phones or the IANA database have it, daylight saving time
/// included. A zone nobody knows is Greenwich.
pub(super) fn local(zone: &str, at: SystemTime) -> DefineTimeDate {
    let zone = zones::iana(zone).unwrap_or(zone);
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let at = Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH);
    let local = at.to_zoned(zone);
    // None of the parts is negative after the year 0.
    let part = |value: i16| u32::try_from(value).unwrap_or_default();
    DefineTimeDate {
        year: part(local.year()),
        month: part(local.month().into()),
        day_of_week: part(local.weekday().to_sunday_zero_offset().into()),
        day: part(local.day().into()),
        hour: part(local.hour().into()),
        minute: part(local.minute().into()),
        second: part(local.second().into()),
        millisecond: part(local.millisecond()),
        system_time: u32::try_from(at.as_second()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    /// Year, month, day of week, day, hour, minute.
    fn told(zone: &str, seconds: u64) -> [u32; 6] {
        let it = local(zone, UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(u64::from(it.system_time), seconds);
        [
            it.year,
            it.month,
            it.day_of_week,
            it.day,
            it.hour,
            it.minute,
        ]
    }

    #[test]
    fn daylight_saving_time_begins_and_ends_where_the_phone_is() {
        const BERLIN: &str = "W. Europe Standard/Daylight Time";
        // 2026-03-29 00:59 and 01:00 in Greenwich: a Sunday.
        assert_eq!(told(BERLIN, 1_774_745_940), [2026, 3, 0, 29, 1, 59]);
        assert_eq!(told(BERLIN, 1_774_746_000), [2026, 3, 0, 29, 3, 0]);
        assert_eq!(told("Pacific Standard/Daylight Time", 1_774_746_000)[4], 18);
        assert_eq!(told("India Standard Time", 1_774_746_000)[4..], [6, 30]);
        // Never, in a zone without it.
        assert_eq!(told("US Mountain Standard Time", 1_774_746_000)[4], 18);
    }

    #[test]
    fn a_zone_can_have_its_usual_name_and_an_unknown_one_is_greenwich() {
        assert_eq!(told("Europe/Berlin", 1_774_746_000)[4], 3);
        assert_eq!(told("Nowhere Standard Time", 1_774_746_000)[4], 1);
    }
}
