//! `XMLDefault.cnf.xml`, which is another file in each site, or is not there.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::Version;
use crate::inventory::{DEFAULT_SITE, Snapshot, Subnets};
use crate::phonefile::{RenderError, Renderer, Templates, XML_DEFAULT};

/// What each site that an address can be in has under one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BySite<T> {
    subnets: Arc<Subnets>,
    /// None where unknown phones are not wanted. The site `default` is always there.
    sites: BTreeMap<String, Option<T>>,
}

impl<T> BySite<T> {
    pub(super) fn at(&self, client: IpAddr) -> Option<&T> {
        let of_site = |site| self.sites.get(site).and_then(Option::as_ref);
        of_site(self.subnets.site_at(client))
    }

    /// What all sites have: then it need not be known who asks.
    pub(super) fn agreed(&self) -> Option<Option<&T>>
    where
        T: PartialEq,
    {
        let mut sites = self.sites.values();
        let first = sites.next();
        sites
            .all(|site| Some(site) == first)
            .then(|| first.and_then(Option::as_ref))
    }

    /// Whether no site has it.
    pub(super) fn is_empty(&self) -> bool {
        self.contents().next().is_none()
    }

    pub(super) fn contents(&self) -> impl Iterator<Item = &T> {
        self.sites.values().flatten()
    }
}

/// A site for which the file cannot be generated.
#[derive(Debug)]
pub(super) struct Unrendered {
    /// Of its alarm.
    pub(super) subject: String,
    pub(super) error: RenderError,
    /// Whether there is an earlier version.
    pub(super) is_served: bool,
}

impl BySite<Bytes> {
    /// Renders the file for each site. One that cannot be rendered keeps what it had `before`.
    pub(super) fn render(
        snapshot: &Snapshot,
        templates: &Templates,
        before: &Self,
    ) -> (Self, Vec<Unrendered>) {
        let mut renderer = Renderer::default();
        let mut unrendered = Vec::new();
        let mut sites = BTreeMap::new();
        for site in snapshot.subnets().sites().chain([DEFAULT_SITE]) {
            if sites.contains_key(site) {
                continue;
            }
            let content = match snapshot.site(site) {
                Ok(settings) if !settings.auto_registration.on => Ok(None),
                Ok(_) => templates
                    .xml_default(&mut renderer, site, snapshot)
                    .map(Some),
                Err(fault) => Err(fault.clone().into()),
            };
            let content = match content {
                Ok(content) => content.map(|bytes| Bytes::copy_from_slice(&bytes)),
                Err(error) => {
                    let before = before.sites.get(site).cloned().flatten();
                    unrendered.push(Unrendered {
                        subject: subject(site),
                        error,
                        is_served: before.is_some(),
                    });
                    before
                }
            };
            sites.insert(site.to_owned(), content);
        }
        let subnets = Arc::clone(snapshot.subnets());
        (Self { subnets, sites }, unrendered)
    }
}

impl BySite<Arc<Version>> {
    /// Makes versions of contents; those that a site had `before` go on.
    pub(super) fn of_contents(
        contents: &BySite<Bytes>,
        before: Option<&Self>,
        mut new: impl FnMut(Bytes) -> Arc<Version>,
    ) -> Self {
        let mut known: Vec<_> = before
            .iter()
            .flat_map(|before| before.contents().cloned())
            .collect();
        let mut version = |bytes: &Bytes| {
            let same = known.iter().find(|version| version.bytes == bytes);
            same.cloned().unwrap_or_else(|| {
                let version = new(bytes.clone());
                known.push(version.clone());
                version
            })
        };
        let sites = &contents.sites;
        Self {
            subnets: Arc::clone(&contents.subnets),
            sites: sites
                .iter()
                .map(|(site, content)| (site.clone(), content.as_ref().map(&mut version)))
                .collect(),
        }
    }
}

impl BySite<Arc<Version>> {
    /// Whether it is the same versions, not only the same bytes.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let same = |(one, other): (&Option<Arc<Version>>, &Option<Arc<Version>>)| match (one, other)
        {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        self.subnets == other.subnets
            && self.sites.keys().eq(other.sites.keys())
            && self.sites.values().zip(other.sites.values()).all(same)
    }
}

/// Whether an alarm of that subject is about this file.
pub(super) fn is_subject(subject: &str) -> bool {
    subject.starts_with(XML_DEFAULT)
}

fn subject(site: &str) -> String {
    match site {
        DEFAULT_SITE => XML_DEFAULT.to_owned(),
        site => format!("{XML_DEFAULT} of site {site}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Contents, Site};

    /// Sites with a network and settings each.
    fn snapshot(sites: &[(&str, &[(&str, &str)])]) -> Snapshot {
        let site = |(name, settings): &(&str, &[(&str, &str)])| {
            let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            ((*name).to_owned(), settings.iter().map(pair).collect())
        };
        let contents = Contents {
            sites: sites.iter().map(site).collect(),
            ..Contents::default()
        };
        Snapshot::new(contents, &Site::default())
    }

    fn render(snapshot: &Snapshot, before: &BySite<Bytes>) -> (BySite<Bytes>, Vec<Unrendered>) {
        BySite::render(snapshot, &Templates::default(), before)
    }

    fn rendered(sites: &[(&str, &[(&str, &str)])]) -> BySite<Bytes> {
        let (by_site, unrendered) = render(&snapshot(sites), &BySite::default());
        assert!(unrendered.is_empty(), "{unrendered:?}");
        by_site
    }

    const ON: (&str, &str) = ("auto_registration", "true");
    const OFF: (&str, &str) = ("auto_registration", "false");

    #[test]
    fn who_asks_does_not_matter_where_all_sites_agree() {
        let off = rendered(&[("berlin", &[("subnets", "10.1.0.0/16")])]);
        assert_eq!(off.agreed(), Some(None));
        // Where nobody can be, nobody disagrees.
        let on = rendered(&[("default", &[ON]), ("nowhere", &[OFF])]);
        assert!(matches!(on.agreed(), Some(Some(_))));
        let same = [
            ("default", &[ON][..]),
            ("berlin", &[("subnets", "10.1.0.0/16")]),
        ];
        assert!(matches!(rendered(&same).agreed(), Some(Some(_))));
    }

    #[test]
    fn each_site_has_the_file_with_its_servers_or_none() {
        let by_site = rendered(&[
            ("default", &[ON, ("servers", "10.0.0.1")]),
            (
                "berlin",
                &[("subnets", "10.1.0.0/16"), ("servers", "10.1.0.1")],
            ),
            ("lobby", &[("subnets", "10.1.7.0/24"), OFF]),
        ]);
        assert_eq!(by_site.agreed(), None);
        let at = |address: &str| {
            let content = by_site.at(address.parse().unwrap());
            content.map(|content| String::from_utf8_lossy(content).into_owned())
        };
        assert!(at("10.9.0.9").unwrap().contains(">10.0.0.1<"));
        assert!(at("10.1.0.9").unwrap().contains(">10.1.0.1<"));
        assert_eq!(at("10.1.7.9"), None);
    }

    #[test]
    fn a_site_that_cannot_be_rendered_keeps_what_it_had() {
        let good = [("default", &[ON, ("servers", "10.0.0.1")][..])];
        let before = rendered(&good);
        let bad = snapshot(&[("default", &[ON, ("servers", "no address of a host")])]);
        let (after, unrendered) = render(&bad, &before);
        assert_eq!(after.agreed(), before.agreed());
        assert!(matches!(after.agreed(), Some(Some(_))));
        let [failed] = &unrendered[..] else {
            panic!("{unrendered:?}");
        };
        assert_eq!(failed.subject, XML_DEFAULT);
        assert!(is_subject(&failed.subject) && failed.is_served);
    }
}
