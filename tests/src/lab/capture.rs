//! Captures of what went over the wire, judged by tshark.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::command::output;
use super::{Namespace, Process};

/// How long is waited for what tcpdump has to say; nothing waits as long unless something is broken.
const PATIENCE: Duration = Duration::from_secs(30);

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
        process.wait_until(PATIENCE, began)?;
        Ok(Self {
            process,
            file: file.to_owned(),
        })
    }

    /// Ends the capture and has it judged.
    pub fn finish(mut self) -> Result<Findings> {
        self.catch_up()?;
        self.process.end(Signal::SIGINT)?;
        let log = self.process.log();
        ensure!(
            log.contains("\n0 packets dropped by kernel"),
            "the capture is not complete:\n{log}"
        );
        Findings::read(&self.file)
    }

    /// What has been seen on the interface may still be on its way to tcpdump, which tells on SIGUSR1
    /// how much that is: returns when it has been given everything.
    fn catch_up(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let told = told(&self.process.log()).len();
            self.process.signal(Signal::SIGUSR1)?;
            let last = loop {
                let told_now = self::told(&self.process.log());
                if told_now.len() > told {
                    break told_now.last().copied();
                }
                ensure!(
                    self.process.is_running() && Instant::now() < deadline,
                    "tcpdump does not tell how far it is:\n{}",
                    self.process.log_tail()
                );
                std::thread::sleep(Duration::from_millis(5));
            };
            if last.is_some_and(|[captured, received, dropped]| captured + dropped >= received) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "tcpdump lags behind: {last:?}");
        }
    }
}

/// What was told so far: packets that tcpdump has captured, those that the kernel had for it, and those
/// that were dropped.
fn told(log: &str) -> Vec<[u64; 3]> {
    let numbers = |line: &str| {
        let mut parts = line.strip_prefix("tcpdump: ")?.split(", ");
        let mut next = |what| {
            let part = parts.next()?;
            part.contains(what).then_some(())?;
            part.split(' ').next()?.parse().ok()
        };
        Some([
            next("captured")?,
            next("received by filter")?,
            next("dropped by kernel")?,
        ])
    };
    log.lines().filter_map(numbers).collect()
}

/// How tshark writes a checksum that is wrong, and one that is not there.
const BAD: &str = "0";
const MISSING: &str = "3";

/// What tshark found in a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    pub file: PathBuf,
    pub frames: usize,
    pub tftp: usize,
    /// TFTP frames with at least one VLAN tag, and with two.
    pub tagged: usize,
    pub double_tagged: usize,
    /// Frames that a dissector could not read to their end; requests are counted apart, since those
    /// of the oldest phones end with a NUL too many.
    pub malformed: usize,
    pub malformed_requests: usize,
    /// Frames whose IPv4 header or UDP checksum is wrong; a missing UDP checksum counts as wrong.
    pub bad_checksums: usize,
}

impl Findings {
    /// Reads a capture file.
    pub fn read(file: &Path) -> Result<Self> {
        // All in one pass: dissecting takes the time, not counting.
        let columns = [
            "frame.protocols",
            "vlan.id",
            "ip.checksum.status",
            "udp.checksum.status",
            "_ws.malformed",
            "tftp.opcode",
        ];
        let mut findings = Self {
            file: file.to_owned(),
            frames: 0,
            tftp: 0,
            tagged: 0,
            double_tagged: 0,
            malformed: 0,
            malformed_requests: 0,
            bad_checksums: 0,
        };
        for line in fields(file, "frame", &columns)?.lines() {
            let mut values = line.split('\t');
            let mut next = || values.next().unwrap_or_default();
            let [protocols, tags, ip, udp] = [next(), next(), next(), next()];
            let [malformed, opcode] = [next(), next()];
            let has = |statuses: &str, bad: &[&str]| {
                statuses.split(',').any(|status| bad.contains(&status))
            };
            findings.frames += 1;
            match (malformed, opcode) {
                ("", _) => {}
                (_, "1") => findings.malformed_requests += 1,
                (_, _) => findings.malformed += 1,
            }
            findings.bad_checksums += usize::from(has(ip, &[BAD]) || has(udp, &[BAD, MISSING]));
            if protocols.split(':').any(|protocol| protocol == "tftp") {
                findings.tftp += 1;
                findings.tagged += usize::from(!tags.is_empty());
                findings.double_tagged += usize::from(tags.contains(','));
            }
        }
        Ok(findings)
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
        Ok(fields(&self.file, filter, &[field])?
            .lines()
            .map(str::to_owned)
            .collect())
    }
}

/// One line for each frame that matches, the values of a line separated by tabs.
fn fields(file: &Path, filter: &str, fields: &[&str]) -> Result<String> {
    let file = file.to_string_lossy();
    let checks = [
        "-o",
        "ip.check_checksum:TRUE",
        "-o",
        "udp.check_checksum:TRUE",
        "-o",
        "frame.generate_md5_hash:TRUE",
    ];
    let words = ["-n", "-r", &file].into_iter().chain(checks);
    let words = words.chain(["-Y", filter, "-T", "fields"]);
    let columns = fields.iter().flat_map(|field| ["-e", field]);
    output("tshark", words.chain(columns))
}
