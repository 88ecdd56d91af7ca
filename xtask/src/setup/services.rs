//! DHCP servers, lldpd and Kamailio, which the tests and the benchmark run in the lab. Installed,
//! they would start on this machine and answer its network; so they are unpacked, with the libraries
//! they need.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;

use super::apt;
use crate::ui::Step;
use crate::workspace::{Workspace, on_path};

/// The Debian package of each program, and where it is in there.
const PROGRAMS: [(&str, &str, &str); 8] = [
    ("dhcpd", "isc-dhcp-server", "usr/sbin"),
    ("dhclient", "isc-dhcp-client", "sbin"),
    ("kea-dhcp4", "kea-dhcp4-server", "usr/sbin"),
    ("kea-dhcp6", "kea-dhcp6-server", "usr/sbin"),
    ("lldpd", "lldpd", "usr/sbin"),
    ("lldpcli", "lldpd", "usr/sbin"),
    ("kamailio", "kamailio", "usr/sbin"),
    ("kamcmd", "kamailio", "usr/sbin"),
];

/// The folder beside our tools' programs that the packages are unpacked in.
const FOLDER: &str = "services";

pub(crate) fn find(workspace: &Workspace, step: Step, installed: &mut bool) {
    let missing: Vec<_> = PROGRAMS
        .into_iter()
        .filter(|(program, ..)| {
            workspace
                .tool(program)
                .or_else(|| on_path(program))
                .is_none()
        })
        .collect();
    let names: Vec<_> = missing.iter().map(|(program, ..)| *program).collect();
    if missing.is_empty() {
        let all = PROGRAMS.map(|(program, ..)| program).join(" ");
        step.done(&format!("already there: {all}"));
    } else if !apt::available() {
        let names = names.join(" ");
        step.warn(&format!("missing; their tests are left out: {names}"));
    } else {
        match unpack(workspace, &missing, &step) {
            Ok(()) => {
                *installed = true;
                step.done(&format!("unpacked, not installed: {}", names.join(" ")));
            }
            Err(error) => step.warn(&format!("{error:#}")),
        }
    }
}

fn unpack(
    workspace: &Workspace,
    missing: &[(&str, &str, &str)],
    step: &Step,
) -> anyhow::Result<()> {
    let unpacked = workspace.tools.join(FOLDER);
    let mut packages: Vec<_> = missing.iter().map(|(_, package, _)| *package).collect();
    packages.dedup();
    apt::unpack(&apt::needed(&packages, step)?, &unpacked, step)?;
    // Documentation and translations.
    let _ = fs::remove_dir_all(unpacked.join("usr/share"));
    let machine = machine_folder(&unpacked)?;
    for (program, _, folder) in missing {
        anyhow::ensure!(
            unpacked.join(folder).join(program).is_file(),
            "{program} is not where its package used to have it"
        );
        let before = match *program {
            // It looks for its modules where the package would have put them.
            "kamailio" => "-L \"$libraries/kamailio/modules\" ",
            _ => "",
        };
        // Found from where the script is, so that the tools can be moved.
        let script = format!(
            "#!/bin/sh\n\
             root=$(dirname \"$(dirname \"$(readlink -f \"$0\")\")\")/{FOLDER}\n\
             libraries=$root/usr/lib/{machine}\n\
             export LD_LIBRARY_PATH=\"$root/usr/lib:$libraries:$libraries/kamailio\"\n\
             exec \"$root/{folder}/{program}\" {before}\"$@\"\n"
        );
        let path = workspace.bin().join(program);
        fs::write(&path, script).with_context(|| format!("writing {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// The folder of `usr/lib` that is named after the machine, such as `x86_64-linux-gnu`.
fn machine_folder(unpacked: &Path) -> anyhow::Result<String> {
    for entry in fs::read_dir(unpacked.join("usr/lib"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.contains("-linux-") {
            return Ok(name);
        }
    }
    anyhow::bail!(
        "no folder of {} is named after a machine",
        unpacked.join("usr/lib").display()
    )
}
