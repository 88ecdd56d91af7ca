//! The log of the daemon that runs: followed devices, a file that is moved away, the journal, and
//! what never stands in it.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::Signal;
use serde_json::Value;
use tftp_ebpf::verdict::Rung;
use tftp_edge_tests::lab::{Process, uninterrupted};
use tftp_edge_tests::phones::{Progress, Registering};
use tftp_edge_tests::rig::{Rig, daemon_under_test, run, wait_for};
use tftp_edge_tests::site::Site;

use crate::faults::{fill, problems, small_disk, wait_for_alarm, wait_for_no_alarm};

const PHONES: usize = 20;

/// The lines of a log in JSON that are about an event or say a message.
fn lines(file: &Path, with: &str) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let with = text.lines().filter(|line| line.contains(with));
    with.map(str::to_owned).collect()
}

#[test]
fn the_log_follows_a_phone_lets_its_file_go_and_keeps_secrets() {
    run(Rung::Socket, |rig| {
        let mut site = Site::without_upgrades(PHONES);
        rig.edge.register("")?;
        let file = rig.file("edge.log");
        let setting = format!("\n[log]\nfile = \"{}\"\n", file.display());
        rig.edge.configure(&setting)?;
        rig.host(&mut site)?;
        rig.start()?;
        ensure!(
            lines(&file, "edge.started").len() == 1,
            "{:?}",
            lines(&file, "")
        );

        follow_one(rig, &site, &file)?;
        move_away(rig, &file)?;
        ensure_no_secrets(rig, &site, &file)
    });
}

fn follow_one(rig: &mut Rig<'_>, site: &Site, file: &Path) -> Result<()> {
    let [phone, other, ..] = &site.phones[..] else {
        unreachable!("there are more phones")
    };
    rig.config(phone)?;
    ensure!(lines(file, "asked over TFTP").is_empty());
    let told = rig
        .edge
        .command(&["log", "device", &phone.device, "--for", "10m"])?;
    let told = String::from_utf8_lossy(&told).into_owned();
    ensure!(
        told.contains(&*phone.device) && told.contains("for another"),
        "{told}"
    );
    rig.config(phone)?;
    rig.config(other)?;
    // Nothing answers the last acknowledgement.
    wait_for("the end of the transfer", || {
        !lines(file, "transfer ended").is_empty()
    })?;
    let followed = lines(file, "asked over TFTP");
    ensure!(
        followed.len() == 1 && followed[0].contains(&*phone.device),
        "{followed:?}"
    );
    ensure!(
        lines(file, "\"level\":\"DEBUG\"")
            .iter()
            .all(|it| !it.contains(&*other.device))
    );
    let status = rig.edge.command(&["status"])?;
    let status = String::from_utf8_lossy(&status).into_owned();
    ensure!(status.contains("everything is logged"), "{status}");
    let told = rig.edge.command(&["log", "device", "--none"])?;
    ensure!(
        told == b"log level: info\n",
        "{}",
        String::from_utf8_lossy(&told)
    );
    Ok(())
}

fn move_away(rig: &mut Rig<'_>, file: &Path) -> Result<()> {
    let away = rig.file("edge.log.away");
    fs::rename(file, &away)?;
    rig.daemon_mut()?.signal(Signal::SIGUSR1)?;
    wait_for("the log to go on", || {
        !lines(file, "log.reopened").is_empty()
    })?;
    ensure!(!lines(&away, "edge.started").is_empty());
    Ok(())
}

/// With everything logged that there is.
fn ensure_no_secrets(rig: &mut Rig<'_>, site: &Site, file: &Path) -> Result<()> {
    rig.edge
        .command(&["log", "level", "trace", "--for", "1m"])?;
    let progress = Progress::default();
    let (report, ()) = rig.stay(site, Registering::default(), &progress, || {
        wait_for("all phones to be registered", || {
            progress.all_registered() == PHONES as u64
        })
    })?;
    ensure!(report.failed == 0, "{:#?}", report.failures);
    for message in ["over SIP", "over SCCP", "registered over", "asked over"] {
        wait_for(&format!("a line of {message:?}"), || {
            !lines(file, message).is_empty()
        })?;
    }
    // What every password of the site begins with.
    let passwords = fs::read_to_string(rig.file("phones.csv"))?;
    ensure!(passwords.contains(",hush"), "the phones have no passwords");
    let text = fs::read_to_string(file)?.to_ascii_lowercase();
    for telling in ["hush", "response=", "nonce", "digest ", "authorization"] {
        let line = text.lines().find(|line| line.contains(telling));
        ensure!(line.is_none(), "{telling}: {line:?}");
    }
    Ok(())
}

/// The log alone is on the disk. What the file has room for in its last block says nothing.
#[test]
fn a_full_disk_of_the_log_is_told_at_once_and_what_was_lost_when_there_is_room() {
    run(Rung::Socket, |rig| {
        let disk = small_disk(rig)?;
        let file = disk.join("edge.log");
        let setting = format!(
            "\n[log]\nlevel = \"debug\"\nfile = \"{}\"\n",
            file.display()
        );
        rig.edge.configure(&setting)?;
        rig.put("a.bin", b"content")?;
        rig.start()?;
        fill(&disk)?;
        wait_for_alarm(rig, "log", "(0 of 4194304 bytes are free")?;
        // Phones are served on, and sooner or later a line of that finds no room.
        wait_for("lines to be lost", || {
            let is_served = rig.get_all("a.bin").is_ok_and(|it| it == b"content");
            let told = problems(rig, "log");
            is_served && told.iter().any(|it| !it.contains("; 0 lines"))
        })?;
        ensure!(lines(&file, "log.lines_lost").is_empty());

        fs::remove_file(disk.join("filler"))?;
        wait_for_no_alarm(rig, "log")?;
        wait_for("the log to say what it lacks", || {
            !lines(&file, "log.lines_lost").is_empty()
        })?;
        let cut = |line: &String| serde_json::from_str::<Value>(line).is_err();
        let cut: Vec<_> = lines(&file, "").into_iter().filter(cut).collect();
        ensure!(cut.is_empty(), "lines are written in part: {cut:#?}");
        let lost: Value = serde_json::from_str(&lines(&file, "log.lines_lost")[0])?;
        ensure!(lost["lost"].as_u64() >= Some(1), "{lost}");
        rig.stop()?;
        Ok(umount2(&disk, MntFlags::MNT_DETACH)?)
    });
}

/// As systemd's JOURNAL_NATIVE_PROTOCOL has fields of any content: the name, the length of the value
/// in 64 bits with the lowest byte first, the value.
fn journal_field(name: &str, value: &str) -> String {
    let len = (value.len() as u64).to_le_bytes();
    format!("{name}\n{}{value}\n", String::from_utf8_lossy(&len))
}

/// In a mount namespace of its own, where the journal's socket is ours.
#[test]
fn the_journal_gets_an_event_with_its_fields() {
    run(Rung::Socket, |rig| {
        let journal = rig.file("journal");
        fs::create_dir(&journal)?;
        let socket = UnixDatagram::bind(journal.join("socket"))?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        // Standard error as systemd would leave it: what it is, and its name in the environment.
        let log = rig.file("stderr");
        let stderr = File::create(&log)?.metadata()?;
        let mut command = rig.lab.server.command("unshare");
        command
            .env(
                "JOURNAL_STREAM",
                format!("{}:{}", stderr.dev(), stderr.ino()),
            )
            .args(["--mount", "sh", "-c"])
            .arg(
                "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && \
                 mount --bind \"$1\" /run/systemd/journal && exec \"$2\" run --config \"$3\"",
            )
            .args(["sh".as_ref(), journal.as_os_str()])
            .args([daemon_under_test()?, rig.edge.config()]);
        let mut daemon = Process::start("tftp-edge", command, &log)?;
        let mut buffer = vec![0; 64 << 10];
        let started = loop {
            let len = uninterrupted(|| socket.recv(&mut buffer))
                .with_context(|| format!("no event: {}", daemon.log_tail()))?;
            let message = String::from_utf8_lossy(&buffer[..len]).into_owned();
            if message.contains("edge.started") {
                break message;
            }
        };
        for (name, value) in [
            ("SYSLOG_IDENTIFIER", "tftp-edge"),
            ("PRIORITY", "6"),
            ("MESSAGE", "tftp-edge runs"),
            ("TFTP_EDGE_EVENT", "edge.started"),
            ("TFTP_EDGE_VERSION", env!("CARGO_PKG_VERSION")),
        ] {
            let field = journal_field(name, value);
            ensure!(started.contains(&field), "{name} is not in {started:?}");
        }
        daemon.stop()?;
        ensure!(fs::read_to_string(&log)?.is_empty(), "{}", daemon.log());
        Ok(())
    });
}
