//! The configuration is read anew while phones boot: what is good holds at once, on sockets and in
//! the kernel; what is bad changes nothing; and no phone notices.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use tftp_ebpf::verdict::{Reason, Rung};
use tftp_edge::ops::control;
use tftp_edge::ops::reload::{Outcome, Reloaded};
use tftp_edge_tests::client::{self, Request, Retry, get};
use tftp_edge_tests::lab::{CLIENT_V4, CLIENT_V6, output};
use tftp_edge_tests::phones::Progress;
use tftp_edge_tests::rig::{
    HTTP_V6, OVER_V4, OVER_V6, PATIENT, Rig, ensure_all_booted, run, wait_for,
};
use tftp_edge_tests::site::Site;

const PHONES: usize = 60;
const RELOADS: usize = 50;
/// As long as an answer may take on a busy machine.
const ANSWER: Duration = Duration::from_secs(20);

const ALL: &str = r#"access.allow = ["10.0.0.0/8", "127.0.0.0/8", "fd00::/8", "::1/128"]"#;
const V4_ALONE: &str = r#"access.allow = ["10.0.0.0/8", "127.0.0.0/8", "::1/128"]"#;

#[test]
fn fifty_reloads_good_and_bad_cost_no_phone_anything() {
    run(Rung::Tc, |rig| {
        let mut site = Site::without_upgrades(PHONES);
        let fragments = rig.edge.config().with_file_name("conf.d");
        fs::create_dir(&fragments)?;
        let certificates = [certificate(rig, "one")?, certificate(rig, "two")?];
        let tls = fragments.join("50-tls.toml");
        fs::write(&tls, https(&certificates[0]))?;
        rig.host(&mut site)?;
        rig.start()?;
        let is_over = AtomicBool::new(false);
        let rig = &*rig;
        thread::scope(|scope| {
            let boots = scope.spawn(|| -> Result<usize> {
                let mut boots = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let report =
                        rig.boot(&site, &site.phones, &Progress::default(), |options| {
                            options.retry = PATIENT;
                        })?;
                    ensure_all_booted(&report)?;
                    ensure!(report.resends() == 0, "a phone asked twice: {report:?}");
                    boots += 1;
                }
                Ok(boots)
            });
            let reloaded = reload_all(rig, &fragments, &certificates);
            is_over.store(true, Ordering::Relaxed);
            let boots = boots.join().expect("the phones panicked")?;
            reloaded?;
            ensure!(boots >= 2, "all phones booted {boots} times");
            Ok(())
        })?;
        let metrics = rig.metrics()?;
        let results = ["success", "failure"].map(|result| {
            let labels = [("result", result)];
            metrics.sum("tftp_edge_config_reloads_total", &labels)
        });
        ensure!(results == [43.0, 11.0], "{results:?}");
        ensure!(metrics.sum("tftp_edge_config_last_reload_successful", &[]) == 1.0);
        ensure!(metrics.sum("tftp_edge_config_waiting_settings", &[]) == 1.0);
        let status = rig.edge.command(&["status"])?;
        let status = String::from_utf8_lossy(&status);
        ensure!(
            status.contains("1 setting waits for a restart: tftp.workers"),
            "{status}"
        );
        Ok(())
    });
}

fn reload_all(rig: &Rig<'_>, fragments: &Path, certificates: &[PathBuf; 2]) -> Result<()> {
    let (changing, tls) = (
        fragments.join("60-changing.toml"),
        fragments.join("50-tls.toml"),
    );
    let mut is_open = true;
    for number in 0..RELOADS {
        if number % 5 == 4 {
            let bad = ["[log\n", "tftp.windowsize = 0\n", "no.such = 1\n"][number % 3];
            fs::write(&changing, bad)?;
            let fault = refused(rig)?;
            ensure!(fault.contains("60-changing.toml:1:"), "{fault}");
            ensure_served(rig, is_open).context(fault)?;
            continue;
        }
        is_open = number % 2 == 0;
        let allow = if is_open { ALL } else { V4_ALONE };
        let windowsize = 8 + number % 3;
        let text = format!("{allow}\ntftp.windowsize = {windowsize}\n");
        fs::write(&changing, text)?;
        fs::write(&tls, https(&certificates[number % 2]))?;
        done(rig)?;
        // Each question takes longer than a reload.
        match number % 5 {
            0 => {
                ensure_served(rig, is_open).with_context(|| format!("reload {number}: {allow}"))?
            }
            1 => {
                let wanted = serial_of(&certificates[number % 2])?;
                let shown = serial(rig)?;
                ensure!(shown == wanted, "reload {number}: {shown}, not {wanted}");
            }
            _ => {}
        }
    }
    by_command_and_by_signal(rig, &changing)
}

/// What people and systemd do.
fn by_command_and_by_signal(rig: &Rig<'_>, changing: &Path) -> Result<()> {
    fs::write(changing, "[tftp]\nworkers = 3\nwindowsize = 9\n")?;
    let told = String::from_utf8(rig.edge.command(&["reload"])?)?;
    ensure!(
        told.contains("60-changing.toml\nin force now:\n  tftp.windowsize: 8 -> 9\n")
            && told.ends_with("waiting for a restart:\n  tftp.workers: 0 -> 3\n"),
        "{told}"
    );
    fs::write(changing, "[tftp]\nworkers = 3\nwidnowsize = 9\n")?;
    let refused = rig.edge.output(&["reload"])?;
    let told = String::from_utf8_lossy(&refused.stderr);
    ensure!(
        refused.status.code() == Some(78)
            && told.contains(
                "60-changing.toml:3:1: tftp.widnowsize: there is no such key; did you \
                              mean `windowsize`?; the settings are as they were"
            ),
        "{told}"
    );
    fs::write(changing, "[tftp]\nworkers = 3\nwindowsize = 9\n")?;
    let before = rig.metrics()?;
    let pid: i32 = {
        let status = control::status(&socket(rig)?)?;
        status.pid.try_into()?
    };
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGHUP)?;
    wait_for("the signal to be followed", || {
        let labels = [("result", "success")];
        let family = "tftp_edge_config_reloads_total";
        rig.metrics()
            .is_ok_and(|after| after.grown(&before, family, &labels) == 1.0)
    })?;
    fs::write(changing, "[tftp]\nworkers = 3\nmax_blksize = 700\n")?;
    rig.edge.command(&["reload"])?;
    let before = rig.metrics()?;
    wait_for("smaller blocks from the kernel", || {
        let request = Request::sized("Ringlist.xml", 1428);
        let fetch = || get(CLIENT_V4.into(), OVER_V4, request, Retry::default());
        rig.as_client(fetch).is_ok_and(|it| it.blksize == 700)
    })?;
    rig.ensure_alone(&before)
}

fn socket(rig: &Rig<'_>) -> Result<PathBuf> {
    Ok(rig.edge.config().with_file_name("control.sock"))
}

fn done(rig: &Rig<'_>) -> Result<Outcome> {
    match control::reload(&socket(rig)?)? {
        Reloaded::Done(outcome) => Ok(outcome),
        other => bail!("{other:?}"),
    }
}

fn refused(rig: &Rig<'_>) -> Result<String> {
    match control::reload(&socket(rig)?)? {
        Reloaded::Refused(fault) => Ok(fault),
        other => bail!("{other:?}"),
    }
}

/// Fails unless a client of the IPv6 network is answered, or denied: by the kernel program, and over
/// HTTP.
fn ensure_served(rig: &Rig<'_>, is_open: bool) -> Result<()> {
    let before = rig.metrics()?;
    let exchange = rig.exchange(CLIENT_V6)?;
    exchange.send(OVER_V6, &[&[0, 1][..], b"no-such-file\0octet\0"].concat())?;
    if is_open {
        exchange.receive(ANSWER)?.context("no answer over TFTP")?;
    } else {
        rig.until_counted(&before, &[("tc", Reason::Denied, 1)])?;
        let answer = exchange.receive(Duration::ZERO)?;
        ensure!(answer.is_none(), "denied, and answered: {answer:?}");
    }
    // Whoever is denied has its connection closed without a word.
    let answer = rig.http_get(HTTP_V6, "no-such-file");
    let over_http = matches!(answer, Ok(Some((client::Outcome::Refused { .. }, _))));
    ensure!(over_http == is_open, "served over HTTP: {over_http}");
    Ok(())
}

fn https(certificate: &Path) -> String {
    format!(
        "[http.tls]\nenabled = true\ncertificate = \"{}\"\nkey = \"{}\"\n",
        certificate.display(),
        certificate.with_extension("key").display()
    )
}

fn certificate(rig: &Rig<'_>, name: &str) -> Result<PathBuf> {
    let path = rig.file(&format!("{name}.pem"));
    let key = path.with_extension("key");
    let (certificate, key) = (path.to_string_lossy(), key.to_string_lossy());
    let subject = format!("/CN={name}");
    output(
        "openssl",
        [
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            &*subject,
            "-days",
            "30",
            "-out",
            &*certificate,
            "-keyout",
            &*key,
        ],
    )?;
    Ok(path)
}

fn serial_of(certificate: &Path) -> Result<String> {
    let file = certificate.to_string_lossy();
    let serial = output("openssl", ["x509", "-noout", "-serial", "-in", &*file])?;
    Ok(serial.trim().to_owned())
}

/// Of the certificate that phones are shown now.
fn serial(rig: &Rig<'_>) -> Result<String> {
    let shown = rig.as_client(|| {
        output(
            "sh",
            [
                "-c",
                "openssl s_client -connect 10.77.0.1:6971 </dev/null 2>/dev/null | openssl x509 \
                 -noout -serial",
            ],
        )
    });
    Ok(shown
        .context("asking for the certificate")?
        .trim()
        .to_owned())
}
