//! Debian's packages: what is installed, what could be, and installing it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::ui::Step;
use crate::workspace::{is_root, on_path};

/// Whether this machine takes its packages from apt.
pub(crate) fn available() -> bool {
    on_path("apt-get").is_some() && on_path("dpkg-query").is_some()
}

/// Those of `packages` that are not installed.
pub(crate) fn missing<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Package} ${db:Status-Status}\n"])
        .args(packages)
        .output();
    let listed = output.map(|output| output.stdout).unwrap_or_default();
    let listed = String::from_utf8_lossy(&listed);
    let is_installed = |package: &str| {
        listed
            .lines()
            .any(|line| line == format!("{package} installed"))
    };
    packages
        .iter()
        .copied()
        .filter(|package| !is_installed(package))
        .collect()
}

/// Installs `packages`, or fails with what the user should do instead.
pub(crate) fn install(packages: &[&str], step: &Step) -> anyhow::Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    if !available() {
        bail!(
            "missing; install with your package manager: {}",
            packages.join(" ")
        );
    }
    if !is_root() {
        let packages = packages.join(" ");
        bail!("missing; run as root: apt-get install --no-install-recommends {packages}");
    }
    refresh(packages, step)?;
    step.doing(&format!("apt-get install {}", packages.join(" ")));
    step.run(
        apt_get()
            .args(["install", "--yes", "--no-install-recommends"])
            .args(packages),
    )?;
    Ok(())
}

/// Downloads packages and unpacks them into `folder`, without installing them: no service starts.
pub(crate) fn unpack<P: AsRef<str>>(
    packages: &[P],
    folder: &Path,
    step: &Step,
) -> anyhow::Result<()> {
    let packages: Vec<_> = packages.iter().map(AsRef::as_ref).collect();
    let download = folder.join("download");
    // What an earlier, interrupted run left would be taken for this one's.
    let _ = std::fs::remove_dir_all(&download);
    std::fs::create_dir_all(&download)?;
    if is_root() {
        refresh(&packages, step)?;
    }
    step.doing(&format!("apt-get download {}", packages.join(" ")));
    let mut get = apt_get();
    // apt's own unprivileged user cannot write to a folder of ours, and warns about it.
    get.args(["-o", "APT::Sandbox::User=root", "download"])
        .args(&packages)
        .current_dir(&download);
    step.run(&mut get)?;
    for entry in std::fs::read_dir(&download)? {
        step.run(
            Command::new("dpkg-deb")
                .arg("--extract")
                .arg(entry?.path())
                .arg(folder),
        )?;
    }
    std::fs::remove_dir_all(&download)?;
    Ok(())
}

/// `packages` and what they depend on, as far as it is not installed.
pub(crate) fn needed(packages: &[&str], step: &Step) -> anyhow::Result<Vec<String>> {
    if is_root() {
        refresh(packages, step)?;
    }
    let output = apt_get()
        .args(["--simulate", "--no-install-recommends", "install"])
        .args(packages)
        .output()
        .context("starting apt-get")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "apt-get finds no way to have {}: {said}",
            packages.join(" ")
        );
    }
    let plan = String::from_utf8_lossy(&output.stdout);
    let chosen = plan.lines().filter_map(|line| line.strip_prefix("Inst "));
    Ok(chosen
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect())
}

/// Whether apt's lists, as they are, offer `package`.
fn has_candidate(package: &str) -> bool {
    candidate(package).is_some()
}

/// The version apt would install.
fn candidate(package: &str) -> Option<String> {
    let output = Command::new("apt-cache")
        .args(["policy", package])
        .env("LC_ALL", "C")
        .output();
    let output = String::from_utf8_lossy(&output.ok()?.stdout).into_owned();
    output
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))
        .filter(|version| *version != "(none)")
        .map(str::to_owned)
}

/// Fetches the package lists if they lack one of `packages`, or offer too old a compiler.
fn refresh(packages: &[&str], step: &Step) -> anyhow::Result<()> {
    let stale =
        |package: &&str| !has_candidate(package) || (*package == "rustc-web" && !recent_rustc());
    if !packages.iter().any(stale) {
        return Ok(());
    }
    step.doing("apt-get update");
    step.run(apt_get().arg("update"))?;
    match packages.iter().find(|package| stale(package)) {
        None => Ok(()),
        Some(package) => bail!(
            "this distribution offers no {package}{}",
            if has_candidate(package) {
                " that is recent enough"
            } else {
                ""
            }
        ),
    }
}

/// Debian first offered 1.85 under this name; the one with a core for BPF came as an update.
fn recent_rustc() -> bool {
    candidate("rustc-web").is_some_and(|version| {
        let mut parts = version
            .split(['.', '+', '-'])
            .map(|part| part.parse::<u32>().ok());
        let version = (parts.next().flatten(), parts.next().flatten());
        version >= (Some(1), Some(95))
    })
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    // tshark's package would ask who may capture; a lock held by a daily job is waited for.
    command
        .args(["--quiet", "-o", "DPkg::Lock::Timeout=300"])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C");
    command
}
