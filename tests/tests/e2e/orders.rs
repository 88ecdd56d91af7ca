//! Registered phones are told to boot again: by an operator, and because their configuration changed.

use anyhow::{Context as _, Result, ensure};
use tftp_ebpf::verdict::Rung;
use tftp_edge_tests::phones::{PhoneSpec, Progress, Registering};
use tftp_edge_tests::rig::{Rig, run, wait_for};
use tftp_edge_tests::site::Site;

/// Enough for both protocols.
const PHONES: usize = 20;

/// Not where the site is.
const ELSEWHERE: &str = "GMT Standard/Daylight Time";

#[test]
fn phones_that_are_reset_or_given_another_configuration_boot_and_register_again() {
    run(Rung::Socket, |rig| {
        let mut site = Site::without_upgrades(PHONES);
        rig.edge.register("")?;
        rig.host(&mut site)?;
        rig.start()?;
        let progress = Progress::default();
        let (report, ()) = rig.stay(&site, Registering::default(), &progress, || {
            let all = PHONES as u64;
            wait_for("all phones to be registered", || {
                progress.all_registered() == all
            })?;
            for (told, protocol) in ["sccp", "sip"].into_iter().enumerate() {
                let phone = first(&site, protocol)?;
                rig.edge.command(&["phones", "reset", &phone.device])?;
                wait_for_restarts(rig, &progress, told as u64 + 1)?;
            }
            for (told, protocol) in ["sccp", "sip"].into_iter().enumerate() {
                let phone = first(&site, protocol)?;
                let change = format!("time_zone={ELSEWHERE}");
                rig.edge
                    .command(&["phones", "edit", &phone.device, &change])?;
                wait_for_restarts(rig, &progress, told as u64 + 3)?;
                let config = rig.config(phone)?.bytes;
                ensure!(
                    String::from_utf8_lossy(&config).contains(ELSEWHERE),
                    "{} is served its old configuration",
                    phone.device
                );
            }
            Ok(())
        })?;
        ensure!(report.failed == 0, "{:#?}", report.failures);
        // Each of those that were told, once, and nobody else.
        ensure!(report.registration.orders == 4, "{:?}", report.registration);
        ensure!(report.registration.at_end() == PHONES as u64);
        Ok(())
    });
}

/// The first phone with this protocol.
fn first<'s>(site: &'s Site, protocol: &str) -> Result<&'s PhoneSpec> {
    let phone = site
        .phones
        .iter()
        .find(|phone| phone.family.protocol() == protocol);
    phone.with_context(|| format!("the site has no {protocol} phone"))
}

/// Returns when so many phones in all have restarted, and all are registered, also for the daemon.
fn wait_for_restarts(rig: &Rig<'_>, progress: &Progress, restarts: u64) -> Result<()> {
    wait_for("an order", || Progress::read(&progress.reboots) == restarts)?;
    wait_for("the phone to be back", || {
        progress.all_registered() == PHONES as u64
    })?;
    wait_for("the daemon to count it", || {
        let metrics = rig.metrics();
        metrics.is_ok_and(|it| it.sum("tftp_edge_registrations", &[]) == PHONES as f64)
    })
}
