//! Requests for names that are not here: answered with what upstream servers have said, or the
//! reason to ask them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tftp_ebpf::name::has_pattern;

use super::super::curator::Message;
use super::super::table::{Entry, Proxied};
use super::super::upstream::{Missing, Order, Upstream};
use super::super::{Lookup, Query};
use super::{Library, spelled};

/// What has to happen before a request can be answered.
pub(super) enum Wanted {
    /// A file on disk is to be read.
    Read,
    Fetch(Order),
}

impl Library {
    /// A name that is not here.
    pub(super) fn lookup_upstream(
        &self,
        query: Query<'_>,
        name: &str,
        entry: Option<&Entry>,
    ) -> Lookup {
        let Some(upstream) = self.shared.upstream.as_ref().filter(|_| !query.forwarded) else {
            return Lookup::Absent;
        };
        let is_optional = match entry {
            Some(Entry::Proxied(proxied)) if proxied.is_fresh || !upstream.is_up() => {
                return self.lookup_proxied(upstream, name, proxied);
            }
            Some(Entry::Proxied(_)) => return Lookup::Loading,
            Some(Entry::Missed(missed)) => {
                match spelled(query.name).and_then(|spelling| missed.of(&spelling)) {
                    Some(Missing::Absent | Missing::Doubtful) => return Lookup::Absent,
                    Some(Missing::Unknown) if missed.is_optional => return Lookup::Absent,
                    Some(Missing::Unknown) => return Lookup::Loading,
                    None => missed.is_optional,
                }
            }
            entry => matches!(entry, Some(Entry::Absent)) || has_pattern(name.as_bytes()),
        };
        if !upstream.asks_for(name) || is_optional && !upstream.may_ask(query.client) {
            return Lookup::Absent;
        }
        Lookup::Loading
    }

    fn lookup_proxied(&self, upstream: &Upstream, name: &str, proxied: &Proxied) -> Lookup {
        upstream.count_hit(!proxied.is_fresh);
        if proxied.uses.fetch_add(1, Ordering::Relaxed) == 1 && !proxied.is_told {
            let _ = self.shared.messages.send(Message::Hot(name.into()));
        }
        Lookup::Found(proxied.version.clone())
    }

    /// What is to be done for a name, as the table has it now.
    pub(super) fn wanted(&self, query: Query<'_>, name: &str) -> Option<Wanted> {
        let entry = self.shared.table.peek(name);
        if let Some(Entry::OnDisk) = entry {
            return Some(Wanted::Read);
        }
        let upstream = self.shared.upstream.as_ref()?;
        if query.forwarded || !upstream.is_up() {
            return None;
        }
        let order = |spelling, payer| {
            Some(Wanted::Fetch(Order {
                name: name.into(),
                spelling,
                payer,
            }))
        };
        match entry {
            Some(Entry::Proxied(proxied)) if !proxied.is_fresh => {
                order(proxied.spelling.clone(), None)
            }
            Some(Entry::Missed(_) | Entry::Absent) | None if upstream.asks_for(name) => {
                let spelling = spelled(query.name)?;
                match entry {
                    Some(Entry::Missed(missed)) if missed.of(&spelling).is_some() => None,
                    _ => order(spelling.into(), Some(query.client)),
                }
            }
            _ => None,
        }
    }

    /// Has a name read or fetched, unless that is under way; false if it must not be.
    pub(super) fn want(&self, name: &str, wanted: Wanted) -> bool {
        let mut loading = self.shared.loading.lock();
        if loading.contains(name) {
            return true;
        }
        let name: Arc<str> = name.into();
        match (wanted, &self.shared.upstream) {
            (Wanted::Fetch(order), Some(upstream)) => {
                if order.payer.is_some_and(|client| !upstream.pay(client)) {
                    return false;
                }
                loading.insert(name);
                upstream.ask(order);
            }
            _ => {
                loading.insert(name.clone());
                let _ = self.shared.messages.send(Message::Want(name));
            }
        }
        true
    }
}
