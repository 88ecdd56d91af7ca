//! The time of day is set, either way, while phones are registered and while they boot.
//!
//! The daemon's own calls for the time of day are answered by libfaketime, so nobody else's clock is
//! touched. The clocks that cannot be set are the system's, as they are when an operator or NTP sets the
//! other one. The stamps that the system puts on datagrams stay right, and are wrong for the daemon.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tftp_ebpf::verdict::Rung;
use tftp_edge::journal::{Fact, WhatView};
use tftp_edge_tests::lab::{skipped, tool};
use tftp_edge_tests::phones::registration::{Habits, Setback};
use tftp_edge_tests::phones::{PhoneSpec, Progress, Registering, Report};
use tftp_edge_tests::rig::{Rig, ensure_all_left, run, wait_for};
use tftp_edge_tests::site::Site;

use crate::journal::view;

const PHONES: usize = 40;
/// Most of a day, which is what the phones of the lab let a server's clock be off by, and many times as
/// long as a registration lasts.
const STEP_S: i64 = 20 * 3600;
/// Ahead, then behind, and right again.
const STEPS_S: [i64; 3] = [STEP_S, -STEP_S, 0];

const HASTY: Registering = Registering {
    habits: Habits {
        hurry: Some(Duration::from_millis(400)),
        after_reject: Some(Duration::from_secs(1)),
    },
    says_farewell: true,
};

/// What the daemon takes for the time of day, by how many seconds it is off.
struct FakeClock {
    file: PathBuf,
}

impl FakeClock {
    /// For the daemon from its next start on.
    fn give(rig: &mut Rig<'_>) -> Result<Self> {
        // The wrapper knows where its library is; the one for several threads.
        let asked = Command::new("faketime")
            .args(["-m", "-f", "+0", "printenv", "LD_PRELOAD"])
            .output()
            .context("running faketime")?;
        ensure!(asked.status.success(), "{asked:?}");
        let library = String::from_utf8(asked.stdout)?;
        let clock = Self {
            file: rig.file("clock"),
        };
        clock.set(0)?;
        rig.edge.run_under([
            "env".to_owned(),
            format!("LD_PRELOAD={}", library.trim()),
            format!("FAKETIME_TIMESTAMP_FILE={}", clock.file.display()),
            // Read at each call; and nothing but the time of day.
            "FAKETIME_NO_CACHE=1".to_owned(),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
            "DONT_FAKE_MONOTONIC=1".to_owned(),
            "NO_FAKE_STAT=1".to_owned(),
        ]);
        Ok(clock)
    }

    fn set(&self, off_by_s: i64) -> Result<()> {
        let fresh = self.file.with_extension("fresh");
        fs::write(&fresh, format!("{off_by_s:+}\n"))?;
        Ok(fs::rename(fresh, &self.file)?)
    }
}

/// Now, on a clock that is off.
fn now_ms(off_by_s: i64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ms = now.unwrap_or_default().as_millis() as i64;
    u64::try_from(now_ms + off_by_s * 1_000).unwrap_or_default()
}

/// When an event was logged, by the clock of whoever logged it.
fn logged_ms(rig: &Rig<'_>, event: &str) -> Vec<u64> {
    let log = fs::read_to_string(rig.file("tftp-edge.log")).unwrap_or_default();
    let lines = log.lines().filter_map(|it| serde_json::from_str(it).ok());
    let lines = lines.filter(|line: &Value| line["event"] == event);
    let times = lines.filter_map(|line| {
        let time = humantime::parse_rfc3339(line["timestamp"].as_str()?).ok()?;
        Some(time.duration_since(UNIX_EPOCH).ok()?.as_millis() as u64)
    });
    times.collect()
}

#[test]
fn a_clock_that_is_set_ends_no_registration_and_keeps_no_phone_from_booting() {
    if tool("faketime").is_none() {
        return skipped("there is no faketime: `cargo xtask setup` installs it");
    }
    run(Rung::Tc, |rig| {
        let mut site = Site::without_upgrades(PHONES);
        rig.edge.register("")?;
        let clock = FakeClock::give(rig)?;
        rig.host(&mut site)?;
        rig.start()?;
        let others = site.phones.split_off(PHONES / 2);
        let progress = Progress::default();
        let (report, ()) = rig.stay(&site, HASTY, &progress, || {
            let all = site.phones.len() as u64;
            wait_for("all phones to be registered", || {
                progress.all_registered() == all
            })?;
            for off_by_s in STEPS_S {
                step(rig, &clock, &site, &others, off_by_s)?;
                let asked = Progress::read(&progress.refreshes);
                let enough = || Progress::read(&progress.refreshes) >= asked + 2 * all;
                wait_for("keepalives and refreshes", enough)?;
                ensure!(progress.all_registered() == all, "{progress:?}");
            }
            ensure_boots_stand_in_order(rig, &others)?;
            set_while_they_boot(rig, &clock, &site, &others)
        })?;
        ensure_all_left(&report)?;
        for setback in Setback::ALL {
            ensure!(
                report.registration.setbacks(setback) == 0,
                "{:?}",
                report.registration
            );
        }
        let storm = rig.edge.storm()?;
        ensure!(!storm.contains("storm"), "{storm}");
        let status = rig.edge.output(&["status", "--json"])?;
        let status: Value = serde_json::from_slice(&status.stdout)?;
        // But for what the site has too few files for.
        let alarms = status["alarms"].as_array().into_iter().flatten();
        let new: Vec<_> = alarms.filter(|it| it["kind"] != "locale").collect();
        ensure!(new.is_empty(), "{new:#?}");
        rig.stop()
    });
}

/// The daemon sees that it was set, and others boot and register by the new time.
fn step(
    rig: &Rig<'_>,
    clock: &FakeClock,
    site: &Site,
    others: &[PhoneSpec],
    off_by_s: i64,
) -> Result<()> {
    const SET: &str = "registrations.clock_set";
    let told = logged_ms(rig, SET).len();
    let set_ms = now_ms(off_by_s);
    clock.set(off_by_s)?;
    wait_for("the log to say that the clock was set", || {
        logged_ms(rig, SET).len() > told
    })?;
    let began_ms = now_ms(off_by_s);
    let times = logged_ms(rig, SET);
    let is_seen = |at_ms: &u64| (set_ms..=began_ms).contains(at_ms);
    ensure!(
        times.last().is_some_and(is_seen),
        "it is {set_ms} to {began_ms} there, and the daemon has {times:?}"
    );
    ensure_all_left(&boot(rig, site, others, Duration::ZERO)?)?;
    let until_ms = now_ms(off_by_s);
    for phone in others {
        wait_for("the boot to be told", || {
            let Ok(view) = view(rig, phone) else {
                return false;
            };
            view.boots.last().is_some_and(|boot| {
                boot.registered && (began_ms..=until_ms).contains(&boot.began_ms)
            })
        })
        .with_context(|| format!("{began_ms} to {until_ms}: {:#?}", view(rig, phone)))?;
    }
    Ok(())
}

fn boot(rig: &Rig<'_>, site: &Site, phones: &[PhoneSpec], ramp: Duration) -> Result<Report> {
    rig.boot(site, phones, &Progress::default(), |options| {
        options.registration = Some(HASTY);
        options.ramp = ramp;
    })
}

/// As they came, and not by what the clock said: one for each step, with its own entries.
fn ensure_boots_stand_in_order(rig: &Rig<'_>, phones: &[PhoneSpec]) -> Result<()> {
    for phone in phones {
        let view = view(rig, phone)?;
        let numbers: Vec<_> = view.boots.iter().map(|boot| boot.number).collect();
        ensure!(numbers == [1, 2, 3], "{:#?}", view.boots);
        for boot in &view.boots {
            // What a phone says of itself may be told before the kernel's word of the boot it is of.
            let is_alarm = |what: &WhatView| {
                matches!(
                    what,
                    WhatView::Fact {
                        fact: Fact::Alarm { .. },
                        ..
                    }
                )
            };
            let entries = boot.entries.iter().filter(|it| !is_alarm(&it.what));
            let times: Vec<_> = entries.map(|it| it.at_ms).collect();
            ensure!(times.is_sorted(), "{boot:#?}");
            ensure!(!times.is_empty(), "{boot:#?}");
            let lasted_ms = boot.last_ms.saturating_sub(boot.began_ms);
            ensure!(lasted_ms < 60_000, "{lasted_ms} ms: {boot:#?}");
        }
        ensure!(view.gaps.is_empty(), "{:?}", view.gaps);
        ensure!(view.phone.stuck.is_none(), "{:?}", view.phone.stuck);
    }
    Ok(())
}

fn set_while_they_boot(
    rig: &Rig<'_>,
    clock: &FakeClock,
    site: &Site,
    phones: &[PhoneSpec],
) -> Result<()> {
    let report = thread::scope(|scope| -> Result<Report> {
        let ramp = Duration::from_secs(1);
        let booting = scope.spawn(move || boot(rig, site, phones, ramp));
        // As long as they take, and once at least.
        for off_by_s in STEPS_S.into_iter().cycle() {
            clock.set(off_by_s)?;
            if booting.is_finished() {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
        booting
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    clock.set(0)?;
    ensure_all_left(&report)
}
