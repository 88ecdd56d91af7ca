//! The licences of the crates that are linked into the program, with the notices they ask for.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use anyhow::Context as _;

use crate::ui::Step;
use crate::workspace::Workspace;

/// What the list is made from.
const SOURCES: [&str; 4] = [
    "Cargo.lock",
    "tftp-edge/Cargo.toml",
    "contrib/debian/about.toml",
    "contrib/debian/third-party.hbs",
];

/// Writes the list as a compressed text, unless it is there and newer than what it is made from:
/// licence texts are looked for in two hundred crates.
pub(crate) fn write(workspace: &Workspace, to: &Path, step: &Step) -> anyhow::Result<()> {
    let modified = |path: &Path| fs::metadata(path).and_then(|it| it.modified());
    let mut newest = SystemTime::UNIX_EPOCH;
    for source in SOURCES {
        let path = workspace.root.join(source);
        newest = newest.max(modified(&path).with_context(|| path.display().to_string())?);
    }
    if modified(to).is_ok_and(|written| written > newest) {
        return Ok(());
    }
    step.doing("looking for licences, about half a minute, once");
    let text = to.with_extension("txt");
    let debian = workspace.root.join("contrib/debian");
    let mut about = workspace.cargo(&["about", "generate", "--frozen", "--fail"]);
    about
        .arg("--config")
        .arg(debian.join("about.toml"))
        .arg("--manifest-path")
        .arg(workspace.root.join("tftp-edge/Cargo.toml"))
        .arg("--output-file")
        .arg(&text)
        .arg(debian.join("third-party.hbs"));
    step.run(&mut about)?;
    // No name and no time in it: the same list is the same file.
    step.run(Command::new("gzip").args(["-9", "-n", "-f"]).arg(&text))?;
    fs::rename(text.with_extension("txt.gz"), to).with_context(|| to.display().to_string())
}
