//! What can go wrong around the daemon, made to happen: a full disk, a damaged inventory, no descriptors,
//! ports that are taken. `contrib/faults.md` tells operators of each; most are proven closer to the code,
//! with time stepped by hand.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, chown};
use serde_json::Value;
use tftp_ebpf::verdict::Rung;
use tftp_edge_tests::manager::{as_user, give, user_words};
use tftp_edge_tests::phones::{Progress, Registering};
use tftp_edge_tests::rig::{HTTP_V4, Rig, daemon_under_test, ensure_all_registered, run, wait_for};
use tftp_edge_tests::server::Place;
use tftp_edge_tests::site::Site;

const PHONES: usize = 30;

/// The problems of an alarm, as `status --json` has them.
pub fn problems(rig: &Rig<'_>, kind: &str) -> Vec<String> {
    let Ok(output) = rig.edge.output(&["status", "--json"]) else {
        return Vec::new();
    };
    let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let alarms = status["alarms"].as_array().cloned().unwrap_or_default();
    let alarms = alarms.iter().filter(|it| it["kind"] == kind);
    let problems = alarms.filter_map(|it| it["problem"].as_str());
    problems.map(str::to_owned).collect()
}

pub fn wait_for_alarm(rig: &Rig<'_>, kind: &str, part: &str) -> Result<()> {
    let mut last = Vec::new();
    wait_for(&format!("the alarm {kind} with {part:?}"), || {
        last = problems(rig, kind);
        last.iter().any(|it| it.contains(part))
    })
    .with_context(|| format!("it says {last:?}"))
}

pub fn wait_for_no_alarm(rig: &Rig<'_>, kind: &str) -> Result<()> {
    wait_for(&format!("the alarm {kind} to go"), || {
        problems(rig, kind).is_empty()
    })
}

/// A disk of 4 MiB, which this thread and what it starts see.
pub fn small_disk(rig: &Rig<'_>) -> Result<PathBuf> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    let disk = rig.file("disk");
    fs::create_dir(&disk)?;
    let flags = MsFlags::empty();
    mount(Some("tmpfs"), &disk, Some("tmpfs"), flags, Some("size=4m"))?;
    Ok(disk)
}

/// Puts all that the daemon keeps on a disk of its own.
fn keep_on_small_disk(rig: &Rig<'_>) -> Result<PathBuf> {
    let disk = small_disk(rig)?;
    let config = rig.edge.config();
    let text = fs::read_to_string(&config)?;
    let text = text.replace("\"inventory.sqlite\"", "\"disk/inventory.db\"");
    fs::write(&config, text)?;
    Ok(disk)
}

pub fn fill(disk: &Path) -> Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .create(true)
        .append(true)
        .open(disk.join("filler"))?;
    for piece in [vec![0; 64 << 10], vec![0; 1]] {
        while file.write_all(&piece).is_ok() {}
    }
    Ok(())
}

#[test]
fn a_full_disk_and_a_damaged_inventory_keep_no_phone_from_booting() {
    run(Rung::Socket, |rig| {
        let mut site = Site::without_upgrades(PHONES);
        rig.edge.register("")?;
        let disk = keep_on_small_disk(rig)?;
        rig.host(&mut site)?;
        rig.start()?;
        let copy = disk.join("inventory.db.last-good");
        wait_for("the last good copy", || copy.exists())?;

        fill_while_phones_register(rig, &site, &disk)?;
        damage_while_it_is_down(rig, &site, &disk)?;
        rig.stop()?;
        Ok(umount2(&disk, MntFlags::MNT_DETACH)?)
    });
}

fn fill_while_phones_register(rig: &Rig<'_>, site: &Site, disk: &Path) -> Result<()> {
    fill(disk)?;
    let progress = Progress::default();
    let (report, ()) = rig.stay(site, Registering::default(), &progress, || {
        wait_for("all phones to be registered", || {
            progress.all_registered() == PHONES as u64
        })?;
        for kind in ["registration_store", "journal_store"] {
            wait_for_alarm(rig, kind, "bytes are free on the file system of")?;
        }
        let set = ["inventory", "site", "set", "other", "ntp=10.0.0.1"];
        let refused = rig.edge.output(&set)?;
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure!(refused.status.code() == Some(74), "{refused:?}");
        ensure!(
            told.contains("the disk is full") && told.contains("nothing was changed"),
            "{told}"
        );
        fs::remove_file(disk.join("filler"))?;
        rig.edge.command(&set).map(drop)
    })?;
    ensure_all_registered(&report)
}

fn damage_while_it_is_down(rig: &mut Rig<'_>, site: &Site, disk: &Path) -> Result<()> {
    rig.kill()?;
    let database = disk.join("inventory.db");
    let mut file = OpenOptions::new().write(true).open(&database)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&[0xFF; 8192])?;
    drop(file);
    rig.start()?;
    wait_for_alarm(rig, "inventory", "inventory.db.last-good")?;
    let phone = &site.phones[3];
    let before = rig.config(phone)?.bytes;
    ensure!(!before.is_empty(), "{} has no configuration", phone.device);

    let told = rig.edge.command(&["inventory", "repair"])?;
    let told = String::from_utf8_lossy(&told).into_owned();
    ensure!(
        told.contains(&format!("repaired: {PHONES} devices")),
        "{told}"
    );
    wait_for_no_alarm(rig, "inventory")?;
    ensure!(rig.config(phone)?.bytes == before, "it is another one");
    // And it can be changed again.
    rig.edge.command(&["phones", "remove", &phone.device])?;
    wait_for("the phone that was removed to be unknown", || {
        rig.config(phone).is_ok_and(|it| it.bytes.is_empty())
    })
}

#[test]
fn without_descriptors_phones_boot_and_connections_wait() {
    run(Rung::Socket, |rig| {
        rig.put("a.bin", b"content")?;
        rig.start()?;
        let pid = rig.daemon_mut()?.pid();
        let open = fs::read_dir(format!("/proc/{pid}/fd"))?.count();
        limit_descriptors(pid, open + 4)?;
        let connections = rig.as_client(|| {
            let connect = |_| TcpStream::connect(HTTP_V4).context("connecting");
            (0..20).map(connect).collect::<Result<Vec<_>>>()
        })?;
        // Whoever asks the control socket waits, too: the metrics had a connection before.
        ensure!(rig.get_all("a.bin")? == b"content");
        limit_descriptors(pid, open + 40)?;
        wait_for("the connections to be taken", || {
            fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|it| it.count() >= open + 15)
        })?;
        wait_for_scarcity(rig)?;
        limit_descriptors(pid, 1_000)?;
        wait_for_no_alarm(rig, "resources")?;
        let mut last = connections.into_iter().next_back().context("none")?;
        rig.as_client(move || {
            last.set_read_timeout(Some(Duration::from_secs(10)))?;
            last.write_all(b"GET /a.bin HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            last.read_to_string(&mut answer)?;
            ensure!(answer.ends_with("content"), "{answer}");
            Ok(())
        })
    });
}

/// Of a process that runs: `prlimit(1)`, of util-linux.
fn limit_descriptors(pid: u32, limit: usize) -> Result<()> {
    let status = Command::new("prlimit")
        .arg(format!("--pid={pid}"))
        .arg(format!("--nofile={limit}:"))
        .status()
        .context("running prlimit")?;
    ensure!(status.success(), "prlimit: {status}");
    Ok(())
}

/// With a few descriptors more, status can ask again; nine tenths are in use all the same.
fn wait_for_scarcity(rig: &mut Rig<'_>) -> Result<()> {
    let pid = rig.daemon_mut()?.pid();
    let open = fs::read_dir(format!("/proc/{pid}/fd"))?.count();
    limit_descriptors(pid, open + 4)?;
    wait_for_alarm(rig, "resources", "LimitNOFILE=")
}

#[test]
fn a_second_daemon_is_told_what_the_first_has() {
    run(Rung::Socket, |rig| {
        rig.edge.register("")?;
        rig.start()?;
        let pid = format!("tftp-edge (pid {})", rig.daemon_mut()?.pid());
        let same = rig.edge.output(&["run"])?;
        let told = String::from_utf8_lossy(&same.stderr).into_owned();
        ensure!(same.status.code() == Some(69), "{told}");
        ensure!(told.contains(&pid), "{told}");

        // With a control socket of its own it gets further, to the first port.
        let config = rig.edge.config();
        let text = fs::read_to_string(&config)?;
        let second = text.replace("control.sock", "second.sock");
        fs::write(&config, &second)?;
        let other = rig.edge.output(&["run"])?;
        fs::write(&config, &text)?;
        let told = String::from_utf8_lossy(&other.stderr).into_owned();
        ensure!(other.status.code() == Some(69), "{told}");
        ensure!(told.contains(&format!("taken by {pid}")), "{told}");
        // The files of the first are the first's.
        ensure!(told.contains(&format!("locked by {pid}")), "{told}");
        ensure!(problems(rig, "journal_store").is_empty());
        Ok(())
    });
}

/// Whose user the daemon is not: somebody has worked on it as root.
#[test]
fn an_inventory_of_another_owner_is_told_with_what_to_do_and_its_copy_is_served() {
    run(Rung::Socket, |rig| {
        let mut site = Site::without_upgrades(3);
        rig.host(&mut site)?;
        let phone = &site.phones[0];
        let database = rig.file("inventory.sqlite");
        rig.edge.run_under(user_words(&["net_bind_service"]));
        fs::set_permissions(rig.folder(), Permissions::from_mode(0o755))?;
        give(rig.folder())?;
        rig.start()?;
        let copy = rig.file("inventory.sqlite.last-good");
        wait_for("the last good copy", || copy.exists())?;
        let before = rig.config(phone)?.bytes;
        ensure!(!before.is_empty(), "{} has no configuration", phone.device);
        rig.stop()?;

        own_as_root(&database, 0o600)?;
        rig.start()?;
        for part in [
            "may not use it",
            "it belongs to user 0 and has mode 600",
            "chown",
            "inventory.sqlite.last-good",
        ] {
            wait_for_alarm(rig, "inventory", part)?;
        }
        ensure!(rig.config(phone)?.bytes == before, "it is another one");
        ensure_refused(rig, "mode 600")?;
        // One that can be read is served as it is, and cannot be changed.
        own_as_root(&database, 0o644)?;
        wait_for_no_alarm(rig, "inventory")?;
        ensure!(rig.config(phone)?.bytes == before, "it is another one");
        ensure_refused(rig, "mode 644")?;

        give(&database)?;
        let set = change_as_user(rig)?;
        ensure!(set.status.success(), "{set:?}");
        rig.stop()
    });
}

fn own_as_root(file: &Path, mode: u32) -> Result<()> {
    chown(file, Some(Uid::from_raw(0)), Some(Gid::from_raw(0)))?;
    Ok(fs::set_permissions(file, Permissions::from_mode(mode))?)
}

/// A change of the inventory by the service's user.
fn change_as_user(rig: &Rig<'_>) -> Result<Output> {
    let mut command = as_user(Place::Namespace(&rig.lab.server), &[], daemon_under_test()?);
    command
        .args(["inventory", "site", "set", "default", "time_zone=UTC"])
        .arg("--config")
        .arg(rig.edge.config());
    command.output().context("running tftp-edge inventory")
}

fn ensure_refused(rig: &Rig<'_>, mode: &str) -> Result<()> {
    let refused = change_as_user(rig)?;
    let told = String::from_utf8_lossy(&refused.stderr);
    ensure!(refused.status.code() == Some(77), "{refused:?}");
    ensure!(told.contains(mode) && told.contains("chown"), "{told}");
    Ok(())
}
