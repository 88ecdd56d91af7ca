//! The `[register.storm]` table of the configuration.

use std::time::Duration;

use serde::Deserialize;

use crate::inventory::Protocol;
use crate::register::KernelMode;

/// How storms are met.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The most new registrations a second, for what is behind this host and cannot take more; 0
    /// is as many as can be served.
    pub max_registrations_per_second: u32,
    /// Phones that were let in and are not registered yet.
    pub max_in_progress: u32,
    /// Phones that have a place in the queue.
    pub max_waiting: u32,
    /// The shortest wait a phone is told, in seconds, by its protocol.
    pub min_wait_sip_s: u32,
    pub min_wait_sccp_s: u32,
    /// The longest one. Who has to wait longer asks again in between.
    pub max_wait_s: u32,
    /// How late a phone may be without losing its place.
    pub grace_s: u32,
    /// A message that waited longer for its turn is dropped.
    pub stale_sip_ms: u32,
    pub stale_sccp_ms: u32,
    /// A storm begins when so many phones wait, or more come than can be served, for so long.
    pub begin_waiting: u32,
    pub begin_after_ms: u32,
    /// It is over when for so long nobody waited any more.
    pub calm_after_s: u32,
    /// What the kernel program lets in meanwhile, as a multiple of the registrations that can be
    /// served, in percent.
    pub kernel_percent: u32,
    /// What the kernel program does about newcomers over the budget.
    pub kernel: KernelMode,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_registrations_per_second: 0,
            max_in_progress: 4096,
            max_waiting: 100_000,
            min_wait_sip_s: 1,
            min_wait_sccp_s: 1,
            max_wait_s: 120,
            grace_s: 10,
            stale_sip_ms: 2000,
            stale_sccp_ms: 5000,
            begin_waiting: 10,
            begin_after_ms: 500,
            calm_after_s: 5,
            kernel_percent: 400,
            kernel: KernelMode::default(),
        }
    }
}

impl Settings {
    /// Names the first key whose value cannot be used, and why.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        let at_least_one = "must be 1 at least".to_owned();
        for (key, value) in [
            ("storm.max_in_progress", self.max_in_progress),
            ("storm.max_waiting", self.max_waiting),
            ("storm.min_wait_sip_s", self.min_wait_sip_s),
            ("storm.min_wait_sccp_s", self.min_wait_sccp_s),
            ("storm.grace_s", self.grace_s),
            ("storm.stale_sip_ms", self.stale_sip_ms),
            ("storm.stale_sccp_ms", self.stale_sccp_ms),
            ("storm.begin_waiting", self.begin_waiting),
        ] {
            if value == 0 {
                return Err((key, at_least_one));
            }
        }
        let least = self.min_wait_sip_s.max(self.min_wait_sccp_s);
        if self.max_wait_s < least || self.max_wait_s > 3600 {
            let problem = format!("must be from {least}, the longest min_wait, to 3600 seconds");
            return Err(("storm.max_wait_s", problem));
        }
        if self.kernel_percent < 100 {
            let problem = "must be 100 at least, or phones that could be served are kept out";
            return Err(("storm.kernel_percent", problem.to_owned()));
        }
        Ok(())
    }

    pub fn min_wait_s(&self, protocol: Protocol) -> u64 {
        match protocol {
            Protocol::Sip => self.min_wait_sip_s.into(),
            Protocol::Sccp => self.min_wait_sccp_s.into(),
        }
    }

    pub fn stale_after(&self, protocol: Protocol) -> Duration {
        let ms = match protocol {
            Protocol::Sip => self.stale_sip_ms,
            Protocol::Sccp => self.stale_sccp_ms,
        };
        Duration::from_millis(ms.into())
    }

    pub fn begin_after(&self) -> Duration {
        Duration::from_millis(self.begin_after_ms.into())
    }

    pub fn calm_after(&self) -> Duration {
        Duration::from_secs(self.calm_after_s.into())
    }
}
