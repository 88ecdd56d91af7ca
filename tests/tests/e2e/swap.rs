//! Content changes while it is fetched: everybody gets one version, whole.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use tftp_edge_tests::client::{Fault, Fetched, Outcome, Request, get_with};
use tftp_edge_tests::lab::CLIENT_V4;
use tftp_edge_tests::phones::{Family, PhoneSpec};
use tftp_edge_tests::rig::{OVER_V4, PATIENT, Rig, wait_for};
use tftp_edge_tests::site::{Site, SiteOptions, TIME_ZONE};

on_every_rung!(
    a_file_replaced_a_thousand_times_is_never_mixed,
    configurations_change_as_a_whole,
);

const SWAPS: usize = 1000;
const NAME: &str = "hot.bin";
/// Readers at one time.
const READERS: usize = 4;
/// A reader's pause before each packet, so that files change while they are fetched.
const PAUSE: Duration = Duration::from_micros(300);

/// Every line of a version tells which one it is; their number differs too.
fn version(number: usize) -> Vec<u8> {
    let lines = 375 + number % 7;
    format!("version {number:07}\n").repeat(lines).into_bytes()
}

/// Which version this is, if it is one.
fn number(content: &[u8]) -> Result<usize> {
    let line = content.get(8..15).context("not even a line")?;
    let number = std::str::from_utf8(line)?.parse()?;
    if content != version(number) {
        let other = content.chunks(16).position(|line| line != &content[..16]);
        bail!(
            "of version {number} up to line {other:?}, {} bytes",
            content.len()
        );
    }
    Ok(number)
}

/// Fetches slowly. The calling thread must be among the clients.
fn fetch(request: Request) -> Result<Fetched> {
    let fetched = get_with(CLIENT_V4.into(), OVER_V4, request, PATIENT, |_, _| {
        thread::sleep(PAUSE);
        Fault::None
    })?;
    ensure!(
        fetched.outcome == Outcome::Complete,
        "{:?}",
        fetched.outcome
    );
    Ok(fetched)
}

/// Runs readers among the clients until `work` is done; returns what each fetch of theirs brought.
fn while_readers<T: Send>(
    rig: &Rig<'_>,
    read: impl Fn(usize) -> Result<T> + Sync,
    work: impl FnOnce() -> Result<()>,
) -> Result<Vec<T>> {
    let (done, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let lab = rig.lab;
    thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|_| {
                scope.spawn(|| {
                    lab.client.enter_thread()?;
                    let mut got = Vec::new();
                    while !done.load(Ordering::Relaxed) {
                        got.push(read(count.fetch_add(1, Ordering::Relaxed))?);
                    }
                    anyhow::Ok(got)
                })
            })
            .collect();
        let worked = work();
        done.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for reader in readers {
            let got = reader
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            all.extend(got);
        }
        worked.map(|()| all)
    })
}

fn a_file_replaced_a_thousand_times_is_never_mixed(rig: &mut Rig<'_>) -> Result<()> {
    rig.put(NAME, &version(0))?;
    rig.start()?;
    let before = rig.metrics()?;
    let now = AtomicUsize::new(0);
    let read = |turn: usize| {
        let request = match turn % 2 {
            0 => Request::plain(NAME),
            _ => Request::sized(NAME, 1428),
        };
        let at_first = now.load(Ordering::Relaxed);
        let number = number(&fetch(request)?.bytes)?;
        // Versions written while it was on its way.
        Ok((number, now.load(Ordering::Relaxed) - at_first))
    };
    let got = while_readers(rig, read, || {
        for swap in 1..=SWAPS {
            rig.replace(NAME, &version(swap))?;
            now.store(swap, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    })?;
    let versions: BTreeSet<usize> = got.iter().map(|(number, _)| *number).collect();
    let crossed = got.iter().filter(|(_, swaps)| *swaps > 0).count();
    ensure!(
        versions.len() > 20 && crossed > 100,
        "{} fetches saw {} versions, {crossed} crossed a swap: nothing is shown",
        got.len(),
        versions.len()
    );
    let metrics = rig.metrics()?;
    let data = [("path", rig.first_path()), ("reason", "data")];
    let all = metrics.grown(&before, "tftp_edge_tftp_packets_total", &data[1..]);
    let ours = metrics.grown(&before, "tftp_edge_tftp_packets_total", &data);
    ensure!(
        ours > all / 2.0,
        "{ours} of {all} blocks by {}",
        rig.first_path()
    );

    let last = || number(&rig.get_all(NAME)?);
    wait_for("the last version to be served", || {
        last().is_ok_and(|number| number == SWAPS)
    })
    .with_context(|| format!("version {:?} is still served", last()))
}

fn configurations_change_as_a_whole(rig: &mut Rig<'_>) -> Result<()> {
    const CHANGES: usize = 20;
    const ZONES: [&str; 2] = [TIME_ZONE, "GMT Standard/Daylight Time"];
    let mut site = Site::new(&SiteOptions {
        phones: 100,
        ..SiteOptions::default()
    });
    rig.host(&mut site)?;
    let mut rendered: [HashMap<String, Bytes>; 2] = Default::default();
    for (zone, rendered) in ZONES.iter().zip(&mut rendered).rev() {
        rig.edge.set(&[format!("time_zone={zone}")])?;
        *rendered = rig.edge.rendered()?.into_iter().collect();
    }
    rig.start()?;
    let phones = &site.phones;
    let zone_of = |phone: &PhoneSpec, content: &[u8]| -> Result<usize> {
        let is_it = |of: &HashMap<String, Bytes>| {
            of.get(&*phone.device)
                .is_some_and(|expected| expected == content)
        };
        let zone = rendered.iter().position(is_it);
        zone.with_context(|| format!("{} is of neither version", phone.device))
    };
    let read = |turn: usize| {
        let phone = &phones[turn % phones.len()];
        let request = phone.family.request(Family::config_file(&phone.device));
        zone_of(phone, &fetch(request)?.bytes)
    };
    let seen = while_readers(rig, read, || {
        for change in 1..=CHANGES {
            rig.edge
                .set(&[format!("time_zone={}", ZONES[change % 2])])?;
            thread::sleep(Duration::from_millis(60));
        }
        Ok(())
    })?;
    for zone in [0, 1] {
        let fetches = seen.iter().filter(|&&seen| seen == zone).count();
        ensure!(fetches > 10, "{fetches} of {} had zone {zone}", seen.len());
    }
    for phone in phones {
        let zone = || zone_of(phone, &rig.config(phone)?.bytes);
        wait_for("the last configuration", || {
            zone().is_ok_and(|zone| zone == CHANGES % 2)
        })
        .with_context(|| format!("{} has zone {:?}", phone.device, zone()))?;
    }
    Ok(())
}
