//! Signals. Ctrl-C is a flag: whoever waits looks at it, returns, and the guards clean up.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn interrupt(_: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// From now on SIGINT, SIGTERM and SIGHUP set the flag and end nothing.
pub fn watch_for_interrupt() -> Result<()> {
    let action = SigAction::new(
        SigHandler::Handler(interrupt),
        SaFlags::SA_RESTART,
        SigSet::empty(),
    );
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler does nothing but store to an atomic, which is async-signal-safe.
        unsafe { sigaction(signal, &action) }.with_context(|| format!("watching for {signal}"))?;
    }
    Ok(())
}

/// Whether such a signal has come.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Makes a system call until it is not interrupted. A receive with a timeout is not taken up again
/// after a signal, nor after the process was stopped or frozen (signal(7)).
pub fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            ended => return ended,
        }
    }
}

/// What `receive` brings within a time; nothing is none. It is given what is left of that time, at
/// least a millisecond: each stop of the process would begin the whole of it anew.
pub fn receive_within<T>(
    time: Duration,
    mut receive: impl FnMut(Duration) -> io::Result<T>,
) -> io::Result<Option<T>> {
    let deadline = Instant::now() + time;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match receive(left.max(Duration::from_millis(1))) {
            Ok(came) => return Ok(Some(came)),
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock | ErrorKind::TimedOut => return Ok(None),
                _ => return Err(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receive_that_is_interrupted_goes_on_for_what_is_left() {
        const TIME: Duration = Duration::from_secs(3600);
        let mut given = Vec::new();
        let came = receive_within(TIME, |left| {
            given.push(left);
            match given.len() {
                1..=3 => {
                    std::thread::sleep(Duration::from_millis(1));
                    Err(ErrorKind::Interrupted.into())
                }
                _ => Ok(7),
            }
        });
        assert_eq!(came.unwrap(), Some(7));
        assert!(
            given.is_sorted_by(|before, after| before > after),
            "{given:?}"
        );
        assert!(given[0] <= TIME);
    }

    #[test]
    fn a_time_that_is_over_is_no_fault() {
        for kind in [ErrorKind::WouldBlock, ErrorKind::TimedOut] {
            let came = receive_within(Duration::ZERO, |left| {
                assert_eq!(left, Duration::from_millis(1));
                Err::<(), _>(kind.into())
            });
            assert_eq!(came.unwrap(), None);
        }
        let fault = receive_within(Duration::ZERO, |_| {
            Err::<(), _>(ErrorKind::ConnectionRefused.into())
        });
        assert_eq!(fault.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
}
