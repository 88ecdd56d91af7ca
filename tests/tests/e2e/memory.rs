//! The daemon in a control group that limits its memory, as `MemoryMax=` of a unit does.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tftp_ebpf::verdict::Rung;
use tftp_edge_tests::lab::{is_root, skipped};
use tftp_edge_tests::phones::{Progress, Registering};
use tftp_edge_tests::rig::{HTTP_V4, Rig, ensure_all_registered, run};
use tftp_edge_tests::site::Site;

use crate::faults::{wait_for_alarm, wait_for_no_alarm};

const PHONES: usize = 20;
/// A file that is held in memory once it was asked for: so large that what phones take is little.
const LARGE_BYTES: u64 = 192 << 20;
const PLENTY_BYTES: u64 = 4 << 30;
/// What the daemon uses then, of what it may. It raises the alarm from 90 on.
const USED_PERCENT: u64 = 93;

const V1_LIMIT: &str = "memory.limit_in_bytes";

/// A control group of our own, of either version.
struct Group {
    folder: PathBuf,
    parent: PathBuf,
    limit: &'static str,
}

impl Group {
    /// In the group of this process, or at the top, wherever memory can be limited.
    fn new() -> Result<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup")?;
        let path_of = |is: fn(&str) -> bool| {
            let fields = groups.lines().filter_map(|line| {
                let (_, rest) = line.split_once(':')?;
                rest.split_once(':')
            });
            let mut paths = fields.filter(|(controllers, _)| is(controllers));
            paths.next().map(|(_, path)| path.trim_start_matches('/'))
        };
        let v1 = path_of(|it| it.split(',').any(|it| it == "memory"));
        let (root, path, limit) = match v1 {
            Some(path) => ("/sys/fs/cgroup/memory", path, V1_LIMIT),
            None => (
                "/sys/fs/cgroup",
                path_of(str::is_empty).context("no control groups")?,
                "memory.max",
            ),
        };
        let root = Path::new(root);
        let mut problem = String::new();
        for parent in [root.join(path), root.to_owned()] {
            let folder = parent.join(format!("tftplab-{}", std::process::id()));
            if let Err(error) = fs::create_dir(&folder) {
                problem = format!("{}: {error}", folder.display());
                continue;
            }
            let group = Self {
                folder,
                parent,
                limit,
            };
            if group.folder.join(limit).exists() {
                return Ok(group);
            }
            problem = format!("{} has no {limit}", group.folder.display());
        }
        anyhow::bail!("memory cannot be limited here: {problem}")
    }

    /// Of a command that enters it. With a network namespace comes a `/sys` without control groups.
    fn words(&self) -> [String; 4] {
        let mounted = match self.limit {
            V1_LIMIT => {
                "mount -t tmpfs none /sys/fs/cgroup && mkdir /sys/fs/cgroup/memory && \
                 mount -t cgroup -o memory none /sys/fs/cgroup/memory"
            }
            _ => "mount -t cgroup2 none /sys/fs/cgroup",
        };
        let enter = format!("{mounted} && echo $$ >\"$0/cgroup.procs\" && exec \"$@\"");
        let folder = self.folder.display().to_string();
        ["sh".to_owned(), "-c".to_owned(), enter, folder]
    }

    fn limit(&self, bytes: u64) -> Result<()> {
        let file = self.folder.join(self.limit);
        fs::write(&file, bytes.to_string()).with_context(|| format!("writing {}", file.display()))
    }
}

impl Drop for Group {
    /// What is still in it goes back to where it came from: a group with processes stays.
    fn drop(&mut self) {
        let there = fs::read_to_string(self.folder.join("cgroup.procs")).unwrap_or_default();
        for pid in there.lines() {
            let _ = fs::write(self.parent.join("cgroup.procs"), pid);
        }
        if let Err(error) = fs::remove_dir(&self.folder) {
            eprintln!("{} is left behind: {error}", self.folder.display());
        }
    }
}

/// What a process has of its own, in bytes.
fn anonymous_bytes(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|it| it.strip_prefix("RssAnon:"));
    let kib = line.and_then(|it| it.trim().strip_suffix("kB"));
    let kib: u64 = kib.context("no RssAnon")?.trim().parse()?;
    Ok(kib << 10)
}

/// Has a file read into memory: its first bytes come when all of it is there.
fn ask_for(rig: &Rig<'_>, name: &str) -> Result<()> {
    rig.as_client(|| {
        let mut stream = TcpStream::connect(HTTP_V4)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        write!(stream, "GET /{name} HTTP/1.1\r\nHost: edge\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        ensure!(head == *b"HTTP/1.1 200", "{}", head.escape_ascii());
        Ok(())
    })
}

#[test]
fn memory_that_runs_out_is_told_with_what_to_raise_and_phones_boot() {
    if !is_root() {
        return skipped("control groups need root");
    }
    let group = match Group::new() {
        Ok(group) => group,
        Err(why) => return skipped(&format!("{why:#}")),
    };
    drop(group);
    run(Rung::Socket, |rig| {
        let group = Group::new()?;
        group.limit(PLENTY_BYTES)?;
        let mut site = Site::without_upgrades(PHONES);
        rig.edge.register("")?;
        rig.host(&mut site)?;
        rig.put("large.bin", b"")?;
        fs::File::options()
            .write(true)
            .open(rig.edge.root().join("large.bin"))?
            .set_len(LARGE_BYTES)?;
        rig.edge.run_under(group.words());
        rig.start()?;
        ask_for(rig, "large.bin")?;

        let pid = rig.daemon_mut()?.pid();
        let used = anonymous_bytes(pid)?;
        ensure!(
            used > LARGE_BYTES,
            "{used} bytes, and the file is not among them"
        );
        group.limit(used * 100 / USED_PERCENT)?;
        wait_for_alarm(rig, "resources", "MemoryMax=")?;
        let report = rig.boot(&site, &site.phones, &Progress::default(), |options| {
            options.registration = Some(Registering::default());
        })?;
        ensure_all_registered(&report)?;
        group.limit(PLENTY_BYTES)?;
        wait_for_no_alarm(rig, "resources")?;
        rig.stop()
    });
}
