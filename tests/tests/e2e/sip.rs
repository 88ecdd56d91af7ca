//! SIPp, the field's own load tool, registers phones at the daemon; every message of both sides is
//! counted and dissected by tshark.

use std::fmt::Write as _;
use std::io::Read as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tftp_ebpf::verdict::Rung;
use tftp_edge_tests::lab::{
    CLIENT_IF, CLIENT_V4, CLIENT_V6, Capture, Findings, Process, SERVER_V4, SERVER_V6, skipped,
    tool,
};
use tftp_edge_tests::rig::{Rig, run, wait_for};

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
        .args(["-r", "200", "-l", "20", "-timeout", "60", "-timeout_error"])
        // The wire loses nothing, and each request is counted: none is to be sent again because
        // the machine stood still.
        .arg("-nr")
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
    if let Err(error) = process.wait_until(Duration::from_secs(90), || false)
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

fn start(rig: &mut Rig<'_>, settings: &str) -> Result<()> {
    host(rig)?;
    rig.edge
        .configure(&format!("\n[register]\nmode = \"registrar\"\n{settings}"))?;
    rig.start()
}

/// Starts the daemon as a registrar with these further settings, plays the runs, and has what went
/// over the wire dissected.
fn play(rig: &mut Rig<'_>, settings: &str, runs: &[Run]) -> Result<Findings> {
    start(rig, settings)?;
    let capture = Capture::start(&rig.lab.client, CLIENT_IF, &rig.file("sip.pcap"))?;
    for run in runs {
        sipp(rig, *run).with_context(|| format!("{} over {}", run.scenario, run.transport))?;
    }
    let findings = capture.finish()?;
    ensure!(findings.malformed == 0, "{findings:?}");
    ensure!(findings.bad_checksums == 0, "{findings:?}");
    Ok(findings)
}

/// A field of all messages of SIP that match a filter, however many of them a frame has.
fn messages(findings: &Findings, filter: &str, field: &str) -> Result<Vec<String>> {
    let frames = findings.fields(filter, field)?;
    let values = frames.iter().flat_map(|values| values.split(','));
    Ok(values.map(str::to_owned).collect())
}

/// Exactly so many requests, and so many answers of each kind; nothing else.
fn ensure_exact(findings: &Findings, requests: usize, answers: &[(&str, usize)]) -> Result<()> {
    let sent = messages(findings, "sip.Request-Line", "sip.Method")?.len();
    ensure!(sent == requests, "{sent} requests, not {requests}");
    let statuses = messages(findings, "sip.Status-Line", "sip.Status-Code")?;
    let mut all = 0;
    for &(status, wanted) in answers {
        let got = statuses.iter().filter(|it| *it == status).count();
        ensure!(got == wanted, "{got} times {status}, not {wanted}");
        all += got;
    }
    let got = statuses.len();
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

/// A source that tries one password after the other is shut out, at so many lines.
fn guesses(lines: usize) -> String {
    format!("[register.bans]\nguesses = {lines}\n")
}

const WRONG: Run = Run {
    spoil: "not-the-",
    ..Run::new("wrong", "u1")
};

#[test]
fn sipp_with_wrong_passwords_stays_out() {
    with_sipp(|rig| {
        // All phones of a run are behind one address: it is not shut out yet.
        let settings = guesses(PHONES + 1);
        let findings = play(rig, &settings, &[WRONG, Run::new("digest", "tn")])?;
        let answers = [("401", 2 * PHONES), ("403", PHONES), ("200", PHONES)];
        ensure_exact(&findings, 4 * PHONES, &answers)?;
        let metrics = rig.metrics()?;
        let refused = [("protocol", "sip"), ("reason", "authentication")];
        let refused = metrics.sum("tftp_edge_registration_refusals_total", &refused);
        ensure!(refused == PHONES as f64, "{refused} refusals counted");
        let bans = metrics.sum("tftp_edge_blocks_added_total", &[]);
        ensure!(bans == 0.0, "{bans} bans");
        Ok(())
    });
}

#[test]
fn sipp_with_wrong_passwords_for_many_lines_is_shut_out_until_it_is_let_in() {
    with_sipp(|rig| {
        start(rig, &guesses(PHONES))?;
        sipp(rig, WRONG)?;
        let counted = |rig: &Rig<'_>| -> Result<(f64, f64)> {
            let metrics = rig.metrics()?;
            let ended = [("reason", "banned")];
            Ok((
                metrics.sum("tftp_edge_blocks_added_total", &[("reason", "guess")]),
                metrics.sum("tftp_edge_sip_connections_ended_total", &ended),
            ))
        };
        let wait_for_bans = |rig: &Rig<'_>, wanted| {
            wait_for("the ban to be counted", || {
                counted(rig).is_ok_and(|it| it == wanted)
            })
            .with_context(|| format!("{:?}, not {wanted:?}", counted(rig)))
        };
        wait_for_bans(rig, (1.0, 0.0))?;
        // Not even with the right password.
        rig.as_client(|| {
            let mut stream = TcpStream::connect((SERVER_V4, 5060))?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            // A reset is an end as well.
            let read = stream.read(&mut [0]).unwrap_or(0);
            ensure!(read == 0, "somebody talks to a source that is shut out");
            Ok(())
        })?;
        wait_for_bans(rig, (1.0, 1.0))?;
        let client = CLIENT_V4.to_string();
        let bans = |words: &[&str]| -> Result<String> {
            let words = [&["bans"], words].concat();
            Ok(String::from_utf8(rig.edge.command(&words)?)?)
        };
        let listed = bans(&["list"])?;
        ensure!(listed.contains(&format!("{client:<28} guess ")), "{listed}");
        // An operator lets it in before its time.
        let lifted = bans(&["lift", &client])?;
        ensure!(lifted == format!("{client}: let in again\n"), "{lifted}");
        sipp(rig, Run::new("digest", "tn"))?;
        let listed = bans(&["list"])?;
        ensure!(listed == "nobody is shut out\n", "{listed}");
        wait_for_bans(rig, (1.0, 1.0))
    });
}
