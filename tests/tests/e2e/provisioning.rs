//! Phones that nobody knows, from their first request to their configuration; and configurations
//! that are there for a while only.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tftp_ebpf::verdict::{Reason, Rung};
use tftp_edge_tests::client::{Fault, Fetched, Outcome, Request, get, get_with};
use tftp_edge_tests::lab::CLIENT_V4;
use tftp_edge_tests::rig::{OVER_V4, PATIENT, Rig};

use crate::absence::{SOON, is_absent, until};

on_every_rung!(
    unknown_phones_get_the_default_of_their_site_only_where_they_are_wanted,
    an_unknown_phone_is_seen_adopted_and_configured,
    a_closed_window_cannot_be_told_from_an_unknown_device,
);

/// A phone of the site `berlin`; [`CLIENT_V4`] is in no site of its own.
const IN_BERLIN: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 80, 1, 9));
const BERLIN: &str = "subnets=10.80.0.0/16";

const UNKNOWN: &str = "SEP0000FEED0001";

fn ask(rig: &Rig<'_>, from: IpAddr, name: &str) -> Result<Fetched> {
    let request = Request::plain(name);
    rig.as_client(|| get(from, OVER_V4, request, PATIENT))
}

/// Asks until the first rung has a name: it comes to know a moment later what the daemon serves.
fn until_first_rung_has(rig: &Rig<'_>, from: IpAddr, name: &str) -> Result<()> {
    let has = || -> Result<bool> {
        let before = rig.metrics()?;
        ask(rig, from, name)?;
        rig.was_alone(&before)
    };
    until("the first rung has it", has).map(drop)
}

fn config_of(device: &str) -> String {
    format!("{device}.cnf.xml")
}

fn set_site(rig: &Rig<'_>, site: &str, settings: &[&str]) -> Result<()> {
    let command = [&["inventory", "site", "set", site], settings].concat();
    rig.edge.command(&command).map(drop)
}

fn is_whole(fetched: &Fetched) -> bool {
    fetched.outcome == Outcome::Complete
}

fn unknown_phones_get_the_default_of_their_site_only_where_they_are_wanted(
    rig: &mut Rig<'_>,
) -> Result<()> {
    const DEFAULT: &str = "XMLDefault.cnf.xml";
    let settings = [BERLIN, "servers=10.80.0.1", "auto_registration=true"];
    set_site(rig, "berlin", &settings)?;
    rig.start()?;
    let berlin = ask(rig, IN_BERLIN, DEFAULT)?;
    ensure!(is_whole(&berlin), "{:?}", berlin.outcome);
    let text = String::from_utf8(berlin.bytes)?;
    ensure!(text.contains(">10.80.0.1<"), "another site's: {text}");
    let elsewhere = ask(rig, CLIENT_V4.into(), DEFAULT)?;
    ensure!(is_absent(&elsewhere), "{:?}", elsewhere.outcome);

    // The same for all: then the first rung has it.
    set_site(
        rig,
        "default",
        &["servers=10.80.0.1", "auto_registration=true"],
    )?;
    until("all sites have it", || {
        Ok(is_whole(&ask(rig, CLIENT_V4.into(), DEFAULT)?))
    })?;
    until_first_rung_has(rig, CLIENT_V4.into(), DEFAULT)?;
    ensure!(ask(rig, IN_BERLIN, DEFAULT)?.bytes == text.as_bytes());

    for site in ["default", "berlin"] {
        set_site(rig, site, &["auto_registration=false"])?;
    }
    until("nobody is wanted", || {
        Ok(is_absent(&ask(rig, IN_BERLIN, DEFAULT)?))
    })?;
    ensure!(is_absent(&ask(rig, CLIENT_V4.into(), DEFAULT)?));
    until_first_rung_has(rig, CLIENT_V4.into(), DEFAULT)
}

/// What `phones unknown` lists.
fn unknown(rig: &Rig<'_>, more: &[&str]) -> Result<Vec<Value>> {
    let lines = rig
        .edge
        .command(&[&["phones", "unknown", "--json"], more].concat())?;
    let lines = String::from_utf8(lines)?;
    let parse = |line| serde_json::from_str(line).context("a line that is no JSON");
    lines.lines().map(parse).collect()
}

fn an_unknown_phone_is_seen_adopted_and_configured(rig: &mut Rig<'_>) -> Result<()> {
    set_site(
        rig,
        "berlin",
        &[BERLIN, "auto_registration_numbers=5000-5001"],
    )?;
    rig.start()?;
    for file in [format!("{UNKNOWN}.cnf.xml.sgn"), config_of(UNKNOWN)] {
        ensure!(is_absent(&ask(rig, IN_BERLIN, &file)?), "{file}");
    }
    let listed = unknown(rig, &["--site", "berlin"])?;
    let [knock] = &listed[..] else {
        anyhow::bail!("one device knocked: {listed:?}");
    };
    ensure!(knock["name"] == UNKNOWN, "{knock}");
    ensure!(knock["source"] == IN_BERLIN.to_string(), "{knock}");
    ensure!(knock["times"] == 2 && knock["site"] == "berlin", "{knock}");
    ensure!(unknown(rig, &["--site", "default"])?.is_empty());

    let told = rig
        .edge
        .command(&["phones", "adopt", UNKNOWN, "--model", "7841"])?;
    let expected = format!("{UNKNOWN} adopted: 7841 sip, number 5000, site berlin\n");
    ensure!(
        told == expected.as_bytes(),
        "{}",
        String::from_utf8_lossy(&told)
    );
    let took = until("its configuration is there", || {
        Ok(is_whole(&ask(rig, IN_BERLIN, &config_of(UNKNOWN))?))
    })?;
    ensure!(took < SOON, "there after {took:?}");
    until_first_rung_has(rig, IN_BERLIN, &config_of(UNKNOWN))?;
    let before = rig.metrics()?;
    let config = ask(rig, IN_BERLIN, &config_of(UNKNOWN))?;
    rig.ensure_alone(&before)?;
    ensure!(
        config.bytes == rig.edge.render(UNKNOWN)?,
        "not what is rendered"
    );
    ensure!(String::from_utf8(config.bytes)?.contains(">5000<"));
    ensure!(unknown(rig, &[])?.is_empty(), "it is known now");

    // The last number, and none.
    let other = |last: u8| format!("SEP0000FEED00{last:02X}");
    let alarms = || -> Result<f64> {
        let labels = [("kind", "number_pool")];
        Ok(rig.metrics()?.sum("tftp_edge_alarms", &labels))
    };
    set_site(rig, "berlin", &["auto_registration=true"])?;
    let adopt = |device: &str| {
        let command = [
            "phones", "adopt", device, "--model", "7841", "--site", "berlin",
        ];
        rig.edge.command(&command)
    };
    ensure!(alarms()? == 0.0, "there is a number left");
    adopt(&other(2))?;
    until("the alarm is raised", || Ok(alarms()? == 1.0))?;
    let refused = adopt(&other(3)).err().context("there was no number left")?;
    let refused = format!("{refused:#}");
    ensure!(refused.contains("in use (5000-5001)"), "{refused}");
    Ok(())
}

/// The one answer to a request, and how long it took.
fn answer(rig: &Rig<'_>, name: &str) -> Result<(Vec<u8>, Duration)> {
    let exchange = rig.exchange(CLIENT_V4)?;
    let mut packet = Vec::new();
    Request::plain(name).encode(&mut packet);
    let began = Instant::now();
    exchange.send(OVER_V4, &packet)?;
    let (_, answer) = exchange
        .receive(Duration::from_secs(20))?
        .with_context(|| format!("{name}: no answer"))?;
    let took = began.elapsed();
    let more = exchange.receive(Duration::from_millis(1))?;
    ensure!(more.is_none(), "{name}: a second answer");
    Ok((answer, took))
}

fn median_and_p90(times: &mut [Duration]) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 9 / 10])
}

fn a_closed_window_cannot_be_told_from_an_unknown_device(rig: &mut Rig<'_>) -> Result<()> {
    const KNOWN: &str = "SEP0000C0FFEE01";
    const ROUNDS: usize = 25;
    rig.edge
        .configure("\n[provisioning]\nwindow_minutes = 30\n")?;
    let csv = rig.file("one.csv");
    std::fs::write(
        &csv,
        format!("name,model,protocol,lines\n{KNOWN},7841,sip,4711\n"),
    )?;
    rig.edge.import(&csv)?;
    // What the operator put there for it is its own, too.
    rig.put(&format!("{KNOWN}.cnf.xml.sgn"), b"signed")?;
    rig.start()?;

    let names = |device: &str| {
        [
            config_of(device),
            format!("{device}.cnf.xml.sgn"),
            format!("CTL{device}.tlv"),
            format!("ITL{device}.tlv"),
        ]
    };
    let before = rig.metrics()?;
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (closed, unknown) in names(KNOWN).iter().zip(names(UNKNOWN)) {
            let (closed, closed_took) = answer(rig, closed)?;
            let (unknown, unknown_took) = answer(rig, &unknown)?;
            ensure!(closed == unknown, "{closed:?} {unknown:?}");
            times[0].push(closed_took);
            times[1].push(unknown_took);
        }
    }
    let [closed, unknown] = times.each_mut().map(|times| median_and_p90(times));
    println!(
        "on {}, median and p90 of {}: closed {closed:?}, unknown {unknown:?}",
        rig.first_path(),
        times[0].len()
    );
    // No rung above knows of either; of trust lists each knows that nobody has them.
    let by_daemon = match rig.rung {
        Rung::Socket => 4,
        Rung::Xdp | Rung::Tc => 2,
    };
    let asked = (2 * ROUNDS * by_daemon) as u64;
    let absent = rig.grown(&before, "socket", Reason::Absent, asked)?;
    ensure!(absent == asked, "{absent} of {asked} by the daemon");

    let file = config_of(KNOWN);
    rig.edge.command(&["phones", "open", KNOWN])?;
    let took = until("it is open", || Ok(is_whole(&ask(rig, IN_BERLIN, &file)?)))?;
    ensure!(took < SOON, "open after {took:?}");
    let expected = rig.edge.render(KNOWN)?;
    until_first_rung_has(rig, IN_BERLIN, &file)?;
    let before = rig.metrics()?;
    ensure!(ask(rig, IN_BERLIN, &file)?.bytes == expected);
    rig.ensure_alone(&before)?;

    // It is closed while a phone is in the middle of it.
    let mut closed = None;
    let under_way = rig.as_client(|| {
        get_with(
            IN_BERLIN,
            OVER_V4,
            Request::plain(&*file),
            PATIENT,
            |is_ours, _| {
                // The first acknowledgement is ready to be sent.
                if is_ours && closed.is_none() {
                    closed = Some(Err(anyhow::anyhow!("not yet")));
                } else if is_ours && matches!(closed, Some(Err(_))) {
                    closed = Some(close(rig, &file));
                }
                Fault::None
            },
        )
    })?;
    closed.context("there was no second packet")??;
    ensure!(
        is_whole(&under_way) && under_way.bytes == expected,
        "{:?}",
        under_way.outcome
    );
    let before = rig.metrics()?;
    ensure!(answer(rig, &file)?.0 == answer(rig, &config_of(UNKNOWN))?.0);
    // The kernel knows nothing of either.
    rig.until_counted(&before, &[("socket", Reason::Absent, 2)])?;
    let listed = unknown_closed(rig)?;
    ensure!(listed == [KNOWN], "{listed:?}");
    Ok(())
}

/// Closes all windows; returns when others are told that there is no such file.
fn close(rig: &Rig<'_>, file: &str) -> Result<()> {
    rig.edge.command(&["phones", "close", "--all"])?;
    until("it is closed", || {
        Ok(is_absent(&ask(rig, CLIENT_V4.into(), file)?))
    })
    .map(drop)
}

/// The known devices that asked while they were shut out.
fn unknown_closed(rig: &Rig<'_>) -> Result<Vec<String>> {
    let listed = unknown(rig, &["--closed"])?;
    let name = |device: &Value| device["name"].as_str().map(str::to_owned);
    Ok(listed.iter().filter_map(name).collect())
}
