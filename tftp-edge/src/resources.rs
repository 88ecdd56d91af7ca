//! What the system grants the daemon and may run out: descriptors and memory.
//!
//! Without a free descriptor, connections wait in the system and files cannot be opened; the sockets of
//! TFTP and SIP over UDP are open from the start, so phones that boot notice nothing. Memory is bounded
//! by the daemon's own limits; a control group with less than those has the system end the daemon, so
//! that is told before it happens.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, getrlimit};

use crate::alarms::{AlarmKind, Alarms};
use crate::content::ByteSize;

/// An alarm is raised with so much in use, and goes below the other.
const RAISE_PERCENT: u64 = 90;
const CLEAR_PERCENT: u64 = 80;

const DESCRIPTORS: &str = "descriptors";
const MEMORY: &str = "memory";

const OWN_DESCRIPTORS: &str = "/proc/self/fd";

/// How much of something is in use, of how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Usage {
    used: u64,
    limit: u64,
}

impl Usage {
    fn is_over(self, percent: u64) -> bool {
        self.used.saturating_mul(100) >= self.limit.saturating_mul(percent)
    }
}

/// Looks at both, now and then.
#[derive(Debug)]
pub struct Resources {
    /// The control group of this process that limits its memory.
    group: Option<Group>,
    is_short: [bool; 2],
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            group: Group::of_process(),
            is_short: [false; 2],
        }
    }
}

impl Resources {
    /// Keeps the alarms as they are.
    pub fn review(&mut self, alarms: &Alarms) {
        let descriptors = descriptors();
        self.tell(alarms, 0, DESCRIPTORS, descriptors, |Usage { used, limit }| {
            format!(
                "{used} of {limit} descriptors are in use: with none free, new connections wait and \
                 files cannot be read, while TFTP and SIP over UDP go on. Raise LimitNOFILE= in the \
                 unit (`systemctl edit tftp-edge`) and restart; `ss -tnp` shows who has so many \
                 connections"
            )
        });
        let memory = self.group.as_ref().and_then(Group::usage);
        self.tell(alarms, 1, MEMORY, memory, |Usage { used, limit }| {
            format!(
                "{used} of the {} that the control group grants are in use: the system ends the \
                 daemon when there is no more. Raise MemoryMax= in the unit (`systemctl edit \
                 tftp-edge`), or lower content.memory_limit, kernel.memory_limit or \
                 register.max_registrations",
                ByteSize(limit)
            )
        });
    }

    fn tell(
        &mut self,
        alarms: &Alarms,
        at: usize,
        subject: &str,
        usage: Option<Usage>,
        problem: impl FnOnce(Usage) -> String,
    ) {
        let percent = match self.is_short[at] {
            true => CLEAR_PERCENT,
            false => RAISE_PERCENT,
        };
        let short = usage.filter(|usage| usage.is_over(percent));
        self.is_short[at] = short.is_some();
        match short {
            Some(usage) => alarms.raise(AlarmKind::Resources, subject, problem(usage)),
            None => alarms.clear(AlarmKind::Resources, subject),
        }
    }
}

fn descriptors() -> Option<Usage> {
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    let used = match open_descriptors() {
        Ok(used) => used,
        // To look takes one itself.
        Err(error) if is_out_of_descriptors(&error) => limit,
        Err(_) => return None,
    };
    Some(Usage { used, limit })
}

/// Whether there is none left, here or in the whole system.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

fn open_descriptors() -> io::Result<u64> {
    // Linux 6.2 and newer tell the number as the size, without a look at each.
    match fs::metadata(OWN_DESCRIPTORS)?.len() {
        0 => Ok(fs::read_dir(OWN_DESCRIPTORS)?.count() as u64),
        len => Ok(len),
    }
}

/// A control group, of the one version or the other.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Group {
    V1(PathBuf),
    V2(PathBuf),
}

impl Group {
    fn of_process() -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        Self::of(&groups, Path::new("/sys/fs/cgroup"))
    }

    /// Out of `/proc/self/cgroup`; see `cgroups(7)`.
    fn of(groups: &str, root: &Path) -> Option<Self> {
        let fields = groups.lines().filter_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            Some((fields.next()?, fields.next()?.trim_start_matches('/')))
        });
        let of_memory = |&(controllers, _): &(&str, &str)| {
            controllers.is_empty() || controllers.split(',').any(|it| it == "memory")
        };
        // Where both are there, memory is of the first.
        let (controllers, path) = fields.filter(of_memory).min_by_key(|it| it.0.is_empty())?;
        Some(match controllers {
            "" => Self::V2(root.join(path)),
            _ => Self::V1(root.join("memory").join(path)),
        })
    }

    /// None without a limit. What the system can take back, such as pages of files, is not in use.
    fn usage(&self) -> Option<Usage> {
        let (folder, limit) = match self {
            Self::V1(folder) => (folder, "memory.limit_in_bytes"),
            Self::V2(folder) => (folder, "memory.max"),
        };
        let limit: u64 = fs::read_to_string(folder.join(limit))
            .ok()?
            .trim()
            .parse()
            .ok()?;
        let stat = fs::read_to_string(folder.join("memory.stat")).ok()?;
        let of = |name: &str| {
            let mut lines = stat.lines().filter_map(|line| line.split_once(' '));
            let (_, value) = lines.find(|(found, _)| *found == name)?;
            value.parse::<u64>().ok()
        };
        let used = match self {
            Self::V1(_) => of("total_rss")?,
            Self::V2(_) => {
                let kernel = of("kernel").unwrap_or_default();
                let freed = of("slab_reclaimable").unwrap_or_default();
                of("anon")? + of("shmem").unwrap_or_default() + kernel.saturating_sub(freed)
            }
        };
        Some(Usage { used, limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(alarms: &Alarms) -> Vec<String> {
        alarms.list().into_iter().map(|it| it.problem).collect()
    }

    #[test]
    fn an_alarm_stands_from_nine_tenths_to_eight() {
        let alarms = Alarms::default();
        let mut resources = Resources {
            group: None,
            is_short: [false; 2],
        };
        for (used, stands) in [
            (89, false),
            (90, true),
            (85, true),
            (79, false),
            (85, false),
        ] {
            let usage = Usage { used, limit: 100 };
            resources.tell(&alarms, 0, DESCRIPTORS, Some(usage), |it| format!("{it:?}"));
            assert_eq!(alarms.count(AlarmKind::Resources) == 1, stands, "{used}");
        }
    }

    #[test]
    fn descriptors_are_counted_as_they_are_opened() {
        let before = descriptors().unwrap();
        let held: Vec<_> = (0..100).map(|_| tempfile::tempfile().unwrap()).collect();
        let now = descriptors().unwrap();
        // Other tests open and close some meanwhile.
        assert!(now.used >= before.used + 50, "{before:?} {now:?}");
        drop(held);
    }

    #[test]
    fn the_group_that_limits_memory_is_found_in_either_version() {
        let root = Path::new("/r");
        let of = |groups| Group::of(groups, root).unwrap();
        let unit = "0::/system.slice/tftp-edge.service\n";
        let folder = root.join("system.slice/tftp-edge.service");
        assert_eq!(of(unit), Group::V2(folder));
        let hybrid = "9:name=systemd:/\n4:cpu,memory:/a/b\n0::/\n";
        assert_eq!(of(hybrid), Group::V1(root.join("memory/a/b")));
    }

    /// As a unit with MemoryMax= has it, on Linux 6.1.
    #[test]
    fn what_the_system_can_take_back_is_not_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let group = Group::V2(folder.path().into());
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("memory.max", "max\n");
        write(
            "memory.stat",
            "anon 60000000\nfile 900000000\nkernel 40000000\nshmem 1000000\n\
             slab_reclaimable 5000000\n",
        );
        assert_eq!(group.usage(), None);
        write("memory.max", "100000000\n");
        let usage = group.usage().unwrap();
        assert_eq!((usage.used, usage.limit), (96_000_000, 100_000_000));
        let alarms = Alarms::default();
        let mut resources = Resources {
            group: Some(group),
            is_short: [false; 2],
        };
        resources.review(&alarms);
        let told = problems(&alarms).concat();
        assert!(told.contains("MemoryMax="), "{told}");
        write("memory.max", "1000000000\n");
        resources.review(&alarms);
        assert!(!problems(&alarms).concat().contains("MemoryMax="));
    }
}
