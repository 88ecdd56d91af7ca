//! Programs that are run to their end, and one that runs meanwhile.

use std::process::{Child, Command};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Runs a program and returns what it wrote, to either stream.
pub fn output(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let done = command.output().with_context(|| shown.clone())?;
    let mut text = String::from_utf8_lossy(&done.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&done.stderr));
    if !done.status.success() {
        bail!("{shown}: {}\n{text}", done.status);
    }
    Ok(text)
}

pub fn run(program: &str, args: &[&str]) -> Result<()> {
    output(Command::new(program).args(args)).map(drop)
}

/// A process that is ended when this is dropped.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    pub fn start(command: &mut Command) -> Result<Self> {
        let child = command.spawn();
        child.map(Self).with_context(|| format!("{command:?}"))
    }

    /// Sends a signal and waits for the end, which has to be a good one.
    pub fn end(&mut self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.0.id().cast_signed()), signal)?;
        let status = self.0.wait()?;
        ensure!(status.success(), "ended by {signal} with {status}");
        Ok(())
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
