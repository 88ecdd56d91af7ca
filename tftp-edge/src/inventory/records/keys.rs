//! The other buttons of a device: `3=speed_dial:2001:Bob;4=blf:2002:Carol;5=service:News;6=feature:dnd`.

use std::collections::BTreeMap;

use super::super::notation::{entries, join, quote, split_n, split_once, unquote};
use super::super::{FEATURES, KeyAction, LineKey, text};

const EXPECTED: &str = "expected BUTTON=speed_dial:NUMBER:LABEL, blf:NUMBER:LABEL, service:NAME or \
                        feature:NAME, such as 3=speed_dial:2001:Bob";

pub(super) fn parse(field: &str) -> Result<BTreeMap<u16, LineKey>, String> {
    let mut keys = BTreeMap::new();
    for entry in entries(field)? {
        let (button, key) = split_once(entry, '=')?;
        let (Ok(number @ 1..), Some(key)) = (button.parse::<u16>(), key) else {
            return Err(format!("{entry:?} is no key; {EXPECTED}"));
        };
        let key = parse_key(key).map_err(|problem| format!("button {number}: {problem}"))?;
        if keys.insert(number, key).is_some() {
            return Err(format!("button {number} is there twice"));
        }
    }
    Ok(keys)
}

fn parse_key(key: &str) -> Result<LineKey, String> {
    let parts = split_n(key, ':', 3)?;
    let part = |at: usize| unquote(parts.get(at).copied().unwrap_or_default());
    let (kind, target) = (part(0)?, text::value(&part(1)?, 50)?);
    if target.is_empty() {
        return Err(format!("{key:?} is no key; {EXPECTED}"));
    }
    let action = match kind.as_str() {
        "speed_dial" => KeyAction::SpeedDial { number: target },
        "blf" => KeyAction::Blf { number: target },
        "service" => KeyAction::Service { name: target },
        "feature" if FEATURES.iter().any(|(name, _)| *name == target) => {
            KeyAction::Feature { name: target }
        }
        "feature" => {
            let names: Vec<_> = FEATURES.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "there is no feature {target:?}; there are: {}",
                names.join(", ")
            ));
        }
        _ => return Err(format!("{kind:?} is nothing a key can do; {EXPECTED}")),
    };
    let label = text::value(&part(2)?, 50)?;
    Ok(LineKey { label, action })
}

pub(in super::super) fn print(keys: &BTreeMap<u16, LineKey>) -> String {
    join(keys.iter().map(|(button, key)| {
        let (kind, target) = match &key.action {
            KeyAction::SpeedDial { number } => ("speed_dial", number),
            KeyAction::Blf { number } => ("blf", number),
            KeyAction::Service { name } => ("service", name),
            KeyAction::Feature { name } => ("feature", name),
        };
        let target = quote(target, ":");
        match key.label.is_empty() {
            true => format!("{button}={kind}:{target}"),
            false => format!("{button}={kind}:{target}:{}", quote(&key.label, "")),
        }
    }))
}
