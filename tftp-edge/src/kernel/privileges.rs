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

use super::verifier;
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

/// What the kernel said, and why. What the verifier wrote is of use only if nothing else is found, and
/// of that the end.
pub fn refused(call: Call, error: &(dyn std::error::Error + 'static)) -> String {
    refused_in(&Surroundings::read(), call, error)
}

fn refused_in(
    surroundings: &Surroundings,
    call: Call,
    error: &(dyn std::error::Error + 'static),
) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Some say what is behind them by themselves.
        if !text.contains(&cause_text) {
            let _ = write!(text, ": {cause_text}");
        }
        next = cause.source();
    }
    let (said, verdict) = match text.split_once(". Verifier output:") {
        Some((said, log)) => (said, verifier::verdict(log)),
        None => (&*text, None),
    };
    // What the verifier says is of use, unless it misses a capability. So is an error that is none of
    // rights: the filters that are always on in the unit have no part in it.
    if surroundings.missing(call).is_none() && (verdict.is_some() || !is_refusal(error)) {
        return match verdict {
            Some(verdict) => format!("{said}; the verifier ends with: {verdict}"),
            None => said.to_owned(),
        };
    }
    let findings = surroundings.findings(call);
    if findings.is_empty() {
        // Not a matter of rights: busy, no memory, a mistake of ours.
        return match is_refusal(error) {
            true => format!("{said}; {}", nothing_found(surroundings)),
            false => said.to_owned(),
        };
    }
    let first = said.lines().next().unwrap_or_default();
    format!("{}; {}", first.trim_end_matches('.'), findings.join("; "))
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
mod tests;
