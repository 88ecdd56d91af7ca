//! ServiceURLStat: a button that opens a page.

use super::{Body, Dialect, Outgoing, Reply};

/// ServiceURLStat 0x012F, and 0x0148 with texts of any length.
#[derive(Clone, Copy, Debug)]
pub struct ServiceUrlStat<'p> {
    /// Counted from 1.
    pub index: u32,
    /// Empty for one that is not there.
    pub url: &'p str,
    pub label: &'p str,
}

impl Reply for ServiceUrlStat<'_> {
    fn message(&self, dialect: Dialect) -> Outgoing {
        match dialect.has_dynamic_service_urls() {
            true => Outgoing::ServiceUrlStatDynamic,
            false => Outgoing::ServiceUrlStat,
        }
    }

    fn emit(&self, body: &mut Body<'_>) {
        body.u32(self.index);
        if body.dialect().has_dynamic_service_urls() {
            body.string(self.url, 256);
            body.string(self.label, 40);
        } else {
            body.text(self.url, 256);
            body.text(self.label, 40);
        }
    }
}
