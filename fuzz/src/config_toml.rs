//! The configuration.
//!
//! Input: the file. A fault is at a place in the file, and says what is wrong in one line.

use std::path::Path;

use tftp_edge::config::{Config, ConfigError};

use crate::memory::within;

/// What reading takes beside the text: all settings, their defaults, and a table of what was read.
/// Of a text that is no TOML, every fault is kept, and each takes some hundred bytes.
const SETTINGS_BYTES: usize = 512 << 10;

pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let file = Path::new("tftp-edge.toml");
    match within(input, 1024, SETTINGS_BYTES, || Config::parse(file, text)) {
        Ok(_) => {}
        Err(ConfigError::Invalid(fault)) => {
            let lines = text.split('\n').count();
            assert!(
                (1..=lines).contains(&fault.line),
                "line {} of {lines}",
                fault.line
            );
            let line = text
                .split('\n')
                .nth(fault.line - 1)
                .expect("it has this line");
            let columns = line.chars().count() + 1;
            assert!(
                (1..=columns).contains(&fault.column),
                "column {} of {columns}",
                fault.column
            );
            assert!(!fault.what.is_empty());
        }
        Err(
            ConfigError::Read { .. }
            | ConfigError::Folder { .. }
            | ConfigError::TooMany { .. }
            | ConfigError::NoFile(_),
        ) => panic!("nothing is read from a disk"),
    }
}
