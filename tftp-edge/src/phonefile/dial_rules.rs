//! `dialplan.xml` and `DR<name>.xml`: when a SIP phone takes a number for complete. And
//! `AppDialRules.xml`: how numbers of directories and call lists become numbers to dial.
//!
//! SCCP phones send digit by digit and read neither.
//!
//! Sources: the pages on dial templates and application dial rules at usecallmanager.nz; the parser
//! of Cisco's own SIP stack, which folds the case of all names.

use super::xml::Xml;
use crate::inventory::{AppDialRule, DialPlan};

/// The largest dial plan a phone of the 8800 series takes. It drops a larger one whole, and says
/// nothing.
pub const MAX_DIAL_PLAN_BYTES: usize = 8191;

/// Why phones would drop a plan, if they would.
pub fn dial_plan_problem(plan: &DialPlan) -> Option<String> {
    let mut buffer = Vec::new();
    dial_plan(&mut buffer, plan);
    let len = buffer.len();
    (len > MAX_DIAL_PLAN_BYTES).then(|| {
        format!(
            "{} rules make a file of {len} bytes; phones of the 8800 series drop one of more than \
             {MAX_DIAL_PLAN_BYTES} without a word: join rules with . and *, or split the plan",
            plan.rules.len()
        )
    })
}

pub(super) fn dial_plan(buffer: &mut Vec<u8>, plan: &DialPlan) {
    let mut xml = Xml::new(buffer);
    xml.nest("dialTemplate", |xml| {
        xml.stamp("versionStamp");
        for rule in &plan.rules {
            let timeout = rule.timeout_s.to_string();
            let line = rule.line.map(|line| line.to_string());
            let mut attributes = vec![("match", rule.pattern.as_str()), ("timeout", &timeout)];
            attributes.extend(line.as_deref().map(|line| ("line", line)));
            for (name, value) in [("rewrite", &rule.rewrite), ("tone", &rule.tone)] {
                if !value.is_empty() {
                    attributes.push((name, value));
                }
            }
            // Phones know this element in upper case only.
            xml.text_with("TEMPLATE", &attributes, "");
        }
    });
    xml.finish();
}

pub(super) fn app_dial_rules<'r>(
    buffer: &mut Vec<u8>,
    rules: impl IntoIterator<Item = &'r AppDialRule>,
) {
    let mut xml = Xml::new(buffer);
    xml.nest("DialRules", |xml| {
        for rule in rules {
            let attributes = [
                ("BeginsWith", rule.begins_with.as_str()),
                ("NumDigits", &rule.digits.to_string()),
                ("DigitsToRemove", &rule.remove.to_string()),
                ("PrefixWith", &rule.prefix),
            ];
            xml.text_with("DialRule", &attributes, "");
        }
    });
    xml.finish();
}
