//! Dial plans: when a number is complete, and what is dialled for it.
//!
//! Source: the pages on dial templates and application dial rules at usecallmanager.nz.

use serde::{Deserialize, Serialize};

use super::{super::text, unknown};
use crate::phonefile::dial_plan_problem;

/// Longest pattern and longest rewritten number.
const MAX_PATTERN: usize = 64;

/// The longest a phone waits for a further digit, in seconds.
const MAX_TIMEOUT_S: u32 = 60;

/// The most secondary dial tones of one rule.
const MAX_TONES: usize = 3;

/// When what was dialled is complete; the file `DR<name>.xml`, and `dialplan.xml` if the plan is
/// called `default`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DialPlan {
    /// The first that matches best holds.
    pub rules: Vec<DialRule>,
}

impl DialPlan {
    /// What is wrong with it, if anything is; the rule is told by its number from 1.
    pub fn check(&self) -> Result<(), String> {
        if self.rules.is_empty() {
            return Err("it has no rules: with it no number would ever be dialled".into());
        }
        for (index, rule) in self.rules.iter().enumerate() {
            rule.check()
                .map_err(|problem| format!("rule {}: {problem}", index + 1))?;
        }
        dial_plan_problem(self).map_or(Ok(()), Err)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DialRule {
    /// Digits, `.` for any one, `*` for any number of them, `,` for a second dial tone.
    pub pattern: String,
    /// Seconds until a number that matches is dialled.
    #[serde(default)]
    pub timeout_s: u32,
    /// On this line button alone.
    #[serde(default)]
    pub line: Option<u16>,
    /// What is dialled instead; `%1` and so on stand for what matched.
    #[serde(default)]
    pub rewrite: String,
    /// The tones played at each `,`, by their names in [`TONES`], with commas between.
    #[serde(default)]
    pub tone: String,
}

/// The tones a phone can play for a `,` in a pattern.
pub static TONES: &[&str] = &[
    "Bellcore-Inside",
    "Bellcore-Outside",
    "Bellcore-Busy",
    "Bellcore-Reorder",
    "Bellcore-CallWaiting",
    "Bellcore-Hold",
    "Bellcore-Reminder",
    "Bellcore-Confirmation",
    "Bellcore-Permanent",
    "Bellcore-None",
    "Cisco-Zip",
    "Cisco-ZipZip",
    "Cisco-BeepBonk",
];

impl DialRule {
    /// What is wrong with it, if anything is.
    pub fn check(&self) -> Result<(), String> {
        check_pattern(&self.pattern)?;
        check_rewrite(&self.rewrite)?;
        if self.pattern.is_empty() && self.rewrite.is_empty() {
            return Err(
                "an empty pattern is a hotline: it needs the number to dial as its rewrite".into(),
            );
        }
        if self.timeout_s > MAX_TIMEOUT_S {
            return Err(format!(
                "a timeout of {} seconds is more than {MAX_TIMEOUT_S}",
                self.timeout_s
            ));
        }
        if self.line == Some(0) {
            return Err("lines are counted from 1".into());
        }
        let tones: Vec<_> = self
            .tone
            .split(',')
            .filter(|tone| !tone.is_empty())
            .collect();
        if let Some(tone) = tones.iter().find(|tone| !TONES.contains(tone)) {
            return Err(unknown("tone", tone, TONES.iter().copied()));
        }
        let places = self.pattern.matches(',').count();
        match tones.len() {
            many if many > MAX_TONES => Err(format!("{many} tones are more than {MAX_TONES}")),
            many if many > places => Err(format!(
                "{many} tones for {places} commas in the pattern: a tone is played at a comma"
            )),
            _ => Ok(()),
        }
    }
}

/// Digits, `#`, `+`, the letters of keypads, `.`, `*`, `\*` and `,`.
fn check_pattern(pattern: &str) -> Result<(), String> {
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        match c {
            '0'..='9' | 'A'..='D' | '#' | '+' | '.' | '*' | ',' => {}
            '\\' if matches!(rest.next(), Some('*' | '#' | '.' | ',' | '\\')) => {}
            '\\' => return Err(format!("{pattern:?}: \\ stands before *, #, . or , only")),
            _ => {
                return Err(format!(
                    "{pattern:?} has {c:?}; a pattern is made of digits, #, +, . for any one, * \
                     for any number of them, \\* for the key *, and , for another dial tone"
                ));
            }
        }
    }
    text::value(pattern, MAX_PATTERN).map(|_| ())
}

/// Digits, `.` for what the dots matched, `%0` to `%5`, `%%` and `%.`.
fn check_rewrite(rewrite: &str) -> Result<(), String> {
    let mut rest = rewrite.chars();
    while let Some(c) = rest.next() {
        if c == '%' && !matches!(rest.next(), Some('0'..='5' | '%' | '.')) {
            return Err(format!(
                "{rewrite:?}: after % comes 0 to 5 for what matched, or % or . for themselves"
            ));
        }
        if c.is_whitespace() {
            return Err(format!("{rewrite:?} has a space"));
        }
    }
    text::value(rewrite, MAX_PATTERN).map(|_| ())
}

/// How numbers from directories and applications become numbers to dial: a row of
/// `AppDialRules.xml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppDialRule {
    pub begins_with: String,
    pub digits: u8,
    pub remove: u8,
    pub prefix: String,
}

impl AppDialRule {
    /// What is wrong with it, if anything is.
    pub fn check(&self) -> Result<(), String> {
        for (name, value) in [("begins_with", &self.begins_with), ("prefix", &self.prefix)] {
            let known = |c: char| c.is_ascii_digit() || matches!(c, '+' | '*' | '#');
            if let Some(c) = value.chars().find(|&c| !known(c)) {
                return Err(format!(
                    "{name} {value:?} has {c:?}; expected digits, +, * and #"
                ));
            }
            text::value(value, MAX_PATTERN)?;
        }
        if usize::from(self.digits) < self.begins_with.len() {
            return Err(format!(
                "no number of {} digits begins with {:?}",
                self.digits, self.begins_with
            ));
        }
        if self.remove > self.digits {
            return Err(format!(
                "{} digits cannot be removed from {}",
                self.remove, self.digits
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(pattern: &str) -> DialRule {
        DialRule {
            pattern: pattern.into(),
            ..DialRule::default()
        }
    }

    #[test]
    fn patterns_that_phones_know_are_taken() {
        for pattern in ["3..", "0,........", "9,011*", "#", "\\*98", "+49*", "*"] {
            assert_eq!(rule(pattern).check(), Ok(()), "{pattern}");
        }
        let hotline = DialRule {
            rewrite: "300".into(),
            line: Some(2),
            ..DialRule::default()
        };
        assert_eq!(hotline.check(), Ok(()));
        let zero = DialRule {
            tone: "Bellcore-Outside".into(),
            rewrite: "%%%.%0%1.".into(),
            ..rule("0,.....")
        };
        assert_eq!(zero.check(), Ok(()));
    }

    #[test]
    fn what_a_phone_would_not_understand_is_refused() {
        let broken = [
            (rule("[2-9]xx"), "has '['"),
            (rule("1 2"), "has ' '"),
            (rule("\\1"), "\\ stands before"),
            (rule(""), "hotline"),
            (rule(&"1".repeat(65)), "65 characters"),
            (
                DialRule {
                    timeout_s: 61,
                    ..rule("1")
                },
                "61 seconds",
            ),
            (
                DialRule {
                    line: Some(0),
                    ..rule("1")
                },
                "from 1",
            ),
            (
                DialRule {
                    rewrite: "%7".into(),
                    ..rule("1")
                },
                "after %",
            ),
            (
                DialRule {
                    tone: "Bellcore-Outsid".into(),
                    ..rule("1,")
                },
                "is \"Bellcore-Outside\" meant?",
            ),
            (
                DialRule {
                    tone: "Cisco-Zip".into(),
                    ..rule("1")
                },
                "1 tones for 0 commas",
            ),
        ];
        for (rule, part) in broken {
            let problem = rule.check().unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
    }

    #[test]
    fn a_plan_too_large_for_a_phone_is_refused_and_not_shortened() {
        let plan = |count: usize| DialPlan {
            rules: vec![rule("0.........."); count],
        };
        assert_eq!(plan(100).check(), Ok(()));
        let problem = plan(300).check().unwrap_err();
        assert!(problem.contains("drop one of more than 8191"), "{problem}");
        let problem = plan(0).check().unwrap_err();
        assert!(problem.contains("no rules"), "{problem}");
    }

    #[test]
    fn the_rule_that_is_wrong_is_told_by_its_number() {
        let plan = DialPlan {
            rules: vec![rule("1"), rule("x")],
        };
        assert!(plan.check().unwrap_err().starts_with("rule 2: "));
    }

    #[test]
    fn an_application_rule_that_can_match_nothing_is_refused() {
        let rule = |begins_with: &str, digits, remove, prefix: &str| AppDialRule {
            begins_with: begins_with.into(),
            digits,
            remove,
            prefix: prefix.into(),
        };
        assert_eq!(rule("+", 12, 1, "00").check(), Ok(()));
        for (rule, part) in [
            (rule("0049", 3, 0, ""), "begins with"),
            (rule("", 3, 4, ""), "cannot be removed"),
            (rule("a", 3, 0, ""), "has 'a'"),
            (rule("", 3, 0, "0 "), "has ' '"),
        ] {
            let problem = rule.check().unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
    }
}
