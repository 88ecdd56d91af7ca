//! What the user sees: numbered steps, a spinner on a terminal, output only when it matters.

use std::io::{self, BufRead as _, BufReader, IsTerminal as _};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How many lines of a failed command's output are worth showing.
const TAIL_LINES: usize = 60;

/// A run of numbered steps: `[3/7] bpf-linker …`.
pub(crate) struct Steps {
    done: usize,
    total: usize,
}

impl Steps {
    pub(crate) fn new(total: usize) -> Self {
        Self { done: 0, total }
    }

    /// Opens the next step.
    pub(crate) fn next(&mut self, name: &str) -> Step {
        self.done += 1;
        Step::open(format!("[{}/{}] {name}", self.done, self.total))
    }
}

/// One step under way. Ends with [`Step::done`], [`Step::warn`] or, on an early return, in a cross.
pub(crate) struct Step {
    title: String,
    started: Instant,
    spinner: Option<ProgressBar>,
    ended: bool,
}

impl Step {
    fn open(title: String) -> Self {
        let spinner = io::stderr().is_terminal().then(|| {
            let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{spinner:.cyan} {elapsed:.dim} {wide_msg}");
            spinner.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            spinner.set_message(title.clone());
            spinner.enable_steady_tick(Duration::from_millis(120));
            spinner
        });
        Self {
            title,
            started: Instant::now(),
            spinner,
            ended: false,
        }
    }

    /// Says what the step is busy with. Off a terminal only what takes long is worth a line.
    pub(crate) fn doing(&self, what: &str) {
        match &self.spinner {
            Some(spinner) => spinner.set_message(format!("{}: {what}", self.title)),
            None => eprintln!("  {}: {what}", self.title),
        }
    }

    /// The same for what changes often: nothing off a terminal.
    pub(crate) fn ticking(&self, what: &str) {
        if let Some(spinner) = &self.spinner {
            spinner.set_message(format!("{}: {what}", self.title));
        }
    }

    /// Runs a command, with the line it last wrote beside the spinner; on failure its last lines
    /// are the error.
    pub(crate) fn run(&self, command: &mut Command) -> anyhow::Result<()> {
        let mut output = String::new();
        let status = run_lines(command, |line| {
            self.ticking(line.trim());
            output.push_str(&line);
            output.push('\n');
        })?;
        if !status.success() {
            bail!("`{}` failed ({status}):\n{}", shown(command), tail(&output));
        }
        Ok(())
    }

    /// Prints a line without disturbing the spinner.
    pub(crate) fn line(&self, text: &str) {
        match &self.spinner {
            Some(spinner) => spinner.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    pub(crate) fn done(mut self, outcome: &str) {
        self.end("✓", "32", outcome);
    }

    /// The step could not do all of its work, and the rest can go on without it.
    pub(crate) fn warn(mut self, outcome: &str) {
        self.end("!", "33", outcome);
    }

    fn end(&mut self, mark: &str, colour: &str, outcome: &str) {
        self.ended = true;
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
        let took = self.started.elapsed();
        let took = if took < Duration::from_secs(1) {
            String::new()
        } else {
            format!(" ({})", seconds(took))
        };
        eprintln!("{} {}: {outcome}{took}", paint(colour, mark), self.title);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.ended {
            self.end("✗", "31", "failed");
        }
    }
}

/// `0.4 s`, `2 min 51 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    if whole < 60 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {} s", whole / 60, whole % 60)
    }
}

pub(crate) fn note(text: &str) {
    eprintln!("{}", paint("2", &format!("  {text}")));
}

pub(crate) fn failure(text: &str) {
    eprintln!("{} {text}", paint("31", "error:"));
}

/// `text` in a terminal colour, where there is a terminal.
pub(crate) fn paint(colour: &str, text: &str) -> String {
    if io::stderr().is_terminal() {
        format!("\x1b[{colour}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// Runs a command and hands over every line it writes, of either stream, in the order written.
pub(crate) fn run_lines(
    command: &mut Command,
    mut on_line: impl FnMut(String),
) -> anyhow::Result<ExitStatus> {
    let (reader, writer) = io::pipe()?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    // The command still holds the writing end, and the reading one would never see it close.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    for line in BufReader::new(reader).split(b'\n') {
        on_line(String::from_utf8_lossy(&line?).into_owned());
    }
    Ok(child.wait()?)
}

/// Runs a command with its output going straight to the user.
pub(crate) fn run_through(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// The command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let program = program
        .file_name()
        .unwrap_or(command.get_program())
        .to_string_lossy();
    std::iter::once(program)
        .chain(command.get_args().map(|arg| arg.to_string_lossy()))
        .collect::<Vec<_>>()
        .join(" ")
}

fn tail(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
