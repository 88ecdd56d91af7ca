//! What stands before every request of the web page, and goes with every answer.
//!
//! A page of somebody else's that a browser of ours has open must not read this one, nor frame it,
//! nor post to it, also when its own name is made to lead here (DNS rebinding): the name in the Host
//! header has to be one of ours. An address there is no name, and stands for itself.

use std::net::{IpAddr, Ipv6Addr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Settings;
use crate::live::Live;
use crate::ops::streamed::Peer;

/// Nothing is allowed but what is named: no inline script or style, nothing from elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
                      form-action 'self'";

/// With every answer, errors included.
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=()",
    ),
];

/// Who may ask, and by what names.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    settings: Live<Settings>,
}

impl Guard {
    pub(super) fn new(settings: impl Into<Live<Settings>>) -> Self {
        let settings = settings.into();
        Self { settings }
    }

    fn allows(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        client.is_loopback() || self.settings.get().allow.allows(client)
    }

    /// Whether a Host header names us. The port does not matter: a tunnel has its own.
    fn is_ours(&self, host: &str) -> bool {
        let (name, is_bracketed) = match host.strip_prefix('[') {
            Some(rest) => match rest.split_once(']') {
                Some((inner, port)) if port.is_empty() || port.starts_with(':') => (inner, true),
                _ => return false,
            },
            None => (host.split_once(':').map_or(host, |(name, _)| name), false),
        };
        let address = match is_bracketed {
            true => name.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            false => name.parse().ok().filter(IpAddr::is_ipv4),
        };
        let settings = self.settings.get();
        match address {
            Some(address) => {
                let own = settings.address.ip();
                address.is_loopback() || own.is_unspecified() || address == own
            }
            None => {
                let own = settings.names.iter().map(String::as_str);
                let mut own = own.chain(["localhost"]);
                !is_bracketed && own.any(|own| own.eq_ignore_ascii_case(name))
            }
        }
    }
}

/// The one header of that name.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether a request that changes something may have been sent by a page of ours. Browsers say where
/// it comes from, as far as the page lets them: ours has them send no referrer, and with it goes the
/// origin of a form (Fetch 3.2). So `null` tells nothing, and the form's own token decides.
fn is_from_ours(headers: &HeaderMap, host: &str) -> bool {
    let site = headers.get("sec-fetch-site");
    let is_same = site.is_none_or(|site| site == "same-origin" || site == "none");
    let origin = headers.get(header::ORIGIN);
    let is_own = origin.is_none_or(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        origin == "null" || authority.is_some_and(|it| it.eq_ignore_ascii_case(host))
    });
    is_same && is_own
}

/// The layer around all routes.
pub(super) async fn guard(
    State(guard): State<Guard>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match refusal(&guard, &peer, &request) {
        Some(refused) => refused.into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Assets say otherwise by themselves.
    let no_store = HeaderValue::from_static("no-store");
    headers.entry(header::CACHE_CONTROL).or_insert(no_store);
    response
}

fn refusal(guard: &Guard, peer: &Peer, request: &Request) -> Option<(StatusCode, String)> {
    if !guard.allows(peer.address) {
        let text = format!(
            "{} may not see this page; name its network in web.allow\n",
            peer.address.to_canonical()
        );
        return Some((StatusCode::FORBIDDEN, text));
    }
    let host = only(request.headers(), &header::HOST).unwrap_or_default();
    if !guard.is_ours(host) {
        let text = "the page is not known by this name; add it to web.names if it is right\n";
        return Some((StatusCode::MISDIRECTED_REQUEST, text.to_owned()));
    }
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if changes && !is_from_ours(request.headers(), host) {
        let text = "a page of another site sent this; nothing was done\n";
        return Some((StatusCode::FORBIDDEN, text.to_owned()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Access;

    fn guard(address: &str) -> Guard {
        Guard::new(&Settings {
            address: address.parse().unwrap(),
            names: vec!["edge.example.net".to_owned()],
            allow: Access::from_nets(vec!["10.1.0.0/16".parse().unwrap()]),
            ..Settings::default()
        })
    }

    #[test]
    fn a_host_is_ours_by_address_or_by_a_name_of_the_settings() {
        let on_one = guard("10.1.1.1:9467");
        for host in [
            "localhost",
            "localhost:9467",
            "127.0.0.1:9467",
            "127.8.0.1",
            "[::1]:8080",
            "[::1]",
            "10.1.1.1:9467",
            "Edge.Example.Net:443",
        ] {
            assert!(on_one.is_ours(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "edge.example.net.evil.example",
            "localhost.evil.example",
            "10.1.1.2",
            "[::2]",
            "[localhost]",
            "[::1",
            "[::1]evil.example",
            "::1",
        ] {
            assert!(!on_one.is_ours(host), "{host}");
        }
        // Listening on all addresses, any of them may be ours.
        assert!(guard("0.0.0.0:9467").is_ours("192.0.2.7:9467"));
        assert!(!guard("0.0.0.0:9467").is_ours("evil.example:9467"));
    }

    #[test]
    fn this_host_and_the_networks_of_the_settings_may_ask() {
        let guard = guard("0.0.0.0:9467");
        for (client, allowed) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("::ffff:10.1.2.3", true),
            ("10.1.2.3", true),
            ("10.2.0.1", false),
        ] {
            assert_eq!(guard.allows(client.parse().unwrap()), allowed, "{client}");
        }
    }

    #[test]
    fn networks_and_names_may_change_at_any_time() {
        let settings = Live::new(Settings::default());
        let guard = Guard::new(settings.clone());
        let client = "10.1.2.3".parse().unwrap();
        assert!(!guard.allows(client) && !guard.is_ours("edge.example.net"));
        settings.set(Settings {
            names: vec!["edge.example.net".to_owned()],
            allow: Access::from_nets(vec!["10.1.0.0/16".parse().unwrap()]),
            ..Settings::default()
        });
        assert!(guard.allows(client) && guard.is_ours("edge.example.net"));
    }

    #[test]
    fn a_change_comes_from_a_page_of_ours() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            });
            pairs.collect::<HeaderMap>()
        };
        let host = "edge:9467";
        for (pairs, is_ours) in [
            (&[][..], true),
            (&[("origin", "http://edge:9467")], true),
            (&[("origin", "http://edge:9468")], false),
            (&[("origin", "http://evil.example")], false),
            (&[("origin", "null")], true),
            (
                &[("origin", "null"), ("sec-fetch-site", "cross-site")],
                false,
            ),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
        ] {
            assert_eq!(is_from_ours(&headers(pairs), host), is_ours, "{pairs:?}");
        }
    }
}
