//! Runs `cargo test` and adds up what its test binaries report.

use std::process::Command;

use crate::ui::{Step, paint, run_lines, shown};

/// Tests over all binaries of a run.
#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) ignored: usize,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// Runs one `cargo test`. A run that fails without a failed test (it did not compile, a binary was
/// killed) counts as one failure, with everything it wrote shown.
pub(crate) fn run(command: &mut Command, step: Step) -> anyhow::Result<Tally> {
    let name = shown(command);
    let mut report = Report::default();
    // cargo names the binaries on stderr, the binaries report on stdout: only their order ties the
    // two together.
    let status = run_lines(command, |line| {
        if let Some(section) = report.read(line) {
            step.line(&section);
        }
        step.ticking(&format!(
            "{} passed {}",
            report.tally.passed, report.current
        ));
    })?;
    let mut tally = report.tally;
    if !status.success() && tally.failed == 0 {
        step.line(&report.lines.join("\n"));
        tally.failed = 1;
    }
    if tally.failed == 0 {
        step.done(&format!("{} passed", tally.passed));
    } else {
        step.line(&format!("again with: {name}"));
    }
    Ok(tally)
}

/// What has been read so far of one `cargo test`.
#[derive(Default)]
struct Report {
    tally: Tally,
    /// The test binary that is running, as cargo names it.
    binary: String,
    /// The last test that ended.
    current: String,
    /// All since that binary began.
    lines: Vec<String>,
}

impl Report {
    /// Takes one line; returns what to show once a binary has ended.
    fn read(&mut self, line: String) -> Option<String> {
        let trimmed = line.trim();
        if let Some(binary) = binary(trimmed) {
            self.binary = binary;
            self.lines.clear();
            self.current.clear();
            return None;
        }
        let result = result(trimmed);
        if trimmed.starts_with("Compiling ") {
            self.current = trimmed.to_owned();
        } else if result.is_none()
            && let Some(test) = trimmed.strip_prefix("test ")
        {
            self.current = test.split(' ').next().unwrap_or(test).to_owned();
        }
        self.lines.push(line);
        let result = result?;
        self.tally.add(result);
        let lines = std::mem::take(&mut self.lines);
        if result.failed > 0 {
            return Some(format!("{}\n{}", self.binary, lines.join("\n")));
        }
        (result.passed + result.ignored > 0).then(|| self.summary(result))
    }

    fn summary(&self, result: Tally) -> String {
        let ignored = match result.ignored {
            0 => String::new(),
            ignored => format!(", {ignored} ignored"),
        };
        let passed = format!("{:>5} passed{ignored}", result.passed);
        format!("  {} {}", paint("32", &passed), self.binary)
    }
}

/// `Running unittests src/lib.rs (target/debug/deps/tftp_ebpf-0123)` → `tftp_ebpf (src/lib.rs)`.
fn binary(line: &str) -> Option<String> {
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{name} (documentation)"));
    }
    let (source, path) = line
        .strip_prefix("Running ")?
        .strip_suffix(')')?
        .split_once(" (")?;
    let source = source.trim_start_matches("unittests ");
    let file = path.rsplit('/').next().unwrap_or(path);
    let name = file.rsplit_once('-').map_or(file, |(name, _hash)| name);
    Some(format!("{name} ({source})"))
}

/// `test result: ok. 12 passed; 0 failed; 1 ignored; …`
fn result(line: &str) -> Option<Tally> {
    let (_verdict, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |what| {
        counts
            .split("; ")
            .find_map(|part| part.strip_suffix(what)?.trim().parse().ok())
    };
    Some(Tally {
        passed: count("passed")?,
        failed: count("failed")?,
        ignored: count("ignored")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> (Tally, Vec<String>) {
        let mut report = Report::default();
        let shown = lines
            .iter()
            .filter_map(|line| report.read((*line).to_owned()))
            .collect();
        (report.tally, shown)
    }

    #[test]
    fn results_add_up_over_binaries() {
        let (tally, shown) = read(&[
            "     Running unittests src/lib.rs (target/debug/deps/tftp_ebpf-0a1b)",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "   Doc-tests tftp_edge",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        ]);
        assert_eq!(
            tally,
            Tally {
                passed: 15,
                failed: 0,
                ignored: 1
            }
        );
        assert_eq!(
            shown,
            [
                "     12 passed, 1 ignored tftp_ebpf (src/lib.rs)",
                "      3 passed tftp_edge (documentation)"
            ]
        );
    }

    #[test]
    fn a_failed_binary_shows_all_it_wrote_and_nothing_of_the_others() {
        let (tally, shown) = read(&[
            "     Running unittests src/lib.rs (target/debug/deps/one-0a1b)",
            "of the first",
            "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0s",
            "     Running tests/case.rs (target/debug/deps/case-0a1b)",
            "thread 'rule' panicked",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0s",
        ]);
        assert_eq!(
            tally,
            Tally {
                passed: 1,
                failed: 2,
                ignored: 0
            }
        );
        assert_eq!(shown.len(), 1);
        assert!(shown[0].starts_with("case (tests/case.rs)\nthread 'rule' panicked\n"));
        assert!(!shown[0].contains("of the first"));
    }

    #[test]
    fn a_test_that_prints_like_a_result_is_not_counted() {
        let (tally, _) = read(&["printed: test result: ok. 9 passed; 0 failed; 0 ignored"]);
        assert_eq!(tally, Tally::default());
    }
}
