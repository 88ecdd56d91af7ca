//! `tftp-edge top` on a real pseudo terminal: it draws, and leaves the terminal as it was.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tftp_ebpf::verdict::Rung;
use tftp_edge_tests::lab::{skipped, tool};
use tftp_edge_tests::rig::{Rig, daemon_under_test, run};

/// To and from the other screen of a terminal (xterm's control sequences, 1049).
const ENTERED: &str = "\u{1b}[?1049h";
const LEFT: &str = "\u{1b}[?1049l";

/// A terminal of 80 by 24 with a shell that says how the terminal is before and after.
struct Screen {
    script: Child,
    written: Receiver<Vec<u8>>,
    seen: String,
}

impl Screen {
    fn open(rig: &Rig<'_>) -> Result<Self> {
        let (daemon, config) = (daemon_under_test()?, rig.edge.config());
        let top = format!("{} top --config {}", daemon.display(), config.display());
        let shell = format!(
            "stty cols 80 rows 24; before=$(stty -g); \
             sh -c 'echo pid=$$.; exec {top}'; echo ended=$?.; \
             test \"$before\" = \"$(stty -g)\" && echo as-before."
        );
        let mut script = Command::new("script")
            .args(["--quiet", "--command", &shell, "/dev/null"])
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting script")?;
        let mut output = script.stdout.take().context("script has an output")?;
        let (write, written) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(len @ 1..) = output.read(&mut buffer) {
                if write.send(buffer[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            script,
            written,
            seen: String::new(),
        })
    }

    /// Reads on until `text` has been written.
    fn wait_for(&mut self, text: &str) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.seen.contains(text) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.written.recv_timeout(left) {
                Ok(bytes) => self.seen += &String::from_utf8_lossy(&bytes),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    bail!("{text:?} does not come: {:?}", self.seen)
                }
            }
        }
        Ok(())
    }

    fn press(&mut self, keys: &str) -> Result<()> {
        let input = self.script.stdin.as_mut().context("script has an input")?;
        input.write_all(keys.as_bytes())?;
        Ok(input.flush()?)
    }

    /// The program on the terminal.
    fn pid(&self) -> Result<Pid> {
        let after = self.seen.split("pid=").nth(1).context("no pid")?;
        let number = after.split('.').next().context("no pid")?;
        Ok(Pid::from_raw(number.parse()?))
    }

    fn ensure_left(&mut self) -> Result<()> {
        self.wait_for("as-before.")?;
        ensure!(self.seen.contains("ended=0."), "{:?}", self.seen);
        let (entered, left) = (self.seen.rfind(ENTERED), self.seen.rfind(LEFT));
        ensure!(entered.is_some() && left > entered, "{:?}", self.seen);
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // It has ended, unless something went wrong.
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

#[test]
fn top_draws_and_leaves_the_terminal_as_it_was() {
    if tool("script").is_none() {
        return skipped("there is no `script` to make a terminal");
    }
    run(Rung::Socket, |rig| {
        rig.start()?;
        let mut screen = Screen::open(rig)?;
        screen.wait_for("quit")?;
        screen.press("?")?;
        screen.wait_for("another")?;
        screen.press("x")?;
        screen.press("q")?;
        screen.ensure_left()?;

        let mut screen = Screen::open(rig)?;
        screen.wait_for("quit")?;
        kill(screen.pid()?, Signal::SIGTERM)?;
        screen.ensure_left()?;

        let piped = rig.edge.command(&["top"]).unwrap_err().to_string();
        ensure!(piped.contains("tftp-edge status"), "{piped}");
        Ok(())
    });
}
