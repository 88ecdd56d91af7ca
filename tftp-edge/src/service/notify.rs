//! What is said to the service manager: sd_notify(3), one datagram each to `$NOTIFY_SOCKET`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;

/// The service manager was told that the daemon ends.
static HAS_ENDED: AtomicBool = AtomicBool::new(false);
/// `READY=1` has been said.
static HAS_BEEN_READY: AtomicBool = AtomicBool::new(false);

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
    // What comes while the parts end is no news any more.
    if HAS_ENDED.load(Ordering::Relaxed) {
        return;
    }
    HAS_ENDED.fetch_or(words.contains(&Word::Stopping), Ordering::Relaxed);
    if words.contains(&Word::Ready) {
        HAS_BEEN_READY.store(true, Ordering::Relaxed);
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

/// A reload begins. To be followed by [`reloaded`]. A daemon that has not been ready yet says nothing:
/// the end of a reload would say that it is.
pub fn reloading() {
    if HAS_BEEN_READY.load(Ordering::Relaxed) {
        say(&[Word::Reloading]);
    }
}

/// A reload is over: the daemon goes by the new settings, or by those before.
pub fn reloaded() {
    if HAS_BEEN_READY.load(Ordering::Relaxed) {
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
