//! All phones at once, over a wire that loses and repeats.

use std::time::Duration;

use anyhow::{Result, ensure};
use tftp_ebpf::stage::Stage;
use tftp_ebpf::verdict::Rung;
use tftp_edge::kernel::BoundedMap;
use tftp_edge_tests::demo::Metrics;
use tftp_edge_tests::lab::{CLIENT_IF, Capture, Impairment, LabPrograms, Side};
use tftp_edge_tests::phones::registration::{Habits, Setback};
use tftp_edge_tests::phones::{Over, Progress, Registering};
use tftp_edge_tests::rig::{Rig, answers, ensure_all_booted, ensure_all_registered, run};
use tftp_edge_tests::site::{Site, SiteOptions};

on_every_rung!(a_site_boots, a_site_boots_over_a_bad_wire);

fn site(phones: usize) -> Site {
    Site::new(&SiteOptions {
        phones,
        firmware_divisor: 1024,
        upgrade_one_in: 20,
        ..SiteOptions::default()
    })
}

fn a_site_boots(rig: &mut Rig<'_>) -> Result<()> {
    let mut site = site(300);
    rig.host(&mut site)?;
    rig.start()?;
    let before = rig.metrics()?;
    let report = rig.boot(&site, &site.phones, &Progress::default(), |_| {})?;
    ensure_all_booted(&report)?;
    ensure!(report.stage(Stage::Config).files == 300);
    let after = rig.metrics()?;
    ensure_maps_are_told(rig, &after)?;
    let share = answers(&before, &after, rig.rung)
        / Rung::ALL
            .iter()
            .map(|&rung| answers(&before, &after, rung))
            .sum::<f64>();
    // Names that nobody has are the daemon's to answer: each 8851 asks for one.
    ensure!(
        share > 0.95,
        "{} has answered {share} of all",
        rig.rung.as_str()
    );
    Ok(())
}

/// Each map of the kernel program has a capacity, and those that fill at the start have entries.
fn ensure_maps_are_told(rig: &Rig<'_>, metrics: &Metrics) -> Result<()> {
    let has_program = rig.rung != Rung::Socket;
    for map in BoundedMap::ALL {
        let label = [("map", map.as_str())];
        let capacity = metrics.sum("tftp_edge_xdp_map_capacity", &label);
        ensure!(
            (capacity > 0.0) == has_program,
            "{map:?} has room for {capacity}"
        );
        let entries = metrics.sum("tftp_edge_xdp_map_entries", &label);
        ensure!(entries <= capacity, "{map:?} has {entries} of {capacity}");
        let is_filled = matches!(
            map,
            BoundedMap::Files | BoundedMap::Slabs | BoundedMap::Interfaces | BoundedMap::Locals
        );
        ensure!(
            !has_program || !is_filled || entries > 0.0,
            "{map:?} is empty"
        );
    }
    Ok(())
}

fn a_site_boots_over_a_bad_wire(rig: &mut Rig<'_>) -> Result<()> {
    let mut site = site(200);
    rig.host(&mut site)?;
    rig.start()?;
    // Hundreds of blocks in a row take many seconds on such a wire: one file of that kind shows it,
    // of a quarter of the phones.
    let mut phones = site.phones.clone();
    for (index, phone) in phones.iter_mut().enumerate() {
        let mut jars = if index % 4 == 0 { 1 } else { 0 };
        phone.files.retain(|name| {
            let is_jar = name.ends_with(".jar");
            let is_kept = !is_jar || jars > 0;
            jars -= usize::from(is_jar && is_kept);
            is_kept
        });
    }
    let client = &rig.lab.client;
    let impairment = Impairment::percent(5.0, 5.0);
    let out = LabPrograms::impair(client, CLIENT_IF, Side::Egress, impairment)?;
    let back = LabPrograms::impair(client, CLIENT_IF, Side::Ingress, impairment)?;
    let before = rig.metrics()?;
    let capture = Capture::start(client, CLIENT_IF, &rig.file("storm.pcap"))?;
    let report = rig.boot(&site, &phones, &Progress::default(), |options| {
        options.limit = Duration::from_secs(120);
    })?;
    ensure_all_booted(&report)?;
    for impairs in [out.impairs()?, back.impairs()?] {
        ensure!(
            impairs.dropped > 200 && impairs.duplicated > 200,
            "{impairs:?}"
        );
    }
    let resent = rig
        .metrics()?
        .grown(&before, "tftp_edge_tftp_retransmitted_blocks_total", &[]);
    ensure!(resent > 0.0, "nothing was sent again");
    capture.finish()?.ensure_sound()
}

/// Registrations a second that the registrar is throttled to, and phones that come at once.
const PER_SECOND: u32 = 100;
const STORMING: usize = 1000;

#[test]
fn a_throttled_registrar_takes_every_phone_of_a_storm_in_its_turn() {
    run(Rung::Socket, |rig| {
        let mut site = Site::without_upgrades(STORMING);
        rig.edge
            .register(&format!("max_registrations_per_second = {PER_SECOND}\n"))?;
        rig.host(&mut site)?;
        rig.start()?;
        let phones = site.configurations_only();
        let report = rig.boot(&site, &phones, &Progress::default(), |options| {
            options.limit = Duration::from_secs(60);
            options.registration = Some(Registering {
                habits: Habits::default(),
                says_farewell: false,
            });
        })?;
        ensure_all_registered(&report)?;
        let registration = &report.registration;
        let ideal = STORMING as f64 / f64::from(PER_SECOND);
        let drain = registration.drain().as_secs_f64();
        ensure!(
            drain > ideal / 2.0,
            "{STORMING} phones in {drain} s: nobody was held back"
        );
        ensure!(
            drain < ideal * 3.0,
            "{STORMING} phones in {drain} s, {ideal} s at best"
        );
        ensure!(
            registration.setbacks(Setback::RetryAfter) > 0,
            "{registration:?}"
        );
        // Everybody was turned away by what says when to come again, and nothing was lost.
        let unseen = [
            Setback::Rejected,
            Setback::Denied,
            Setback::NoAnswer,
            Setback::Closed,
        ];
        for why in unseen {
            ensure!(registration.setbacks(why) == 0, "{registration:?}");
        }
        for over in Over::ALL {
            // Over SIP it is told when to come and is let in then: once more is for the second that
            // was full when it came. Over SCCP it is kept waiting until it is its turn.
            let most = match over {
                Over::Sccp => 1,
                Over::SipTcp | Over::SipUdp => 3,
            };
            let asks = registration.over(over).asks_each.max();
            ensure!(
                asks <= most,
                "{} asked {asks} times: {registration:?}",
                over.as_str()
            );
        }
        let metrics = rig.metrics()?;
        ensure!(metrics.sum("tftp_edge_storms_total", &[]) >= 1.0);
        Ok(())
    });
}
