//! The kernel's verifier: loads that it had to break off, and what it says of those it refuses.

use std::io::ErrorKind;

use aya::programs::ProgramError;

/// As often as libbpf tries.
const ATTEMPTS: usize = 5;

/// Of what it wrote, the lines that are told: they end with the instruction it refuses, and why.
const LINES: usize = 3;
/// The length of a line that is told, in characters.
const LINE_MAX: usize = 160;

/// Loads a program. A signal to the thread, or the process being stopped or frozen, ends the verifier
/// with `EAGAIN`: the load is begun anew then.
pub(super) fn load(
    mut attempt: impl FnMut() -> Result<(), ProgramError>,
) -> Result<(), ProgramError> {
    for _ in 1..ATTEMPTS {
        match attempt() {
            Err(ProgramError::LoadError { io_error, .. })
                if io_error.kind() == ErrorKind::WouldBlock => {}
            ended => return ended,
        }
    }
    attempt()
}

/// The end of what the verifier wrote, which may be a megabyte; `None` if it wrote nothing.
pub(super) fn verdict(log: &str) -> Option<String> {
    let is_statistics = |line: &str| {
        ["verification time ", "stack depth ", "processed "]
            .iter()
            .any(|start| line.starts_with(start))
    };
    let lines = log.lines().map(str::trim_end).rev();
    let mut told: Vec<_> = lines
        .filter(|line| !line.is_empty() && !is_statistics(line))
        .take(LINES)
        .map(|line| line.chars().take(LINE_MAX).collect::<String>())
        .collect();
    told.reverse();
    (!told.is_empty()).then(|| told.join(" / "))
}

#[cfg(test)]
mod tests {
    use std::io;

    use aya_obj::VerifierLog;

    use super::*;

    fn refused(errno: i32) -> ProgramError {
        ProgramError::LoadError {
            io_error: io::Error::from_raw_os_error(errno),
            verifier_log: VerifierLog::new(String::new()),
        }
    }

    /// How often a load is tried whose attempts end so one after the other, the last of them always;
    /// and whether it is loaded.
    fn tried(ends: &[Option<i32>]) -> (usize, bool) {
        let mut tried = 0;
        let loaded = load(|| {
            let end = ends.get(tried).or(ends.last()).copied().flatten();
            tried += 1;
            end.map_or(Ok(()), |errno| Err(refused(errno)))
        });
        (tried, loaded.is_ok())
    }

    #[test]
    fn a_load_that_a_signal_ended_is_begun_anew_some_times() {
        let (ended, wrong) = (Some(libc::EAGAIN), Some(libc::EINVAL));
        assert_eq!(tried(&[None]), (1, true));
        assert_eq!(tried(&[ended, ended, None]), (3, true));
        assert_eq!(tried(&[ended, wrong]), (2, false));
        assert_eq!(tried(&[wrong]), (1, false));
        assert_eq!(tried(&[ended]), (ATTEMPTS, false));
    }

    #[test]
    fn the_end_of_what_the_verifier_wrote_is_told() {
        let log = format!(
            "{}; let x = *y; @ main.rs:51\n23: (71) r1 = *(u8 *)(r2 +0)\n\
             R2 invalid mem access 'scalar'\nverification time 75431 usec\nstack depth 112+0\n\
             processed 9233 insns (limit 1000000)\n\n",
            "22: (b7) r9 = 2   ; R9=2\n".repeat(10_000)
        );
        assert_eq!(
            verdict(&log).unwrap(),
            "; let x = *y; @ main.rs:51 / 23: (71) r1 = *(u8 *)(r2 +0) / \
             R2 invalid mem access 'scalar'"
        );
        assert_eq!(
            verdict(&"é".repeat(5_000)).unwrap().chars().count(),
            LINE_MAX
        );
        for nothing in ["", "\n", "processed 0 insns (limit 1000000)\n"] {
            assert_eq!(verdict(nothing), None);
        }
    }
}
