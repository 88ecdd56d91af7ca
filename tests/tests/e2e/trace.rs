//! Phones are traced while they boot and register: each packet is told once, with what became of it,
//! and when nobody traces any more the programs are those that were there before.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use tftp_ebpf::verdict::Rung;
use tftp_edge_tests::client::Outcome;
use tftp_edge_tests::lab::{CLIENT_IF, Capture, Findings, Process, SERVER_IF, identities};
use tftp_edge_tests::phones::{PhoneSpec, Progress, Registering};
use tftp_edge_tests::rig::{Rig, wait_for};
use tftp_edge_tests::site::Site;

on_every_rung!(phones_are_traced_from_boot_to_registration);

/// Enough for both protocols, and for others beside those that are traced.
const PHONES: usize = 10;

/// Longer than the test takes: a trace ends because it is ended.
const SECONDS: &str = "120";

/// `tftp-edge trace`, as it runs.
pub struct Trace {
    process: Process,
    pcap: PathBuf,
}

impl Trace {
    /// Begins a trace; returns when packets are told, or waited for.
    pub fn begin(rig: &Rig<'_>, target: &str) -> Result<Self> {
        let (log, pcap) = (
            rig.file(&format!("{target}.json")),
            rig.file(&format!("{target}.pcapng")),
        );
        let file = pcap.to_string_lossy().into_owned();
        let arguments = [
            "trace",
            target,
            "--json",
            "--seconds",
            SECONDS,
            "--pcap",
            &file,
        ];
        let process = rig.edge.spawn("tftp-edge trace", &arguments, &log)?;
        let mut trace = Self { process, pcap };
        wait_for("the trace to begin", || {
            !trace.told("watching").is_empty()
                || !trace.told("waiting").is_empty()
                || !trace.process.is_running()
        })?;
        ensure!(trace.process.is_running(), "{}", trace.process.log());
        Ok(trace)
    }

    /// What was told of one kind.
    pub fn told(&self, kind: &str) -> Vec<Value> {
        let log = self.process.log();
        // The last line may not be whole yet.
        let lines = log
            .lines()
            .filter_map(|it| serde_json::from_str::<Value>(it).ok());
        lines
            .filter_map(|mut it| Some(it.get_mut(kind)?.take()))
            .collect()
    }

    /// Each packet's summary with what became of it.
    fn lines(&self) -> Vec<String> {
        let line = |packet: &Value| {
            let decisions = packet["decisions"].as_array().map(Vec::as_slice);
            let of = |it: &Value| {
                let word = |key: &str| it[key].as_str().unwrap_or_default().to_owned();
                [word("rung"), word("action"), word("reason"), word("class")].join(" ")
            };
            let decisions: Vec<_> = decisions.unwrap_or_default().iter().map(of).collect();
            let word = |key: &str| packet[key].as_str().unwrap_or_default();
            format!(
                "{} {} {} {} [{}]",
                word("direction"),
                word("via"),
                word("protocol"),
                word("summary"),
                decisions.join("; ")
            )
        };
        self.told("packet").iter().map(line).collect()
    }
}

/// How often each frame from or to an address is in a capture, by its hash.
fn frames(findings: &Findings, address: &str) -> Result<BTreeMap<String, usize>> {
    let mut frames = BTreeMap::new();
    for hash in findings.fields(&format!("ip.addr == {address}"), "frame.md5_hash")? {
        *frames.entry(hash).or_default() += 1;
    }
    Ok(frames)
}

/// Returns when so many packets were told.
fn wait_for_packets(trace: &Trace, count: usize) -> Result<()> {
    wait_for("all packets to be told", || {
        trace.told("packet").len() >= count
    })
}

/// The first phone with this protocol.
fn first<'s>(site: &'s Site, protocol: &str) -> Result<&'s PhoneSpec> {
    let mut phones = site.phones.iter();
    let phone = phones.find(|phone| phone.family.protocol() == protocol);
    phone.with_context(|| format!("the site has no {protocol} phone"))
}

fn phones_are_traced_from_boot_to_registration(rig: &mut Rig<'_>) -> Result<()> {
    let mut site = Site::without_upgrades(PHONES);
    rig.edge.register("")?;
    rig.host(&mut site)?;
    rig.start()?;
    let attached = |rig: &Rig<'_>| identities(&rig.lab.server, SERVER_IF);
    let before = attached(rig)?;
    ensure!(before.is_empty() == (rig.rung == Rung::Socket), "{before}");

    let (sccp, sip) = (first(&site, "sccp")?.clone(), first(&site, "sip")?.clone());
    let traced = [&sccp, &sip];
    let mut traces = Vec::new();
    for phone in traced {
        traces.push(Trace::begin(rig, &phone.address.to_string())?);
    }
    let mut by_name = Trace::begin(rig, &sip.device)?;
    ensure!(
        by_name.told("waiting").len() == 1,
        "{}",
        by_name.process.log()
    );
    let while_traced = attached(rig)?;
    ensure!(
        (while_traced == before) == (rig.rung == Rung::Socket),
        "{while_traced}"
    );

    let capture = Capture::start(&rig.lab.client, CLIENT_IF, &rig.file("beside.pcap"))?;
    let progress = Progress::default();
    let (report, ()) = rig.stay(&site, Registering::default(), &progress, || {
        wait_for("all phones to be registered", || {
            progress.all_registered() == PHONES as u64
        })?;
        wait_for("the device to be found", || {
            !by_name.told("watching").is_empty()
        })
    })?;
    ensure!(report.failed == 0, "{:#?}", report.failures);
    let found = &by_name.told("watching")[0]["addresses"];
    ensure!(
        *found == serde_json::json!([sip.address.to_string()]),
        "{found}"
    );
    let beside = capture.finish()?;

    for (trace, phone) in traces.iter_mut().zip(traced) {
        let address = phone.address.to_string();
        let captured = frames(&beside, &address)?;
        wait_for_packets(trace, captured.values().sum())?;
        let findings = Findings::read(&trace.pcap)?;
        findings.ensure_sound()?;
        // Each frame as often as it was on the wire, and nobody else's.
        let told = frames(&findings, &address)?;
        ensure!(
            told == captured,
            "{address}: {told:#?}, on the wire {captured:#?}"
        );
        ensure!(
            told.values().sum::<usize>() == findings.frames,
            "{findings:?}"
        );
        ensure!(trace.told("lost").is_empty(), "{:?}", trace.told("lost"));
        ensure_told(rig.rung, trace, &findings, phone)?;
    }

    // Whoever traces goes, in order or not: the programs are those from before.
    by_name.process.end(Signal::SIGKILL)?;
    for trace in &mut traces {
        trace.process.end(Signal::SIGINT)?;
    }
    wait_for("the programs from before", || {
        attached(rig).is_ok_and(|now| now == before)
    })?;
    ensure!(rig.config(&sccp)?.outcome == Outcome::Complete);

    // Killed in the middle of a trace, the daemon leaves nothing that answers.
    let _trace = Trace::begin(rig, &sccp.address.to_string())?;
    rig.kill()?;
    let left = attached(rig)?;
    ensure!(left.is_empty(), "{left}");
    rig.start()?;
    ensure!(rig.config(&sccp)?.outcome == Outcome::Complete);
    Ok(())
}

/// The words of the rung are in the trace, and beside the packets in the file.
fn ensure_told(rung: Rung, trace: &Trace, findings: &Findings, phone: &PhoneSpec) -> Result<()> {
    let lines = trace.lines();
    let has = |wanted: &str| {
        let found = lines.iter().any(|line| line.contains(wanted));
        ensure!(found, "no {wanted}: {lines:#?}");
        Ok(())
    };
    has(&format!("RRQ {}.cnf.xml", phone.device))?;
    has("DATA 1 ")?;
    let comments = findings
        .fields("frame.comment", "frame.comment")?
        .join("\n");
    match rung {
        Rung::Xdp => {
            has("out xdp TFTP DATA")?;
            has("xdp answered ")?;
            has("xdp dropped complete")?;
        }
        Rung::Tc => {
            has("out host TFTP DATA")?;
            has("tc answered ")?;
            has("tc dropped complete")?;
        }
        Rung::Socket => {
            has("in host TFTP RRQ")?;
            ensure!(comments.is_empty(), "{comments}");
        }
    }
    let (asked, class) = match phone.family.protocol() {
        "sip" => ("SIP REGISTER CSeq ", "sip_register"),
        _ => ("SCCP Register SEP", "sccp_register"),
    };
    has(asked)?;
    if rung != Rung::Socket {
        let rung = rung.as_str();
        has(&format!("{rung} passed registration {class}"))?;
        for wanted in [
            format!("{rung} passed: registration {class} (pass)"),
            format!("{rung} answered: "),
        ] {
            ensure!(comments.contains(&wanted), "no {wanted}: {comments}");
        }
    }
    Ok(())
}
