//! The configuration file: what it accepts, and what it says about what it does not.

// Clippy's leave for tests does not reach helpers of an integration test.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use tftp_edge::config::Config;
use tftp_edge::inventory::{KEYS, SITE_KEYS};

const SHIPPED: &str = include_str!("../tftp-edge.toml");

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("edge.toml"), text).map_err(|error| error.to_string())
}

/// The shipped file with every default switched on.
fn uncommented() -> String {
    SHIPPED
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if key.starts_with(|first: char| first.is_ascii_lowercase()) => key,
            Some(table) if table.starts_with('[') => table,
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_shipped_file_is_the_defaults_with_and_without_its_comments() {
    let defaults = format!("{:?}", Config::default());
    assert_eq!(format!("{:?}", parse(SHIPPED).unwrap()), defaults);
    assert_eq!(format!("{:?}", parse(&uncommented()).unwrap()), defaults);
    assert_ne!(SHIPPED, uncommented());
}

#[test]
fn the_shipped_file_names_every_key_there_is() {
    let file: toml::Table = uncommented().parse().unwrap();
    assert_complete(&file, "");
    let defaults = file["inventory"]["defaults"].as_table().unwrap();
    // A key with a dot stands for any number of them.
    let keys = KEYS.iter().chain(SITE_KEYS);
    for (key, _) in keys.filter(|(key, _)| !key.contains('.')) {
        assert!(defaults.contains_key(*key), "inventory.defaults.{key}");
    }
}

/// Asks each section for a key it cannot have: the answer lists those it has.
fn assert_complete(table: &toml::Table, path: &str) {
    let dotted = |key: &str| format!("{path}{key}");
    let refused = parse(&format!("{} = 1", dotted("\"?????????????????????\""))).unwrap_err();
    // The site's own keys are a list of their own.
    let Some((_, known)) = refused.split_once("choose one of: ") else {
        assert_eq!(path, "inventory.defaults.", "{refused}");
        return;
    };
    for key in known.split(", ") {
        let Some(value) = table.get(key) else {
            panic!("{} is not in tftp-edge.toml", dotted(key));
        };
        if let Some(inner) = value.as_table() {
            assert_complete(inner, &dotted(&format!("{key}.")));
        }
    }
}

#[test]
fn a_fault_is_told_with_its_place_its_key_and_what_to_do() {
    for (text, message) in [
        (
            "[metrics]\nadress = \"127.0.0.1:1\"\n",
            "edge.toml:2:1: metrics.adress: there is no such key; did you mean `address`?",
        ),
        (
            "[metricks]\n",
            "edge.toml:1:2: metricks: there is no such key; did you mean `metrics`?",
        ),
        (
            "metrics.enabeld = true\n",
            "edge.toml:1:9: metrics.enabeld: there is no such key; did you mean `enabled`?",
        ),
        (
            "[log]\nformat = \"text\"\ncolour = true\n",
            "edge.toml:3:1: log.colour: there is no such key; choose one of: level, format, file, \
             max_bytes, keep",
        ),
        (
            "[log]\nformat = \"jsno\"\n",
            "edge.toml:2:10: log.format: \"jsno\" is no value of this key; did you mean `json`?",
        ),
        (
            "[log]\nlevel = \"inof\"\n",
            "edge.toml:2:9: log.level: `inof` is no log level; write error, warn, info, debug, \
             trace or off, or one for a part, as in `info,tftp_edge::kernel=debug`",
        ),
        (
            "[log]\nlevel = 3\n",
            "edge.toml:2:9: log.level: invalid type: integer `3`, expected a string; write it in \
             quotes",
        ),
        (
            "[metrics]\n# é\nenabled = \"yes\"\n",
            "edge.toml:3:11: metrics.enabled: invalid type: string \"yes\", expected a boolean; \
             write it without quotes",
        ),
        (
            "metrics = { address = \"localhost\" }\n",
            "edge.toml:1:23: metrics.address: invalid socket address syntax; write ADDRESS:PORT \
             in quotes, as in \"127.0.0.1:9466\" or \"[::1]:9466\"",
        ),
        (
            "[access]\nallow = [\"10.0.0.0/8\", \"10.1.0.0/33\"]\n",
            "edge.toml:2:24: access.allow: invalid IP address syntax; write networks as in \
             \"10.0.0.0/8\" or \"fd00::/8\"",
        ),
        (
            "[tftp.resend]\nmin_sm = 1\n",
            "edge.toml:2:1: tftp.resend.min_sm: there is no such key; did you mean `min_ms`?",
        ),
        (
            "[inventory.defaults]\n\nidle_timeout_s = 90000\n",
            "edge.toml:3:1: inventory.defaults.idle_timeout_s: \"90000\" is not a number in that \
             range; expected 0 to 86400 seconds",
        ),
        (
            "[upstream]\nservers = [\"tftp://10.1.1.10\", \"cucm\"]\n",
            "edge.toml:2:32: upstream.servers: \"cucm\" is no upstream server: it begins with \
             neither http:// nor tftp://; write as in \"http://10.1.1.10:6970\" or \
             \"tftp://10.1.1.11\"",
        ),
        (
            "metrics = true\n",
            "edge.toml:1:11: metrics: invalid type: boolean `true`, expected struct Settings; \
             write a section, as in [metrics]",
        ),
        (
            "[log]\nlevel = \"info\"\nlevel = \"warn\"\n",
            "edge.toml:3:1: log: duplicate key; set it once",
        ),
        (
            "[log\nlevel = \"info\"\n",
            "edge.toml:1:5: unclosed table, expected `]`; this is not TOML: see https://toml.io",
        ),
        (
            "[control]\nsocket = 5\n",
            "edge.toml:2:10: control.socket: invalid type: integer `5`, expected path string; \
             write it in quotes",
        ),
    ] {
        assert_eq!(parse(text).unwrap_err(), message);
    }
}

#[test]
fn a_relative_path_is_taken_from_the_directory_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("edge.toml");
    std::fs::write(&file, "[control]\nsocket = \"run/control.sock\"\n").unwrap();
    let config = Config::load(&file).unwrap();
    assert_eq!(
        config.control.socket,
        directory.path().join("run/control.sock")
    );
    std::fs::write(&file, "").unwrap();
    let config = Config::load(&file).unwrap();
    assert_eq!(config.control.socket, Config::default().control.socket);
}

#[test]
fn a_value_out_of_its_range_is_told_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("edge.toml");
    std::fs::write(&file, "[tftp]\ndscp = 64\nresend.max_ms = 1\n").unwrap();
    let told = Config::load(&file).unwrap_err().to_string();
    assert_eq!(
        told,
        format!(
            "{}:2:1: tftp.dscp: 64 is not a DSCP, which is from 0 to 63",
            file.display()
        )
    );
    let http = "[http]\n[http.tls]\nenabled = true\nlisten = [\"0.0.0.0:6970\"]\n";
    std::fs::write(&file, http).unwrap();
    let told = Config::load(&file).unwrap_err().to_string();
    assert_eq!(
        told,
        format!(
            "{}:4:1: http.tls.listen: 0.0.0.0:6970 is in http.listen too: HTTPS needs a port of \
             its own",
            file.display()
        )
    );
    std::fs::write(&file, "[tftp]\ndscp = 63\nresend.max_ms = 1\n").unwrap();
    let told = Config::load(&file).unwrap_err().to_string();
    assert_eq!(
        told,
        format!(
            "{}:3:8: tftp.resend.max_ms: must be from resend.min_ms (300) to 2000",
            file.display()
        )
    );
}

#[test]
fn more_than_three_upstream_servers_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("edge.toml");
    let servers = ["a", "b", "c", "d"].map(|last| format!("tftp://[fd00::{last}]"));
    std::fs::write(&file, format!("[upstream]\nservers = {servers:?}\n")).unwrap();
    assert_eq!(
        Config::load(&file).unwrap_err().to_string(),
        format!(
            "{}:2:1: upstream.servers: 4 servers; at most 3 can be asked, remove the others",
            file.display()
        )
    );
}

#[test]
fn a_value_that_cannot_be_used_is_told_like_a_wrong_type() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("edge.toml");
    let long = "x".repeat(120);
    std::fs::write(&file, format!("[control]\n  socket = \"/{long}\"\n")).unwrap();
    assert_eq!(
        Config::load(&file).unwrap_err().to_string(),
        format!(
            "{}:2:3: control.socket: the path has 121 bytes and a socket's may have 107; shorten \
             it",
            file.display()
        )
    );
}
