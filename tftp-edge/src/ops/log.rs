//! The log: text for people, JSON for collectors, always on standard error.

use std::fmt;
use std::io::{self, IsTerminal};

use serde::Deserialize;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

/// `[log]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub level: Level,
    pub format: Format,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One readable line for each event, in colour on a terminal.
    #[default]
    Text,
    /// One JSON object for each event.
    Json,
}

/// A level (`info`), or levels for single parts (`info,tftp_edge::kernel=debug`).
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Level(String);

impl Default for Level {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A level that is none.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is no log level; write error, warn, info, debug, trace or off, \
     or one for a part, as in `info,tftp_edge::kernel=debug`"
)]
pub struct LevelError(String);

impl TryFrom<String> for Level {
    type Error = LevelError;

    fn try_from(text: String) -> Result<Self, LevelError> {
        // EnvFilter takes a single unknown word for the name of a target, which would silence
        // the log instead of refusing a misspelt level.
        const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
        let is_level = |word: &str| LEVELS.contains(&word.trim().to_ascii_lowercase().as_str());
        let valid = text
            .split(',')
            .all(|directive| match directive.rsplit_once('=') {
                Some((target, level)) => !target.trim().is_empty() && is_level(level),
                None => is_level(directive),
            });
        if valid && EnvFilter::try_new(&text).is_ok() {
            Ok(Self(text))
        } else {
            Err(LevelError(text))
        }
    }
}

/// Begins to log to standard error. Called once; a second call changes nothing.
pub fn init(settings: &Settings) {
    let colour = io::stderr().is_terminal();
    // Takes what libraries write through the `log` crate, too. A subscriber that is there already
    // belongs to a test, and stays.
    let _ = subscriber(settings, colour, io::stderr).try_init();
}

fn subscriber<W>(
    settings: &Settings,
    colour: bool,
    writer: W,
) -> Box<dyn tracing::Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&settings.level.0))
        .with_writer(writer);
    match settings.format {
        Format::Text => Box::new(builder.with_ansi(colour).finish()),
        Format::Json => Box::new(builder.json().flatten_event(true).finish()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};
    use std::sync::Arc;

    use super::*;

    fn logged(settings: &Settings) -> String {
        let mut file = tempfile::tempfile().unwrap();
        let writer = Arc::new(file.try_clone().unwrap());
        tracing::subscriber::with_default(subscriber(settings, false, writer), || {
            tracing::info!(interface = "eth0", "attached");
            tracing::debug!("hidden");
        });
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn text_is_one_line_for_each_event_at_or_above_the_level() {
        let text = logged(&Settings::default());
        assert!(text.contains(" INFO ") && text.contains("attached interface=\"eth0\""));
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn json_has_the_fields_of_the_event_at_the_top() {
        let text = logged(&Settings {
            format: Format::Json,
            ..Settings::default()
        });
        let event: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(event["level"], "INFO");
        assert_eq!(event["message"], "attached");
        assert_eq!(event["interface"], "eth0");
    }

    #[test]
    fn a_misspelt_level_is_refused_rather_than_taken_for_a_target() {
        for good in ["info", "WARN", "off", "info,tftp_edge::kernel=debug"] {
            assert!(Level::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["inof", "", "info,", "tftp_edge=verbose", "=info"] {
            assert!(Level::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
