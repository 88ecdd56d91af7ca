//! A root to install a package in, and the network it is to serve.
//!
//! Apart from the tests of the lab: these need the daemon as a file alone, and build in seconds.

mod command;
mod root;
mod unit;

pub use command::{Process, output, run};
pub use root::Root;
pub use unit::{Unit, system_calls};

use std::path::PathBuf;

/// Names the package that is tested; `cargo xtask test` builds it.
pub const PACKAGE_VARIABLE: &str = "TFTP_EDGE_PACKAGE";

/// Runs a test on a thread with mounts and a network of its own, which go with it. Without a package,
/// or without the right to do so, says so and leaves it out.
pub fn with_package(test: impl FnOnce(PathBuf) -> anyhow::Result<()> + Send) {
    let Some(package) = std::env::var_os(PACKAGE_VARIABLE) else {
        return skipped(&format!("{PACKAGE_VARIABLE} names no package"));
    };
    if !nix::unistd::geteuid().is_root() {
        return skipped("installing a package needs root");
    }
    let result = std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            root::leave_the_host()?;
            test(package.into())
        });
        inside
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    if let Err(error) = result {
        panic!("{error:?}");
    }
}

/// Past the capture of the test harness, which shows what a macro prints of failed tests alone.
fn skipped(why: &str) {
    use std::io::Write as _;
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED {name}: {why}");
}
