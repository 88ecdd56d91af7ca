//! Installed, upgraded, removed, purged.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use tftp_edge_package_tests::{Root, output, with_package};

const SETTINGS: &str = "/etc/tftp-edge/tftp-edge.toml";
const WANTED: &str = "/etc/systemd/system/multi-user.target.wants/tftp-edge.service";

/// The same with another version and another default: what a later release is to dpkg.
fn later(package: &Path, folder: &Path) -> Result<std::path::PathBuf> {
    let tree = folder.join("tree");
    let mut unpack = Command::new("dpkg-deb");
    output(unpack.arg("--raw-extract").arg(package).arg(&tree))?;
    let control = tree.join("DEBIAN/control");
    let text = fs::read_to_string(&control)?;
    let version = text.lines().find(|line| line.starts_with("Version: "));
    let version = version.context("no version")?;
    fs::write(&control, text.replace(version, &format!("{version}+later")))?;
    let settings = tree.join(SETTINGS.trim_start_matches('/'));
    let text = fs::read_to_string(&settings)?;
    fs::write(&settings, format!("# Of the later release.\n{text}"))?;
    let later = folder.join("later.deb");
    let mut pack = Command::new("dpkg-deb");
    pack.args(["-Znone", "--root-owner-group", "--build"]);
    output(pack.arg(&tree).arg(&later))?;
    Ok(later)
}

#[test]
fn a_package_keeps_what_is_the_administrators_until_it_is_purged() {
    with_package(|package| {
        let root = Root::new()?;
        let said = root.install(&package)?;
        ensure!(said.contains("systemctl enable --now tftp-edge"), "{said}");
        installed(&root)?;

        // What an administrator does.
        root.output("systemctl", &["enable", "tftp-edge.service"])?;
        ensure!(root.has(WANTED), "not enabled");
        let settings = root.read(SETTINGS)? + "\n# Of this site.\n";
        root.write(SETTINGS, &settings)?;
        root.write("/etc/tftp-edge/conf.d/50-site.toml", "[log]\n")?;
        root.write("/var/lib/tftp-edge/inventory.db", "of this site")?;
        root.write("/srv/tftp/ringlist.xml", "<CiscoIPPhoneRingList/>")?;

        let folder = tempfile::tempdir()?;
        let said = root.install(&later(&package, folder.path())?)?;
        ensure!(!said.contains("does not run"), "{said}");
        ensure!(root.read(SETTINGS)? == settings, "the settings are lost");
        ensure!(root.mode(SETTINGS)? == "640 root:tftp-edge");
        ensure!(root.has(WANTED), "no longer enabled");
        let version = root.output("dpkg-query", &["--show", "tftp-edge"])?;
        ensure!(version.contains("+later"), "{version}");

        root.output("dpkg", &["--remove", "tftp-edge"])?;
        ensure!(!root.has("/usr/bin/tftp-edge"));
        ensure!(root.read(SETTINGS)? == settings, "the settings are lost");
        for kept in [
            "/var/lib/tftp-edge/inventory.db",
            "/etc/tftp-edge/conf.d/50-site.toml",
            "/srv/tftp/ringlist.xml",
        ] {
            ensure!(root.has(kept), "{kept} is lost");
        }

        root.output("dpkg", &["--purge", "tftp-edge"])?;
        purged(&root)
    });
}

fn installed(root: &Root) -> Result<()> {
    let passwd = root.read("/etc/passwd")?;
    let user = passwd.lines().find(|line| line.starts_with("tftp-edge:"));
    let user = user.context("no user")?;
    ensure!(
        user.ends_with(":/var/lib/tftp-edge:/usr/sbin/nologin"),
        "{user}"
    );
    for (path, mode) in [
        ("/etc/tftp-edge", "750 root:tftp-edge"),
        (SETTINGS, "640 root:tftp-edge"),
        ("/etc/tftp-edge/conf.d", "755 root:root"),
        ("/var/lib/tftp-edge", "750 tftp-edge:tftp-edge"),
        ("/run/tftp-edge", "750 tftp-edge:tftp-edge"),
        ("/srv/tftp", "755 root:root"),
        ("/sys/fs/bpf/tftp-edge", "700 tftp-edge:tftp-edge"),
        ("/usr/bin/tftp-edge", "755 root:root"),
    ] {
        let found = root.mode(path)?;
        ensure!(found == mode, "{path}: {found}, not {mode}");
    }
    let conffiles = root.read("/var/lib/dpkg/info/tftp-edge.conffiles")?;
    ensure!(
        conffiles.lines().any(|line| line == SETTINGS),
        "{conffiles}"
    );

    let never = root
        .output("find", &["/etc/systemd/system", "-name", "tftp-edge*"])
        .unwrap_or_default();
    ensure!(never.is_empty(), "enabled: {never}");

    let version = root.output("tftp-edge", &["--version"])?;
    ensure!(version.starts_with("tftp-edge 0."), "{version}");
    let checked = root.output("tftp-edge", &["check"])?;
    ensure!(checked.contains("ok"), "{checked}");
    let manual = root.output("man", &["--where", "8", "tftp-edge"])?;
    ensure!(manual.contains("man8/tftp-edge.8.gz"), "{manual}");
    Ok(())
}

fn purged(root: &Root) -> Result<()> {
    for gone in [
        SETTINGS,
        "/etc/tftp-edge/conf.d/README",
        "/var/lib/tftp-edge",
        "/run/tftp-edge",
        "/sys/fs/bpf/tftp-edge",
        "/usr/share/doc/tftp-edge",
        WANTED,
    ] {
        ensure!(!root.has(gone), "{gone} is still there");
    }
    // What the package did not bring it does not take.
    for kept in [
        "/etc/tftp-edge/conf.d/50-site.toml",
        "/srv/tftp/ringlist.xml",
    ] {
        ensure!(root.has(kept), "{kept} is lost");
    }
    // Its number must not become another's.
    ensure!(root.read("/etc/passwd")?.contains("\ntftp-edge:"));
    Ok(())
}
