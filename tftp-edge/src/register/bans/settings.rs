//! The `[register.bans]` table of the configuration.

use std::time::Duration;

use serde::Deserialize;

/// When a source is shut out, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub enabled: bool,
    /// Different lines and devices that it tried in vain.
    pub guesses: u32,
    /// Messages that were none.
    pub garbage: u32,
    /// Within so many seconds.
    pub window_s: u32,
    /// For so many seconds.
    pub ban_s: u32,
    /// The most sources that are watched, and that are shut out at one time.
    pub sources: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            guesses: 20,
            garbage: 100,
            window_s: 600,
            ban_s: 900,
            sources: 4096,
        }
    }
}

impl Settings {
    /// Names the first key whose value cannot be used, and why.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        for (key, value) in [
            ("bans.guesses", self.guesses),
            ("bans.garbage", self.garbage),
            ("bans.window_s", self.window_s),
            ("bans.ban_s", self.ban_s),
            ("bans.sources", self.sources),
        ] {
            if value == 0 {
                let problem = "must be 1 at least; set enabled = false to shut out nobody";
                return Err((key, problem.to_owned()));
            }
        }
        Ok(())
    }

    pub fn window(&self) -> Duration {
        Duration::from_secs(self.window_s.into())
    }

    pub fn ban(&self) -> Duration {
        Duration::from_secs(self.ban_s.into())
    }
}
