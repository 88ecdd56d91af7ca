//! Files, folders and ports that cannot be used.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;

use rusqlite::Connection;
use tftp_edge::ops::exit::Exit;

use super::scene::{DEVICE, PROGRAM, Scene, Seen, ended, is_root};

/// Commands that open the inventory, and the daemon.
const READING: [&[&str]; 8] = [
    &["inventory", "list"],
    &["phones", "list"],
    &["render", DEVICE],
    &["dhcp", "--format", "kea"],
    &["lldp"],
    &["firmware", "check"],
    &["files", "check"],
    &["run"],
];

/// What every command then ends with, and what has it do so.
type Case = (Exit, fn(&Scene));

const DATABASE: &str = "inventory.db";

pub fn of_the_inventory(seen: &Seen) {
    let cases: [Case; 4] = [
        (Exit::Data, |scene| {
            scene.write(DATABASE, &"no database".repeat(999))
        }),
        // Gone, and something is left of it.
        (Exit::NoInput, |scene| {
            scene.write("inventory.db.last-good", "")
        }),
        (Exit::Os, |scene| {
            scene.write("file", "");
            scene.set(
                "20.toml",
                &scene.setting("inventory.database", "file/inventory.db"),
            );
        }),
        (Exit::NoPermission, |scene| {
            scene.write(DATABASE, "");
            scene.close(DATABASE);
        }),
    ];
    for (wanted, spoil) in cases {
        let scene = Scene::new();
        spoil(&scene);
        for words in READING {
            match wanted {
                Exit::NoPermission => scene.expect_forbidden(seen, words),
                _ => scene.expect(seen, wanted, words),
            }
        }
    }
    // Each waits for its turn for some seconds.
    let scene = Scene::new();
    let held = Connection::open(scene.path(DATABASE)).unwrap();
    held.execute_batch("CREATE TABLE held (it); BEGIN EXCLUSIVE")
        .unwrap();
    thread::scope(|scope| {
        for words in READING {
            let scene = &scene;
            scope.spawn(move || scene.expect(seen, Exit::Temporary, words));
        }
    });
}

pub fn of_the_served_folder(seen: &Seen) {
    let cases: [Case; 3] = [
        (Exit::NoInput, |scene| {
            fs::remove_dir(scene.path("files")).unwrap()
        }),
        (Exit::Os, |scene| {
            fs::remove_dir(scene.path("files")).unwrap();
            scene.write("files", "");
        }),
        (Exit::NoPermission, |scene| {
            fs::create_dir_all(scene.path("closed/files")).unwrap();
            scene.close("closed");
            scene.set("20.toml", &scene.setting("content.root", "closed/files"));
        }),
    ];
    for (wanted, spoil) in cases {
        let scene = Scene::new();
        spoil(&scene);
        for words in [&["firmware", "check"][..], &["files", "check"], &["run"]] {
            match wanted {
                Exit::NoPermission => scene.expect_forbidden(seen, words),
                _ => scene.expect(seen, wanted, words),
            }
        }
    }
}

pub fn of_the_start(seen: &Seen) {
    let scene = Scene::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    scene.set("20.toml", &format!("http.listen = [\"{address}\"]\n"));
    scene.expect(seen, Exit::Unavailable, &["run"]);

    if is_root() {
        // No room for one file more.
        let scene = Scene::new();
        fs::create_dir(scene.path("full")).unwrap();
        scene.set(
            "20.toml",
            &scene.setting("inventory.database", "full/inventory.db"),
        );
        let mount = "mount -t tmpfs -o nr_inodes=1 none";
        let command = mounting(mount, &scene.path("full"), PROGRAM);
        seen.note(&["run"], Exit::Io, &ended(scene.by(command, &["run"])));
    }
}

pub fn of_the_pins(seen: &Seen) {
    let scene = Scene::new();
    let path = |name: &str| scene.path(name).to_str().unwrap().to_owned();
    // In no BPF file system, no folder, and closed.
    scene.expect(
        seen,
        Exit::NoInput,
        &["detach", "--pin-path", &path("files")],
    );
    scene.expect(
        seen,
        Exit::Os,
        &["detach", "--pin-path", &path("edge.toml")],
    );
    fs::create_dir(scene.path("closed")).unwrap();
    scene.close("closed");
    scene.expect_forbidden(seen, &["detach", "--pin-path", &path("closed")]);
    if is_root() {
        let pins = path("files") + "/pins";
        let holding = format!("mkdir {pins}; flock {pins} {PROGRAM}");
        let command = mounting("mount -t bpf none", &scene.path("files"), &holding);
        let words = ["detach", "--pin-path", pins.as_str()];
        let output = ended(scene.by(command, &words));
        seen.note(&words, Exit::Unavailable, &output);
    }
}

/// A shell that mounts something where nobody else sees it, and then runs a program with what is
/// given to it.
fn mounting(mount: &str, place: &Path, program: &str) -> Command {
    let place = place.display();
    let script = format!("{mount} {place} && {program} \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script, "sh"]);
    command
}
