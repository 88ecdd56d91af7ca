#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tftp_edge_fuzz::bat_import::run(input));
