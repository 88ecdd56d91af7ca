//! The columns of small named things: server groups, soft keys, dial plans, policies, services.

use super::super::notation::{entries, join, quote, split_n, split_once, unquote};
use super::super::{
    AppDialRule, DialPlan, DialRule, FeaturePolicy, PhoneService, Server, SoftKeySet, text,
};
use super::Column;

pub(super) const SERVER_GROUP: &[Column] = &[
    Column::key("name", "as settings have it in server_group"),
    Column::required(
        "servers",
        "HOST[/sccp=2000][/sip=5060][/sips=5061];…  up to 5, the first is preferred",
    ),
];

pub(super) const SOFT_KEYS: &[Column] = &[
    Column::key("name", "as settings have it in soft_keys"),
    Column::required("states", "STATE:KEY,KEY;STATE:KEY  from left to right"),
];

pub(super) const DIAL_PLAN: &[Column] = &[
    Column::key("name", "as settings have it in dial_template"),
    Column::required(
        "rules",
        "PATTERN|timeout=5|line=1|rewrite=…|tone=…;…  all but the pattern as wanted",
    ),
];

pub(super) const APP_DIAL_RULE: &[Column] = &[
    Column::key("order", "1 to 65535: the place in the file"),
    Column::optional("begins_with", "what the number begins with"),
    Column::required("digits", "1 to 99: how many it has"),
    Column::optional("remove", "0 to 99: digits to take from its beginning"),
    Column::optional("prefix", "what to put before it then"),
];

pub(super) const FEATURE_POLICY: &[Column] = &[
    Column::key("name", "as settings have it in feature_policy"),
    Column::required("features", "FEATURE=on;FEATURE=off"),
];

pub(super) const SERVICE: &[Column] = &[
    Column::key("name", "as settings have it in services"),
    Column::required("url", "http://…"),
    Column::optional(
        "kind",
        "0 an XML service (if empty), 1 a call list, 2 messages",
    ),
    Column::optional("category", "0 XML (if empty), 1 a Java MIDlet"),
    Column::optional("vendor", "any text"),
    Column::optional("version", "any text"),
];

/// A number in a range that the column tells.
pub(super) fn number(text: &str, least: u32, most: u32) -> Result<u32, String> {
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!(
            "{text:?}; expected a number from {least} to {most}"
        )),
    }
}

fn number_or_0(text: &str, most: u8) -> Result<u8, String> {
    match text {
        "" => Ok(0),
        // In range, so it fits.
        text => Ok(number(text, 0, most.into())? as u8),
    }
}

pub(super) fn print_servers(servers: &[Server]) -> String {
    join(servers.iter().map(Server::to_string))
}

pub(super) fn parse_servers(field: &str) -> Result<Vec<Server>, String> {
    let servers = entries(field)?.into_iter().map(Server::parse);
    match servers.collect::<Result<Vec<_>, _>>()? {
        servers if servers.is_empty() => Err("it is empty; expected at least one server".into()),
        servers if servers.len() > 5 => Err(format!("{} servers are more than 5", servers.len())),
        servers => Ok(servers),
    }
}

pub(super) fn print_soft_keys(set: &SoftKeySet) -> String {
    join(set.states.iter().map(|(state, keys)| {
        let keys: Vec<_> = keys.iter().map(|key| quote(key, ",")).collect();
        format!("{}:{}", quote(state, ":"), keys.join(","))
    }))
}

pub(super) fn parse_soft_keys(field: &str) -> Result<SoftKeySet, String> {
    let mut set = SoftKeySet::default();
    for entry in entries(field)? {
        let (state, keys) = split_once(entry, ':')?;
        let state = text::value(&unquote(state)?, 50)?;
        let keys = match keys {
            None => return Err(format!("{state:?} has no keys; expected STATE:KEY,KEY")),
            Some("") => Vec::new(),
            Some(keys) => split_n(keys, ',', usize::MAX)?,
        };
        let keys = keys.into_iter().map(|key| text::value(&unquote(key)?, 50));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        if set.states.insert(state.clone(), keys).is_some() {
            return Err(format!("{state} is there twice"));
        }
    }
    Ok(set)
}

pub(super) fn print_dial_plan(plan: &DialPlan) -> String {
    join(plan.rules.iter().map(|rule| {
        let mut entry = quote(&rule.pattern, "|");
        if rule.timeout_s != 0 {
            entry += &format!("|timeout={}", rule.timeout_s);
        }
        if let Some(line) = rule.line {
            entry += &format!("|line={line}");
        }
        for (option, value) in [("rewrite", &rule.rewrite), ("tone", &rule.tone)] {
            if !value.is_empty() {
                entry += &format!("|{option}={}", quote(value, "|"));
            }
        }
        entry
    }))
}

pub(super) fn parse_dial_plan(field: &str) -> Result<DialPlan, String> {
    let rules = entries(field)?.into_iter().map(parse_dial_rule);
    let rules = rules.collect::<Result<Vec<_>, _>>()?;
    if rules.is_empty() {
        return Err("it is empty; expected at least one pattern".into());
    }
    Ok(DialPlan { rules })
}

fn parse_dial_rule(entry: &str) -> Result<DialRule, String> {
    let mut parts = split_n(entry, '|', usize::MAX)?.into_iter();
    let pattern = unquote(parts.next().unwrap_or_default())?;
    if pattern.is_empty() {
        return Err("a pattern is empty".into());
    }
    let mut rule = DialRule {
        pattern: text::value(&pattern, 128)?,
        ..DialRule::default()
    };
    for part in parts {
        let (option, value) = split_once(part, '=')?;
        let value = unquote(value.unwrap_or_default())?;
        match option {
            "timeout" => rule.timeout_s = number(&value, 0, 3600)?,
            // In range, so it fits.
            "line" => rule.line = Some(number(&value, 1, 200)? as u16),
            "rewrite" => rule.rewrite = text::value(&value, 128)?,
            "tone" => rule.tone = text::value(&value, 64)?,
            _ => {
                return Err(format!(
                    "{pattern}: {option:?}; expected timeout=, line=, rewrite= or tone="
                ));
            }
        }
    }
    Ok(rule)
}

pub(super) fn get_app_dial_rule(rule: &AppDialRule, column: &str) -> String {
    match column {
        "begins_with" => rule.begins_with.clone(),
        "digits" if rule.digits == 0 => String::new(),
        "digits" => rule.digits.to_string(),
        "remove" => rule.remove.to_string(),
        "prefix" => rule.prefix.clone(),
        _ => String::new(),
    }
}

pub(super) fn set_app_dial_rule(
    rule: &mut AppDialRule,
    column: &str,
    field: &str,
) -> Result<(), String> {
    match column {
        "begins_with" => rule.begins_with = text::value(field, 32)?,
        // In range, so it fits.
        "digits" => rule.digits = number(field, 1, 99)? as u8,
        "remove" => rule.remove = number_or_0(field, 99)?,
        "prefix" => rule.prefix = text::value(field, 32)?,
        _ => {}
    }
    Ok(())
}

pub(super) fn print_features(policy: &FeaturePolicy) -> String {
    join(policy.features.iter().map(|(feature, on)| {
        let on = if *on { "on" } else { "off" };
        format!("{}={on}", quote(feature, "="))
    }))
}

pub(super) fn parse_features(field: &str) -> Result<FeaturePolicy, String> {
    let mut policy = FeaturePolicy::default();
    for entry in entries(field)? {
        let (feature, on) = split_once(entry, '=')?;
        let feature = text::value(&unquote(feature)?, 50)?;
        let on = match on {
            Some("on" | "true") => true,
            Some("off" | "false") => false,
            _ => return Err(format!("{entry:?}; expected FEATURE=on or FEATURE=off")),
        };
        if policy.features.insert(feature.clone(), on).is_some() {
            return Err(format!("{feature} is there twice"));
        }
    }
    Ok(policy)
}

pub(super) fn get_service(service: &PhoneService, column: &str) -> String {
    match column {
        "url" => service.url.clone(),
        "kind" => service.kind.to_string(),
        "category" => service.category.to_string(),
        "vendor" => service.vendor.clone(),
        "version" => service.version.clone(),
        _ => String::new(),
    }
}

pub(super) fn set_service(
    service: &mut PhoneService,
    column: &str,
    field: &str,
) -> Result<(), String> {
    match column {
        "url" => service.url = text::url(field, 255)?,
        "kind" => service.kind = number_or_0(field, 2)?,
        "category" => service.category = number_or_0(field, 1)?,
        "vendor" => service.vendor = text::value(field, 50)?,
        "version" => service.version = text::value(field, 50)?,
        _ => {}
    }
    Ok(())
}

/// A service without a page yet.
pub(super) fn blank_service() -> PhoneService {
    PhoneService {
        url: String::new(),
        kind: 0,
        category: 0,
        vendor: String::new(),
        version: String::new(),
    }
}
