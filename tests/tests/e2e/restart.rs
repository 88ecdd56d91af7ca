//! The daemon goes and comes back, in order or not, and the kernel serves on.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use tftp_ebpf::verdict::Rung;
use tftp_edge_tests::demo::{Edge, Mode};
use tftp_edge_tests::lab::{BpfFs, SERVER_IF, attached_to, identities};
use tftp_edge_tests::rig::{Rig, content, daemon_under_test, run};
use tftp_edge_tests::server::Place;

/// Where the daemon of a rig pins, in a BPF file system of the test's own.
struct Pinned {
    _bpffs: BpfFs,
    path: PathBuf,
}

impl Pinned {
    fn new(rig: &Rig<'_>) -> Result<Self> {
        let bpffs = BpfFs::mount()?;
        let path = bpffs.path().join("edge");
        rig.edge.pin_under(&path)?;
        let _bpffs = bpffs;
        Ok(Self { _bpffs, path })
    }

    /// What is pinned of this version: names below `folder`.
    fn names(&self, folder: &str) -> Result<Vec<String>> {
        let path = self.path.join(format!("v{}", tftp_ebpf::abi::ABI_VERSION));
        let entries = match fs::read_dir(path.join(folder)) {
            Ok(entries) => entries,
            Err(_) => return Ok(Vec::new()),
        };
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let mut names = names.collect::<Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }
}

fn attached(rig: &Rig<'_>) -> Result<String> {
    identities(&rig.lab.server, SERVER_IF)
}

/// The daemon ends by `signal`; whatever it leaves stays.
fn end(rig: &mut Rig<'_>, signal: Signal) -> Result<()> {
    let mut daemon = rig.take_daemon()?;
    let status = daemon.end(signal)?;
    ensure!(
        signal == Signal::SIGKILL || status.success(),
        "{signal}: {status}\n{}",
        daemon.log_tail()
    );
    Ok(())
}

#[test]
fn what_is_left_in_the_kernel_serves_on_until_it_is_taken_off() {
    for rung in [Rung::Xdp, Rung::Tc] {
        run(rung, |rig| {
            let pinned = Pinned::new(rig)?;
            let bytes = content(20_000);
            rig.put("firmware.sbn", &bytes)?;
            rig.put("small.xml", &bytes[..900])?;
            rig.start()?;
            let links: &[&str] = match rig.rung {
                Rung::Xdp => &["srv0-tc", "srv0-xdp"],
                _ => &["srv0-tc"],
            };
            ensure!(
                pinned.names("links")? == links,
                "{:?}",
                pinned.names("links")
            );
            ensure!(pinned.names("banks")? == ["0"]);
            let before = attached(rig)?;

            for signal in [Signal::SIGKILL, Signal::SIGUSR2] {
                end(rig, signal)?;
                ensure!(attached(rig)? == before, "{signal}: {}", attached(rig)?);
                ensure!(rig.get_all("small.xml")? == bytes[..900]);

                let told = rig.edge.command(&["detach"])?;
                let told = String::from_utf8(told)?;
                for rung in links {
                    let (_, rung) = rung.split_once('-').context("a link's name")?;
                    let line = format!("{SERVER_IF}: took off the {rung} program\n");
                    ensure!(told.contains(&line), "{told}");
                }
                ensure!(attached(rig)?.is_empty(), "{}", attached(rig)?);
                let told = String::from_utf8(rig.edge.command(&["detach"])?)?;
                ensure!(told.starts_with("nothing is pinned under "), "{told}");
                rig.start()?;
            }

            // Ended in order, the daemon leaves nothing.
            end(rig, Signal::SIGTERM)?;
            ensure!(attached_to(&rig.lab.server, SERVER_IF)?.trim().is_empty());
            ensure!(fs::read_dir(&pinned.path)?.next().is_none());
            Ok(())
        });
    }
}

#[test]
fn a_second_daemon_is_refused_before_it_touches_anything() {
    run(Rung::Tc, |rig| {
        let pinned = Pinned::new(rig)?;
        rig.put("small.xml", b"<small/>")?;
        rig.start()?;
        let before = attached(rig)?;
        let pid = rig.daemon_mut()?.pid();

        let place = Place::Namespace(&rig.lab.server);
        let folder = rig.file("second");
        let second = Edge::new(&daemon_under_test()?, &folder, place, Mode::Tc, 4000)?;
        second.pin_under(&pinned.path)?;
        for (arguments, hint) in [(["run"], "stop it first"), (["detach"], "--force")] {
            let refused = second.output(&arguments)?;
            let told = String::from_utf8_lossy(&refused.stderr).into_owned();
            ensure!(
                refused.status.code() == Some(69),
                "{}: {told}",
                refused.status
            );
            ensure!(told.contains(&format!("(pid {pid})")), "{told}");
            ensure!(told.contains(hint), "{told}");
        }
        ensure!(attached(rig)? == before);
        ensure!(rig.get_all("small.xml")? == b"<small/>");

        // By force the programs go, and the sockets serve.
        second.command(&["detach", "--force"])?;
        ensure!(attached(rig)?.is_empty());
        ensure!(rig.get_all("small.xml")? == b"<small/>");
        rig.stop()
    });
}
