//! A folder of its own for what goes wrong, and the commands that are run in it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tftp_edge::ops::exit::Exit;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_tftp-edge");

/// As long as a command may take on a machine that does something else, too.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const LOOK: Duration = Duration::from_millis(20);

/// A device that the inventory has, and one that nobody knows.
pub const DEVICE: &str = "SEP001122334455";
pub const STRANGER: &str = "SEP0011223344FF";

/// Capabilities by which root overrides the modes of files.
pub const OF_FILES: &str = "-dac_override,-dac_read_search";

/// A program that runs ours without capabilities, and its arguments before those of ours.
pub fn restricted(without: &str) -> (&str, Vec<&str>) {
    if !is_root() {
        return (PROGRAM, Vec::new());
    }
    let arguments = ["--inh-caps", without, "--bounding-set", without, PROGRAM];
    ("setpriv", arguments.to_vec())
}

pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Which command has ended with which code.
#[derive(Default)]
pub struct Seen(Mutex<BTreeSet<(String, Exit)>>);

impl Seen {
    pub fn codes(self) -> BTreeSet<(String, Exit)> {
        self.0.into_inner().unwrap()
    }

    /// `output` is of these words, and must have ended so.
    pub fn note(&self, words: &[&str], wanted: Exit, output: &Output) {
        let code = output.status.code();
        assert_eq!(
            code,
            Some(wanted as i32),
            "{words:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        self.0.lock().unwrap().insert((words[0].to_owned(), wanted));
    }
}

pub struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    /// Everything is right, and nothing outside of the folder is touched.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("files")).unwrap();
        fs::create_dir(folder.path().join("conf.d")).unwrap();
        let scene = Self { folder };
        scene.write(
            "edge.toml",
            "control.socket = \"control.sock\"\n\
             metrics.enabled = false\n\
             web.enabled = false\n\
             log.format = \"text\"\n\
             inventory.database = \"inventory.db\"\n\
             content.root = \"files\"\n\
             tftp = { listen = [\"127.0.0.1:0\"], workers = 1 }\n\
             http.listen = [\"127.0.0.1:0\"]\n",
        );
        scene.set("10.toml", "kernel.pin_path = \"\"\n");
        scene
    }

    /// With a device in the inventory, and a site that is told where to go.
    pub fn with_phones() -> Self {
        let scene = Self::new();
        scene.write(
            "phones.csv",
            &format!("name,model,protocol,lines\n{DEVICE},7941,sip,100\n"),
        );
        let csv = scene.path("phones.csv");
        let csv = csv.to_str().unwrap();
        for words in [
            &["inventory", "import", csv][..],
            &[
                "inventory",
                "site",
                "set",
                "default",
                "subnets=10.0.0.0/24",
                "tftp_servers=10.0.0.5",
                "voice_vlan=20",
            ],
        ] {
            let output = scene.run(words);
            assert!(output.status.success(), "{words:?}: {output:?}");
        }
        scene
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// A fragment of the configuration.
    pub fn set(&self, name: &str, text: &str) {
        self.write(&format!("conf.d/{name}"), text);
    }

    /// A line of the configuration that names a path in the folder.
    pub fn setting(&self, key: &str, name: &str) -> String {
        format!("{key} = {:?}\n", self.path(name))
    }

    pub fn close(&self, name: &str) {
        let nobody = fs::Permissions::from_mode(0o000);
        fs::set_permissions(self.path(name), nobody).unwrap();
    }

    pub fn command(&self, words: &[&str]) -> Command {
        self.by(Command::new(PROGRAM), words)
    }

    /// By another program that runs ours, whose last argument is ours.
    pub fn by(&self, mut command: Command, words: &[&str]) -> Command {
        command.args(words).arg("--config");
        command.arg(self.path("edge.toml"));
        command
    }

    pub fn run(&self, words: &[&str]) -> Output {
        ended(self.command(words))
    }

    pub fn expect(&self, seen: &Seen, wanted: Exit, words: &[&str]) {
        seen.note(words, wanted, &self.run(words));
    }

    /// What is written finds no room.
    pub fn expect_full(&self, seen: &Seen, words: &[&str]) {
        let mut command = self.command(words);
        command.stdout(File::options().write(true).open("/dev/full").unwrap());
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        seen.note(words, Exit::Io, &waited(child));
    }

    /// By a user whose files these are and who may not override their modes.
    pub fn expect_forbidden(&self, seen: &Seen, words: &[&str]) {
        let (program, arguments) = restricted(OF_FILES);
        let mut command = Command::new(program);
        command.args(arguments);
        seen.note(words, Exit::NoPermission, &ended(self.by(command, words)));
    }

    /// On a terminal, with these keys pressed; `program` is words of a shell that run ours.
    pub fn expect_on_terminal(&self, seen: &Seen, wanted: Exit, program: &str, keys: &str) {
        let config = self.path("edge.toml");
        let shell = format!("exec {program} top --config {}", config.display());
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &shell, "/dev/null"]);
        command
            .env("TERM", "xterm-256color")
            .env("SHELL", "/bin/sh");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        // Kept open: `script` ends what it runs when its input does.
        let mut input = child.stdin.take().unwrap();
        // One that has ended already takes none.
        let _ = std::io::Write::write_all(&mut input, keys.as_bytes());
        seen.note(&["top"], wanted, &waited(child));
        drop(input);
    }

    /// Waits until the command ends so: the daemon has to find something out before.
    pub fn await_end(&self, seen: &Seen, wanted: Exit, words: &[&str]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = self.run(words);
            if output.status.code() == Some(wanted as i32) || Instant::now() > deadline {
                return seen.note(words, wanted, &output);
            }
            std::thread::sleep(LOOK);
        }
    }
}

pub fn ended(mut command: Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    waited(command.stderr(Stdio::piped()).spawn().unwrap())
}

/// Ended by force if it takes too long.
fn waited(mut child: Child) -> Output {
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            panic!("it does not end: {output:?}");
        }
        std::thread::sleep(LOOK);
    }
    child.wait_with_output().unwrap()
}

/// A daemon that answers.
pub struct Daemon {
    child: Option<Child>,
}

impl Daemon {
    pub fn start(scene: &Scene, by: Command) -> Self {
        let log = File::create(scene.path("log")).unwrap();
        let mut command = scene.by(by, &["run"]);
        let child = command.stderr(log).spawn().unwrap();
        let mut daemon = Self { child: Some(child) };
        let deadline = Instant::now() + PATIENCE;
        while !answers(&scene.path("control.sock")) {
            let child = daemon.child.as_mut().unwrap();
            let log = || fs::read_to_string(scene.path("log")).unwrap();
            assert_eq!(child.try_wait().unwrap(), None, "{}", log());
            assert!(Instant::now() < deadline, "it does not answer: {}", log());
            std::thread::sleep(LOOK);
        }
        daemon
    }

    /// In order.
    pub fn end(mut self, seen: &Seen) {
        let child = self.child.take().unwrap();
        let pid = Pid::from_raw(child.id().try_into().unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        seen.note(&["run"], Exit::Ok, &waited(child));
    }
}

fn answers(socket: &Path) -> bool {
    tftp_edge::ops::control::status(socket).is_ok()
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
