//! Why the kernel refuses us something, and what to do about it.
//!
//! `EPERM` says nothing of its cause, and there are many: a capability the unit or the container does
//! not give, a filter of system calls, a security module, lockdown, a user namespace. All of them can
//! be read somewhere below `/proc` and `/sys`; what is found there is judged here, without touching
//! anything, so that each finding has its test.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use caps::Capability;

use crate::service::capabilities;

/// Where `bpf_skb_store_bytes` and all else that the programs use is there.
const OLDEST: (u32, u32) = (5, 18);
/// Links for TC (`BPF_TCX_INGRESS`).
const HAS_TCX: (u32, u32) = (6, 6);
/// Memory of maps is accounted to the control group, not to `RLIMIT_MEMLOCK`.
const NO_MEMLOCK: (u32, u32) = (5, 11);

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `socket(AF_PACKET)`.
    RawSocket,
    /// `bpf(BPF_MAP_CREATE)` and `bpf(BPF_PROG_LOAD)`.
    Load,
    /// `bpf(BPF_LINK_CREATE)`, or netlink.
    Attach,
}

impl Call {
    const fn needs(self) -> &'static [Capability] {
        match self {
            Self::RawSocket => &[Capability::CAP_NET_RAW],
            Self::Load => &[
                Capability::CAP_BPF,
                Capability::CAP_PERFMON,
                Capability::CAP_NET_ADMIN,
            ],
            Self::Attach => &[Capability::CAP_BPF, Capability::CAP_NET_ADMIN],
        }
    }
}

/// What can be read of the process and the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// `/proc/thread-self/status`.
    pub status: String,
    /// `/proc/self/attr/current`.
    pub label: String,
    /// `/sys/kernel/security/lockdown`.
    pub lockdown: String,
    /// `/proc/sys/kernel/unprivileged_bpf_disabled`.
    pub unprivileged_bpf_disabled: String,
    /// `/proc/sys/kernel/osrelease`.
    pub release: String,
    /// `/proc/self/uid_map`.
    pub uid_map: String,
    /// The soft limit on locked memory, in bytes.
    pub memlock: u64,
    /// Whether `/sys/kernel/btf/vmlinux` is there.
    pub has_btf: bool,
    /// What kind of container this is, if it is one.
    pub container: Option<String>,
    /// `kernel.keep_privileges = false`, and the daemon is started.
    pub is_given_up: bool,
}

impl Surroundings {
    /// As they are for the calling thread.
    pub fn read() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let memlock = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_MEMLOCK);
        Self {
            status: text("/proc/thread-self/status"),
            label: text("/proc/self/attr/current"),
            lockdown: text("/sys/kernel/security/lockdown"),
            unprivileged_bpf_disabled: text("/proc/sys/kernel/unprivileged_bpf_disabled"),
            release: text("/proc/sys/kernel/osrelease"),
            uid_map: text("/proc/self/uid_map"),
            memlock: memlock.map_or(u64::MAX, |(soft, _)| soft),
            has_btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
            container: container(),
            is_given_up: capabilities::are_given_up(),
        }
    }

    /// What keeps us from a call, the likeliest first; each says what to do.
    pub fn findings(&self, call: Call) -> Vec<String> {
        let mut findings = Vec::new();
        let release = capabilities::numbers(&self.release);
        let is_before = |version| release.is_some_and(|it| it < version);
        findings.extend(self.missing(call));
        if self.is_in_user_namespace() {
            findings.push(
                "this is a user namespace, whose capabilities do not hold for the host's network \
                 or for BPF; run outside of it (docker without userns-remap, podman as root)"
                    .to_owned(),
            );
        }
        if self.number("Seccomp:") == 2 {
            let allow = match (&self.container, call) {
                (Some(_), Call::RawSocket) => "docker: --security-opt seccomp=PROFILE with socket",
                (Some(_), _) => "docker: --security-opt seccomp=PROFILE with bpf, or --cap-add=BPF",
                (None, Call::RawSocket) => "the unit: RestrictAddressFamilies= with AF_PACKET",
                (None, _) => "the unit: SystemCallFilter=@system-service bpf",
            };
            findings.push(format!(
                "a seccomp filter is on, and may refuse the call ({allow})"
            ));
        }
        if let Some(label) = self.confinement() {
            findings.push(format!(
                "a security module confines the process as `{label}`; its audit log (journalctl -k) \
                 says whether it refused the call"
            ));
        }
        if self.lockdown.contains("[confidentiality]") && call != Call::RawSocket {
            findings.push(
                "the kernel is locked down for confidentiality, which forbids programs that read \
                 kernel memory; boot with lockdown=integrity"
                    .to_owned(),
            );
        }
        if call != Call::RawSocket && is_before(OLDEST) {
            let (major, minor) = OLDEST;
            findings.push(format!(
                "the kernel is {}, and {major}.{minor} or later is needed",
                self.release.trim()
            ));
        }
        if call == Call::Attach && is_before(HAS_TCX) && !is_before(OLDEST) {
            findings.push(format!(
                "the kernel is {}: before 6.6 TC is attached by netlink, which needs the module \
                 sch_clsact (modprobe sch_clsact)",
                self.release.trim()
            ));
        }
        if call == Call::Load && is_before(NO_MEMLOCK) && self.memlock != u64::MAX {
            findings.push(format!(
                "before Linux 5.11 maps count as locked memory, and the limit is {} kB; set \
                 LimitMEMLOCK=infinity (docker: --ulimit memlock=-1)",
                self.memlock / 1024
            ));
        }
        if call == Call::Load && !self.has_btf && findings.is_empty() {
            findings.push(
                "the kernel has no type information (/sys/kernel/btf/vmlinux); use one that is \
                 built with CONFIG_DEBUG_INFO_BTF"
                    .to_owned(),
            );
        }
        findings
    }

    /// The capabilities that are missing, and how they are given.
    fn missing(&self, call: Call) -> Option<String> {
        let effective = self.set("CapEff:");
        let bounding = self.set("CapBnd:");
        let missing: Vec<_> = call
            .needs()
            .iter()
            .filter(|it| effective & it.bitmask() == 0)
            .collect();
        if missing.is_empty() {
            return None;
        }
        let names = |of: &[&Capability]| {
            let names: Vec<_> = of.iter().map(ToString::to_string).collect();
            names.join(" ")
        };
        let mut told = format!("the process lacks {}", names(&missing));
        if self.is_given_up {
            told.push_str(
                ": they were given up after the start, as kernel.keep_privileges = false says",
            );
            return Some(told);
        }
        let unbound: Vec<_> = missing
            .iter()
            .filter(|it| bounding & it.bitmask() == 0)
            .copied()
            .collect();
        let all = names(&missing);
        // Writing to a string cannot fail.
        let _ = match (&self.container, unbound.is_empty()) {
            (Some(container), _) => {
                let add: Vec<_> = missing.iter().map(|it| it.to_string()).collect();
                let add: Vec<_> = add.iter().map(|it| it.trim_start_matches("CAP_")).collect();
                write!(
                    told,
                    " in this {container} container; add --cap-add={}",
                    add.join(" --cap-add=")
                )
            }
            (None, true) => write!(told, "; add AmbientCapabilities={all} to its unit"),
            (None, false) => write!(
                told,
                ", and its bounding set has no {}; add CapabilityBoundingSet={all} and \
                 AmbientCapabilities={all} to its unit",
                names(&unbound)
            ),
        };
        if call == Call::Load && self.unprivileged_bpf_disabled.trim() != "0" {
            let value = self.unprivileged_bpf_disabled.trim();
            if !value.is_empty() && missing.contains(&&Capability::CAP_BPF) {
                let _ = write!(told, " (kernel.unprivileged_bpf_disabled is {value})");
            }
        }
        Some(told)
    }

    fn set(&self, key: &str) -> u64 {
        capabilities::set_in(&self.status, key)
    }

    fn number(&self, key: &str) -> u64 {
        let line = self.status.lines().find_map(|it| it.strip_prefix(key));
        line.and_then(|it| it.trim().parse().ok()).unwrap_or(0)
    }

    /// All users are mapped to themselves in the first user namespace alone.
    fn is_in_user_namespace(&self) -> bool {
        let fields: Vec<_> = self.uid_map.split_ascii_whitespace().collect();
        !fields.is_empty() && fields != ["0", "0", "4294967295"]
    }

    /// The label of a security module, if it is one that restricts.
    fn confinement(&self) -> Option<&str> {
        let label = self.label.trim_matches(['\0', '\n', ' ']);
        let is_free = label.is_empty()
            || label == "unconfined"
            || label.ends_with("(complain)")
            || label == "kernel"
            || label.contains(":unconfined_t:");
        (!is_free).then_some(label)
    }
}

/// What the container's own signs say. Under systemd the advice is for the unit all the same.
fn container() -> Option<String> {
    if std::env::var_os("INVOCATION_ID").is_some() {
        return None;
    }
    let by_systemd = fs::read_to_string("/run/systemd/container").ok();
    let by_systemd = by_systemd.map(|it| it.trim().to_owned());
    let signs = [("/.dockerenv", "docker"), ("/run/.containerenv", "podman")];
    let by_sign = || signs.iter().find(|(path, _)| Path::new(path).exists());
    by_systemd
        .filter(|it| !it.is_empty())
        .or_else(|| by_sign().map(|(_, name)| (*name).to_owned()))
}

fn nothing_found(surroundings: &Surroundings) -> String {
    format!(
        "no capability is missing, no filter is on, and the kernel is {}; its log may say more \
         (journalctl -k)",
        surroundings.release.trim()
    )
}

/// What the kernel said, and why. What the verifier wrote is of use only if nothing else is found.
pub fn refused(call: Call, error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let _ = write!(text, ": {cause}");
        next = cause.source();
    }
    let surroundings = Surroundings::read();
    // What the verifier says is of use, unless it misses a capability. So is an error that is none of
    // rights: the filters that are always on in the unit have no part in it.
    let has_verified = text
        .split_once("Verifier output:")
        .is_some_and(|(_, told)| !told.trim().is_empty());
    if surroundings.missing(call).is_none() && (has_verified || !is_refusal(error)) {
        return text;
    }
    let findings = surroundings.findings(call);
    if findings.is_empty() {
        // Not a matter of rights: busy, no memory, a mistake of ours.
        return match is_refusal(error) {
            true => format!("{text}; {}", nothing_found(&surroundings)),
            false => text,
        };
    }
    let first = text.split(" Verifier output:").next().unwrap_or_default();
    let first = first
        .lines()
        .next()
        .unwrap_or_default()
        .trim_end_matches('.');
    format!("{first}; {}", findings.join("; "))
}

/// Whether an error, or what is behind it, is one of missing rights.
pub fn is_refusal(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|it| it.kind() == std::io::ErrorKind::PermissionDenied) {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = "CapEff:\t000001ffffffffff\nCapBnd:\t000001ffffffffff\nSeccomp:\t0\n";

    /// Where nothing is in the way.
    fn free() -> Surroundings {
        Surroundings {
            status: ALL.to_owned(),
            label: "unconfined\n".to_owned(),
            lockdown: "[none] integrity confidentiality\n".to_owned(),
            unprivileged_bpf_disabled: "2\n".to_owned(),
            release: "6.1.0-13-amd64\n".to_owned(),
            uid_map: "         0          0 4294967295\n".to_owned(),
            memlock: 8 << 20,
            has_btf: true,
            container: None,
            is_given_up: false,
        }
    }

    fn only(surroundings: &Surroundings, call: Call) -> String {
        let findings = surroundings.findings(call);
        assert_eq!(findings.len(), 1, "{findings:?}");
        findings.into_iter().next().unwrap()
    }

    #[test]
    fn nothing_is_found_where_nothing_is_in_the_way() {
        for call in [Call::RawSocket, Call::Load] {
            assert!(free().findings(call).is_empty(), "{call:?}");
        }
    }

    /// As `setpriv` leaves them: bind and raw alone; and with the rest in the bounding set.
    #[test]
    fn missing_capabilities_are_named_with_the_lines_for_the_unit() {
        let status = "CapEff:\t0000000000002400\nCapBnd:\t0000000000002400\nSeccomp:\t0\n";
        let bare = Surroundings {
            status: status.to_owned(),
            ..free()
        };
        assert_eq!(
            only(&bare, Call::Load),
            "the process lacks CAP_BPF CAP_PERFMON CAP_NET_ADMIN, and its bounding set has no \
             CAP_BPF CAP_PERFMON CAP_NET_ADMIN; add CapabilityBoundingSet=CAP_BPF CAP_PERFMON \
             CAP_NET_ADMIN and AmbientCapabilities=CAP_BPF CAP_PERFMON CAP_NET_ADMIN to its unit \
             (kernel.unprivileged_bpf_disabled is 2)"
        );
        assert!(bare.findings(Call::RawSocket).is_empty());
        let status = "CapEff:\t0000008000003400\nCapBnd:\t000001ffffffffff\nSeccomp:\t0\n";
        let one = Surroundings {
            status: status.to_owned(),
            ..free()
        };
        assert_eq!(
            only(&one, Call::Load),
            "the process lacks CAP_PERFMON; add AmbientCapabilities=CAP_PERFMON to its unit"
        );
    }

    #[test]
    fn in_a_container_the_advice_is_for_the_container() {
        let docker = Surroundings {
            status: "CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nSeccomp:\t2\n"
                .to_owned(),
            container: Some("docker".to_owned()),
            label: "docker-default (enforce)\n".to_owned(),
            ..free()
        };
        let findings = docker.findings(Call::Load);
        assert_eq!(findings.len(), 3, "{findings:?}");
        assert_eq!(
            findings[0],
            "the process lacks CAP_BPF CAP_PERFMON CAP_NET_ADMIN in this docker container; add \
             --cap-add=BPF --cap-add=PERFMON --cap-add=NET_ADMIN \
             (kernel.unprivileged_bpf_disabled is 2)"
        );
        assert!(findings[1].contains("--security-opt seccomp="));
        assert!(findings[2].contains("`docker-default (enforce)`"));
    }

    #[test]
    fn a_filter_of_system_calls_is_found() {
        let filtered = Surroundings {
            status: ALL.replace("Seccomp:\t0", "Seccomp:\t2"),
            ..free()
        };
        assert!(only(&filtered, Call::Load).contains("SystemCallFilter=@system-service bpf"));
        // By `RestrictAddressFamilies=`, which refuses with EAFNOSUPPORT.
        assert!(only(&filtered, Call::RawSocket).contains("with AF_PACKET"));
    }

    #[test]
    fn a_security_module_is_found_where_it_confines() {
        for (label, confines) in [
            ("/usr/bin/tftp-edge (enforce)", true),
            ("system_u:system_r:tftpd_t:s0", true),
            ("/usr/bin/tftp-edge (complain)", false),
            ("unconfined", false),
            (
                "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023\0",
                false,
            ),
            ("", false),
        ] {
            let labelled = Surroundings {
                label: label.to_owned(),
                ..free()
            };
            let findings = labelled.findings(Call::Load);
            assert_eq!(!findings.is_empty(), confines, "{label}: {findings:?}");
        }
    }

    #[test]
    fn lockdown_is_in_the_way_for_confidentiality_alone() {
        let locked = |to: &str| Surroundings {
            lockdown: to.to_owned(),
            ..free()
        };
        let confidential = locked("none integrity [confidentiality]\n");
        assert!(only(&confidential, Call::Load).contains("lockdown=integrity"));
        let integrity = locked("none [integrity] confidentiality\n");
        assert!(integrity.findings(Call::Load).is_empty());
    }

    #[test]
    fn an_old_kernel_is_named_with_what_is_needed() {
        let release = |release: &str| Surroundings {
            release: release.to_owned(),
            ..free()
        };
        let old = only(&release("5.15.0-91-generic\n"), Call::Load);
        assert_eq!(
            old,
            "the kernel is 5.15.0-91-generic, and 5.18 or later is needed"
        );
        let without_tcx = only(&release("6.1.0\n"), Call::Attach);
        assert!(without_tcx.contains("sch_clsact"), "{without_tcx}");
        assert!(release("6.6.0\n").findings(Call::Attach).is_empty());
    }

    #[test]
    fn locked_memory_counts_before_5_11() {
        let old = Surroundings {
            release: "5.10.0-26-amd64".to_owned(),
            memlock: 64 << 10,
            ..free()
        };
        let findings = old.findings(Call::Load);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[1].contains("64 kB; set LimitMEMLOCK=infinity"));
        let unlimited = Surroundings {
            memlock: u64::MAX,
            ..old
        };
        assert_eq!(unlimited.findings(Call::Load).len(), 1);
    }

    #[test]
    fn missing_type_information_is_told_when_nothing_else_is_found() {
        let bare = Surroundings {
            has_btf: false,
            ..free()
        };
        assert!(only(&bare, Call::Load).contains("CONFIG_DEBUG_INFO_BTF"));
        assert!(bare.findings(Call::RawSocket).is_empty());
    }

    #[test]
    fn a_user_namespace_is_found() {
        let rootless = Surroundings {
            uid_map: "         0       1000          1\n         1     100000      65536\n"
                .to_owned(),
            ..free()
        };
        assert!(only(&rootless, Call::Load).contains("user namespace"));
    }

    #[test]
    fn what_was_given_up_is_told_as_that() {
        let given_up = Surroundings {
            status: "CapEff:\t0000000000000000\nCapBnd:\t000001ffffffffff\n".to_owned(),
            is_given_up: true,
            ..free()
        };
        let told = only(&given_up, Call::Load);
        assert!(
            told.ends_with("as kernel.keep_privileges = false says"),
            "{told}"
        );
    }

    #[test]
    fn the_surroundings_of_this_process_can_be_read() {
        let own = Surroundings::read();
        assert!(own.status.contains("CapEff:"));
        assert!(capabilities::numbers(&own.release).is_some());
        assert!(!own.uid_map.is_empty());
    }

    #[test]
    fn a_refusal_is_found_behind_other_errors() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] std::io::Error);
        let behind = |errno| Outer(std::io::Error::from_raw_os_error(errno));
        assert!(is_refusal(&behind(libc::EPERM)));
        assert!(is_refusal(&behind(libc::EACCES)));
        assert!(!is_refusal(&behind(libc::EBUSY)));
    }
}
