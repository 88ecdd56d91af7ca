//! The `[tftp]` section of the configuration.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;
use tftp_ebpf::wire::tftp::{DEFAULT_BLKSIZE, MAX_BLKSIZE, PORT};

use super::resend::Policy;
use crate::budget::Rate;
use crate::port_range::PortRange;

/// How the daemon serves TFTP.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Addresses and ports requests are taken on. `[::]` takes IPv6 alone, so that IPv4 has its
    /// own entry. An address that does not exist yet is waited for.
    pub listen: Vec<SocketAddr>,
    /// Threads; 0 is one for each core.
    pub workers: usize,
    /// Transfers at one time, over all workers. Over it requests are met with silence; the last
    /// quarter is kept for clients that are in the middle of their boot.
    pub max_transfers: usize,
    /// Largest window granted, in blocks (RFC 7440).
    pub windowsize: u16,
    /// Largest block granted, in bytes (RFC 2348).
    pub max_blksize: u16,
    /// Grant no block that would be fragmented on the way to the client.
    pub mtu_clamp: bool,
    /// Answer from the port that was asked, for clients behind NAT or a firewall that does not
    /// know TFTP. Otherwise each transfer has a random port out of `port_range`.
    pub single_port: bool,
    /// Our ports for transfers, as `"first-last"`.
    pub port_range: PortRange,
    /// Ports out of that range held open by each worker and address family.
    pub ports_per_worker: usize,
    /// DSCP of everything sent, 0 to 63. 24 is CS3, which phones mark signalling with.
    pub dscp: u8,
    /// Receive and send buffer of each socket, in bytes.
    pub socket_buffer: usize,
    pub resend: ResendSettings,
    pub budget: BudgetSettings,
}

/// When what a client does not acknowledge is sent again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResendSettings {
    /// First wait, before a round trip has been measured; milliseconds.
    pub first_ms: u64,
    /// Shortest wait; milliseconds.
    pub min_ms: u64,
    /// Longest wait; milliseconds, 2000 at most.
    pub max_ms: u64,
    /// Sends of the same block before the transfer is given up. Before the first ACK it is two,
    /// whatever stands here; and a minute without progress ends any transfer.
    pub max_sends: u32,
}

/// What one source may cost before it is met with silence. A source is an IPv4 address or an IPv6
/// /64. The defaults let a site of 2,000 phones boot behind one address.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetSettings {
    /// First packets that nobody has acknowledged: at once, and gained each second. A source that
    /// has proved its address in the last ten minutes is free of this budget.
    pub first_burst: u32,
    pub first_per_second: u32,
    /// Requests for names that do not exist, over TFTP and HTTP. A boot has about five.
    pub miss_burst: u32,
    pub miss_per_second: u32,
    /// Configurations of devices that nobody knows, each device once: what a scan for device names
    /// asks for. Over it such names, and no others, are met with silence, and an alarm is raised.
    pub unknown_burst: u32,
    pub unknown_per_second: u32,
    /// Other ERROR packets.
    pub error_burst: u32,
    pub error_per_second: u32,
    /// Transfers at one time, also of a source that has proved its address.
    pub max_transfers_per_source: u32,
    /// Sources remembered; the ones not heard of for longest are forgotten first.
    pub sources: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: vec![
                (Ipv4Addr::UNSPECIFIED, PORT).into(),
                (Ipv6Addr::UNSPECIFIED, PORT).into(),
            ],
            workers: 0,
            max_transfers: 20_000,
            windowsize: 64,
            max_blksize: MAX_BLKSIZE,
            mtu_clamp: true,
            single_port: false,
            port_range: PortRange {
                first: 49_152,
                last: 57_343,
            },
            ports_per_worker: 16,
            dscp: 24,
            socket_buffer: 4 << 20,
            resend: ResendSettings::default(),
            budget: BudgetSettings::default(),
        }
    }
}

impl Default for ResendSettings {
    fn default() -> Self {
        Self {
            first_ms: 1000,
            min_ms: 300,
            max_ms: 2000,
            max_sends: 16,
        }
    }
}

impl Default for BudgetSettings {
    fn default() -> Self {
        Self {
            first_burst: 4_000,
            first_per_second: 200,
            miss_burst: 20_000,
            miss_per_second: 200,
            unknown_burst: 100,
            unknown_per_second: 2,
            error_burst: 100,
            error_per_second: 20,
            max_transfers_per_source: 4_000,
            sources: 32_768,
        }
    }
}

/// A value that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct SettingsError {
    /// The key inside the section, with dots.
    pub key: &'static str,
    pub problem: String,
}

fn check(
    ok: bool,
    key: &'static str,
    problem: impl FnOnce() -> String,
) -> Result<(), SettingsError> {
    if ok {
        Ok(())
    } else {
        Err(SettingsError {
            key,
            problem: problem(),
        })
    }
}

impl Settings {
    /// Names the first key whose value cannot be used.
    pub fn validate(&self) -> Result<(), SettingsError> {
        check(!self.listen.is_empty(), "listen", || {
            "needs at least one address, for example \"0.0.0.0:69\"".into()
        })?;
        check(self.workers <= 1024, "workers", || {
            format!("{} is more than 1024; 0 is one for each core", self.workers)
        })?;
        check(self.max_transfers > 0, "max_transfers", || {
            "must be at least 1".into()
        })?;
        check(self.windowsize > 0, "windowsize", || {
            "must be at least 1".into()
        })?;
        check(
            (DEFAULT_BLKSIZE..=MAX_BLKSIZE).contains(&self.max_blksize),
            "max_blksize",
            || format!("must be from {DEFAULT_BLKSIZE} to {MAX_BLKSIZE}"),
        )?;
        let ports = usize::from(self.port_range.count());
        let needed = self.ports_per_worker.saturating_mul(self.worker_count());
        check(self.ports_per_worker > 0, "ports_per_worker", || {
            "must be at least 1".into()
        })?;
        check(
            self.single_port || ports >= needed * 2,
            "port_range",
            || {
                format!(
                    "{} has {} ports; {} workers with {} ports each need a range of {} at least",
                    self.port_range,
                    ports,
                    self.worker_count(),
                    self.ports_per_worker,
                    needed * 2
                )
            },
        )?;
        check(self.dscp < 64, "dscp", || {
            format!("{} is not a DSCP, which is from 0 to 63", self.dscp)
        })?;
        check(
            i32::try_from(self.socket_buffer).is_ok(),
            "socket_buffer",
            || "must be less than 2 GiB".into(),
        )?;
        self.resend.validate()?;
        self.budget.validate()
    }

    /// `workers`, with 0 resolved.
    pub fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, |cores| cores.get()),
            workers => workers,
        }
    }

    /// The bounds of the resend timer.
    pub fn resend_policy(&self) -> Policy {
        Policy {
            first: Duration::from_millis(self.resend.first_ms),
            min: Duration::from_millis(self.resend.min_ms),
            max: Duration::from_millis(self.resend.max_ms),
            max_sends: self.resend.max_sends,
        }
    }
}

impl ResendSettings {
    fn validate(&self) -> Result<(), SettingsError> {
        check(self.min_ms >= 10, "resend.min_ms", || {
            "must be at least 10".into()
        })?;
        check(
            (self.min_ms..=2000).contains(&self.max_ms),
            "resend.max_ms",
            || format!("must be from resend.min_ms ({}) to 2000", self.min_ms),
        )?;
        check(
            (self.min_ms..=self.max_ms).contains(&self.first_ms),
            "resend.first_ms",
            || "must be from resend.min_ms to resend.max_ms".into(),
        )?;
        check(self.max_sends >= 2, "resend.max_sends", || {
            "must be at least 2".into()
        })
    }
}

impl BudgetSettings {
    /// First packets of one source.
    pub(super) const fn first(&self) -> Rate {
        Rate {
            burst: self.first_burst,
            per_second: self.first_per_second,
        }
    }

    /// ERROR packets of one source.
    pub(super) const fn errors(&self) -> Rate {
        Rate {
            burst: self.error_burst,
            per_second: self.error_per_second,
        }
    }

    fn validate(&self) -> Result<(), SettingsError> {
        for (value, key) in [
            (self.first_burst, "budget.first_burst"),
            (self.first_per_second, "budget.first_per_second"),
            (self.miss_burst, "budget.miss_burst"),
            (self.miss_per_second, "budget.miss_per_second"),
            (self.unknown_burst, "budget.unknown_burst"),
            (self.unknown_per_second, "budget.unknown_per_second"),
            (self.error_burst, "budget.error_burst"),
            (self.error_per_second, "budget.error_per_second"),
        ] {
            check(value > 0, key, || {
                "must be at least 1; 0 would not switch the budget off, write a large number for \
                 that"
                    .into()
            })?;
        }
        check(
            self.max_transfers_per_source > 0,
            "budget.max_transfers_per_source",
            || "must be at least 1".into(),
        )?;
        check(self.sources >= 64, "budget.sources", || {
            "must be at least 64".into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem_of(toml: &str) -> &'static str {
        let settings: Settings = toml::from_str(toml).unwrap();
        settings.validate().unwrap_err().key
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Settings::default().validate(), Ok(()));
        assert_eq!(toml::from_str::<Settings>("").unwrap(), Settings::default());
    }

    #[test]
    fn a_key_nobody_knows_is_an_error() {
        assert!(toml::from_str::<Settings>("widnowsize = 8").is_err());
    }

    #[test]
    fn a_bad_value_is_named_by_its_key() {
        for (toml, key) in [
            ("listen = []", "listen"),
            ("max_transfers = 0", "max_transfers"),
            ("windowsize = 0", "windowsize"),
            ("max_blksize = 511", "max_blksize"),
            ("workers = 8\nport_range = \"50000-50031\"", "port_range"),
            ("dscp = 64", "dscp"),
            ("[resend]\nmax_ms = 3000", "resend.max_ms"),
            ("[resend]\nmin_ms = 1", "resend.min_ms"),
            ("[resend]\nmax_sends = 1", "resend.max_sends"),
            ("[budget]\nsources = 1", "budget.sources"),
            (
                "[budget]\nmax_transfers_per_source = 0",
                "budget.max_transfers_per_source",
            ),
            ("[budget]\nfirst_burst = 0", "budget.first_burst"),
            ("[budget]\nfirst_per_second = 0", "budget.first_per_second"),
            ("[budget]\nmiss_burst = 0", "budget.miss_burst"),
            ("[budget]\nmiss_per_second = 0", "budget.miss_per_second"),
            ("[budget]\nunknown_burst = 0", "budget.unknown_burst"),
            (
                "[budget]\nunknown_per_second = 0",
                "budget.unknown_per_second",
            ),
            ("[budget]\nerror_burst = 0", "budget.error_burst"),
            ("[budget]\nerror_per_second = 0", "budget.error_per_second"),
        ] {
            assert_eq!(problem_of(toml), key, "{toml}");
        }
    }

    #[test]
    fn a_single_port_needs_no_range_of_ports() {
        let settings: Settings =
            toml::from_str("single_port = true\nport_range = \"50000-50000\"").unwrap();
        assert_eq!(settings.validate(), Ok(()));
    }
}
