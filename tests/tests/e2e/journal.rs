//! What phones do is written down: by whoever answers them, and over a restart.

use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde::Deserialize;
use serde_json::Value;
use tftp_ebpf::verdict::Rung;
use tftp_edge::config::Config;
use tftp_edge::journal::{EntryView, Fact, Outcome, PhoneView, Stage};
use tftp_edge::ops::control;
use tftp_edge_tests::lab::uninterrupted;
use tftp_edge_tests::phones::{Expected, Oracle as _, PhoneSpec, Progress, Registering};
use tftp_edge_tests::rig::{HTTP_V4, OVER_V4, PATIENT, Rig, ensure_all_registered, run, wait_for};
use tftp_edge_tests::site::Site;

use crate::trace::Trace;

on_every_rung!(the_timeline_of_a_phone_has_what_it_asked_for_and_its_registration,);

/// Enough for every family.
const PHONES: usize = 30;

fn the_timeline_of_a_phone_has_what_it_asked_for_and_its_registration(
    rig: &mut Rig<'_>,
) -> Result<()> {
    let site = booted(rig)?;
    for phone in &site.phones {
        let view = finished(rig, phone, phone.files.len())?;
        let files = expected(rig, &site, phone);
        ensure!(
            told(&view) == files,
            "{}, a {:?}: told {:#?}, but it did {files:#?}",
            phone.device,
            phone.family,
            told(&view)
        );
        ensure_registered_last(&view).with_context(|| phone.device.to_string())?;
        ensure!(view.gaps.is_empty(), "{:?}", view.gaps);
    }
    Ok(())
}

#[test]
fn the_timeline_is_there_after_a_daemon_was_killed_and_goes_on() {
    run(Rung::Socket, |rig| {
        let site = booted(rig)?;
        let phone = &site.phones[0];
        let before = finished(rig, phone, phone.files.len())?;
        wait_for("the journal to be saved", || {
            rig.metrics().is_ok_and(|it| {
                it.sum("tftp_edge_journal_saved_phones", &[]) == PHONES as f64
                    && it.sum("tftp_edge_journal_waiting_phones", &[]) == 0.0
            })
        })?;
        rig.kill()?;
        rig.start()?;
        let after = view(rig, phone)?;
        ensure!(after.boots == before.boots, "{after:#?}");
        let [gap] = &after.gaps[..] else {
            anyhow::bail!("nobody was there for a while: {:?}", after.gaps)
        };
        ensure!(gap.events == 0 && gap.from_ms < gap.until_ms, "{gap:?}");
        rig.config(phone)?;
        wait_for("the next boot", || {
            view(rig, phone).is_ok_and(|it| it.boots.len() == 2)
        })?;
        let next = finished(rig, phone, phone.files.len() + 1)?
            .boots
            .pop()
            .context("a boot")?;
        ensure!((next.number, next.stage) == (2, Stage::Config), "{next:?}");
        Ok(())
    });
}

#[test]
fn what_finds_no_room_in_the_kernels_rings_is_counted_and_told_and_later_events_are_there() {
    run(Rung::Tc, |rig| {
        let site = booted(rig)?;
        let phone = &site.phones[0];
        ensure!(finished(rig, phone, phone.files.len())?.gaps.is_empty());
        // A trace has a ring and a socket of its own.
        let trace = Trace::begin(rig, &phone.address.to_string())?;
        // The daemon stands still, and the kernel program goes on answering.
        rig.daemon_mut()?.signal(Signal::SIGSTOP)?;
        let asked = ask_in_vain(rig, phone);
        rig.daemon_mut()?.signal(Signal::SIGCONT)?;
        asked?;
        let lost = || -> Result<f64> {
            let metrics = rig.metrics()?;
            Ok(metrics.sum("tftp_edge_journal_events_total", &[("result", "lost")]))
        };
        let shown = || -> Result<f64> {
            let gaps = view(rig, phone)?.gaps;
            Ok(gaps.iter().map(|gap| gap.events).sum::<u64>() as f64)
        };
        // The ring is emptied piece by piece.
        wait_for(
            "lost events to be counted and shown",
            || matches!((lost(), shown()), (Ok(lost), Ok(shown)) if lost > 0.0 && lost == shown),
        )
        .with_context(|| format!("{:?} lost, {:?} shown", lost(), shown()))?;
        wait_for("the trace to say what it lacks", || {
            let told = trace.told("lost");
            let lacks = |it: &Value| ["ring", "socket", "reader"].iter().any(|of| it[of] != 0);
            told.iter().any(lacks)
        })
        .with_context(|| format!("lost: {:?}", trace.told("lost")))?;

        // With room in the rings, nothing is missing any more.
        let (was_lost, was_told) = (lost()?, told(&view(rig, phone)?).len());
        rig.config(phone)?;
        wait_for("what the phone does now", || {
            view(rig, phone).is_ok_and(|it| told(&it).len() > was_told)
        })?;
        ensure!(lost()? == was_lost, "{} more are lost", lost()? - was_lost);
        Ok(())
    });
}

/// More than the ring has room for: a megabyte, of records of 72 bytes and more.
fn ask_in_vain(rig: &Rig<'_>, phone: &PhoneSpec) -> Result<()> {
    const REQUESTS: usize = 16_000;
    rig.as_client(|| {
        let socket = UdpSocket::bind((phone.address, 0))?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        let request = format!("\0\u{1}CTL{}.tlv\0octet\0", phone.device);
        for number in 0..REQUESTS {
            socket.send_to(request.as_bytes(), OVER_V4)?;
            let (len, _) = uninterrupted(|| socket.recv_from(&mut [0; 512]))
                .with_context(|| format!("request {number}"))?;
            ensure!(len > 4, "{len} bytes came");
        }
        Ok(())
    })
}

/// A site whose phones have booted, the newer ones over HTTP, and registered.
fn booted(rig: &mut Rig<'_>) -> Result<Site> {
    let mut site = Site::without_upgrades(PHONES);
    rig.edge.register("")?;
    rig.host(&mut site)?;
    rig.start()?;
    let report = rig.boot(&site, &site.phones, &Progress::default(), |options| {
        options.http = Some(HTTP_V4);
        options.retry = PATIENT;
        options.registration = Some(Registering::default());
    })?;
    ensure_all_registered(&report)?;
    ensure!(report.resends() == 0, "a phone asked twice: {report:?}");
    Ok(site)
}

pub fn view(rig: &Rig<'_>, phone: &PhoneSpec) -> Result<PhoneView> {
    let socket = Config::load(&rig.edge.config())?.control.socket;
    let view = control::phone(&socket, phone.device.parse()?)?;
    view.with_context(|| format!("nobody knows {}", phone.device))
}

/// A file that was asked for: its name, what became of it, who answered, and its size.
type File = (String, Outcome, String, Option<u32>);

/// An entry of a timeline, as it stands on the control socket.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum What {
    File {
        name: String,
        path: String,
        len_bytes: u32,
        outcome: Outcome,
    },
    Fact {
        fact: Fact,
    },
}

fn what(entry: &EntryView) -> What {
    let json = serde_json::to_value(&entry.what).expect("it came as JSON");
    serde_json::from_value(json).expect("a file or a fact")
}

/// What a phone did, once so many files are told, and all of them have ended: what the kernel program
/// saw is told a moment later.
fn finished(rig: &Rig<'_>, phone: &PhoneSpec, files: usize) -> Result<PhoneView> {
    let waited = wait_for("all requests to have ended", || {
        view(rig, phone).is_ok_and(|view| {
            let told = told(&view);
            told.len() >= files && told.iter().all(|file| file.1 != Outcome::Pending)
        })
    });
    let view = view(rig, phone)?;
    waited.with_context(|| format!("{files} files, and told {view:#?}"))?;
    Ok(view)
}

fn told(view: &PhoneView) -> Vec<File> {
    let entries = view.boots.iter().flat_map(|boot| &boot.entries);
    let files = entries.filter_map(|entry| match what(entry) {
        What::File {
            name,
            path,
            len_bytes,
            outcome,
        } => {
            let len_bytes = (outcome == Outcome::Complete).then_some(len_bytes);
            let file = (name, outcome, path, len_bytes);
            Some(std::iter::repeat_n(file, entry.times as usize))
        }
        What::Fact { .. } => None,
    });
    files.flatten().collect()
}

fn expected(rig: &Rig<'_>, site: &Site, phone: &PhoneSpec) -> Vec<File> {
    let path = match phone.family.knows_http() {
        true => "http",
        false => rig.first_path(),
    };
    let file = |name: &str| {
        let (outcome, len_bytes) = match site.oracle.expected(name) {
            Expected::Bytes(bytes) => (Outcome::Complete, Some(bytes.len() as u32)),
            Expected::Absent | Expected::Judged => (Outcome::Absent, None),
        };
        let name = name.to_ascii_lowercase().replace('\\', "/");
        (name, outcome, path.to_owned(), len_bytes)
    };
    phone.files.iter().map(|name| file(name)).collect()
}

/// Whether a phone has registered after its last file, and not before it had asked to.
fn ensure_registered_last(view: &PhoneView) -> Result<()> {
    let [boot] = &view.boots[..] else {
        anyhow::bail!("more or less than one boot: {:#?}", view.boots)
    };
    let entries = &boot.entries;
    ensure!(
        entries.is_sorted_by_key(|entry| entry.at_ms),
        "{entries:#?}"
    );
    let mut facts = Vec::new();
    for entry in entries {
        match what(entry) {
            What::Fact { fact } => facts.push(fact),
            What::File { name, .. } => ensure!(facts.is_empty(), "{name} after {facts:?}"),
        }
    }
    let place = |is: fn(&Fact) -> bool| facts.iter().position(is);
    let asked = place(|it| matches!(it, Fact::Registering { .. }));
    let registered = place(|it| matches!(it, Fact::Registered { .. }));
    ensure!(asked.is_some() && asked < registered, "{facts:?}");
    Ok(())
}
