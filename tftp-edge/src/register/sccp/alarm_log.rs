//! What phones told of themselves lately: a bounded log.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::SystemTime;

use parking_lot::Mutex;

use super::wire::{Alarm, AlarmCode};
use crate::inventory::DeviceName;

/// Alarms that are kept; the oldest goes first.
const KEPT: usize = 256;

/// An alarm of a phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlarmRecord {
    pub at: SystemTime,
    pub source: IpAddr,
    /// As the text names it.
    pub device: Option<DeviceName>,
    pub severity: u32,
    pub code: AlarmCode,
    /// Printable characters alone.
    pub text: Box<str>,
}

#[derive(Debug, Default)]
pub(super) struct AlarmLog {
    recent: Mutex<VecDeque<AlarmRecord>>,
}

impl AlarmLog {
    pub(super) fn record(&self, alarm: &Alarm<'_>, source: IpAddr, at: SystemTime) -> AlarmCode {
        let text: String = String::from_utf8_lossy(alarm.text())
            .chars()
            .filter(|it| !it.is_control())
            .collect();
        let name = text.split_once("Name=").map(|(_, rest)| rest);
        let name = name.and_then(|rest| rest.split_whitespace().next());
        let code = alarm.code();
        let record = AlarmRecord {
            at,
            source,
            device: name.and_then(|name| name.parse().ok()),
            severity: alarm.severity(),
            code,
            text: text.into(),
        };
        let mut recent = self.recent.lock();
        if recent.len() == KEPT {
            recent.pop_front();
        }
        recent.push_back(record);
        code
    }

    /// Oldest first.
    pub(super) fn recent(&self) -> Vec<AlarmRecord> {
        self.recent.lock().iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_alarm_goes_first() {
        let log = AlarmLog::default();
        for number in 0..KEPT as u32 + 10 {
            let mut body = number.to_le_bytes().to_vec();
            body.extend(b"Name=SEP001122334455 Load=9.1\x07 Last=22");
            let alarm = Alarm::new(&body).unwrap();
            log.record(&alarm, [10, 0, 0, 1].into(), SystemTime::UNIX_EPOCH);
        }
        let recent = log.recent();
        assert_eq!((recent.len(), recent[0].severity), (KEPT, 10));
        assert_eq!(recent[0].code, AlarmCode::Reset);
        assert_eq!(&*recent[0].text, "Name=SEP001122334455 Load=9.1 Last=22");
        let device = recent[0].device.unwrap();
        assert_eq!(device.as_str(), "SEP001122334455");
    }
}
