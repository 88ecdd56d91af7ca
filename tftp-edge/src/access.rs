//! Who may ask: the allow list of client networks.
//!
//! Phones live in private networks, so that is the default. Everyone else gets silence: an ERROR
//! to a forged source would still be traffic to a stranger.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Deserialize;

/// Client networks that are answered. In the configuration: a list of prefixes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Vec<IpNet>")]
pub struct Access {
    nets: Vec<IpNet>,
}

impl Access {
    /// Overlapping prefixes are joined; prefixes of v4-mapped addresses become IPv4 prefixes.
    pub fn from_nets(nets: Vec<IpNet>) -> Self {
        let nets: Vec<_> = nets.into_iter().map(unmapped).collect();
        Self {
            nets: IpNet::aggregate(&nets),
        }
    }

    /// Whether a client is answered. A v4-mapped IPv6 address is the IPv4 address in it, and no IPv6
    /// prefix has it: `::/0` is all of IPv6, and nobody of IPv4.
    pub fn allows(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        self.nets.iter().any(|net| net.contains(&client))
    }

    /// The prefixes: disjoint, host bits cleared.
    pub fn nets(&self) -> &[IpNet] {
        &self.nets
    }
}

impl From<Vec<IpNet>> for Access {
    fn from(nets: Vec<IpNet>) -> Self {
        Self::from_nets(nets)
    }
}

impl Default for Access {
    /// RFC 1918, link-local, unique local (RFC 4193) and loopback.
    fn default() -> Self {
        let v4 = [
            ([10, 0, 0, 0], 8),
            ([172, 16, 0, 0], 12),
            ([192, 168, 0, 0], 16),
            ([169, 254, 0, 0], 16),
            ([127, 0, 0, 0], 8),
        ];
        let v6 = [
            ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
            ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
            ([0, 0, 0, 0, 0, 0, 0, 1], 128),
        ];
        let v4 = v4.map(|(ip, len)| Ipv4Net::new_assert(ip.into(), len).into());
        let v6 = v6.map(|(ip, len)| Ipv6Net::new_assert(ip.into(), len).into());
        Self::from_nets(v4.into_iter().chain(v6).collect())
    }
}

/// `::ffff:10.0.0.0/104` means `10.0.0.0/8`.
fn unmapped(net: IpNet) -> IpNet {
    if let IpNet::V6(v6) = net
        && let Some(ip) = v6.addr().to_ipv4_mapped()
        && let Some(len) = v6.prefix_len().checked_sub(96)
        && let Ok(v4) = Ipv4Net::new(ip, len)
    {
        return v4.into();
    }
    net
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn by_default_private_and_local_networks_are_answered() {
        let access = Access::default();
        for client in [
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.7.7",
            "127.0.0.1",
            "::1",
            "fe80::1",
            "fd00:1::1",
            "::ffff:10.1.2.3",
        ] {
            assert!(access.allows(ip(client)), "{client}");
        }
    }

    #[test]
    fn by_default_nobody_else_is() {
        let access = Access::default();
        for client in [
            "172.32.0.1",
            "192.169.0.1",
            "8.8.8.8",
            "2001:db8::1",
            "::ffff:8.8.8.8",
            "::2",
        ] {
            assert!(!access.allows(ip(client)), "{client}");
        }
    }

    #[test]
    fn a_list_replaces_the_default() {
        let access: Access = serde_json::from_str(r#"["192.0.2.77/24", "2001:db8::/64"]"#).unwrap();
        assert!(access.allows(ip("192.0.2.1")));
        assert!(access.allows(ip("2001:db8::9")));
        assert!(!access.allows(ip("10.0.0.1")));
    }

    #[test]
    fn all_of_ipv6_is_nobody_of_ipv4() {
        for list in ["::/0", "::/80"] {
            let access = Access::from_nets(vec![list.parse().unwrap()]);
            assert!(access.allows(ip("::2")), "{list}");
            assert!(!access.allows(ip("10.1.2.3")), "{list}");
            assert!(!access.allows(ip("::ffff:10.1.2.3")), "{list}");
        }
        let all = Access::from_nets(vec!["::/0".parse().unwrap(), "0.0.0.0/0".parse().unwrap()]);
        assert!(all.allows(ip("10.1.2.3")) && all.allows(ip("2001:db8::1")));
    }

    #[test]
    fn an_empty_list_answers_nobody() {
        assert!(!Access::from_nets(Vec::new()).allows(ip("127.0.0.1")));
    }

    #[test]
    fn prefixes_of_mapped_addresses_are_ipv4_prefixes() {
        let access = Access::from_nets(vec!["::ffff:198.51.100.0/120".parse().unwrap()]);
        assert_eq!(access.nets(), ["198.51.100.0/24".parse::<IpNet>().unwrap()]);
    }
}
