use clap::Parser;

use super::*;
use crate::inventory::{ImportMode, Unchecked, parse_csv};

#[derive(Parser)]
struct Shell {
    #[command(subcommand)]
    command: ProvisioningCommand,
}

/// An inventory with two phones, and nobody who answers on the control socket.
fn config(folder: &Path, window_minutes: u32) -> Config {
    let mut config = Config::default();
    config.inventory.database = folder.join("inventory.db");
    config.control.socket = folder.join("control.sock");
    config.provisioning.window_minutes = window_minutes;
    let rows = "name,model,protocol,lines,site\n\
                SEP000000000001,7841,sip,1,berlin\nSEP000000000002,7841,sip,2,munich\n";
    let devices = parse_csv(rows.as_bytes()).unwrap();
    let mut inventory = Inventory::open(&config.inventory).unwrap();
    let store = inventory.store();
    store.import(&devices, ImportMode::Upsert, false).unwrap();
    let pool = (
        "auto_registration_numbers".to_owned(),
        Some("10-11".to_owned()),
    );
    store.set_site("berlin", &[pool]).unwrap();
    config
}

fn run(config: &Config, arguments: &[&str]) -> Result<String, PhonesError> {
    let shell = Shell::try_parse_from([&["phones"], arguments].concat()).unwrap();
    let mut out = Vec::new();
    shell.command.run(config, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

fn windows(config: &Config) -> Vec<(DeviceName, u64)> {
    let mut inventory = Inventory::open(&config.inventory).unwrap();
    let windows = inventory.snapshot().unwrap().windows;
    let now = since_epoch().as_secs();
    let left = windows.into_iter().map(|(name, until)| (name, until - now));
    // A second may have passed since.
    left.map(|(name, left)| (name, left.div_ceil(60))).collect()
}

fn name(text: &str) -> DeviceName {
    text.parse().unwrap()
}

#[test]
fn what_is_printed_for_people_fits_the_screen_and_leaves_it_alone() {
    let text = wrapped(&"word ".repeat(60), "-> ", "   ");
    assert!(text.lines().all(|line| line.len() <= WIDTH), "{text}");
    assert!(text.starts_with("-> word word") && text.contains("\n   word"));
    assert_eq!(text.split_whitespace().count(), 61);
    assert_eq!(plain("a\x1b[2J\nb"), "a\u{fffd}[2J\nb");
}

#[test]
fn windows_are_opened_and_closed_by_name_by_site_and_for_all() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), 30);
    let [one, two] = ["SEP000000000001", "SEP000000000002"];
    assert_eq!(
        run(&config, &["open", one]).unwrap(),
        "1 open for 30 minutes\n"
    );
    assert_eq!(windows(&config), [(name(one), 30)]);
    run(&config, &["open", "--all", "--minutes", "5"]).unwrap();
    assert_eq!(windows(&config), [(name(one), 5), (name(two), 5)]);
    assert_eq!(
        run(&config, &["close", "--site", "berlin"]).unwrap(),
        "1 closed\n"
    );
    assert_eq!(windows(&config), [(name(two), 5)]);

    let error = run(&config, &["open", two, "SEP0000000000FF"]).unwrap_err();
    assert!(error.to_string().ends_with(": SEP0000000000FF"), "{error}");
    let error = run(&config, &["open", "--site", "paris"]).unwrap_err();
    assert_eq!(error.to_string(), "site \"paris\" has no devices");
    assert_eq!(windows(&config), [(name(two), 5)], "nothing was done");
}

#[test]
fn without_windows_there_is_nothing_to_open() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), 0);
    let error = run(&config, &["open", "--all"]).unwrap_err();
    assert!(error.to_string().contains("window_minutes"), "{error}");
    assert_eq!(error.exit(), Exit::Config);
    for arguments in [&["open"][..], &["open", "--all", "--site", "x"]] {
        assert!(Shell::try_parse_from([&["phones"], arguments].concat()).is_err());
    }
}

#[test]
fn a_device_is_adopted_without_a_daemon_if_all_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), 30);
    let adopt = |name: &str| {
        run(
            &config,
            &["adopt", name, "--model", "8851", "--site", "berlin"],
        )
    };
    assert_eq!(
        adopt("SEP0000000000AA").unwrap(),
        "SEP0000000000AA adopted: 8851 sip, number 10, site berlin; \
         it may fetch its configuration for 30 minutes\n"
    );
    assert_eq!(windows(&config), [(name("SEP0000000000AA"), 30)]);
    let error = adopt("SEP0000000000AA").unwrap_err();
    assert!(
        error.to_string().contains("in the inventory already"),
        "{error}"
    );
    adopt("SEP0000000000AB").unwrap();
    let error = adopt("SEP0000000000AC").unwrap_err();
    assert!(error.to_string().contains("are in use (10-11)"), "{error}");
    assert_eq!(error.exit(), Exit::Data);
    let error = run(&config, &["adopt", "SEP0000000000AC"]).unwrap_err();
    assert_eq!(
        error.exit(),
        Exit::Unavailable,
        "only the daemon could tell: {error}"
    );
}

#[test]
fn the_list_for_people() {
    let knock = Knocking {
        name: name("SEP001122334455"),
        source: [10, 1, 2, 3].into(),
        site: "berlin".into(),
        first_seen: 1_000,
        last_seen: 1_055,
        times: 4,
        file: "sep001122334455.cnf.xml".into(),
        model: None,
        protocol: None,
    };
    let text = table(&[knock], Duration::from_secs(1_120));
    assert_eq!(
        text.lines().next_back().unwrap(),
        "SEP001122334455  10.1.2.3         berlin           ?             4  1 min 5 s ago  \
         sep001122334455.cnf.xml"
    );
    assert_eq!(table(&[], Duration::ZERO), "nobody asked\n");
}
