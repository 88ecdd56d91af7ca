//! Never a loop: a request that one edge makes on behalf of its client says so, and is answered by
//! the next from what is its own.
//!
//! Over HTTP that is the header `CDN-Loop` (RFC 8586), which is made for this and which proxies in
//! between must not take away; over TFTP an option of the same name, which servers that do not know
//! it leave alone (RFC 2347). Both hold our pseudonym. One mark is enough to stop: two edges that
//! name each other end after one step, as do the alternate servers of CUCM, which are not asked in
//! chains either. And whoever asks from the address of one of our upstream servers does so for a
//! client of its own, whatever it says.

use std::net::IpAddr;

use super::settings::Server;

/// The header (RFC 8586), and the TFTP option.
pub const MARK: &str = "cdn-loop";

/// Who has forwarded a request, if it was one of us.
pub const PSEUDONYM: &str = "tftp-edge";

/// Tells requests of other edges from those of clients.
#[derive(Clone, Debug, Default)]
pub struct Forwarders {
    servers: Vec<IpAddr>,
}

impl Forwarders {
    /// Without upstream servers: the mark alone tells.
    pub const fn unknown() -> Self {
        Self {
            servers: Vec::new(),
        }
    }

    pub fn new(servers: &[Server]) -> Self {
        Self {
            servers: servers.iter().map(|server| server.address.ip()).collect(),
        }
    }

    /// Whether an HTTP request was forwarded. `marks` are the values of all its `CDN-Loop` headers.
    pub fn http<'v>(&self, client: IpAddr, marks: impl IntoIterator<Item = &'v [u8]>) -> bool {
        self.is_upstream(client) || marks.into_iter().any(is_marked)
    }

    /// Whether a TFTP request was forwarded. `options` is what stands behind its mode: names and
    /// values by turns, each with a NUL.
    pub fn tftp(&self, client: IpAddr, options: &[u8]) -> bool {
        if self.is_upstream(client) {
            return true;
        }
        let mut words = options.split(|&byte| byte == 0);
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            if name.eq_ignore_ascii_case(MARK.as_bytes()) && is_marked(value) {
                return true;
            }
        }
        false
    }

    fn is_upstream(&self, client: IpAddr) -> bool {
        self.servers.contains(&client.to_canonical())
    }
}

/// Whether one of a list of cdn-infos is ours: `cdn-id *( ";" parameter )`, with commas between.
fn is_marked(list: &[u8]) -> bool {
    list.split(|&byte| byte == b',').any(|info| {
        let id = info.split(|&byte| byte == b';').next().unwrap_or_default();
        id.trim_ascii().eq_ignore_ascii_case(PSEUDONYM.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7));

    fn forwarders() -> Forwarders {
        Forwarders::new(&["tftp://10.0.0.1".parse().unwrap()])
    }

    #[test]
    fn a_request_with_our_mark_is_forwarded() {
        let http = |value: &str| forwarders().http(PHONE, [value.as_bytes()]);
        assert!(http("tftp-edge"));
        assert!(http("other.example.com; v=1, TFTP-Edge ; hop=2"));
        assert!(!http("other.example.com"));
        assert!(!http("tftp-edge.example.com"));
        assert!(!http(""));
        assert!(!forwarders().http(PHONE, []));

        let tftp = |options: &[u8]| forwarders().tftp(PHONE, options);
        assert!(tftp(b"blksize\x001428\0CDN-Loop\0tftp-edge\0"));
        // A value that only looks like the option.
        assert!(!tftp(b"x\0cdn-loop\0tftp-edge\0y\0"));
        assert!(!tftp(b"cdn-loop\0somebody\0"));
        assert!(!tftp(b"cdn-loop"));
        assert!(!tftp(b""));
    }

    #[test]
    fn a_request_from_an_upstream_server_is_forwarded() {
        for address in ["10.0.0.1", "::ffff:10.0.0.1"] {
            let server = address.parse().unwrap();
            assert!(forwarders().tftp(server, b""), "{address}");
            assert!(forwarders().http(server, []), "{address}");
        }
    }
}
