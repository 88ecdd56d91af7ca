//! Sources that ask for what is not there: told so within limits, and silence beyond, from the first
//! rung on and for nothing else.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tftp_ebpf::verdict::{Reason, Rung};
use tftp_edge_tests::client::{Outcome, Request, Retry, get};
use tftp_edge_tests::lab::CLIENT_V4;
use tftp_edge_tests::phones::Family;
use tftp_edge_tests::rig::{OVER_V4, Rig, content, wait_for};
use tftp_edge_tests::site::{Site, SiteOptions};

on_every_rung!(
    a_scan_for_devices_is_dropped_on_the_first_rung_and_raises_one_alarm,
    a_new_phone_that_asks_again_and_again_is_no_scan,
    kernel_and_daemon_keep_one_account_of_misses,
);

/// As long as an answer may take on a busy machine, and as long as silence is listened to. Each asks
/// once: what is asked again is counted again.
const ANSWER: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_millis(100);

/// Whether a request is answered with ERROR 1 within a time; otherwise there must be no answer.
fn is_told_within(rig: &Rig<'_>, name: &str, within: Duration) -> Result<bool> {
    let once = Retry {
        first: within,
        longest: within,
        sends: 1,
    };
    let request = Request::plain(name);
    let got = rig.as_client(|| get(CLIENT_V4.into(), OVER_V4, request, once))?;
    match got.outcome {
        Outcome::Refused { code: 1, .. } => Ok(true),
        Outcome::Failed(_) => Ok(false),
        other => anyhow::bail!("{name}: {other:?}"),
    }
}

/// Where an answer is expected.
fn is_told(rig: &Rig<'_>, name: &str) -> Result<bool> {
    is_told_within(rig, name, ANSWER)
}

fn device(number: usize) -> String {
    format!("SEPFEEDFACE{number:04X}.cnf.xml")
}

/// Those of scans: the made-up site lacks files that its phones do without, which is told, too.
fn alarms(rig: &Rig<'_>) -> Result<Vec<Value>> {
    let status: Value = serde_json::from_slice(&rig.edge.command(&["status", "--json"])?)?;
    let alarms = status["alarms"].as_array().context("no list of alarms")?;
    let of_scans = alarms.iter().filter(|alarm| alarm["kind"] == "scan");
    Ok(of_scans.cloned().collect())
}

fn a_scan_for_devices_is_dropped_on_the_first_rung_and_raises_one_alarm(
    rig: &mut Rig<'_>,
) -> Result<()> {
    const BURST: usize = 20;
    let mut site = Site::new(&SiteOptions {
        phones: 20,
        ..SiteOptions::default()
    });
    rig.host(&mut site)?;
    rig.edge.configure(&format!(
        "[tftp.budget]\nunknown_burst = {BURST}\nunknown_per_second = 1\n"
    ))?;
    rig.start()?;
    for number in 0..BURST {
        ensure!(is_told(rig, &device(number))?, "{number} within the burst");
    }
    ensure!(alarms(rig)?.is_empty(), "an alarm for what is allowed");

    let before = rig.metrics()?;
    let scanner = rig.exchange(CLIENT_V4)?;
    for number in BURST..BURST + 500 {
        let packet = [b"\0\x01", device(number).as_bytes(), b"\0octet\0"].concat();
        scanner.send(OVER_V4, &packet)?;
    }
    // A second gives one token back.
    let dropped = rig.grown(&before, rig.first_path(), Reason::UnknownBudget, 480)?;
    ensure!(dropped >= 480, "{dropped} of 500 dropped");

    // The phones behind the same address go on.
    let before = rig.metrics()?;
    for phone in &site.phones {
        let config = Family::config_file(&phone.device);
        let got = rig.get(OVER_V4, Request::plain(config))?;
        ensure!(got.outcome == Outcome::Complete, "{:?}", got.outcome);
        ensure!(is_told(rig, &format!("CTL{}.tlv", phone.device))?);
    }
    rig.ensure_alone(&before)?;
    ensure!(is_told(rig, "no-such-file")?, "other names are still told");

    // It may be raised while the scan goes on, and tells of all of it later.
    let mut last = Vec::new();
    wait_for("one alarm for all that was asked", || {
        last = alarms(rig).unwrap_or_default();
        let [alarm] = &last[..] else { return false };
        alarm["subject"] == CLIENT_V4.to_string()
            && asked(alarm).is_some_and(|asked| (500..=520).contains(&asked))
    })
    .with_context(|| format!("{last:?}"))
}

/// The number that the problem of an alarm begins with.
fn asked(alarm: &Value) -> Option<u64> {
    alarm["problem"].as_str()?.split(' ').next()?.parse().ok()
}

fn a_new_phone_that_asks_again_and_again_is_no_scan(rig: &mut Rig<'_>) -> Result<()> {
    let budget = "[tftp.budget]\nunknown_burst = 2\nunknown_per_second = 1\n";
    rig.edge.configure(budget)?;
    rig.start()?;
    for _ in 0..10 {
        ensure!(is_told(rig, &device(1))?, "it is one device");
        ensure!(
            is_told(rig, &format!("{}.sgn", device(1)))?,
            "signed or not"
        );
    }
    ensure!(alarms(rig)?.is_empty(), "an alarm for one phone");
    Ok(())
}

fn kernel_and_daemon_keep_one_account_of_misses(rig: &mut Rig<'_>) -> Result<()> {
    rig.put("f.bin", &content(100))?;
    rig.edge
        .configure("[tftp.budget]\nmiss_burst = 40\nmiss_per_second = 1\n")?;
    rig.start()?;
    let before = rig.metrics()?;
    // The first rung answers one half, the daemon the other; neither half is over the budget.
    let began = Instant::now();
    let mut told = 0;
    for number in 0..100 {
        let list = format!("ITLSEPFEEDFACE{number:04X}.tlv");
        for name in [list, format!("no-such-file-{number}")] {
            told += u64::from(is_told_within(rig, &name, Duration::from_secs(3))?);
        }
        if told < 2 * (number + 1) {
            break;
        }
    }
    // A second gives one token back, and may have begun before.
    let most = 41 + began.elapsed().as_secs();
    ensure!((40..=most).contains(&told), "{told} were told");
    if rig.rung != Rung::Socket {
        for path in [rig.first_path(), Rung::Socket.as_str()] {
            let answered = rig.grown(&before, path, Reason::Absent, 15)?;
            ensure!(answered >= 15, "{answered} answered by {path}");
        }
    }
    let before = rig.metrics()?;
    for name in ["ITLFile.tlv", "nothing"] {
        let silent = (0..3).any(|_| !is_told_within(rig, name, SILENCE).unwrap_or(true));
        ensure!(silent, "{name} is still told");
    }
    let dropped = rig.grown(&before, rig.first_path(), Reason::MissBudget, 2)?;
    ensure!(dropped >= 2, "{dropped} dropped by the first rung");
    // What is there is served, and then the source is known to be there.
    ensure!(rig.get_all("f.bin")? == content(100), "f.bin differs");
    ensure!(is_told(rig, "ITLFile.tlv")?, "a known source is told");
    ensure!(
        !(is_told_within(rig, "nothing", SILENCE)?
            && is_told_within(rig, "nothing-else", SILENCE)?),
        "and not of any name"
    );
    Ok(())
}
