//! Where it is proved that the daemon that runs goes by the new value of a key, for every key that takes
//! effect with a reload. `config::live` proves that a reload brings each section to those who hold it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{DEFAULTS, Effect, KEYS};

/// Keys of a section, and the test that changes them and sees what comes of it; it may do so in
/// functions that are named after it.
struct Proof {
    section: &'static str,
    keys: &'static [&'static str],
    /// From the root of the workspace.
    file: &'static str,
    functions: &'static [&'static str],
}

const fn proof(
    section: &'static str,
    keys: &'static [&'static str],
    file: &'static str,
    functions: &'static [&'static str],
) -> Proof {
    Proof {
        section,
        keys,
        file,
        functions,
    }
}

const PROOFS: &[Proof] = &[
    proof(
        "tftp",
        &["max_transfers", "windowsize", "max_blksize"],
        "tftp-edge/src/tftp/engine/tests.rs",
        &["limits_may_change_while_the_daemon_runs"],
    ),
    proof(
        "tftp",
        &["mtu_clamp"],
        "tftp-edge/src/tftp/engine/tests/live.rs",
        &["the_mtu_may_be_minded_from_now_on_or_not_any_more"],
    ),
    proof(
        "tftp.resend",
        &["first_ms", "min_ms", "max_ms", "max_sends"],
        "tftp-edge/src/tftp/engine/tests/live.rs",
        &["a_transfer_resends_by_the_settings_it_began_with"],
    ),
    proof(
        "tftp.budget",
        &[
            "first_burst",
            "first_per_second",
            "error_burst",
            "error_per_second",
            "max_transfers_per_source",
        ],
        "tftp-edge/src/tftp/sources.rs",
        &["budgets_may_change_at_any_time"],
    ),
    proof(
        "tftp.budget",
        &[
            "miss_burst",
            "miss_per_second",
            "unknown_burst",
            "unknown_per_second",
        ],
        "tftp-edge/src/misses/tests.rs",
        &["budgets_may_change_at_any_time"],
    ),
    proof(
        "http",
        &["max_connections", "max_connections_per_source"],
        "tftp-edge/tests/http/live.rs",
        &["bounds_on_connections_may_change_while_there_are_some"],
    ),
    proof(
        "http",
        &["request_timeout_s", "write_timeout_s"],
        "tftp-edge/tests/http/live.rs",
        &["connections_go_by_the_times_of_the_moment_in_which_they_came"],
    ),
    proof(
        "http",
        &["config_list_allow"],
        "tftp-edge/tests/http/answers.rs",
        &["configurations_are_listed_to_whom_the_settings_name_and_to_nobody_else"],
    ),
    proof(
        "http.tls",
        &["certificate", "key"],
        "tftp-edge/tests/http/tls.rs",
        &["another_certificate_is_shown_from_a_reload_on"],
    ),
    proof(
        "access",
        &["allow"],
        "tftp-edge/tests/http/live.rs",
        &["who_is_served_may_change_at_any_time"],
    ),
    proof(
        "content",
        &["memory_limit"],
        "tftp-edge/src/content/tests/memory.rs",
        &["a_smaller_memory_makes_room_at_once_and_a_larger_one_takes_in_what_was_refused"],
    ),
    proof(
        "content",
        &["preload_limit"],
        "tftp-edge/src/content/tests/live.rs",
        &["what_is_read_before_it_is_asked_for_may_change"],
    ),
    proof(
        "upstream",
        &["names", "except", "timeout_ms", "max_file"],
        "tests/tests/upstream/live.rs",
        &["what_is_asked_for_and_what_is_taken_may_change_at_any_time"],
    ),
    proof(
        "upstream",
        &["lifetime_s", "negative_lifetime_s", "stale_s"],
        "tftp-edge/src/content/upstream/cache.rs",
        &["how_long_something_holds_is_that_of_the_settings_when_it_came"],
    ),
    proof(
        "upstream.budget",
        &["burst", "per_second", "source_burst", "source_per_second"],
        "tftp-edge/src/content/upstream/misses.rs",
        &["a_budget_may_change_at_any_time"],
    ),
    proof(
        "inventory",
        &["defaults"],
        "tftp-edge/src/content/tests/regeneration.rs",
        &["other_defaults_of_sites_reach_every_configuration_they_touch"],
    ),
    proof(
        "provisioning",
        &["window_minutes"],
        "tftp-edge/src/content/tests/provisioning.rs",
        &[
            "windows_can_be_switched_on_and_off_while_the_daemon_runs",
            "windows",
        ],
    ),
    proof(
        "journal",
        &["boots", "entries", "memory_limit"],
        "tftp-edge/src/journal/recorder/tests.rs",
        &["what_is_kept_may_change_at_any_time"],
    ),
    proof(
        "journal",
        &["keep_days"],
        "tftp-edge/src/journal/store/tests.rs",
        &["for_how_long_a_silent_phone_is_kept_may_change"],
    ),
    proof(
        "journal",
        &[
            "stuck_after_s",
            "stuck_in_firmware_after_s",
            "silent_after_s",
        ],
        "tftp-edge/src/journal/diagnosis/examiner.rs",
        &["how_long_is_too_long_is_asked_of_the_settings_at_once"],
    ),
    proof(
        "register",
        &["export_allow"],
        "tftp-edge/src/register/export/tests.rs",
        &["this_host_reads_and_others_only_if_they_are_named"],
    ),
    proof(
        "register.sccp",
        &["max_connections", "max_connections_per_source"],
        "tftp-edge/src/register/sccp/server/tests.rs",
        &["bounds_on_connections_may_change_while_there_are_some"],
    ),
    proof(
        "register.sccp",
        &["write_timeout_s"],
        "tftp-edge/src/register/sccp/server/tests.rs",
        &["how_long_a_phone_may_take_nothing_may_change"],
    ),
    proof(
        "register.sccp",
        &["keepalive_s", "secondary_keepalive_s", "keepalive_grace_s"],
        "tftp-edge/src/register/sccp/session/tests/live.rs",
        &["keepalives_are_granted_by_the_settings_at_the_registration"],
    ),
    proof(
        "register.sccp",
        &[
            "register_timeout_s",
            "message_timeout_s",
            "capabilities_timeout_s",
        ],
        "tftp-edge/src/register/sccp/session/tests/live.rs",
        &["how_long_a_phone_may_take_is_asked_of_the_settings_at_once"],
    ),
    proof(
        "register.sccp",
        &["hold_s", "token_wait_min_s"],
        "tftp-edge/src/register/sccp/session/tests/live.rs",
        &["in_a_storm_phones_are_held_and_told_to_wait_by_the_settings_of_the_moment"],
    ),
    proof(
        "register.sccp",
        &["min_version"],
        "tftp-edge/src/register/sccp/session/tests/live.rs",
        &["the_oldest_version_that_is_taken_may_change"],
    ),
    proof(
        "register.sip",
        &["trying"],
        "tftp-edge/src/register/sip/tests/cisco.rs",
        &["trying_is_said_first_where_the_settings_say_so"],
    ),
    proof(
        "register.sip.digest",
        &["require"],
        "tftp-edge/src/register/sip/tests/cisco.rs",
        &["trying_is_said_first_where_the_settings_say_so"],
    ),
    proof(
        "register.sip.tcp",
        &["max_connections", "max_connections_per_source"],
        "tftp-edge/src/register/sip/server/tests/live.rs",
        &["bounds_on_connections_may_change_while_there_are_some"],
    ),
    proof(
        "register.sip.tcp",
        &["idle_timeout_s", "message_timeout_s", "write_timeout_s"],
        "tftp-edge/src/register/sip/server/tests/live.rs",
        &["times_of_connections_that_there_are_may_change"],
    ),
    proof(
        "register.sip.tls",
        &["certificate", "key"],
        "tftp-edge/src/register/sip/server/tests/live.rs",
        &["another_certificate_is_shown_from_a_reload_on"],
    ),
    proof(
        "register.sip.expires",
        &["min_s", "max_s", "cut_percent"],
        "tftp-edge/src/register/sip/tests/contacts.rs",
        &["for_how_long_a_registration_holds_may_change_at_any_time"],
    ),
    proof(
        "register.storm",
        &[
            "max_registrations_per_second",
            "max_waiting",
            "min_wait_sip_s",
            "begin_waiting",
            "begin_after_ms",
            "kernel_percent",
        ],
        "tftp-edge/src/register/storm/control.rs",
        &["other_settings_hold_from_the_next_tick_on_and_nobody_loses_a_place"],
    ),
    proof(
        "register.storm",
        &[
            "max_in_progress",
            "min_wait_sccp_s",
            "max_wait_s",
            "stale_sccp_ms",
            "calm_after_s",
        ],
        "tftp-edge/src/register/storm/control.rs",
        &["waits_places_and_the_end_of_a_storm_go_by_the_settings_of_the_moment"],
    ),
    proof(
        "register.storm",
        &["grace_s"],
        "tftp-edge/src/register/storm/control.rs",
        &["how_late_a_phone_may_be_is_asked_of_the_settings"],
    ),
    proof(
        "register.storm",
        &["stale_sip_ms"],
        "tftp-edge/src/register/storm/control.rs",
        &["what_is_stale_is_asked_of_the_settings_at_once"],
    ),
    proof(
        "register.bans",
        &["enabled", "guesses", "garbage", "window_s", "ban_s"],
        "tftp-edge/src/register/bans/mod.rs",
        &["what_is_too_much_may_change_at_any_time"],
    ),
    proof(
        "register.orders",
        &["on_change"],
        "tftp-edge/src/register/pacer/tests.rs",
        &["phones_can_be_left_alone_by_the_settings"],
    ),
    proof(
        "register.orders",
        &["per_second", "site_per_second"],
        "tftp-edge/src/register/pacer/tests.rs",
        &["the_pace_may_change_while_orders_wait"],
    ),
    proof(
        "web",
        &["allow", "names"],
        "tftp-edge/src/ops/web/guard.rs",
        &["networks_and_names_may_change_at_any_time"],
    ),
    proof(
        "web",
        &["password_file"],
        "tftp-edge/src/ops/web/tests.rs",
        &["another_password_file_holds_from_a_reload_on"],
    ),
    proof(
        "log",
        &["level", "format", "file", "max_bytes", "keep"],
        "tftp-edge/src/ops/log/tests.rs",
        &["level_format_file_and_its_bounds_change_with_a_reload"],
    ),
];

/// A function, from its name to the brace that stands where its first word does.
fn function<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let at = text.find(&format!("fn {name}("))?;
    let indent = at - text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let is_async = text[..at].ends_with("async ");
    let indent = indent - if is_async { "async ".len() } else { 0 };
    let end = format!("\n{}}}\n", " ".repeat(indent));
    let rest = &text[at..];
    Some(&rest[..rest.find(&end)?])
}

/// Whether a name stands there by itself, and not as a part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    let is_within = |it: Option<char>| it.is_some_and(|it| it.is_alphanumeric() || it == '_');
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        !is_within(before.chars().next_back()) && !is_within(after.chars().next())
    })
}

#[test]
fn every_key_that_takes_effect_with_a_reload_is_proved_to() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let live = KEYS.iter().filter(|(_, effect, _)| *effect == Effect::Live);
    let mut unproved: Vec<_> = live
        .flat_map(|(section, _, keys)| keys.iter().map(move |key| format!("{section}.{key}")))
        .chain([DEFAULTS.to_owned()])
        .collect();
    let mut files = BTreeMap::new();
    for proof in PROOFS {
        let text = files.entry(proof.file).or_insert_with(|| {
            let file = root.join(proof.file);
            fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", proof.file))
        });
        let name = proof.functions[0];
        let bodies: String = (proof.functions.iter())
            .map(|name| function(text, name).unwrap_or_else(|| panic!("{}: {name}", proof.file)))
            .collect();
        let before = &text[..text.find(&format!("fn {name}(")).unwrap()];
        let attribute = before.trim_end_matches("async ").trim_end();
        assert!(
            attribute.ends_with("#[test]") || attribute.ends_with("#[tokio::test]"),
            "{name} is no test"
        );
        for key in proof.keys {
            let dotted = format!("{}.{key}", proof.section);
            assert!(has_word(&bodies, key), "{name} does not change {dotted}");
            let at = unproved.iter().position(|it| *it == dotted);
            let at = at.unwrap_or_else(|| panic!("{dotted} is proved twice, or is no live key"));
            unproved.swap_remove(at);
        }
    }
    assert!(
        unproved.is_empty(),
        "no test shows that a reload changes what the daemon does: {unproved:?}"
    );
}
