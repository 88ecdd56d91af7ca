//! Which site an address is in.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::{DEFAULT_SITE, Fault, Site};

/// The networks of all sites. Asked with requests of devices nobody knows, so it must not be slow
/// with a thousand sites: one look for each length of prefix that occurs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subnets {
    /// Sites by network, the longest prefixes first.
    lengths: BTreeMap<Reverse<u8>, HashMap<IpNet, String>>,
}

impl Subnets {
    /// A site whose settings are at fault has no networks. Of two with the same network the last
    /// by name has it.
    pub(super) fn new(sites: &BTreeMap<String, Result<Arc<Site>, Fault>>) -> Self {
        let mut subnets = Self::default();
        for (name, site) in sites {
            for net in site.iter().flat_map(|site| &site.subnets) {
                let of_length = subnets.lengths.entry(Reverse(net.prefix_len()));
                of_length.or_default().insert(net.trunc(), name.clone());
            }
        }
        subnets
    }

    /// The site with the longest prefix that holds an address; `default` if none does.
    pub fn site_at(&self, address: IpAddr) -> &str {
        self.find(address).unwrap_or(DEFAULT_SITE)
    }

    /// Whether any site has named a network that holds an address.
    pub fn hold(&self, address: IpAddr) -> bool {
        self.find(address).is_some()
    }

    fn find(&self, address: IpAddr) -> Option<&str> {
        let address = address.to_canonical();
        let found = self.lengths.iter().find_map(|(Reverse(len), nets)| {
            let net = IpNet::new(address, *len).ok()?.trunc();
            nets.get(&net)
        });
        found.map(String::as_str)
    }

    /// The sites that an address can be in beside `default`.
    pub fn sites(&self) -> impl Iterator<Item = &str> {
        self.lengths
            .values()
            .flat_map(HashMap::values)
            .map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnets(sites: &[(&str, &str)]) -> Subnets {
        let site = |(name, nets): &(&str, &str)| {
            let mut site = Site::default();
            site.set("subnets", nets).unwrap();
            ((*name).to_owned(), Ok(Arc::new(site)))
        };
        Subnets::new(&sites.iter().map(site).collect())
    }

    #[test]
    fn the_longest_prefix_decides_in_both_families() {
        let subnets = subnets(&[
            ("berlin", "10.1.0.0/16; fd00:1::/48"),
            ("lab", "10.1.7.0/24; fd00:1:0:7::/64; 10.9.9.9/32"),
            ("world", "0.0.0.0/0"),
        ]);
        for (address, site) in [
            ("10.1.2.3", "berlin"),
            ("10.1.7.3", "lab"),
            ("::ffff:10.1.7.3", "lab"),
            ("10.9.9.9", "lab"),
            ("10.9.9.8", "world"),
            ("fd00:1::1", "berlin"),
            ("fd00:1:0:7::1", "lab"),
            ("fd00:2::1", DEFAULT_SITE),
        ] {
            let ip = address.parse().unwrap();
            assert_eq!(subnets.site_at(ip), site, "{address}");
            assert_eq!(subnets.hold(ip), site != DEFAULT_SITE, "{address}");
        }
    }

    #[test]
    fn of_two_sites_with_the_same_network_the_last_has_it() {
        let subnets = subnets(&[("a", "10.1.0.0/16"), ("b", "10.1.0.0/16")]);
        assert_eq!(subnets.site_at("10.1.0.1".parse().unwrap()), "b");
        assert_eq!(subnets.sites().collect::<Vec<_>>(), ["b"]);
    }
}
