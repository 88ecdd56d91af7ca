//! The lines of a device in the notation of their columns.
//!
//! `lines` is `1001:Alice Smith;1002|max_calls=4|auto_answer`; `auth_name` and `secret` are one for
//! all lines, or one for each.

use std::collections::HashSet;

use super::super::notation::{entries, join, quote, split_n, split_once, unquote};
use super::super::{Line, LineOptions, text};

/// Reads the column `lines`. What the column does not say, a line keeps of the one with its number.
pub(super) fn parse(field: &str, before: &[Line]) -> Result<Vec<Line>, String> {
    let mut seen = HashSet::new();
    let mut lines = Vec::new();
    for entry in entries(field)? {
        let line = parse_line(entry, before)?;
        if !seen.insert(line.number.clone()) {
            return Err(format!(
                "{} is there twice; a number has one line on a device (it may be shared by several devices)",
                line.number
            ));
        }
        lines.push(line);
    }
    if lines.is_empty() {
        return Err("it is empty; expected at least one directory number, such as 1001".into());
    }
    Ok(lines)
}

fn parse_line(entry: &str, before: &[Line]) -> Result<Line, String> {
    let mut parts = split_n(entry, '|', usize::MAX)?.into_iter();
    let (number, label) = split_once(parts.next().unwrap_or_default(), ':')?;
    let number = unquote(number)?;
    text::directory_number(&number)?;
    let same = before.iter().find(|line| line.number == number);
    let mut line = Line {
        label: text::value(&unquote(label.unwrap_or_default())?, 50)?,
        auth_name: same.map_or_else(String::new, |line| line.auth_name.clone()),
        secret: same.map_or_else(String::new, |line| line.secret.clone()),
        number,
        ..Line::default()
    };
    for part in parts {
        let (option, value) = split_once(part, '=')?;
        let value = value.map(unquote).transpose()?;
        set_option(&mut line, option, value.as_deref())
            .map_err(|problem| format!("{}: {option}: {problem}", line.number))?;
    }
    Ok(line)
}

fn set_option(line: &mut Line, option: &str, value: Option<&str>) -> Result<(), String> {
    let options = &mut line.options;
    match (option, value) {
        ("display", Some(value)) => line.display_name = text::value(value, 50)?,
        ("auto_answer", None | Some("true")) => options.auto_answer = true,
        ("auto_answer", Some("false")) => options.auto_answer = false,
        ("max_calls", Some(value)) => options.max_calls = number(value, 1, 200)?,
        ("busy_trigger", Some(value)) => options.busy_trigger = number(value, 1, 200)?,
        ("ring_idle", Some(value)) => options.ring_idle = number(value, 0, 4)?,
        ("ring_active", Some(value)) => options.ring_active = number(value, 0, 5)?,
        ("mwi_lamp", Some(value)) => options.mwi_lamp = number(value, 0, 6)?,
        _ => {
            return Err(
                "expected display=, max_calls=, busy_trigger=, auto_answer, ring_idle=, \
                        ring_active= or mwi_lamp="
                    .into(),
            );
        }
    }
    Ok(())
}

fn number<T: TryFrom<u32>>(text: &str, least: u32, most: u32) -> Result<Option<T>, String> {
    match text.parse::<u32>() {
        Ok(number) if (least..=most).contains(&number) => Ok(T::try_from(number).ok()),
        _ => Err(format!("{text:?} is no number from {least} to {most}")),
    }
}

/// The column `lines`.
pub(in super::super) fn print(lines: &[Line]) -> String {
    join(lines.iter().map(print_line))
}

fn print_line(line: &Line) -> String {
    let mut entry = line.number.clone();
    if !line.label.is_empty() {
        entry += ":";
        entry += &quote(&line.label, "|");
    }
    if !line.display_name.is_empty() {
        entry += "|display=";
        entry += &quote(&line.display_name, "|");
    }
    let LineOptions {
        max_calls,
        busy_trigger,
        auto_answer,
        ring_idle,
        ring_active,
        mwi_lamp,
    } = line.options;
    for (option, value) in [
        ("max_calls", max_calls),
        ("busy_trigger", busy_trigger),
        ("ring_idle", ring_idle.map(u32::from)),
        ("ring_active", ring_active.map(u32::from)),
        ("mwi_lamp", mwi_lamp.map(u32::from)),
    ] {
        if let Some(value) = value {
            entry += &format!("|{option}={value}");
        }
    }
    if auto_answer {
        entry += "|auto_answer";
    }
    entry
}

/// Gives each line its entry of the field, or the only entry to all of them.
pub(super) fn spread(
    field: &str,
    max: usize,
    lines: &mut [Line],
    set: impl Fn(&mut Line, String),
) -> Result<(), String> {
    let entries = entries(field)?
        .into_iter()
        .map(|entry| text::value(&unquote(entry)?, max))
        .collect::<Result<Vec<_>, String>>()?;
    match entries.as_slice() {
        [] => lines.iter_mut().for_each(|line| set(line, String::new())),
        [only] => lines.iter_mut().for_each(|line| set(line, only.clone())),
        entries if entries.len() == lines.len() => {
            for (line, entry) in lines.iter_mut().zip(entries) {
                set(line, entry.clone());
            }
        }
        entries => {
            return Err(format!(
                "{} entries; expected one, or one for each of the {} lines",
                entries.len(),
                lines.len()
            ));
        }
    }
    Ok(())
}

/// The field [`spread`] reads: one entry if all lines have the same.
pub(super) fn gather<'l>(lines: &'l [Line], value: impl Fn(&'l Line) -> &'l str) -> String {
    let mut values = lines.iter().map(&value);
    let first = values.next().unwrap_or_default();
    match values.all(|value| value == first) {
        true => quote(first, ""),
        false => join(lines.iter().map(|line| quote(value(line), ""))),
    }
}
