//! `cargo xtask setup`: a BPF toolchain and the test tools, found or installed.
//!
//! Nothing here is needed to build and run the daemon on sockets alone, so a step that cannot do
//! its work says what the user should run and the others go on.

mod apt;
pub(crate) mod bpf;
mod services;
pub(crate) mod tools;

use std::time::Instant;

use crate::toolchain::Toolchain;
use crate::ui::{self, Steps};
use crate::workspace::{Workspace, is_root};

/// Runs every step; returns the BPF toolchain if there is one now.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<Option<Toolchain>> {
    let started = Instant::now();
    std::fs::create_dir_all(workspace.bin())?;
    let mut steps = Steps::new(8);
    let mut installed = false;

    let compiler = bpf::compiler(workspace, steps.next("BPF compiler"), &mut installed);
    let linker = match &compiler {
        Some(compiler) => bpf::linker(
            workspace,
            compiler,
            steps.next("bpf-linker"),
            &mut installed,
        ),
        None => {
            steps
                .next("bpf-linker")
                .warn("left out: it must fit the compiler");
            None
        }
    };
    let toolchain = bpf::settle(workspace, compiler, linker, steps.next("BPF toolchain"))?;
    tools::lints(toolchain.as_ref(), steps.next("BPF lints"), &mut installed);
    tools::programs(steps.next("test tools"), &mut installed);
    tools::prometheus(workspace, steps.next("Prometheus"), &mut installed);
    services::find(
        workspace,
        steps.next("DHCP servers, lldpd, Kamailio"),
        &mut installed,
    );
    privileges(steps.next("privileges"));

    let took = ui::seconds(started.elapsed());
    ui::note(&if installed {
        format!("set up in {took}")
    } else {
        format!("checked in {took}")
    });
    Ok(toolchain)
}

fn privileges(step: ui::Step) {
    if is_root() {
        step.done("root: the kernel path and the lab can run");
    } else {
        step.warn("no root: the kernel path and the lab's tests are left out");
    }
}
