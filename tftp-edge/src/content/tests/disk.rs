//! The folder that is served: what may be served of it, how a change is seen, and what holds while it
//! cannot be read.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::site::Site;
use crate::alarms::AlarmKind;
use crate::content::{Library, Lookup, Settings, State, upstream};
use crate::inventory::{self, Inventory};
use crate::provisioning::Settings as Windows;
use crate::storage::testing::SmallDisk;

#[test]
fn only_regular_files_beneath_the_root_are_served() {
    let mut site = Site::new();
    let outside = site.folder.path().join("outside.txt");
    fs::write(&outside, "secret").unwrap();
    site.write("folder/inside.txt", "inside");
    let root = site.root();
    symlink("folder/inside.txt", root.join("link.txt")).unwrap();
    symlink("folder", root.join("alias")).unwrap();
    symlink(&outside, root.join("absolute.txt")).unwrap();
    symlink("../outside.txt", root.join("relative.txt")).unwrap();
    symlink("..", root.join("up")).unwrap();
    symlink(".", root.join("loop")).unwrap();
    symlink("nothing", root.join("dangling.txt")).unwrap();
    symlink("/proc/self/root", root.join("magic")).unwrap();
    nix::unistd::mkfifo(&root.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    site.start();

    for name in ["folder/inside.txt", "link.txt", "alias/inside.txt"] {
        assert_eq!(site.found(name).bytes, "inside", "{name}");
    }
    for name in [
        "folder",
        "alias",
        "absolute.txt",
        "relative.txt",
        "up",
        "fifo",
        "socket",
        "magic",
    ] {
        assert!(matches!(site.lookup(name), Lookup::Refused), "{name}");
    }
    for name in ["up/outside.txt", "dangling.txt", "magic/etc/passwd"] {
        assert!(matches!(site.lookup(name), Lookup::Absent), "{name}");
    }
    assert!(site.heard.take().iter().all(|change| {
        !matches!(&change.state, State::Published(version) if version.bytes == "secret")
    }));
}

#[test]
fn a_file_the_daemon_may_not_read_is_refused_until_it_may() {
    let mut site = Site::new();
    site.write("locked.txt", "locked");
    let locked = site.root().join("locked.txt");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    let is_root = nix::unistd::geteuid().is_root();
    if is_root {
        // Root reads everything: this thread, and those it starts, give that up.
        for path in [site.folder.path(), &site.root()] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65_534));
    }
    site.start();
    assert!(matches!(site.lookup("locked.txt"), Lookup::Refused));

    if is_root {
        nix::unistd::setfsuid(nix::unistd::Uid::from_raw(0));
    }
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o644)).unwrap();
    site.until_found("locked.txt", b"locked");
}

#[test]
fn a_new_folder_and_what_is_in_it_are_seen() {
    let mut site = Site::new();
    site.start();
    site.write("Desktops/320x196x4/List.xml", "list");
    site.until_found("desktops/320x196x4/list.xml", b"list");
    site.write("Desktops/320x196x4/logo.png", "logo");
    site.until_found("desktops/320x196x4/logo.png", b"logo");
    fs::remove_dir_all(site.root().join("Desktops")).unwrap();
    site.until("they are gone", |site| {
        matches!(site.lookup("desktops/320x196x4/list.xml"), Lookup::Absent)
    });
}

#[test]
fn a_root_that_cannot_be_listed_keeps_what_was_read() {
    let mut site = Site::new();
    site.write("a.xml", "a");
    site.start();
    // As when a network folder goes away: the path is gone, and nothing in it can be told.
    let away = site.folder.path().join("away");
    fs::rename(site.root(), &away).unwrap();
    site.heard.clear();
    thread::sleep(Duration::from_millis(200));
    assert_eq!(site.found("a.xml").bytes, "a");
    assert!(site.heard.take().is_empty());
}

/// A file whose every byte tells which version it is of.
fn problems(site: &Site) -> Vec<String> {
    let alarms = site.alarms.list().into_iter();
    let alarms = alarms.filter(|it| it.kind == AlarmKind::Content);
    alarms.map(|it| it.problem).collect()
}

#[test]
fn a_root_that_is_taken_away_is_served_on_and_another_in_its_place_is_taken_over() {
    let mut site = Site::new();
    site.write("a.txt", "first");
    site.start();
    let root = site.root();
    fs::rename(&root, site.folder.path().join("away")).unwrap();
    site.until("an alarm", |site| !problems(site).is_empty());
    assert!(
        problems(&site)[0].contains("is served"),
        "{:?}",
        problems(&site)
    );
    assert_eq!(site.found("a.txt").bytes, "first");
    // A mount point without its file system looks like this.
    fs::create_dir(&root).unwrap();
    site.until("the empty folder is told", |site| {
        problems(site).iter().any(|it| it.contains("empty"))
    });
    assert_eq!(site.found("a.txt").bytes, "first");
    site.write("b.txt", "second");
    site.until_found("b.txt", b"second");
    assert!(matches!(site.lookup("a.txt"), Lookup::Absent));
    site.until("no alarm", |site| problems(site).is_empty());
    // And the new one is watched.
    site.write("sub/c.txt", "third");
    site.until_found("sub/c.txt", b"third");
}

#[test]
fn what_is_mounted_over_the_root_is_served_and_what_was_beneath_comes_back() {
    SmallDisk::with(1 << 20, |disk| {
        let mut site = Site::new();
        site.write("a.txt", "beneath");
        site.start();
        fs::write(disk.path().join("a.txt"), "over").unwrap();
        let (none, bind) = (None::<&str>, nix::mount::MsFlags::MS_BIND);
        nix::mount::mount(Some(disk.path()), &site.root(), none, bind, none).unwrap();
        site.until_found("a.txt", b"over");
        let lazily = nix::mount::MntFlags::MNT_DETACH;
        nix::mount::umount2(&site.root(), lazily).unwrap();
        site.until_found("a.txt", b"beneath");
    });
}

#[test]
fn a_change_in_place_that_keeps_the_size_is_seen() {
    let mut site = Site::new();
    site.write("a.xml", "0000");
    site.start();
    for round in 1..30 {
        let content = format!("{round:04}");
        site.write("a.xml", &content);
        site.until_found("a.xml", content.as_bytes());
    }
}

#[test]
fn a_root_that_is_not_there_is_told_by_its_path() {
    let site = Site::new();
    let settings = Settings {
        root: "/nonexistent/tftp".into(),
        ..Settings::default()
    };
    let inventory = Inventory::new(Box::new(site.store()), inventory::Site::default());
    let error = Library::start(
        &settings,
        upstream::Settings::default(),
        inventory,
        Windows::default(),
        Arc::default(),
        Vec::new(),
    )
    .err()
    .unwrap();
    assert!(
        error.to_string().contains("content.root /nonexistent/tftp"),
        "{error}"
    );
}
