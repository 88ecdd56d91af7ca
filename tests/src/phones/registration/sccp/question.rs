//! What an SCCP phone asks once it is let in, and what must come back.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::{Buttons, Fault};
use super::message::{Message, Writer, id};

/// One question; phones ask them one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Version,
    Servers,
    ButtonTemplate,
    SoftKeyTemplate,
    SoftKeySets,
    Config,
    Line(u32),
    Forward(u32),
    SpeedDial(u32),
    Feature(u32),
    Service(u32),
    TimeDate,
}

/// Definitions of buttons, as ButtonTemplate has them.
mod definition {
    pub const SPEED_DIAL: u8 = 0x02;
    pub const LINE: u8 = 0x09;
    pub const FEATURE: u8 = 0x13;
    pub const SERVICE_URL: u8 = 0x14;
    pub const BUSY_LAMP: u8 = 0x15;
}

/// The most events a soft key can have, and the places of a set.
const SOFT_KEYS_MAX: u32 = 32;
const SET_KEYS: usize = 16;
const SETS_MAX: u32 = 16;
/// What a set's second table adds to the first.
const INFO_BASE: u16 = 300;

/// A clock of the server is not to be off by more than a day and the widest time zone.
const CLOCK_OFF_MAX_S: u64 = 38 * 3600;

impl Question {
    /// The message, and those that answer it.
    fn ids(self) -> (u32, &'static [u32]) {
        match self {
            Self::Version => (id::VERSION_REQ, &[id::VERSION]),
            Self::Servers => (id::SERVER_REQ, &[id::SERVER_RES]),
            Self::ButtonTemplate => (id::BUTTON_TEMPLATE_REQ, &[id::BUTTON_TEMPLATE]),
            Self::SoftKeyTemplate => (id::SOFT_KEY_TEMPLATE_REQ, &[id::SOFT_KEY_TEMPLATE_RES]),
            Self::SoftKeySets => (id::SOFT_KEY_SET_REQ, &[id::SOFT_KEY_SET_RES]),
            Self::Config => (
                id::CONFIG_STAT_REQ,
                &[id::CONFIG_STAT, id::CONFIG_STAT_DYNAMIC],
            ),
            Self::Line(_) => (id::LINE_STAT_REQ, &[id::LINE_STAT, id::LINE_STAT_DYNAMIC]),
            Self::Forward(_) => (id::FORWARD_STAT_REQ, &[id::FORWARD_STAT]),
            Self::SpeedDial(_) => (
                id::SPEED_DIAL_STAT_REQ,
                &[id::SPEED_DIAL_STAT, id::SPEED_DIAL_STAT_DYNAMIC],
            ),
            Self::Feature(_) => (
                id::FEATURE_STAT_REQ,
                &[id::FEATURE_STAT, id::FEATURE_STAT_DYNAMIC],
            ),
            // A server may tell a service as a feature to those that know dynamic messages.
            Self::Service(_) => (
                id::SERVICE_URL_STAT_REQ,
                &[
                    id::SERVICE_URL_STAT,
                    id::SERVICE_URL_STAT_DYNAMIC,
                    id::FEATURE_STAT_DYNAMIC,
                ],
            ),
            Self::TimeDate => (id::TIME_DATE_REQ, &[id::DEFINE_TIME_DATE]),
        }
    }

    pub(super) fn request(self, header: u8) -> Vec<u8> {
        let writer = Writer::new(header, self.ids().0);
        match self {
            Self::Line(n) | Self::Forward(n) | Self::SpeedDial(n) | Self::Service(n) => {
                writer.u32(n)
            }
            // The second word tells what the phone can show.
            Self::Feature(n) => writer.u32(n).u32(1),
            _ => writer,
        }
        .end()
    }

    pub(super) fn is_answered_by(self, id: u32) -> bool {
        self.ids().1.contains(&id)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Version => "waits for Version",
            Self::Servers => "waits for ServerRes",
            Self::ButtonTemplate => "waits for ButtonTemplate",
            Self::SoftKeyTemplate => "waits for SoftKeyTemplateRes",
            Self::SoftKeySets => "waits for SoftKeySetRes",
            Self::Config => "waits for ConfigStat",
            Self::Line(_) => "waits for LineStat",
            Self::Forward(_) => "waits for ForwardStat",
            Self::SpeedDial(_) => "waits for SpeedDialStat",
            Self::Feature(_) => "waits for FeatureStat",
            Self::Service(_) => "waits for ServiceURLStat",
            Self::TimeDate => "waits for DefineTimeDate",
        }
    }
}

/// What a phone has learned, and still has to ask.
#[derive(Debug)]
pub(super) struct Inquiry<'site> {
    device: &'site str,
    version: u8,
    buttons: Option<&'site Buttons>,
    asked: Option<Question>,
    left: VecDeque<Question>,
    /// Entries of the template that is coming in, and its soft keys once they are known.
    entries: u32,
    lines: u32,
    speed_dials: u32,
    soft_keys: u32,
}

impl<'site> Inquiry<'site> {
    pub(super) fn new(
        device: &'site str,
        version: u8,
        buttons: Option<&'site Buttons>,
        asks_servers: bool,
    ) -> Self {
        let mut left = VecDeque::new();
        if asks_servers {
            left.extend([Question::Version, Question::Servers]);
        }
        left.push_back(Question::ButtonTemplate);
        Self {
            device,
            version,
            buttons,
            asked: None,
            left,
            entries: 0,
            lines: 0,
            speed_dials: 0,
            soft_keys: 0,
        }
    }

    /// The question that waits for its answer.
    pub(super) const fn asked(&self) -> Option<Question> {
        self.asked
    }

    /// The question to be put now; none when all are answered.
    pub(super) fn next(&mut self) -> Option<Question> {
        self.asked = self.left.pop_front();
        self.asked
    }

    pub(super) const fn lines(&self) -> u32 {
        self.lines
    }

    /// Takes in what may be the answer to what was asked last. True when it is, and is whole.
    pub(super) fn answer(&mut self, message: &Message) -> Result<bool, Fault> {
        let Some(asked) = self.asked.filter(|asked| asked.is_answered_by(message.id)) else {
            return Ok(false);
        };
        match asked {
            // Empty where the phone is to keep what it runs.
            Question::Version => drop(message.text(0, 16, "version")?),
            Question::Servers => {
                let name = message.text(0, 48, "server name")?;
                require(!name.is_empty(), "the list of servers is empty")?;
            }
            Question::ButtonTemplate => return self.button_template(message),
            Question::SoftKeyTemplate => return self.soft_key_template(message),
            Question::SoftKeySets => return self.soft_key_sets(message),
            Question::Config => self.config(message)?,
            Question::Line(line) => self.line(line, message)?,
            Question::Forward(line) => self.forward(line, message)?,
            Question::SpeedDial(number) => self.speed_dial(number, message)?,
            Question::Feature(number) | Question::Service(number) => {
                same(message.u32(0, "instance")?, number, "a button's instance")?;
            }
            Question::TimeDate => time_date(message)?,
        }
        Ok(true)
    }

    /// A part of a template; what follows is asked when the last part is there.
    fn part(&mut self, message: &Message, most: u32) -> Result<(u32, bool), Fault> {
        let offset = message.u32(0, "offset")?;
        let count = message.u32(4, "count")?;
        let total = message.u32(8, "total")?;
        same(offset, self.entries, "the offset of a template")?;
        require(
            offset + count <= total && total <= most,
            format!("a template of {total} has {count} entries from {offset} on"),
        )?;
        self.entries += count;
        let is_whole = self.entries == total;
        if is_whole {
            self.entries = 0;
        }
        require(is_whole || count > 0, "a part of a template is empty")?;
        Ok((count, is_whole))
    }

    fn button_template(&mut self, message: &Message) -> Result<bool, Fault> {
        let (count, is_whole) = self.part(message, 256)?;
        for entry in 0..count as usize {
            let button = message.field(12 + 2 * entry, 2, "buttons")?;
            let instance = u32::from(button[0]);
            let question = match button[1] {
                definition::LINE => {
                    self.lines += 1;
                    same(instance, self.lines, "the instance of a line")?;
                    Question::Line(instance)
                }
                definition::SPEED_DIAL => {
                    self.speed_dials += 1;
                    Question::SpeedDial(instance)
                }
                definition::FEATURE | definition::BUSY_LAMP => Question::Feature(instance),
                definition::SERVICE_URL => Question::Service(instance),
                _ => continue,
            };
            self.left.push_back(question);
        }
        if !is_whole {
            return Ok(false);
        }
        if let Some(buttons) = self.buttons {
            same(
                self.lines as usize,
                buttons.lines.len(),
                "the number of lines",
            )?;
            let dials = buttons.speed_dials.len();
            same(
                self.speed_dials as usize,
                dials,
                "the number of speed dials",
            )?;
        }
        require(self.lines > 0, "a template without a line")?;
        // Lines first, then how they are forwarded, then the others.
        let (lines, others): (Vec<_>, Vec<_>) = self
            .left
            .drain(..)
            .partition(|it| matches!(it, Question::Line(_)));
        let keys = [
            Question::SoftKeyTemplate,
            Question::SoftKeySets,
            Question::Config,
        ];
        self.left.extend(keys);
        self.left.extend(lines);
        self.left.extend((1..=self.lines).map(Question::Forward));
        self.left.extend(others);
        self.left.push_back(Question::TimeDate);
        Ok(true)
    }

    fn soft_key_template(&mut self, message: &Message) -> Result<bool, Fault> {
        let (count, is_whole) = self.part(message, SOFT_KEYS_MAX)?;
        for entry in 0..count as usize {
            let event = message.u32(12 + 20 * entry + 16, "soft keys")?;
            require(
                (1..=SOFT_KEYS_MAX).contains(&event),
                format!("a soft key has event {event}"),
            )?;
        }
        self.soft_keys += count;
        Ok(is_whole)
    }

    fn soft_key_sets(&mut self, message: &Message) -> Result<bool, Fault> {
        let (count, is_whole) = self.part(message, SETS_MAX)?;
        for set in 0..count as usize {
            let at = 12 + 48 * set;
            let keys = message.field(at, SET_KEYS, "soft key sets")?;
            let infos = message.field(at + SET_KEYS, 2 * SET_KEYS, "soft key sets")?;
            for (&key, info) in keys.iter().zip(infos.chunks_exact(2)) {
                let info = u16::from_le_bytes([info[0], info[1]]);
                require(
                    u32::from(key) <= self.soft_keys,
                    format!("set {set} has key {key} of {}", self.soft_keys),
                )?;
                require(
                    key == 0 || info == INFO_BASE + u16::from(key),
                    format!("key {key} of set {set} has info {info}"),
                )?;
            }
        }
        Ok(is_whole)
    }

    fn config(&self, message: &Message) -> Result<(), Fault> {
        let device = message.text(0, 16, "device name")?;
        same(
            device.as_str(),
            self.device,
            "the device name of ConfigStat",
        )?;
        if message.id == id::CONFIG_STAT {
            same(
                message.u32(104, "lines")?,
                self.lines,
                "the lines of ConfigStat",
            )?;
            let dials = message.u32(108, "speed dials")?;
            same(dials, self.speed_dials, "the speed dials of ConfigStat")?;
        }
        Ok(())
    }

    fn line(&self, line: u32, message: &Message) -> Result<(), Fault> {
        same(message.u32(0, "line")?, line, "the line of LineStat")?;
        let number = match message.id {
            id::LINE_STAT => message.text(4, 24, "directory number")?,
            _ => {
                self.knows_dynamic(17, message)?;
                let texts = message.texts(8, "texts of a line")?;
                // What follows is padding.
                let is_whole = texts.len() >= 3 && texts[3..].iter().all(String::is_empty);
                require(is_whole, format!("the texts of a line are {texts:?}"))?;
                texts[0].clone()
            }
        };
        let expected = self.buttons.and_then(|it| it.lines.get(line as usize - 1));
        match expected {
            Some(expected) => same(number.as_str(), expected, "the number of a line"),
            None => require(!number.is_empty(), "a line without a number"),
        }
    }

    fn forward(&self, line: u32, message: &Message) -> Result<(), Fault> {
        same(message.u32(4, "line")?, line, "the line of ForwardStat")?;
        // Three times: a flag, and a number in 24 bytes, or 25 from version 18 on.
        let number = if self.version >= 18 { 25 } else { 24 };
        message
            .field(8 + 2 * (4 + number), 4 + number, "third forward")
            .map(drop)
    }

    fn speed_dial(&self, instance: u32, message: &Message) -> Result<(), Fault> {
        same(
            message.u32(0, "speed dial")?,
            instance,
            "the instance of SpeedDialStat",
        )?;
        let number = match message.id {
            id::SPEED_DIAL_STAT => message.text(4, 24, "number of a speed dial")?,
            _ => {
                self.knows_dynamic(8, message)?;
                let texts = message.texts(4, "texts of a speed dial")?;
                texts.first().cloned().unwrap_or_default()
            }
        };
        let Some(buttons) = self.buttons else {
            return require(!number.is_empty(), "a speed dial without a number");
        };
        require(
            buttons.speed_dials.iter().any(|dial| **dial == *number),
            format!("there is no speed dial to {number:?}"),
        )
    }

    fn knows_dynamic(&self, since: u8, message: &Message) -> Result<(), Fault> {
        let (id, version) = (message.id, self.version);
        require(
            version >= since,
            format!("message {id:#06x} is of version {since}, and {version} was agreed"),
        )
    }
}

fn time_date(message: &Message) -> Result<(), Fault> {
    let word = |at: usize| message.u32(4 * at, "time");
    let (month, day, hour) = (word(1)?, word(3)?, word(4)?);
    require(
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24,
        format!("no date: month {month}, day {day}, hour {hour}"),
    )?;
    let told = u64::from(word(8)?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    require(
        told.abs_diff(now) < CLOCK_OFF_MAX_S,
        format!("the time is told as {told}, and is {now}"),
    )
}

fn require(holds: bool, what: impl Into<String>) -> Result<(), Fault> {
    match holds {
        true => Ok(()),
        false => Err(Fault::new(what)),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(found: T, expected: T, what: &str) -> Result<(), Fault> {
    let holds = found == expected;
    require(holds, format!("{what} is {found:?}, expected {expected:?}"))
}
