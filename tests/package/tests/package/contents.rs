//! What is in the package, without installing it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use tftp_edge_package_tests::{output, with_package};

fn unpacked(package: &Path) -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let mut dpkg = Command::new("dpkg-deb");
    output(dpkg.arg("--extract").arg(package).arg(folder.path()))?;
    Ok(folder)
}

fn files(folder: PathBuf) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

#[test]
fn lintian_finds_nothing_that_is_not_argued() {
    with_package(|package| {
        let mut lintian = Command::new("lintian");
        lintian.args(["--allow-root", "--tag-display-limit", "0", "--display-info"]);
        lintian.args(["--fail-on", "error,warning,info"]);
        let said = output(lintian.arg(&package))?;
        ensure!(said.trim().is_empty(), "{said}");
        Ok(())
    });
}

#[test]
fn every_override_has_its_argument() {
    with_package(|package| {
        let unpacked = unpacked(&package)?;
        let overrides = unpacked
            .path()
            .join("usr/share/lintian/overrides/tftp-edge");
        let text = fs::read_to_string(overrides)?;
        let mut before = "";
        for line in text.lines() {
            let is_argued = line.starts_with('#') || line.is_empty() || before.starts_with('#');
            ensure!(is_argued, "no comment before: {line}");
            before = line;
        }
        Ok(())
    });
}

#[test]
fn manual_pages_are_set_without_a_warning() {
    with_package(|package| {
        let unpacked = unpacked(&package)?;
        let man = unpacked.path().join("usr/share/man");
        let mut pages = files(man.join("man8"))?;
        pages.extend(files(man.join("man5"))?);
        ensure!(pages.len() > 20, "only {pages:?}");
        for page in &pages {
            let mut man = Command::new("man");
            man.args(["--warnings=w", "--encoding=utf8", "--local-file"])
                .arg(page)
                .env("LC_ALL", "C.UTF-8")
                .env("MANWIDTH", "80")
                .stdout(fs::File::create(unpacked.path().join("set"))?);
            let warnings = output(&mut man)?;
            ensure!(warnings.is_empty(), "{}: {warnings}", page.display());
            let set = fs::read_to_string(unpacked.path().join("set"))?;
            ensure!(set.contains("SEE ALSO"), "{}:\n{set}", page.display());
        }
        Ok(())
    });
}

/// Asks each shell for what begins with `tftp-edge ch`.
#[test]
fn shells_complete_commands() {
    with_package(|package| {
        let unpacked = unpacked(&package)?;
        let share = unpacked.path().join("usr/share");
        let bash = share.join("bash-completion/completions/tftp-edge");
        let fish = share.join("fish/vendor_completions.d/tftp-edge.fish");
        let zsh = share.join("zsh/vendor-completions");
        let asked = [
            (
                "bash",
                format!(
                    "source {}; COMP_WORDS=(tftp-edge ch); COMP_CWORD=1; \
                     \"$(complete -p tftp-edge | sed 's/.*-F \\([^ ]*\\).*/\\1/')\" tftp-edge ch \
                     tftp-edge; echo \"${{COMPREPLY[@]}}\"",
                    bash.display()
                ),
                "check",
            ),
            (
                "zsh",
                format!(
                    "fpath=({} $fpath); autoload -U compinit; compinit -D -u; \
                     echo $_comps[tftp-edge]; zsh -n {0}/_tftp-edge",
                    zsh.display()
                ),
                "_tftp-edge",
            ),
            (
                "fish",
                format!("source {}; complete -C 'tftp-edge ch'", fish.display()),
                "check",
            ),
        ];
        for (shell, script, answer) in asked {
            let mut command = Command::new(shell);
            // Nobody's own settings.
            let plain: &[&str] = match shell {
                "bash" => &["--norc"],
                "zsh" => &["-f"],
                _ => &["--no-config"],
            };
            command.args(plain).args(["-c", &script]);
            let said = output(command.env("HOME", unpacked.path()))?;
            ensure!(said.contains(answer), "{shell}: {said}");
        }
        Ok(())
    });
}

#[test]
fn the_notices_of_what_is_linked_in_are_there() {
    with_package(|package| {
        let unpacked = unpacked(&package)?;
        let notices = unpacked
            .path()
            .join("usr/share/doc/tftp-edge/THIRD-PARTY.gz");
        let text = output(Command::new("zcat").arg(notices))?;
        for part in [
            "  rusqlite ",
            "  ring ",
            "  tokio ",
            "Permission is hereby granted",
            "Apache License",
        ] {
            ensure!(text.contains(part), "no `{part}`");
        }
        // Found by other crates' rules, and not linked in.
        for part in ["  proptest ", "  insta ", "  aya-build "] {
            ensure!(!text.contains(part), "`{part}`");
        }
        Ok(())
    });
}
