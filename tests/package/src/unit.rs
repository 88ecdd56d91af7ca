//! A unit of systemd, as far as tests ask it.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::Result;

use crate::command::output;

/// Its lines, without what they belong to.
#[derive(Debug)]
pub struct Unit(Vec<(String, String)>);

impl Unit {
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with(['#', ';']));
        let settings = lines.filter_map(|line| line.split_once('='));
        Self(
            settings
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        )
    }

    /// The values of a key, in their order.
    pub fn all(&self, key: &str) -> Vec<&str> {
        let settings = self.0.iter().filter(|(it, _)| it == key);
        settings.map(|(_, value)| value.as_str()).collect()
    }

    /// What the lines of a key have between blanks.
    pub fn words(&self, key: &str) -> Vec<&str> {
        let values = self.all(key).into_iter();
        values.flat_map(str::split_whitespace).collect()
    }
}

/// The system calls that `SystemCallFilter=` lets through. Lines add to an allow list, and those that
/// begin with `~` take from it: systemd.exec(5).
pub fn system_calls(unit: &Unit) -> Result<BTreeSet<String>> {
    let mut allowed = BTreeSet::new();
    for line in unit.all("SystemCallFilter") {
        let (names, is_taken) = match line.strip_prefix('~') {
            Some(names) => (names, true),
            None => (line, false),
        };
        for name in names.split_whitespace() {
            for call in expanded(name)? {
                match is_taken {
                    true => allowed.remove(&call),
                    false => allowed.insert(call),
                };
            }
        }
    }
    // Always allowed with an allow list.
    allowed.extend(expanded("@default")?);
    Ok(allowed)
}

/// A call, or all calls of a group and of the groups in it.
fn expanded(name: &str) -> Result<BTreeSet<String>> {
    if !name.starts_with('@') {
        return Ok(BTreeSet::from([name.to_owned()]));
    }
    let listed = output(Command::new("systemd-analyze").args(["syscall-filter", name]))?;
    let mut calls = BTreeSet::new();
    // After the name of the group itself.
    for line in listed.lines().skip(1).map(str::trim) {
        if !line.starts_with('#') && !line.is_empty() {
            calls.extend(expanded(line)?);
        }
    }
    Ok(calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_may_have_several_lines_and_words() {
        let unit = Unit::parse("[Service]\n# ExecReload=no\nExecReload=a b\nExecReload=c\n");
        assert_eq!(unit.all("ExecReload"), ["a b", "c"]);
        assert_eq!(unit.words("ExecReload"), ["a", "b", "c"]);
        assert!(unit.all("ExecStart").is_empty());
    }
}
