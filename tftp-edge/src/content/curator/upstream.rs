//! What comes from upstream servers: kept, published, and given up in time.

use std::sync::Arc;
use std::time::Instant;

use tftp_ebpf::name::has_pattern;
use tftp_ebpf::stage::Stage;

use super::super::State;
use super::super::table::{Entry, Missed};
use super::super::upstream::{Answer, Missing, Order};
use super::Curator;

impl Curator {
    /// What a name that is not here stands for, and what listeners are to be told; none if that is
    /// what it was before.
    pub(super) fn elsewhere(
        &mut self,
        name: &Arc<str>,
        stage: Stage,
        is_optional: bool,
        before: Option<&Entry>,
    ) -> Option<(Option<Entry>, State)> {
        let Some(known) = self.upstream.get(name) else {
            // Of one trust list among all that a pattern stands for nothing is kept.
            let is_optional = is_optional && !has_pattern(name.as_bytes());
            return self.unknown(name, is_optional, before);
        };
        let Some(copy) = &known.copy else {
            // Only as phones write it: the kernel does not tell spellings apart.
            let is_told = is_optional
                && known
                    .misses
                    .iter()
                    .any(|miss| miss.is == Missing::Absent && is_phones_spelling(&miss.spelling));
            let missed = Missed {
                misses: known.misses.clone(),
                is_optional,
                is_told,
            };
            let state = match is_told {
                true => State::Absent,
                false => State::Forgotten,
            };
            return Some((Some(Entry::Missed(Arc::new(missed))), state));
        };
        let (is_fresh, spelling) = (copy.is_fresh, copy.spelling.clone());
        let (is_told, bytes) = (is_fresh && copy.is_hot, copy.bytes.clone());
        let same = match before {
            Some(Entry::Proxied(proxied)) if proxied.version.bytes == bytes => {
                if (proxied.is_fresh, proxied.is_told) == (is_fresh, is_told) {
                    return None;
                }
                Some(proxied.version.clone())
            }
            _ => None,
        };
        let version = same.unwrap_or_else(|| self.version(name, stage, bytes));
        let table = &self.shared.table;
        let entry = table.proxied(version.clone(), spelling, is_fresh, is_told);
        let state = match is_told {
            true => State::Published(version),
            false => State::Forgotten,
        };
        Some((Some(entry), state))
    }

    /// Nothing has been asked upstream, or that is over.
    fn unknown(
        &self,
        name: &str,
        is_optional: bool,
        before: Option<&Entry>,
    ) -> Option<(Option<Entry>, State)> {
        let upstream = self.shared.upstream.as_ref();
        let state = match is_optional && !upstream.is_some_and(|it| it.asks_for(name)) {
            true => State::Absent,
            // The kernel must not say no to what may be upstream.
            false => State::Forgotten,
        };
        match (before, is_optional) {
            (Some(Entry::Absent), true) | (None, false) => None,
            (_, true) => Some((Some(Entry::Absent), state)),
            (_, false) => Some((None, state)),
        }
    }

    /// Upstream servers have been asked.
    pub(super) fn fetched(&mut self, order: Order, answer: Answer) {
        let Order { name, spelling, .. } = order;
        let answer = match answer {
            // A copy upstream must not get around a closed window. It is asked for all the same, as
            // for a device that nobody knows: to leave it out would tell which of them exist.
            Answer::Content(_) if self.gate.hides(&name) => Answer::Absent,
            answer => answer,
        };
        if let Answer::Content(bytes) = &answer {
            self.make_upstream_room(&name, bytes.len() as u64);
        }
        self.upstream
            .store(&name, &spelling, answer, Instant::now());
        self.publish(&name);
        self.hand_out();
        self.count_upstream();
        self.wake(&name);
    }

    /// What was fetched is asked for again: worth a place in the kernel.
    pub(super) fn heat(&mut self, name: &Arc<str>) {
        if self.upstream.heat(name) {
            self.publish(name);
            self.hand_out();
        }
    }

    /// Gives up what the settings would not have asked for any more.
    pub(super) fn forget_excepted(&mut self) {
        let Some(upstream) = &self.shared.upstream else {
            return;
        };
        upstream.follow();
        let is_asked_for = |name: &&Arc<str>| upstream.asks_for(name);
        let excepted = self.upstream.names().filter(|name| !is_asked_for(name));
        let excepted: Vec<_> = excepted.cloned().collect();
        for name in &excepted {
            self.upstream.forget(name);
            self.publish(name);
        }
    }

    /// Gives up what has had its time.
    pub(super) fn expire(&mut self) {
        let names = self.upstream.expire(Instant::now());
        if names.is_empty() {
            return;
        }
        names.iter().for_each(|name| self.publish(name));
        self.hand_out();
        self.count_upstream();
    }

    /// Drops files, the longest unused first, those that are not hot before the others.
    fn make_upstream_room(&mut self, kept: &str, len: u64) {
        if self.upstream.fits(kept, len) {
            return;
        }
        let mut copies: Vec<_> = self
            .upstream
            .copies()
            .filter(|(other, _)| &***other != kept)
            .map(|(name, copy)| {
                let used_ms = match self.shared.table.peek(name) {
                    Some(Entry::Proxied(proxied)) => proxied.used_ms(),
                    _ => 0,
                };
                (copy.is_hot, used_ms, name.clone())
            })
            .collect();
        copies.sort_unstable();
        for (_, _, name) in copies {
            self.upstream.evict(&name);
            self.publish(&name);
            if self.upstream.fits(kept, len) {
                break;
            }
        }
    }

    fn count_upstream(&self) {
        let mut counts = self.shared.counts.lock();
        counts.proxied = self.upstream.files();
        counts.proxied_bytes = self.upstream.bytes();
        counts.missed = self.upstream.missed();
    }
}

/// Whether a trust list is written as all phones write it: `CTLSEP001122334455.tlv`.
fn is_phones_spelling(name: &[u8]) -> bool {
    let device = name
        .strip_prefix(b"CTLSEP")
        .or_else(|| name.strip_prefix(b"ITLSEP"))
        .and_then(|rest| rest.strip_suffix(b".tlv"));
    let is_upper_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'A'..=b'F');
    device.is_some_and(|mac| mac.len() == 12 && mac.iter().all(is_upper_hex))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_lists_are_known_as_phones_write_them() {
        assert!(is_phones_spelling(b"CTLSEP00AABBCCDDEE.tlv"));
        assert!(is_phones_spelling(b"ITLSEP001122334455.tlv"));
        for other in [
            "ctlsep001122334455.tlv",
            "CTLSEP00aabbccddee.tlv",
            "CTLSEP0011223344556.tlv",
            "CTLFile.tlv",
            "ITLSEP001122334455.TLV",
        ] {
            assert!(!is_phones_spelling(other.as_bytes()), "{other}");
        }
    }
}
