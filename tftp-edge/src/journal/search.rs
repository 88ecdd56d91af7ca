//! Which of a hundred thousand phones need no row: most of those that a search looks at.

use super::{Filter, Phone, Stage};
use crate::inventory::{Device, DeviceName};
use crate::register::Registration;

/// A filter as it is put to each phone, before anything is built for it. What it lets through may
/// still not fit; what it does not let through does not.
pub(super) struct Search<'a> {
    filter: &'a Filter,
    /// In lower case; empty if nothing is searched for.
    text: String,
    /// Only these characters are in an address.
    may_be_an_address: bool,
}

impl<'a> Search<'a> {
    pub(super) fn new(filter: &'a Filter) -> Self {
        let text = filter.search.as_deref().unwrap_or_default();
        let text = text.trim().to_lowercase();
        let is_of_address = |it: u8| it.is_ascii_hexdigit() || matches!(it, b'.' | b':');
        Self {
            filter,
            may_be_an_address: text.bytes().all(is_of_address),
            text,
        }
    }

    /// Whether the model and the site that the inventory has can fit; the site of a phone that it
    /// does not have comes from its address.
    pub(super) fn is_of(&self, device: Option<&Device>) -> bool {
        let same = |wanted: &Option<String>, has: &str| {
            let wanted = wanted.as_deref();
            wanted.is_none_or(|it| it.eq_ignore_ascii_case(has))
        };
        match device {
            Some(device) => {
                same(&self.filter.model, &device.model) && same(&self.filter.site, &device.site)
            }
            None => self.filter.model.is_none(),
        }
    }

    pub(super) fn is_at(&self, stage: impl FnOnce() -> Stage) -> bool {
        let wanted = self.filter.stage;
        wanted.is_none_or(|wanted| wanted == stage())
    }

    /// Whether the inventory's words for a phone have the text in them.
    pub(super) fn finds(&self, name: &DeviceName, device: Option<&Device>) -> bool {
        self.text.is_empty()
            || self.is_in(name.as_str())
            || device.is_none_or(|it| {
                self.is_in(&it.description)
                    || self.is_in(&it.site)
                    || self.is_in(&it.model)
                    || it.lines.iter().any(|line| line.number.contains(&self.text))
            })
    }

    pub(super) fn finds_registration(&self, registration: &Registration) -> bool {
        registration
            .load
            .as_deref()
            .is_some_and(|it| self.is_in(it))
            || self.is_address(registration.source)
    }

    pub(super) fn finds_phone(&self, phone: &Phone) -> bool {
        phone.load.as_deref().is_some_and(|it| self.is_in(it)) || self.is_address(phone.source)
    }

    fn is_address(&self, of: std::net::SocketAddr) -> bool {
        let is_in = || of.ip().to_canonical().to_string().contains(&self.text);
        self.may_be_an_address && is_in()
    }

    fn is_in(&self, field: &str) -> bool {
        let text = self.text.as_bytes();
        match field.is_ascii() {
            true => {
                let mut parts = field.as_bytes().windows(text.len().max(1));
                parts.any(|part| part.eq_ignore_ascii_case(text))
            }
            false => field.to_lowercase().contains(&self.text),
        }
    }
}
