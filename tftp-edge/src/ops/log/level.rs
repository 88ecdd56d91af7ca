//! Which events are logged, by level and by part.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// A level (`info`), or levels for single parts (`info,tftp_edge::kernel=debug`).
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Level {
    text: String,
    targets: Arc<Targets>,
}

/// A level that is none.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is no log level; write error, warn, info, debug, trace or off, \
     or one for a part, as in `info,tftp_edge::kernel=debug`"
)]
pub struct LevelError(String);

impl Level {
    pub(super) fn takes(&self, metadata: &Metadata<'_>) -> bool {
        self.targets
            .would_enable(metadata.target(), metadata.level())
    }

    /// The most that any part may log.
    pub(super) fn most(&self) -> LevelFilter {
        let parts = self.targets.iter().map(|(_, level)| level);
        let default = self.targets.default_level();
        parts.chain(default).max().unwrap_or(LevelFilter::OFF)
    }
}

impl Default for Level {
    fn default() -> Self {
        Self {
            text: "info".to_owned(),
            targets: Arc::new(Targets::new().with_default(LevelFilter::INFO)),
        }
    }
}

impl TryFrom<String> for Level {
    type Error = LevelError;

    fn try_from(text: String) -> Result<Self, LevelError> {
        // Targets takes a single unknown word for the name of a part, which would silence the log
        // instead of refusing a misspelt level.
        const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
        let is_level = |word: &str| LEVELS.contains(&word.trim().to_ascii_lowercase().as_str());
        let is_part = |part: &str| {
            !part.is_empty()
                && part
                    .chars()
                    .all(|it| it.is_alphanumeric() || "_:-".contains(it))
        };
        let valid = text
            .split(',')
            .all(|directive| match directive.rsplit_once('=') {
                Some((part, level)) => is_part(part.trim()) && is_level(level),
                None => is_level(directive),
            });
        let tight: String = text.split_whitespace().collect();
        match tight.parse().map(Arc::new) {
            Ok(targets) if valid => Ok(Self {
                text: tight,
                targets,
            }),
            _ => Err(LevelError(text)),
        }
    }
}

impl FromStr for Level {
    type Err = LevelError;

    fn from_str(text: &str) -> Result<Self, LevelError> {
        text.to_owned().try_into()
    }
}

impl From<Level> for String {
    fn from(level: Level) -> Self {
        level.text
    }
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_refused_rather_than_taken_for_a_part() {
        for good in [
            "info",
            "WARN",
            "off",
            "info,tftp_edge::kernel=debug",
            "info, tftp_edge::kernel = debug",
        ] {
            assert!(Level::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in [
            "inof",
            "",
            "info,",
            "tftp_edge=verbose",
            "=info",
            "tftp_edge[span{field}]=debug",
        ] {
            assert!(Level::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_most_that_is_logged_is_that_of_the_most_talkative_part() {
        for (text, most) in [
            ("info", LevelFilter::INFO),
            ("off", LevelFilter::OFF),
            ("warn,tftp_edge::tftp=trace", LevelFilter::TRACE),
        ] {
            let level: Level = text.parse().unwrap();
            assert_eq!(level.most(), most, "{text}");
        }
    }
}
