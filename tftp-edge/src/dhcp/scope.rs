//! What is told to the phones of each site, taken from the inventory.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::one_line;
use crate::inventory::{DEFAULT_SITE, Fault, Site, Snapshot};

/// What the phones of one site are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    pub site: String,
    /// The site's name as one word of letters, digits, `-` and `_`, which no other site has.
    pub tag: String,
    pub v4: Option<Family<Ipv4Net, Ipv4Addr>>,
    pub v6: Option<Family<Ipv6Net, Ipv6Addr>>,
    /// Those that are named by IPv4 address: option 42 holds nothing else.
    pub ntp: Vec<Ipv4Addr>,
}

/// Networks, and the TFTP servers that phones in them are told. Neither is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family<N, A> {
    pub networks: Vec<N>,
    /// In the order phones are to try them.
    pub servers: Vec<A>,
}

/// What is missing of a site, or was left out of it, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Gap {
    #[error(
        "site {site} has no TFTP servers to tell its phones; set them with `tftp-edge inventory \
         site set {word} tftp_servers=ADDRESS`", word = shell_word(site)
    )]
    NoServers { site: String },
    #[error(
        "site {site} has no networks; set them with `tftp-edge inventory site set {word} \
         subnets=NETWORK`", word = shell_word(site)
    )]
    NoNetworks { site: String },
    #[error(
        "site {site} has {family} networks, but no {family} address among its tftp_servers: its \
         phones are told nothing over {family}"
    )]
    NoServersOf { site: String, family: &'static str },
    #[error("{network} is a network of site {first} too: it is left out of site {site}")]
    Elsewhere {
        site: String,
        network: IpNet,
        first: String,
    },
    #[error("site {site} has IPv6 networks too; --ipv6 prints what their DHCP server needs")]
    AlsoIpv6 { site: String },
    #[error("site {site} is left out: {fault}")]
    Fault { site: String, fault: Fault },
}

/// The site that was asked for does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no site {name:?}; `tftp-edge inventory site list` shows those there are")]
pub struct NoSuchSite {
    pub name: String,
}

/// The names of the sites, the site `default` last: what others inherit is theirs first.
pub(super) fn site_names<'a>(
    snapshot: &'a Snapshot,
    only: Option<&str>,
) -> Result<Vec<&'a str>, NoSuchSite> {
    let names: Vec<_> = snapshot.site_names().chain([DEFAULT_SITE]).collect();
    match only {
        Some(name) if !names.contains(&name) => Err(NoSuchSite { name: name.into() }),
        _ => Ok(names),
    }
}

/// What the sites' phones are told, and what keeps others from being told; of the site `only`, if
/// one is named.
pub fn collect(
    snapshot: &Snapshot,
    only: Option<&str>,
) -> Result<(Vec<Scope>, Vec<Gap>), NoSuchSite> {
    let names = site_names(snapshot, only)?;
    let alone = names.len() == 1;
    let mut collector = Collector::default();
    for name in names {
        let gaps_before = collector.gaps.len();
        let tag = collector.tag(name);
        let scope = match snapshot.site(name) {
            Ok(site) => collector.scope(name, tag, site),
            Err(fault) => {
                collector.gaps.push(Gap::Fault {
                    site: one_line(name),
                    fault: fault.clone(),
                });
                None
            }
        };
        // Where there are other sites, `default` may be no place, but what they have in common.
        let may_be_empty = name == DEFAULT_SITE && !alone && only.is_none() && scope.is_none();
        if may_be_empty || only.is_some_and(|only| only != name) {
            collector.gaps.truncate(gaps_before);
            continue;
        }
        collector.scopes.extend(scope);
    }
    Ok((collector.scopes, collector.gaps))
}

#[derive(Default)]
struct Collector {
    scopes: Vec<Scope>,
    gaps: Vec<Gap>,
    tags: HashSet<String>,
    /// The first site that has each network: a DHCP server can tell it one thing only.
    taken: HashMap<IpNet, String>,
}

impl Collector {
    fn scope(&mut self, name: &str, tag: String, site: &Site) -> Option<Scope> {
        let shown = one_line(name);
        if site.tftp_servers.is_empty() {
            self.gaps.push(Gap::NoServers {
                site: shown.clone(),
            });
        }
        if site.subnets.is_empty() {
            self.gaps.push(Gap::NoNetworks {
                site: shown.clone(),
            });
        }
        if site.tftp_servers.is_empty() || site.subnets.is_empty() {
            return None;
        }
        let (mut networks_v4, mut networks_v6) = (Vec::new(), Vec::new());
        for &network in &site.subnets {
            let first = self.taken.entry(network).or_insert_with(|| shown.clone());
            if *first != shown {
                self.gaps.push(Gap::Elsewhere {
                    site: shown.clone(),
                    network,
                    first: first.clone(),
                });
                continue;
            }
            match network {
                IpNet::V4(network) => networks_v4.push(network),
                IpNet::V6(network) => networks_v6.push(network),
            }
        }
        let (mut servers_v4, mut servers_v6) = (Vec::new(), Vec::new());
        for address in &site.tftp_servers {
            match address.to_canonical() {
                IpAddr::V4(address) => servers_v4.push(address),
                IpAddr::V6(address) => servers_v6.push(address),
            }
        }
        let scope = Scope {
            v4: self.family("IPv4", &shown, networks_v4, servers_v4),
            v6: self.family("IPv6", &shown, networks_v6, servers_v6),
            ntp: site
                .phone
                .ntp
                .iter()
                .filter_map(|host| host.parse().ok())
                .collect(),
            site: shown,
            tag,
        };
        (scope.v4.is_some() || scope.v6.is_some()).then_some(scope)
    }

    fn family<N, A>(
        &mut self,
        family: &'static str,
        site: &str,
        networks: Vec<N>,
        servers: Vec<A>,
    ) -> Option<Family<N, A>> {
        if networks.is_empty() {
            return None;
        }
        if servers.is_empty() {
            self.gaps.push(Gap::NoServersOf {
                site: site.into(),
                family,
            });
            return None;
        }
        Some(Family { networks, servers })
    }

    /// Other characters become `-`, and a number keeps apart what is the same then.
    fn tag(&mut self, name: &str) -> String {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let word = name.replace(|c| !is_word(c), "-");
        let mut tag = word.clone();
        let mut number = 2;
        while !self.tags.insert(tag.clone()) {
            tag = format!("{word}-{number}");
            number += 1;
        }
        tag
    }
}

/// The name as a shell takes it for one word.
fn shell_word(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':');
    match name.chars().all(plain) {
        true => name.to_owned(),
        false => format!("'{}'", name.replace('\'', r"'\''")),
    }
}
