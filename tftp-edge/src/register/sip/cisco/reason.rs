//! Why a phone registers or leaves: `Reason: SIP;cause=200;text="cisco-alarm:25 Name=SEP… …"`.

use std::borrow::Cow;

use crate::inventory::DeviceName;
use crate::register::sip::message::{Params, Values, decimal, unquoted};

/// The Reason header of a phone, of the first REGISTER after a start and of the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reason<'m> {
    text: Option<Cow<'m, str>>,
}

/// Longest name of a load: it is kept as long as the phone is registered.
const MAX_LOAD_BYTES: usize = 64;

const ALARM: &str = "cisco-alarm:";

impl<'m> Reason<'m> {
    /// Nothing, if it is another kind of reason.
    pub fn of(header: &'m [u8]) -> Self {
        let mut values = Values::of(header);
        let text = values.find_map(|value| {
            let params = memchr::memchr(b';', value)?;
            let text = Params::parse(&value[params..])?.value("text")?;
            let text = match unquoted(text) {
                Cow::Borrowed(text) => Cow::Borrowed(std::str::from_utf8(text).ok()?),
                Cow::Owned(text) => Cow::Owned(String::from_utf8(text).ok()?),
            };
            text.starts_with(ALARM).then_some(text)
        });
        Self { text }
    }

    /// All of it.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// 25 after a start, 23 after a reset, 111 when an application unregistered it, and others.
    pub fn alarm(&self) -> Option<u32> {
        let number = self.text.as_deref()?.strip_prefix(ALARM)?;
        decimal(number.split_ascii_whitespace().next()?.as_bytes())
    }

    fn word(&self, name: &str) -> Option<&str> {
        let mut words = self.text.as_deref()?.split_ascii_whitespace();
        words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    pub fn device(&self) -> Option<DeviceName> {
        self.word("Name")?.parse().ok()
    }

    /// The firmware that runs, without `.loads`.
    pub fn load(&self) -> Option<&str> {
        let load = self.word("ActiveLoad").or_else(|| self.word("Load"))?;
        let load = load.strip_suffix(".loads").unwrap_or(load);
        (1..=MAX_LOAD_BYTES).contains(&load.len()).then_some(load)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alarm_names_device_and_load() {
        let header = b"SIP;cause=200;text=\"cisco-alarm:25 Name=SEP0011223344FF \
            ActiveLoad=sip88xx.12-5-1SR1-4.loads InactiveLoad=sip88xx.11.loads Last=initialized\"";
        let reason = Reason::of(header);
        assert_eq!(reason.alarm(), Some(25));
        assert_eq!(reason.device(), "SEP0011223344FF".parse().ok());
        assert_eq!(reason.load(), Some("sip88xx.12-5-1SR1-4"));
        let older =
            Reason::of(b"SIP;cause=200;text=\"cisco-alarm:23 Name=SEP0011223344FF Load=8.5\"");
        assert_eq!(older.load(), Some("8.5"));
    }

    #[test]
    fn other_reasons_tell_nothing() {
        for header in [
            &b"Q.850;cause=16;text=\"Terminated\""[..],
            b"SIP;cause=200",
            b"SIP;cause=200;text=\"cisco-alarm:\"",
            b"",
            b";;;",
        ] {
            let reason = Reason::of(header);
            assert_eq!(
                (reason.alarm(), reason.device(), reason.load()),
                (None, None, None)
            );
        }
    }
}
