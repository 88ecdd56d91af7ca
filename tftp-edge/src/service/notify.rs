//! What is said to the service manager: sd_notify(3), one datagram each to `$NOTIFY_SOCKET`.

use std::time::Duration;

use sd_notify::NotifyState;

/// Something to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    Ready,
    /// The start takes longer: this much from now on is still fine.
    Extend(Duration),
    Reloading,
    Stopping,
    /// One line for `systemctl status`.
    Status(String),
    /// Every loop goes round.
    Watchdog,
}

/// Says it. Without a service manager nobody listens, and nothing is said.
pub fn say(words: &[Word]) {
    if words.is_empty() {
        return;
    }
    let states: Vec<NotifyState<'_>> = words.iter().flat_map(states).collect();
    if let Err(error) = sd_notify::notify(&states) {
        tracing::warn!(event = "service.not_told", %error, "the service manager cannot be told how the daemon is");
    }
}

fn states(word: &Word) -> Vec<NotifyState<'_>> {
    match word {
        Word::Ready => vec![NotifyState::Ready],
        Word::Extend(by) => {
            let us = u32::try_from(by.as_micros()).unwrap_or(u32::MAX);
            vec![NotifyState::ExtendTimeoutUsec(us)]
        }
        // Since systemd 253 the two belong together (`Type=notify-reload`).
        Word::Reloading => std::iter::once(NotifyState::Reloading)
            .chain(NotifyState::monotonic_usec_now().ok())
            .collect(),
        Word::Stopping => vec![NotifyState::Stopping],
        Word::Status(text) => vec![NotifyState::Status(text)],
        Word::Watchdog => vec![NotifyState::Watchdog],
    }
}

/// While this lives, the daemon is reloading; then it is ready again, with the old settings or the
/// new ones.
#[derive(Debug)]
#[must_use]
pub struct Reloading(());

/// Says that a reload begins.
pub fn reloading() -> Reloading {
    say(&[
        Word::Reloading,
        Word::Status("reloads its settings".to_owned()),
    ]);
    Reloading(())
}

impl Drop for Reloading {
    fn drop(&mut self) {
        say(&[Word::Ready]);
    }
}

/// How often the service manager wants to hear from us, if it does.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|every| !every.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(word: &Word) -> String {
        let lines = states(word);
        let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
        lines.join("\n")
    }

    #[test]
    fn words_are_as_the_manual_has_them() {
        for (word, line) in [
            (Word::Ready, "READY=1"),
            (Word::Stopping, "STOPPING=1"),
            (Word::Watchdog, "WATCHDOG=1"),
            (Word::Status("serving".into()), "STATUS=serving"),
            (
                Word::Extend(Duration::from_secs(30)),
                "EXTEND_TIMEOUT_USEC=30000000",
            ),
        ] {
            assert_eq!(text(&word), line);
        }
        let reloading = text(&Word::Reloading);
        let (first, second) = reloading.split_once('\n').unwrap();
        assert_eq!(first, "RELOADING=1");
        let us = second.strip_prefix("MONOTONIC_USEC=").unwrap();
        assert!(us.parse::<u64>().unwrap() > 0);
    }
}
