//! The program as a daemon, which ends with its test.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::program::{PATIENCE, code, tftp_edge};

pub(crate) struct Daemon {
    pub(crate) child: Child,
    config: PathBuf,
}

impl Daemon {
    /// Runs and answers on its control socket.
    pub(crate) fn start(config: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tftp-edge"));
        command.args(["run", "--config", config.to_str().unwrap()]);
        Self::start_by(command, config)
    }

    pub(crate) fn start_by(mut command: Command, config: &Path) -> Self {
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut daemon = Self {
            child,
            config: config.to_owned(),
        };
        let deadline = Instant::now() + PATIENCE;
        while code(&daemon.status(&[])) == 69 {
            assert_eq!(daemon.child.try_wait().unwrap(), None, "ended at once");
            assert!(Instant::now() < deadline, "does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        daemon
    }

    pub(crate) fn status(&self, more: &[&str]) -> Output {
        let config = self.config.to_str().unwrap();
        tftp_edge(&[&["status", "--config", config], more].concat())
    }

    pub(crate) fn end_with(&mut self, signal: Signal) -> (Option<i32>, String) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(pid, signal).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let ended = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "{signal} does not end it");
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut log).unwrap();
        (ended.code(), log)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
