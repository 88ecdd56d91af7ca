//! The BPF side of the traits in [`tftp_ebpf::frame`].

pub(crate) mod frames;
pub(crate) mod maps;
