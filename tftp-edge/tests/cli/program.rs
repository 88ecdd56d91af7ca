//! The program as a command, and a configuration that leaves the machine alone.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn tftp_edge(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tftp-edge"));
    command.args(arguments).output().unwrap()
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A configuration that touches nothing outside its directory.
pub(crate) fn configure(directory: &Path) -> PathBuf {
    let file = directory.join("tftp-edge.toml");
    let text = "control.socket = \"control.sock\"\n\
                metrics.address = \"127.0.0.1:0\"\n\
                web.address = \"127.0.0.1:0\"\n\
                log.format = \"text\"\n\
                inventory.database = \"inventory.db\"\n\
                content.root = \"files\"\n\
                tftp = { listen = [\"127.0.0.1:0\"], workers = 1 }\n\
                http.listen = [\"127.0.0.1:0\"]\n";
    std::fs::write(&file, text).unwrap();
    std::fs::create_dir_all(directory.join("files")).unwrap();
    file
}

/// Runs a command that must succeed on the inventory of a configuration.
pub(crate) fn set_up(config: &str, arguments: &[&str]) {
    let output = tftp_edge(&[arguments, &["--config", config]].concat());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}
