//! Captures of what went over the wire, judged by tshark.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::command::output;
use super::{Namespace, Process};

/// A capture that runs.
#[derive(Debug)]
pub struct Capture {
    process: Process,
    file: PathBuf,
}

impl Capture {
    /// Captures whole frames on `interface` into `file`; returns when the capture has begun.
    pub fn start(namespace: &Namespace, interface: &str, file: &Path) -> Result<Self> {
        let mut command = namespace.command("tcpdump");
        // -Z: tcpdump would otherwise give up root and fail to write to a folder of root's.
        command
            .args([
                "-Z",
                "root",
                "-n",
                "-U",
                "--immediate-mode",
                "-s",
                "0",
                "-B",
                "65536",
            ])
            .args(["-i", interface, "-w"])
            .arg(file);
        let log = file.with_extension("log");
        let mut process = Process::start("tcpdump", command, &log)?;
        let began = || std::fs::read_to_string(&log).is_ok_and(|log| log.contains("listening on"));
        process.wait_until(Duration::from_secs(10), began)?;
        Ok(Self {
            process,
            file: file.to_owned(),
        })
    }

    /// Ends the capture and has it judged.
    pub fn finish(mut self) -> Result<Findings> {
        // What has been seen on the interface may still be on its way to tcpdump.
        std::thread::sleep(Duration::from_millis(200));
        self.process.end(Signal::SIGINT)?;
        let log = self.process.log();
        ensure!(
            log.contains("\n0 packets dropped by kernel"),
            "the capture is not complete:\n{log}"
        );
        Findings::read(&self.file)
    }
}

/// What tshark found in a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    pub file: PathBuf,
    pub frames: usize,
    pub tftp: usize,
    /// TFTP frames with at least one VLAN tag, and with two.
    pub tagged: usize,
    pub double_tagged: usize,
    /// Frames that a dissector could not read to their end.
    pub malformed: usize,
    /// Frames whose IPv4 header or UDP checksum is wrong; a missing UDP checksum counts as wrong.
    pub bad_checksums: usize,
}

impl Findings {
    /// Reads a capture file.
    pub fn read(file: &Path) -> Result<Self> {
        let count = |filter: &str| -> Result<usize> { Ok(matching(file, filter)?.lines().count()) };
        Ok(Self {
            file: file.to_owned(),
            frames: count("frame")?,
            tftp: count("tftp")?,
            tagged: count("tftp && vlan")?,
            double_tagged: count("tftp && count(vlan.id) == 2").or_else(|_| {
                let ids = fields(file, "tftp && vlan", "vlan.id")?;
                Ok::<_, anyhow::Error>(ids.lines().filter(|ids| ids.contains(',')).count())
            })?,
            malformed: count("_ws.malformed")?,
            bad_checksums: count(
                "ip.checksum.status == 0 || udp.checksum.status == 0 || udp.checksum.status == 3",
            )?,
        })
    }

    /// Fails unless there was TFTP, and every frame was sound.
    pub fn ensure_sound(&self) -> Result<()> {
        ensure!(self.tftp > 0, "no TFTP in {}", self.file.display());
        ensure!(
            self.malformed == 0 && self.bad_checksums == 0,
            "{}: {} malformed frames, {} with bad checksums",
            self.file.display(),
            self.malformed,
            self.bad_checksums
        );
        Ok(())
    }

    /// The values of `field` in the frames that match `filter`, one frame a line.
    pub fn fields(&self, filter: &str, field: &str) -> Result<Vec<String>> {
        Ok(fields(&self.file, filter, field)?
            .lines()
            .map(str::to_owned)
            .collect())
    }
}

fn matching(file: &Path, filter: &str) -> Result<String> {
    fields(file, filter, "frame.number")
}

fn fields(file: &Path, filter: &str, field: &str) -> Result<String> {
    let file = file.to_string_lossy();
    output(
        "tshark",
        [
            "-n",
            "-r",
            &file,
            "-o",
            "ip.check_checksum:TRUE",
            "-o",
            "udp.check_checksum:TRUE",
            "-Y",
            filter,
            "-T",
            "fields",
            "-e",
            field,
        ],
    )
}
