//! SIPp, the field's own load tool, registers phones at the daemon; every message of both sides is
//! counted and dissected by tshark.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tftp_ebpf::verdict::Rung;
use tftp_edge_tests::lab::{
    CLIENT_IF, CLIENT_V4, CLIENT_V6, Capture, Findings, Process, SERVER_V4, SERVER_V6, skipped,
    tool,
};
use tftp_edge_tests::rig::{Rig, run};

/// Phones of a run: enough that one that goes wrong is no accident, few enough to be quick.
const PHONES: usize = 60;

/// How a run of SIPp goes.
#[derive(Clone, Copy)]
struct Run {
    scenario: &'static str,
    /// SIPp's name: `u1` one UDP socket, `t1` one TCP connection, `tn` one for each call.
    transport: &'static str,
    over_v6: bool,
    /// What is put before every password.
    spoil: &'static str,
}

impl Run {
    const fn new(scenario: &'static str, transport: &'static str) -> Self {
        Self {
            scenario,
            transport,
            over_v6: false,
            spoil: "",
        }
    }
}

fn device(number: usize) -> String {
    format!("SEP00175A{number:06X}")
}

/// The inventory: one line for each phone, with a password of its own.
fn host(rig: &Rig<'_>) -> Result<()> {
    let mut csv = String::from("name,model,protocol,lines,secret\n");
    for number in 0..PHONES {
        let (device, line) = (device(number), 4000 + number);
        writeln!(csv, "{device},8851,sip,{line},secret{line}")?;
    }
    let file = rig.file("phones.csv");
    std::fs::write(&file, csv)?;
    rig.edge.import(&file)
}

/// Runs SIPp to its end: every call must have gone as its scenario says.
fn sipp(rig: &Rig<'_>, run: Run) -> Result<()> {
    let mut users = String::from("SEQUENTIAL\n");
    for number in 0..PHONES {
        let (device, line, spoil) = (device(number), 4000 + number, run.spoil);
        let password = format!("{spoil}secret{line}");
        let keyword = format!("[authentication username={line} password={password}]");
        writeln!(users, "{line};{device};{keyword}")?;
    }
    let file = rig.file("users.csv");
    std::fs::write(&file, users)?;
    let (server, local) = match run.over_v6 {
        true => (format!("[{SERVER_V6}]"), format!("[{CLIENT_V6}]")),
        false => (SERVER_V4.to_string(), CLIENT_V4.to_string()),
    };
    let mut command = rig.lab.client.command("sipp");
    let calls = PHONES.to_string();
    command
        .current_dir(rig.file("").parent().context("the rig has a folder")?)
        .args([&format!("{server}:5060"), "-sf"])
        .arg(scenario(run.scenario))
        .arg("-inf")
        .arg(&file)
        .args(["-i", &local, "-t", run.transport, "-m", &calls])
        .args(["-r", "200", "-l", "20", "-timeout", "20", "-timeout_error"])
        .args([
            "-max_socket",
            "1000",
            "-nostdin",
            "-trace_err",
            "-error_file",
        ])
        .arg(rig.file("sipp-errors.log"));
    ended_well(rig, command)
}

fn ended_well(rig: &Rig<'_>, command: Command) -> Result<()> {
    let log = rig.file("sipp.log");
    let mut process = Process::start("sipp", command, &log)?;
    // Waiting fails at its end, too: that it has ended is what is waited for.
    if let Err(error) = process.wait_until(Duration::from_secs(40), || false)
        && process.is_running()
    {
        return Err(error.context("sipp does not end"));
    }
    let status = process.stop()?;
    let errors = std::fs::read_to_string(rig.file("sipp-errors.log")).unwrap_or_default();
    ensure!(
        status.success(),
        "sipp ended with {status}:\n{errors}\n{}",
        process.log_tail()
    );
    Ok(())
}

fn scenario(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/e2e/sipp")
        .join(name)
        .with_extension("xml")
}

/// Starts the daemon as a registrar with these further settings, plays the runs, and has what went
/// over the wire dissected.
fn play(rig: &mut Rig<'_>, settings: &str, runs: &[Run]) -> Result<Findings> {
    host(rig)?;
    rig.edge
        .configure(&format!("\n[register]\nmode = \"registrar\"\n{settings}"))?;
    rig.start()?;
    let capture = Capture::start(&rig.lab.client, CLIENT_IF, &rig.file("sip.pcap"))?;
    for run in runs {
        sipp(rig, *run).with_context(|| format!("{} over {}", run.scenario, run.transport))?;
    }
    let findings = capture.finish()?;
    ensure!(findings.malformed == 0, "{findings:?}");
    ensure!(findings.bad_checksums == 0, "{findings:?}");
    Ok(findings)
}

/// Messages of SIP that match a filter, however many of them a frame has.
fn messages(findings: &Findings, filter: &str, field: &str) -> Result<usize> {
    let frames = findings.fields(filter, field)?;
    Ok(frames.iter().map(|values| values.split(',').count()).sum())
}

fn statuses(findings: &Findings, wanted: &str) -> Result<usize> {
    let frames = findings.fields("sip.Status-Code", "sip.Status-Code")?;
    let all = frames.iter().flat_map(|values| values.split(','));
    Ok(all.filter(|status| *status == wanted).count())
}

/// Exactly so many requests, and so many answers of each kind; nothing else.
fn ensure_exact(findings: &Findings, requests: usize, answers: &[(&str, usize)]) -> Result<()> {
    let sent = messages(findings, "sip.Request-Line", "sip.Method")?;
    ensure!(sent == requests, "{sent} requests, not {requests}");
    let mut all = 0;
    for &(status, wanted) in answers {
        let got = statuses(findings, status)?;
        ensure!(got == wanted, "{got} times {status}, not {wanted}");
        all += got;
    }
    let got = messages(findings, "sip.Status-Line", "sip.Status-Code")?;
    ensure!(got == all, "{got} answers, not {all}");
    Ok(())
}

/// Runs a case if SIPp is there.
fn with_sipp(case: fn(&mut Rig<'_>) -> Result<()>) {
    match tool("sipp") {
        Some(_) => run(Rung::Socket, case),
        None => skipped("there is no sipp: install sip-tester"),
    }
}

#[test]
fn sipp_registers_with_digest_refreshes_and_leaves() {
    with_sipp(|rig| {
        let runs = [
            Run::new("life", "u1"),
            Run::new("life", "t1"),
            Run {
                over_v6: true,
                ..Run::new("life", "u1")
            },
        ];
        let findings = play(rig, "", &runs)?;
        let calls = runs.len() * PHONES;
        ensure_exact(&findings, 5 * calls, &[("401", calls), ("200", 4 * calls)])
    });
}

#[test]
fn sipp_registers_without_passwords_where_none_are_asked_for() {
    with_sipp(|rig| {
        let runs = [Run::new("plain", "u1"), Run::new("plain", "tn")];
        let settings = "[register.sip.digest]\nrequire = \"never\"\n";
        let findings = play(rig, settings, &runs)?;
        let calls = runs.len() * PHONES;
        ensure_exact(&findings, 2 * calls, &[("200", 2 * calls)])
    });
}

#[test]
fn sipp_with_wrong_passwords_stays_out() {
    with_sipp(|rig| {
        let runs = [
            Run {
                spoil: "not-the-",
                ..Run::new("wrong", "u1")
            },
            Run::new("digest", "tn"),
        ];
        let findings = play(rig, "", &runs)?;
        let answers = [("401", 2 * PHONES), ("403", PHONES), ("200", PHONES)];
        ensure_exact(&findings, 4 * PHONES, &answers)
    });
}
