//! Programs that are not everywhere: those of the system, and those `cargo xtask setup` unpacked.

use std::env;
use std::path::PathBuf;

/// The program, if there is one. Debian keeps daemons out of a user's `PATH`, and a test that cargo
/// starts by itself does not have our tools in its own.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let ours = env::current_exe().ok().and_then(|test| {
        let target = test.ancestors().nth(3)?;
        Some(target.join("tools/bin"))
    });
    env::split_paths(&path)
        .chain(system)
        .chain(ours)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}
