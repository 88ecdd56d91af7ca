//! Phones register at the daemon: every family, over its protocol, with what its configuration says.

use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use tftp_ebpf::verdict::Rung;
use tftp_edge_tests::phones::registration::{Habits, Setback};
use tftp_edge_tests::phones::{Over, Progress, Registering};
use tftp_edge_tests::rig::{Rig, ensure_all_registered, run, wait_for};
use tftp_edge_tests::site::Site;

on_every_rung!(every_family_boots_and_registers);

/// A hundred phones have the whole mix of families.
const PHONES: usize = 100;

/// Phones that cannot wait for half a minute, or an hour.
const HASTY: Habits = Habits {
    hurry: Some(Duration::from_millis(400)),
    after_reject: Some(Duration::from_secs(1)),
};

fn every_family_boots_and_registers(rig: &mut Rig<'_>) -> Result<()> {
    let mut site = Site::without_upgrades(PHONES);
    rig.edge.register("")?;
    rig.host(&mut site)?;
    rig.start()?;
    let report = rig.boot(&site, &site.phones, &Progress::default(), |options| {
        options.registration = Some(Registering::default());
    })?;
    ensure_all_registered(&report)?;
    let registration = &report.registration;
    for over in Over::ALL {
        ensure!(registration.over(over).phones >= 15, "{registration:?}");
    }
    // Nobody had to ask twice.
    ensure!(registration.asks_each.max() == 1, "{registration:?}");
    Ok(())
}

#[test]
fn registrations_are_kept_up_and_ended_in_order() {
    run(Rung::Socket, |rig| {
        let mut site = Site::without_upgrades(PHONES);
        rig.edge.register("")?;
        rig.host(&mut site)?;
        rig.start()?;
        let registering = Registering {
            habits: HASTY,
            says_farewell: true,
        };
        let progress = Progress::default();
        let (report, ()) = rig.stay(&site, registering, &progress, || {
            let all = PHONES as u64;
            wait_for("all phones to be registered", || {
                progress.all_registered() == all
            })?;
            // More than one from each on average: none stops after its first.
            let enough = || Progress::read(&progress.refreshes) >= 3 * all;
            wait_for("keepalives and refreshes", enough)
        })?;
        let registration = &report.registration;
        ensure!(report.failed == 0, "{:#?}", report.failures);
        ensure!(registration.left == PHONES as u64, "{registration:?}");
        ensure!(
            registration.setbacks(Setback::Denied) == 0,
            "{registration:?}"
        );
        Ok(())
    });
}

#[test]
fn phones_come_back_by_themselves_when_the_daemon_does() {
    run(Rung::Socket, |rig| {
        let mut site = Site::without_upgrades(PHONES);
        rig.edge.register("min_wait_sccp_s = 1\n")?;
        rig.host(&mut site)?;
        rig.start()?;
        let registering = Registering {
            habits: HASTY,
            says_farewell: false,
        };
        let progress = Progress::default();
        let mut daemon = rig.take_daemon()?;
        let (report, daemon) = rig.stay(&site, registering, &progress, || {
            let all = PHONES as u64;
            wait_for("all phones to be registered", || {
                progress.all_registered() == all
            })?;
            daemon.end(Signal::SIGKILL)?;
            let over_udp = Progress::read(&progress.registered[Over::SipUdp as usize]);
            wait_for("connections to be lost", || {
                progress.all_registered() <= over_udp
            })?;
            let daemon = rig.edge.start()?;
            let asked = Progress::read(&progress.refreshes);
            wait_for("all phones to be back", || progress.all_registered() == all)?;
            // Those over UDP have noticed nothing yet.
            let enough = || Progress::read(&progress.refreshes) >= asked + 2 * all;
            wait_for("keepalives and refreshes", enough)?;
            Ok(daemon)
        })?;
        rig.give_daemon(daemon);
        ensure_all_registered(&report)?;
        let lost = report.registration.setbacks(Setback::Closed);
        ensure!(lost > 0, "{:?}", report.registration);
        Ok(())
    });
}
