//! Builds the lab's BPF programs, if there is a toolchain for them.

#[path = "build/bpf.rs"]
mod bpf;

use anyhow::{Context as _, Result};
use aya_build::{Package, Toolchain};
use bpf::BpfToolchain;

fn main() -> Result<()> {
    println!("cargo:rustc-check-cfg=cfg(lab_bpf)");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build/bpf.rs");
    let toolchain = match BpfToolchain::find() {
        Ok(toolchain) => toolchain,
        Err(missing) => {
            println!("cargo:warning=the lab is built without its BPF programs: {missing}");
            return Ok(());
        }
    };
    toolchain.set_environment();
    let root_dir = concat!(env!("CARGO_MANIFEST_DIR"), "/ebpf");
    let package = Package {
        name: "tftp-lab-ebpf",
        root_dir,
        ..Default::default()
    };
    aya_build::build_ebpf([package], Toolchain::Custom(&toolchain.name))
        .context("building the lab's BPF programs")?;
    println!("cargo:rustc-cfg=lab_bpf");
    Ok(())
}
