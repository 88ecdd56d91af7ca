use std::fs;
use std::os::unix::fs::PermissionsExt;

use clap::Parser;
use tempfile::TempDir;

use super::*;
use crate::phonefile::command::RenderArgs;

#[derive(Debug, Parser)]
enum Cli {
    #[command(subcommand)]
    Inventory(InventoryCommand),
    #[command(subcommand)]
    Phones(DeviceCommand),
    Render(RenderArgs),
}

struct Shell {
    folder: TempDir,
    settings: Settings,
}

impl Shell {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            database: folder.path().join("inventory.db"),
            ..Settings::default()
        };
        Self { folder, settings }
    }

    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let mut out = Vec::new();
        let arguments = std::iter::once("tftp-edge").chain(arguments.iter().copied());
        match Cli::try_parse_from(arguments).map_err(|error| error.to_string())? {
            Cli::Inventory(command) => command
                .run(&self.settings, &mut out)
                .map_err(|error| error.to_string())?,
            Cli::Phones(command) => command
                .run(&self.settings, &mut out)
                .map_err(|error| error.to_string())?,
            Cli::Render(args) => {
                let folder = self.folder.path();
                args.run(&self.settings, folder, &folder.join("none"), &mut out)
                    .map_err(|error| error.to_string())?;
            }
        }
        Ok(String::from_utf8(out).unwrap())
    }

    fn file(&self, content: &str) -> String {
        let path = self.folder.path().join("phones.csv");
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// A site that phones can be at.
fn with_site() -> Shell {
    let shell = Shell::new();
    shell
        .run(&["inventory", "site", "set", "hq", "servers=10.9.8.7"])
        .unwrap();
    shell
}

const PHONES: &str = "name,model,protocol,lines,secret,site\n\
                      sep00aabbccddee,8851,sip,1001:Alice,hush,hq\n\
                      SEP00AABBCCDDEF,7941,sccp,1002,,hq\n";

#[test]
fn an_import_is_listed_rendered_and_removed_again() {
    let shell = with_site();
    let file = shell.file(PHONES);
    let import = ["inventory", "import", &file];
    let dry = shell.run(&[&import[..], &["--dry-run"]].concat()).unwrap();
    assert_eq!(
        dry,
        "+ device SEP00AABBCCDDEE\n\
         \x20   model: 8851\n\
         \x20   protocol: sip\n\
         \x20   lines: 1001:Alice\n\
         \x20   secret: (changed, not shown)\n\
         \x20   site: hq\n\
         + device SEP00AABBCCDDEF\n\
         \x20   model: 7941\n\
         \x20   protocol: sccp\n\
         \x20   lines: 1002\n\
         \x20   site: hq\n\
         2 added, 0 changed, 0 removed, 0 unchanged (dry run: nothing was written)\n"
    );
    assert_eq!(shell.run(&["inventory", "list"]).unwrap(), "");
    assert_eq!(
        shell.run(&import).unwrap(),
        "2 added, 0 changed, 0 removed, 0 unchanged\n"
    );

    let list = shell.run(&["inventory", "list", "--json"]).unwrap();
    assert!(!list.contains("hush"), "secrets are not listed");
    let first: serde_json::Value = serde_json::from_str(list.lines().next().unwrap()).unwrap();
    assert_eq!(first["name"], "SEP00AABBCCDDEE");
    assert_eq!(first["lines"][0]["label"], "Alice");

    for name in ["SEP00AABBCCDDEE", "sep00aabbccddee.cnf.xml"] {
        let file = shell.run(&["render", name]).unwrap();
        assert!(
            file.contains("<processNodeName>10.9.8.7</processNodeName>"),
            "{file}"
        );
    }
    let default = shell.run(&["render", "XMLDefault.cnf.xml"]).unwrap();
    assert!(default.contains("<Default>"), "{default}");
    shell
        .run(&["inventory", "site", "set", "away", "servers=10.7.7.7"])
        .unwrap();
    let away = ["render", "XMLDefault.cnf.xml", "--site", "away"];
    assert!(shell.run(&away).unwrap().contains(">10.7.7.7<"));
    assert!(!default.contains(">10.7.7.7<"));

    let error = shell
        .run(&["phones", "remove", "SEP00AABBCCDDEE", "SEP000000000000"])
        .unwrap_err();
    assert_eq!(
        error,
        "device SEP000000000000, name: there is no device \"SEP000000000000\""
    );
    assert!(shell.run(&["render", "SEP00AABBCCDDEE"]).is_ok());
    shell.run(&["phones", "remove", "SEP00AABBCCDDEE"]).unwrap();
    let error = shell.run(&["render", "SEP00AABBCCDDEE"]).unwrap_err();
    assert!(error.contains("not in the inventory"), "{error}");
}

#[test]
fn devices_are_added_edited_shown_and_found_by_the_shell() {
    let shell = with_site();
    let add = ["phones", "add", "sep00aabbccddee", "model=CP-7962"];
    let fields = [
        "protocol=sip",
        "lines=1001:Alice;1002",
        "secret=hush",
        "site=hq",
    ];
    let added = shell.run(&[&add[..], &fields].concat()).unwrap();
    assert_eq!(added, "SEP00AABBCCDDEE added\n");
    let error = shell.run(&[&add[..], &fields].concat()).unwrap_err();
    assert!(
        error.contains("there is a device \"SEP00AABBCCDDEE\" already"),
        "{error}"
    );

    let edit = |field| shell.run(&["phones", "edit", "SEP00AABBCCDDEE", field]);
    edit("keys=3=speed_dial:2001:Bob").unwrap();
    edit("voicemail=8500").unwrap();
    let error = edit("lines=1001;1002;1003;1004;1005;1006").unwrap_err();
    assert_eq!(
        error,
        "device SEP00AABBCCDDEE, lines: 6 lines and 1 keys; a 7962 has 6 buttons"
    );
    let error = edit("colour=red").unwrap_err();
    assert!(
        error.starts_with("devices have no column \"colour\""),
        "{error}"
    );
    assert_eq!(
        shell
            .run(&["inventory", "show", "devices", "SEP00AABBCCDDEE"])
            .unwrap(),
        "SEP00AABBCCDDEE\n  model = 7962\n  protocol = sip\n  lines = 1001:Alice;1002\n  \
         secret = (set, not shown)\n  site = hq\n  keys = 3=speed_dial:2001:Bob\n  \
         voicemail = 8500\n"
    );

    let list = |filter: &[&str]| shell.run(&[&["phones", "list"], filter].concat()).unwrap();
    assert_eq!(list(&["--number", "1002"]).lines().count(), 1);
    assert_eq!(
        list(&["--model", "cp-7962", "--site", "hq"])
            .lines()
            .count(),
        1
    );
    assert_eq!(list(&["--number", "9"]), "");
    let json: serde_json::Value = serde_json::from_str(&list(&["--json"])).unwrap();
    assert_eq!(json["keys"]["3"]["action"]["speed_dial"]["number"], "2001");
}

#[test]
fn what_is_asked_for_and_not_there_is_told() {
    let shell = with_site();
    for (arguments, part) in [
        (
            &["phones", "list", "--site", "moon"][..],
            "there is no site \"moon\"; `tftp-edge inventory list sites` shows",
        ),
        (
            &["phones", "list", "--profile", "lobby"],
            "there is no profile \"lobby\"",
        ),
        (
            &["inventory", "show", "loads", "7941"],
            "load 7941, protocol: \"\"; expected sip or sccp",
        ),
    ] {
        let error = shell.run(arguments).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    let list = shell.run(&["phones", "list", "--site", "default"]);
    assert_eq!(list.unwrap(), "");
}

#[test]
fn every_table_is_set_shown_listed_and_removed_in_one_way() {
    let shell = Shell::new();
    for (table, name, fields) in [
        ("models", "X1", &["protocols=sip", "lines=4"][..]),
        ("loads", "X1/sip", &["load=X1.1-2"]),
        ("server_groups", "main", &["servers=cm1;cm2"]),
        ("soft_keys", "agents", &["states=On Hook:NewCall,Redial"]),
        ("dial_plans", "default", &["rules=9,.......|timeout=5"]),
        ("app_dial_rules", "1", &["digits=11", "begins_with=+49"]),
        ("feature_policies", "quiet", &["features=park=on"]),
        ("services", "News", &["url=http://10.0.0.1/"]),
        ("profiles", "agents", &["server_group=main"]),
        ("sites", "hq", &["ntp=10.0.0.1"]),
        ("devices", "SEP001122334455", &["model=X1", "lines=1001"]),
    ] {
        let run = |command: &str, more: &[&str]| {
            let arguments = ["inventory", command, table, name];
            shell.run(&[&arguments[..], more].concat())
        };
        run("set", fields).unwrap();
        let shown = run("show", &[]).unwrap();
        for field in fields {
            let (column, value) = field.split_once('=').unwrap();
            assert!(
                shown.contains(&format!("  {column} = {value}\n")),
                "{shown}"
            );
        }
        let json = shell.run(&["inventory", "list", table, "--json"]).unwrap();
        assert!(
            serde_json::from_str::<serde_json::Value>(&json).is_ok(),
            "{json}"
        );
        run("remove", &[]).unwrap();
        run("set", fields).unwrap();
    }
    let error = shell
        .run(&["inventory", "remove", "server_groups", "main"])
        .unwrap_err();
    assert_eq!(
        error,
        "server group main cannot be removed; it is used by profile agents"
    );
    let error = shell
        .run(&["inventory", "remove", "models", "X1"])
        .unwrap_err();
    assert!(
        error.contains("would be wrong: \"X1\" is no known model"),
        "{error}"
    );
    let error = shell
        .run(&["inventory", "unset", "devices", "SEP001122334455", "lines"])
        .unwrap_err();
    assert!(error.contains("lines: it is empty"), "{error}");
    shell
        .run(&["inventory", "unset", "profiles", "agents", "server_group"])
        .unwrap();
    shell
        .run(&["inventory", "remove", "server_groups", "main"])
        .unwrap();
}

#[test]
fn a_folder_is_exported_changed_compared_and_read_again() {
    let shell = with_site();
    let file = shell.file(PHONES);
    shell.run(&["inventory", "import", &file]).unwrap();
    let folder = shell.folder.path().join("out");
    let folder = folder.to_str().unwrap();
    assert_eq!(shell.run(&["inventory", "export", folder]).unwrap(), "");
    let mode = fs::metadata(format!("{folder}/devices.csv")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o077, 0, "it holds passwords");
    assert_eq!(shell.run(&["inventory", "diff", folder]).unwrap(), "");

    shell
        .run(&["inventory", "site", "set", "west", "ntp=10.0.0.1"])
        .unwrap();
    shell
        .run(&[
            "phones",
            "edit",
            "SEP00AABBCCDDEF",
            "description=Lobby",
            "site=west",
        ])
        .unwrap();
    assert_eq!(
        shell.run(&["inventory", "diff", folder]).unwrap(),
        "- site west\n\
         ~ device SEP00AABBCCDDEF\n\
         \x20   site: west -> hq\n\
         \x20   description: Lobby -> (none)\n"
    );
    let import = ["inventory", "import", folder, "--replace"];
    assert_eq!(
        shell.run(&import).unwrap(),
        "0 added, 1 changed, 1 removed, 2 unchanged\n"
    );
    assert_eq!(shell.run(&["inventory", "diff", folder]).unwrap(), "");
    let devices = shell
        .run(&["inventory", "export", "--table", "devices"])
        .unwrap();
    assert_eq!(
        devices,
        fs::read_to_string(format!("{folder}/devices.csv")).unwrap()
    );
}

#[test]
fn the_history_tells_who_did_what_and_takes_it_back() {
    let shell = with_site();
    let file = shell.file(PHONES);
    shell.run(&["inventory", "import", &file]).unwrap();
    let edit = |field| {
        shell
            .run(&["phones", "edit", "SEP00AABBCCDDEE", field])
            .unwrap()
    };
    edit("description=Lobby");
    edit("secret=new");
    let history = |more: &[&str]| {
        let arguments = ["inventory", "history", "--device", "SEP00AABBCCDDEE"];
        shell.run(&[&arguments[..], more].concat()).unwrap()
    };
    let all = history(&[]);
    assert!(
        all.contains("added    device SEP00AABBCCDDEE  by "),
        "{all}"
    );
    assert!(all.contains(&format!("(import {file})")), "{all}");
    assert!(all.contains("    description: (none) -> Lobby\n"), "{all}");
    assert!(all.contains("    secret: (changed, not shown)\n"), "{all}");
    assert!(!all.contains("hush") && !all.contains("new"), "{all}");
    assert_eq!(history(&["--since", "2999-01-01"]), "");
    assert_eq!(history(&["--since", "1h"]), all);
    let json = history(&["--json", "-n", "1"]);
    let last: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&last["done"], &last["how"]),
        (&"changed".into(), &"phones edit".into())
    );

    let undo = |id: u64| shell.run(&["inventory", "undo", &id.to_string()]);
    let id = last["id"].as_u64().unwrap();
    let error = undo(id).unwrap_err();
    assert!(error.contains("the history keeps no secrets"), "{error}");
    let error = undo(id - 1).unwrap_err();
    assert!(
        error.contains(&format!("changed since, by {id}")),
        "{error}"
    );
    edit("owner=alice");
    undo(id + 1).unwrap();
    let shown = || {
        shell
            .run(&["inventory", "show", "devices", "SEP00AABBCCDDEE"])
            .unwrap()
    };
    assert!(!shown().contains("owner"), "{}", shown());

    shell.run(&["phones", "remove", "SEP00AABBCCDDEF"]).unwrap();
    undo(id + 3).unwrap();
    assert_eq!(shell.run(&["phones", "list"]).unwrap().lines().count(), 2);
}

#[test]
fn a_bat_file_tells_what_it_leaves_out() {
    let shell = Shell::new();
    let file = shell.file(
        "MAC ADDRESS,DESCRIPTION,LOCATION,DIRECTORY NUMBER  1\n1231123245AB,Desk,Dallas,1001\n",
    );
    let bat = ["inventory", "import", "--bat", "--model", "7962", &file];
    let error = shell.run(&bat).unwrap_err();
    assert!(
        error.contains("line 2, column protocol: it is missing"),
        "{error}"
    );
    assert_eq!(
        shell
            .run(&[&bat[..], &["--protocol", "sccp"]].concat())
            .unwrap(),
        "left out: LOCATION (1 rows)\n1 added, 0 changed, 0 removed, 0 unchanged\n"
    );
}

#[test]
fn one_bad_row_keeps_the_whole_file_out() {
    let shell = Shell::new();
    let file = shell.file(&format!("{PHONES}SEP00AABBCCDDF0,7941,h323,1003,,\n"));
    let error = shell.run(&["inventory", "import", &file]).unwrap_err();
    assert!(
        error.contains("line 4, column protocol: \"h323\"; expected sip or sccp"),
        "{error}"
    );
    assert_eq!(shell.run(&["inventory", "list"]).unwrap(), "");
}

#[test]
fn the_firmware_of_a_model_is_set_for_what_it_speaks() {
    let shell = Shell::new();
    shell
        .run(&[
            "inventory",
            "model",
            "set",
            "cp-7941",
            "sccp=SCCP41.9-4-2SR3-1S.loads",
        ])
        .unwrap();
    let list = shell.run(&["inventory", "model", "list"]).unwrap();
    assert!(list.contains("sip= sccp=SCCP41.9-4-2SR3-1S\n"), "{list}");
    let default = shell.run(&["render", "XMLDefault.cnf.xml"]).unwrap();
    assert!(
        default.contains(">SCCP41.9-4-2SR3-1S</loadInformation115>"),
        "{default}"
    );
    let error = shell
        .run(&["inventory", "model", "set", "8851", "sccp=x"])
        .unwrap_err();
    assert_eq!(
        error,
        "load 8851/sccp, protocol: a 8851 reads no sccp configuration"
    );
}

#[test]
fn the_passwords_of_a_site_are_not_shown() {
    let shell = Shell::new();
    let set = ["phone_password=hush", "ssh_password=hush", "ssh_user=admin"];
    shell
        .run(&[&["inventory", "site", "set", "hq"], &set[..]].concat())
        .unwrap();
    assert_eq!(
        shell.run(&["inventory", "site", "list"]).unwrap(),
        "hq\n  phone_password = (set, not shown)\n  ssh_user = admin\n  \
         ssh_password = (set, not shown)\n"
    );
    // Not a password, but whether phones keep one.
    let set = ["inventory", "site", "set", "west", "vpn_keep_password=true"];
    shell.run(&set).unwrap();
    let list = shell.run(&["inventory", "site", "list"]).unwrap();
    assert!(list.contains("vpn_keep_password = true"), "{list}");
}

#[test]
fn a_mistake_in_a_secret_is_told_without_it() {
    let shell = Shell::new();
    let file = shell.file(
        "name,model,protocol,lines,secret\n\
         SEP00AABBCCDDEE,8851,sip,1001;1002,s1;'hush'hush\n\
         SEP00AABBCCDDEF,8851,sip,1001;1002,'hush\n\
         SEP00AABBCCDDF0,8851,sip,1001;1002,hush;hush;hush\n\
         SEP00AABBCCDDF1,8851,sip,1001;1002,hush\u{1};s2\n",
    );
    let error = shell.run(&["inventory", "import", &file]).unwrap_err();
    assert_eq!(error.matches("column secret").count(), 4, "{error}");
    assert!(!error.contains("hush"), "{error}");
}

#[test]
fn a_site_shows_what_it_sets_and_an_empty_value_takes_it_back() {
    let shell = Shell::new();
    let set = |setting| shell.run(&["inventory", "site", "set", "hq", setting]);
    set("voicemail=8500").unwrap();
    let list = || shell.run(&["inventory", "site", "list"]).unwrap();
    assert_eq!(list(), "hq\n  voicemail = 8500\n");
    set("voicemail=").unwrap();
    assert_eq!(list(), "hq\n");
    assert!(
        set("colour=red")
            .unwrap_err()
            .contains("sites have no column \"colour\" to be set")
    );
    assert!(
        set("web_access=perhaps")
            .unwrap_err()
            .contains("expected true or false")
    );
}
