//! What becomes of each key when it is changed while the daemon runs.

use serde::{Deserialize, Serialize};

use Effect::{Live, Restart};

/// When a change takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// With a reload.
    Live,
    /// With the next start.
    Restart,
}

impl Effect {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "reload",
            Self::Restart => "restart",
        }
    }
}

/// Every section, and what its keys do. A test holds it and the shipped file together.
const KEYS: &[(&str, Effect, &[&str])] = &[
    (
        "tftp",
        Restart,
        &[
            "listen",
            "workers",
            "single_port",
            "port_range",
            "ports_per_worker",
            "dscp",
            "socket_buffer",
        ],
    ),
    (
        "tftp",
        Live,
        &["max_transfers", "windowsize", "max_blksize", "mtu_clamp"],
    ),
    (
        "tftp.resend",
        Live,
        &["first_ms", "min_ms", "max_ms", "max_sends"],
    ),
    (
        "tftp.budget",
        Live,
        &[
            "first_burst",
            "first_per_second",
            "miss_burst",
            "miss_per_second",
            "unknown_burst",
            "unknown_per_second",
            "error_burst",
            "error_per_second",
            "max_transfers_per_source",
        ],
    ),
    ("tftp.budget", Restart, &["sources"]),
    ("http", Restart, &["enabled", "listen"]),
    (
        "http",
        Live,
        &[
            "max_connections",
            "max_connections_per_source",
            "request_timeout_s",
            "write_timeout_s",
            "config_list_allow",
        ],
    ),
    ("http.tls", Restart, &["enabled", "listen"]),
    ("http.tls", Live, &["certificate", "key"]),
    ("access", Live, &["allow"]),
    ("content", Restart, &["root", "templates"]),
    ("content", Live, &["memory_limit", "preload_limit"]),
    (
        "upstream",
        Restart,
        &["servers", "memory_limit", "max_fetches"],
    ),
    (
        "upstream",
        Live,
        &[
            "names",
            "except",
            "lifetime_s",
            "negative_lifetime_s",
            "stale_s",
            "timeout_ms",
            "max_file",
        ],
    ),
    (
        "upstream.budget",
        Live,
        &["burst", "per_second", "source_burst", "source_per_second"],
    ),
    ("inventory", Restart, &["database"]),
    ("inventory.history", Restart, &["entries", "days"]),
    (DEFAULTS, Live, &[]),
    ("provisioning", Live, &["window_minutes"]),
    ("journal", Restart, &["database"]),
    (
        "journal",
        Live,
        &[
            "boots",
            "entries",
            "memory_limit",
            "keep_days",
            "stuck_after_s",
            "stuck_in_firmware_after_s",
            "silent_after_s",
        ],
    ),
    (
        "register",
        Restart,
        &["mode", "max_registrations", "database"],
    ),
    ("register", Live, &["export_allow"]),
    (
        "register.sccp",
        Restart,
        &["enabled", "listen", "threads", "dscp"],
    ),
    (
        "register.sccp",
        Live,
        &[
            "max_connections",
            "max_connections_per_source",
            "keepalive_s",
            "secondary_keepalive_s",
            "keepalive_grace_s",
            "register_timeout_s",
            "message_timeout_s",
            "write_timeout_s",
            "capabilities_timeout_s",
            "hold_s",
            "token_wait_min_s",
            "min_version",
        ],
    ),
    ("register.sip", Restart, &["enabled", "listen", "dscp"]),
    ("register.sip", Live, &["trying"]),
    ("register.sip.udp", Restart, &["workers", "socket_buffer"]),
    (
        "register.sip.tcp",
        Live,
        &[
            "max_connections",
            "max_connections_per_source",
            "idle_timeout_s",
            "message_timeout_s",
            "write_timeout_s",
        ],
    ),
    ("register.sip.tcp", Restart, &["memory_limit"]),
    ("register.sip.tls", Restart, &["enabled", "listen"]),
    ("register.sip.tls", Live, &["certificate", "key"]),
    ("register.sip.digest", Live, &["require"]),
    (
        "register.sip.digest",
        Restart,
        &[
            "realm",
            "algorithms",
            "without_qop",
            "nonce_lifetime_s",
            "nonces",
        ],
    ),
    (
        "register.sip.expires",
        Live,
        &["min_s", "max_s", "cut_percent"],
    ),
    (
        "register.storm",
        Live,
        &[
            "max_registrations_per_second",
            "max_in_progress",
            "max_waiting",
            "min_wait_sip_s",
            "min_wait_sccp_s",
            "max_wait_s",
            "grace_s",
            "stale_sip_ms",
            "stale_sccp_ms",
            "begin_waiting",
            "begin_after_ms",
            "calm_after_s",
            "kernel_percent",
        ],
    ),
    ("register.storm", Restart, &["kernel"]),
    (
        "register.bans",
        Live,
        &["enabled", "guesses", "garbage", "window_s", "ban_s"],
    ),
    ("register.bans", Restart, &["sources"]),
    ("register.front", Restart, &["servers", "max_phones"]),
    (
        "register.orders",
        Live,
        &["on_change", "per_second", "site_per_second"],
    ),
    (
        "kernel",
        Restart,
        &[
            "mode",
            "interfaces",
            "memory_limit",
            "max_names",
            "max_transfers",
            "tid_ports",
            "keep_privileges",
            "pin_path",
            "serve_alone_s",
            "diagnose",
        ],
    ),
    ("metrics", Restart, &["enabled", "address"]),
    ("web", Restart, &["enabled", "address"]),
    ("web", Live, &["allow", "names", "password_file"]),
    ("control", Restart, &["socket"]),
    (
        "log",
        Live,
        &["level", "format", "file", "max_bytes", "keep"],
    ),
];

/// Its keys are those of sites, and elements by their own name.
const DEFAULTS: &str = "inventory.defaults";

/// What a key does, given with dots; none of what is no key.
pub fn effect(dotted: &str) -> Option<Effect> {
    let of_site = dotted.strip_prefix(DEFAULTS);
    if of_site.is_some_and(|rest| rest.starts_with('.')) {
        return Some(Live);
    }
    let (section, key) = dotted.rsplit_once('.')?;
    let mut rows = KEYS.iter().filter(|(name, ..)| *name == section);
    let row = rows.find(|(_, _, keys)| keys.contains(&key))?;
    Some(row.1)
}

/// Whether a key keeps the value it had at the start.
pub(super) fn needs_restart(dotted: &str) -> bool {
    effect(dotted) == Some(Restart)
}

#[cfg(test)]
mod proofs;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::shown::defaults;

    #[test]
    fn every_key_of_the_shipped_file_takes_effect_at_one_time_and_there_are_no_others() {
        let mut known = BTreeSet::new();
        for (section, _, keys) in KEYS {
            for key in *keys {
                let dotted = format!("{section}.{key}");
                assert!(known.insert(dotted.clone()), "{dotted} is there twice");
            }
        }
        for dotted in defaults().keys() {
            assert!(effect(dotted).is_some(), "{dotted} is not in KEYS");
            known.remove(dotted);
        }
        assert!(known.is_empty(), "no keys: {known:?}");
    }
}
