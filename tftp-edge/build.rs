//! Builds the kernel program and puts it where the daemon embeds it from.

#[path = "../tftp-ebpf/build/object.rs"]
mod object;

fn main() -> anyhow::Result<()> {
    object::build("tftp-ebpf", "../tftp-ebpf", "tftp-edge-bpf")
}
