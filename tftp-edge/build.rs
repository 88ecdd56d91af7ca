//! Builds the kernel program and puts it where the daemon embeds it from; notes the compiler.

#[path = "../tftp-ebpf/build/object.rs"]
mod object;

fn main() -> anyhow::Result<()> {
    // For `tftp_edge_build_info`. Cargo names the compiler; TFTP_EDGE_COMMIT is the packager's.
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = std::process::Command::new(rustc)
        .arg("--version")
        .output()?;
    let version = String::from_utf8_lossy(&version.stdout);
    let version = version.split(' ').nth(1).unwrap_or("unknown");
    println!("cargo::rustc-env=TFTP_EDGE_RUSTC={version}");
    println!("cargo::rerun-if-env-changed=TFTP_EDGE_COMMIT");
    object::build("tftp-ebpf", "../tftp-ebpf", "tftp-edge-bpf")
}
