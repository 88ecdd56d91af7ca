//! What is typed, what the configuration says, and where the answer goes.

use tftp_edge::ops::exit::Exit;

use super::scene::{DEVICE, STRANGER, Scene, Seen};

/// Of each command one that needs no daemon, and ends well.
const ALONE: [&[&str]; 10] = [
    &["check"],
    &["config", "show"],
    &["inventory", "list"],
    &["phones", "list"],
    &["render", DEVICE],
    &["dhcp", "--format", "kea"],
    &["lldp"],
    &["firmware", "check"],
    &["files", "check"],
    &["detach", "--pin-path", "/nonexistent/pins"],
];

pub fn typed_right_and_wrong(seen: &Seen) {
    let scene = Scene::with_phones();
    for words in ALONE {
        scene.expect(seen, Exit::Ok, words);
    }
    for command in tftp_edge::cli::command().get_subcommands() {
        scene.expect(seen, Exit::Usage, &[command.get_name(), "--nonsense"]);
    }
    // Right by itself, and not for what there is.
    for (wanted, words) in [
        (
            Exit::Usage,
            &["dhcp", "--format", "kea", "--site", "none"][..],
        ),
        (Exit::Usage, &["render", DEVICE, "--site", "none"]),
        (Exit::Usage, &["inventory", "model", "set", "1234", "sip=x"]),
        (Exit::Usage, &["top"]),
        (Exit::Data, &["render", STRANGER]),
        (Exit::Data, &["phones", "show", STRANGER]),
        (Exit::Data, &["inventory", "show", "devices", STRANGER]),
        (Exit::Data, &["dhcp", "--format", "kea", "--ipv6"]),
        (Exit::NoInput, &["inventory", "import", "/nonexistent.csv"]),
    ] {
        scene.expect(seen, wanted, words);
    }
    scene.write("wrong.csv", "name,model\nSEP1,7941\n");
    let wrong = scene.path("wrong.csv");
    let wrong = wrong.to_str().unwrap();
    scene.expect(seen, Exit::Data, &["inventory", "import", wrong]);
    let load = "sip=SIP41.9-4-2SR3-1S";
    let named = scene.run(&["inventory", "model", "set", "7941", load]);
    assert!(named.status.success(), "{named:?}");
    for command in ["firmware", "files"] {
        scene.expect(seen, Exit::Degraded, &[command, "check"]);
    }
    let without_sites = Scene::new();
    without_sites.expect(seen, Exit::Data, &["lldp"]);
}

pub fn a_configuration_that_is_wrong(seen: &Seen) {
    let scene = Scene::new();
    // Windows that nobody wanted.
    scene.set("20.toml", "provisioning.window_minutes = 0\n");
    scene.expect(seen, Exit::Config, &["phones", "open", "--all"]);
    let missing = ["--config", "/nonexistent/edge.toml"];
    for words in ALONE.iter().filter(|words| words[0] != "detach").chain(&[
        &["run"][..],
        &["status"],
        &["why", DEVICE],
        &["report"],
        &["registrations"],
        &["bans", "list"],
        &["log", "level"],
        &["trace", "10.0.0.9"],
        &["top"],
        &["detach"],
    ]) {
        scene.set("20.toml", "tftp.widnowsize = 1\n");
        scene.expect(seen, Exit::Config, words);
        let output = std::process::Command::new(super::scene::PROGRAM)
            .args(*words)
            .args(missing)
            .output();
        seen.note(words, Exit::Config, &output.unwrap());
    }
    // Read, and impossible.
    scene.set(
        "20.toml",
        "upstream.servers = [\"tftp://127.0.0.1:6999\"]\n",
    );
    scene.set("30.toml", "tftp.listen = [\"0.0.0.0:6999\"]\n");
    scene.expect(seen, Exit::Config, &["run"]);
}

pub fn nowhere_to_write_to(seen: &Seen) {
    let scene = Scene::with_phones();
    for words in ALONE {
        scene.expect_full(seen, words);
    }
    scene.expect_full(seen, &["config", "defaults"]);
}
