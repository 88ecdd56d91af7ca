//! Lists, numbers and flags, as every key writes them.

use super::MAX_SERVERS;

pub(super) fn list<T>(
    value: &str,
    item: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    list_of(value, MAX_SERVERS, item)
}

pub(super) fn list_of<T>(
    value: &str,
    most: usize,
    item: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let items: Vec<T> = value
        .split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(item)
        .collect::<Result<_, _>>()?;
    match items.len() {
        many if many > most => Err(format!("{many} entries are more than {most}")),
        _ => Ok(items),
    }
}

pub(super) fn number(value: &str, least: u32, most: u32) -> Result<u32, String> {
    match value.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("{value:?} is not a number in that range")),
    }
}

pub(super) fn flag(value: &str) -> Result<bool, String> {
    value
        .parse()
        .map_err(|_| format!("{value:?} is neither true nor false"))
}
