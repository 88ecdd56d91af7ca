//! Maps and tables that are full, by limits as small as the configuration takes: phones boot all the
//! same, it is counted and told, and who found no room comes in when there is some.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tftp_ebpf::verdict::{Reason, Rung};
use tftp_ebpf::wire::tftp::Options;
use tftp_edge_tests::client::Request;
use tftp_edge_tests::demo::Metrics;
use tftp_edge_tests::phones::registration::Habits;
use tftp_edge_tests::phones::{Fleet, FleetOptions, PhoneSpec, Progress, Registering, Report};
use tftp_edge_tests::rig::{
    OVER_V4, Rig, answers, content, counted, ensure_all_booted, ensure_all_left, run, wait_for,
};
use tftp_edge_tests::server::Place;
use tftp_edge_tests::site::Site;

use crate::faults::{wait_for_alarm, wait_for_no_alarm};

/// More than the kernel has room for, of whatever it can have little of.
const PHONES: usize = 80;

/// Transfers, and sources with a budget: the least that is taken.
const FEW: usize = 64;
/// Far fewer than the site has names.
const MAX_NAMES: usize = 24;
/// One bank, and more images than it holds.
const BANK: &str = "memory_limit = \"4MiB\"";
const IMAGES: usize = 6;
const IMAGE_BYTES: usize = 900_000;

#[test]
fn what_finds_no_room_in_the_kernels_maps_is_served_by_sockets_and_comes_in_when_there_is_some() {
    run(Rung::Tc, |rig| {
        let mut site = Site::without_upgrades(PHONES);
        let limits = format!("max_names = {MAX_NAMES}\nmax_transfers = {FEW}");
        rig.edge.amend("kernel", &limits)?;
        rig.edge
            .configure(&format!("\n[tftp.budget]\nsources = {FEW}\n"))?;
        rig.host(&mut site)?;
        rig.start()?;

        let metrics = rig.metrics()?;
        let names = |what| metrics.sum(what, &[("map", "files")]);
        ensure!(names("tftp_edge_xdp_map_capacity") == MAX_NAMES as f64);
        ensure!(names("tftp_edge_xdp_map_entries") == MAX_NAMES as f64);
        ensure!(metrics.sum("tftp_edge_xdp_refused_files_total", &[]) > 0.0);
        let log = fs::read_to_string(rig.file("tftp-edge.log"))?;
        ensure!(
            log.contains("kernel.no_room") && log.contains("kernel.max_names"),
            "{log}"
        );

        let report = rig.boot(&site, &site.phones, &Progress::default(), |_| {})?;
        ensure_all_booted(&report)?;
        let after = rig.metrics()?;
        for rung in [Rung::Tc, Rung::Socket] {
            let answers = answers(&metrics, &after, rung);
            ensure!(answers > 0.0, "nothing is answered by {}", rung.as_str());
        }
        make_room(rig, &site)
    });
}

/// Phones that are removed leave their names: another's configuration is the kernel's then.
fn make_room(rig: &Rig<'_>, site: &Site) -> Result<()> {
    let by_kernel = |phone: &PhoneSpec| -> Result<bool> {
        let before = rig.metrics()?;
        let fetched = rig.config(phone)?;
        ensure!(!fetched.bytes.is_empty(), "{fetched:?}");
        is_the_kernels(rig, &before, Reason::FirstData)
    };
    let mut waits = None;
    for phone in &site.phones {
        if !by_kernel(phone)? {
            waits = Some(phone);
            break;
        }
    }
    let waits = waits.context("all phones are in the kernel")?;
    let others = site.phones.iter().filter(|it| it.device != waits.device);
    let gone = others.map(|it| &*it.device);
    let words: Vec<_> = ["phones", "remove"].into_iter().chain(gone).collect();
    rig.edge.command(&words)?;
    wait_for(
        "the phone that is left to be answered by the kernel",
        || by_kernel(waits).is_ok_and(|it| it),
    )
}

/// Whether the kernel has answered what was asked for since: by then one of the two has.
fn is_the_kernels(rig: &Rig<'_>, before: &Metrics, reason: Reason) -> Result<bool> {
    let paths = [Rung::Tc, Rung::Socket].map(Rung::as_str);
    let answered = |after: &Metrics| paths.map(|path| counted(before, after, path, reason) > 0);
    let after = rig.scrape_until(|after| answered(after).contains(&true))?;
    Ok(answered(&after)[0])
}

#[test]
fn content_that_finds_no_room_in_the_kernel_is_served_by_sockets_and_comes_in_when_there_is_some() {
    run(Rung::Tc, |rig| {
        rig.edge.amend("kernel", BANK)?;
        let names: [String; IMAGES] = std::array::from_fn(|at| format!("image{at}.sbn"));
        for name in &names {
            rig.put(name, &content(IMAGE_BYTES))?;
        }
        rig.start()?;
        let by_kernel = |name: &String| -> Result<bool> {
            let before = rig.metrics()?;
            let request = Request {
                options: Options {
                    blksize: 1428,
                    ..Options::default()
                },
                ..Request::plain(name.as_str())
            };
            let fetched = rig.get(OVER_V4, request)?;
            ensure!(
                fetched.bytes == content(IMAGE_BYTES),
                "{name}: {:?}",
                fetched.outcome
            );
            is_the_kernels(rig, &before, Reason::Oack)
        };
        let are_inside = names.iter().map(by_kernel).collect::<Result<Vec<_>>>()?;
        let inside = are_inside.iter().filter(|it| **it).count();
        ensure!(
            inside > 0 && inside < IMAGES,
            "in the kernel: {are_inside:?}"
        );
        let metrics = rig.metrics()?;
        ensure!(metrics.sum("tftp_edge_xdp_refused_files_total", &[]) > 0.0);
        ensure!(metrics.sum("tftp_edge_xdp_slab_limit_bytes", &[]) == f64::from(4 << 20));
        let log = fs::read_to_string(rig.file("tftp-edge.log"))?;
        ensure!(
            log.contains("kernel.no_room") && log.contains("kernel.memory_limit"),
            "{log}"
        );

        let of = |wanted| names.iter().zip(&are_inside).find(|(_, it)| **it == wanted);
        let ((gone, _), (waits, _)) = of(true).zip(of(false)).context("one of each")?;
        fs::remove_file(rig.edge.root().join(gone))?;
        wait_for("the image that waits to be answered by the kernel", || {
            by_kernel(waits).is_ok_and(|it| it)
        })
    });
}

#[test]
fn a_full_table_of_registered_phones_refuses_the_others_until_there_is_room() {
    run(Rung::Tc, |rig| {
        let mut site = Site::without_upgrades(PHONES);
        rig.edge.register("")?;
        let few = PHONES / 2;
        rig.edge
            .amend("register", &format!("max_registrations = {few}"))?;
        rig.host(&mut site)?;
        rig.start()?;
        let (first, second) = site.phones.split_at(few);
        let (refused, left) = (Progress::default(), Progress::default());
        let report = stay(rig, &site, first, &left, || {
            wait_for("the first to be registered", || {
                left.all_registered() == few as u64
            })?;
            let report = stay(rig, &site, second, &refused, || {
                wait_for("each of the others to be refused", || {
                    Progress::read(&refused.setbacks) >= second.len() as u64
                })?;
                wait_for_alarm(rig, "registrations", "raise register.max_registrations")?;
                let metrics = rig.metrics()?;
                ensure!(metrics.sum("tftp_edge_registrations_without_room_total", &[]) > 0.0);
                // As many as there may be, each with an address of its own: the kernel knows them all.
                let sources = [("map", "registered")];
                ensure!(metrics.sum("tftp_edge_xdp_map_entries", &sources) == few as f64);
                ensure!(metrics.sum("tftp_edge_xdp_map_capacity", &sources) == few as f64);
                Ok(())
            })?;
            // They have all their files, and fail only in that nobody registers them.
            ensure!(report.booted == report.phones, "{report:?}");
            ensure!(
                report.registration.phones() == 0,
                "{:?}",
                report.registration
            );
            Ok(())
        })?;
        ensure_all_left(&report)?;
        let report = rig.boot(&site, second, &Progress::default(), |options| {
            options.registration = Some(HASTY);
        })?;
        ensure_all_left(&report)?;
        wait_for_no_alarm(rig, "registrations")
    });
}

/// Phones that register, are refused, and come again soon; in the end they leave.
const HASTY: Registering = Registering {
    habits: Habits {
        hurry: None,
        after_reject: Some(Duration::from_secs(1)),
    },
    says_farewell: true,
};

fn stay(
    rig: &Rig<'_>,
    site: &Site,
    phones: &[PhoneSpec],
    progress: &Progress,
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<Report> {
    let mut options = FleetOptions::new(OVER_V4);
    options.registration = Some(HASTY);
    let fleet = Fleet {
        phones,
        oracle: &site.oracle,
        options,
    };
    let (report, ()) = fleet.stay(Place::Namespace(&rig.lab.client), progress, meanwhile)?;
    Ok(report)
}
