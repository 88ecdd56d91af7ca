//! Names that are not there: told so at once, and by the first rung where they are known.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tftp_ebpf::verdict::{Reason, Rung};
use tftp_edge_tests::client::{Fetched, Outcome, Request};
use tftp_edge_tests::phones::{Family, Oracle as _};
use tftp_edge_tests::rig::{OVER_V4, OVER_V6, Rig};
use tftp_edge_tests::site::{Site, SiteOptions};

on_every_rung!(
    trust_lists_that_are_not_there_are_refused_on_the_first_rung,
    devices_come_and_go_without_a_restart,
);

/// How long a change may take to reach phones, on a machine that others use as well.
pub const SOON: Duration = Duration::from_secs(10);

fn site() -> Site {
    Site::new(&SiteOptions {
        phones: 20,
        ..SiteOptions::default()
    })
}

pub fn is_absent(fetched: &Fetched) -> bool {
    matches!(&fetched.outcome, Outcome::Refused { code: 1, text } if text == "File not found")
}

fn trust_lists_that_are_not_there_are_refused_on_the_first_rung(rig: &mut Rig<'_>) -> Result<()> {
    let mut site = site();
    rig.host(&mut site)?;
    rig.start()?;
    let before = rig.metrics()?;
    let mut asked = 0;
    let known = site.phones.iter().map(|phone| &*phone.device);
    for device in known.chain(["SEPFEEDFACE0002", "SEPFEEDFACE0003"]) {
        for name in [
            format!("CTL{device}.tlv"),
            format!("ITL{device}.tlv"),
            "ITLFile.tlv".to_owned(),
            "CTLFile.tlv".to_owned(),
        ] {
            for server in [OVER_V4, OVER_V6] {
                for request in [Request::plain(&*name), Request::sized(&*name, 1428)] {
                    let got = rig.get(server, request)?;
                    ensure!(is_absent(&got), "{name} from {server}: {:?}", got.outcome);
                    asked += 1;
                }
            }
        }
    }
    rig.ensure_alone(&before)?;
    let told = [(rig.first_path(), Reason::Absent, asked)];
    rig.until_counted(&before, &told).map(drop)
}

fn devices_come_and_go_without_a_restart(rig: &mut Rig<'_>) -> Result<()> {
    let mut site = site();
    rig.host(&mut site)?;
    rig.start()?;
    let phone = site.phones[3].clone();
    let name = Family::config_file(&phone.device);
    let tftp_edge_tests::phones::Expected::Bytes(expected) = site.oracle.expected(&name) else {
        bail!("{name} was not rendered");
    };
    let is_served = |fetched: &Fetched| fetched.outcome == Outcome::Complete;

    ensure!(
        is_served(&rig.config(&phone)?),
        "{name} is not there to begin with"
    );
    rig.edge.command(&["phones", "remove", &phone.device])?;
    let took = until("the removed device's file is absent", || {
        Ok(is_absent(&rig.config(&phone)?))
    })?;
    ensure!(took < SOON, "gone after {took:?}");
    // It takes the way of a device that never was: each rung hands both on, and the daemon answers.
    for device in [&*phone.device, "SEPFEEDFACE0001"] {
        let before = rig.metrics()?;
        let name = Family::config_file(device);
        ensure!(is_absent(&rig.get(OVER_V4, Request::plain(name))?));
        let absent = |rung: Rung, times| (rung.as_str(), Reason::Absent, times);
        let answered = [
            absent(Rung::Xdp, 0),
            absent(Rung::Tc, 0),
            absent(Rung::Socket, 1),
        ];
        rig.until_counted(&before, &answered)
            .with_context(|| device.to_owned())?;
    }
    let unknown = rig.edge.command(&["phones", "unknown"])?;
    ensure!(
        String::from_utf8_lossy(&unknown).contains(&*phone.device),
        "it is one that nobody knows now"
    );

    let csv = rig.file("phones.csv");
    rig.edge.import(&csv)?;
    let took = until("the device's file is back", || {
        Ok(is_served(&rig.config(&phone)?))
    })?;
    ensure!(took < SOON, "back after {took:?}");
    ensure!(
        rig.config(&phone)?.bytes == expected,
        "not the file it had been"
    );

    let late = "SEPFEEDFACE0001";
    let file = format!("{late}.cnf.xml");
    ensure!(is_absent(&rig.get(OVER_V4, Request::plain(&*file))?));
    let row = format!("name,model,protocol,lines\n{late},7961,sip,4711:Late\n");
    let csv = rig.file("late.csv");
    std::fs::write(&csv, row)?;
    rig.edge.import(&csv)?;
    let took = until("the new device's file is there", || {
        Ok(is_served(&rig.get(OVER_V4, Request::plain(&*file))?))
    })?;
    ensure!(took < SOON, "there after {took:?}");
    let (_, expected) = rig
        .edge
        .rendered()?
        .into_iter()
        .find(|(device, _)| device == late)
        .context("the new device is not in the inventory")?;
    ensure!(rig.get_all(&file)? == expected, "not what is rendered");
    Ok(())
}

/// Asks until the answer is yes; returns how long that took.
pub fn until(what: &str, is_so: impl Fn() -> Result<bool>) -> Result<Duration> {
    let started = Instant::now();
    while !is_so()? {
        ensure!(
            started.elapsed() < 3 * SOON,
            "not so after {:?}: {what}",
            3 * SOON
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(started.elapsed())
}
