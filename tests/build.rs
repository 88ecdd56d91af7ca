//! Builds the lab's BPF programs, if there is a toolchain for them.

#[path = "../tftp-ebpf/build/object.rs"]
mod object;

fn main() -> anyhow::Result<()> {
    object::build("tftp-lab-ebpf", "ebpf", "tftp-lab-bpf")
}
