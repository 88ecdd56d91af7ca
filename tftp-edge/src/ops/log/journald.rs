//! Whether standard error is the journal's (systemd.exec(5), `$JOURNAL_STREAM`).

use std::env;
use std::io;
use std::os::fd::AsFd;

use nix::sys::stat::{FileStat, fstat};

/// What our fields begin with in the journal: `TFTP_EDGE_EVENT=tftp.listening`.
pub(super) const PREFIX: &str = "TFTP_EDGE";
/// `journalctl -t tftp-edge`.
pub(super) const IDENTIFIER: &str = "tftp-edge";

/// The variable is inherited by whom we start and by whom a shell starts; only if it names the very
/// stream that standard error is now, somebody reads what is written to the journal itself.
pub(super) fn is_stderr() -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else {
        return false;
    };
    fstat(io::stderr().as_fd()).is_ok_and(|stat| names(&stream, &stat))
}

/// `DEVICE:INODE` in decimal.
fn names(stream: &str, stat: &FileStat) -> bool {
    let Some((device, inode)) = stream.split_once(':') else {
        return false;
    };
    device.parse() == Ok(stat.st_dev) && inode.parse() == Ok(stat.st_ino)
}

pub(super) fn layer() -> io::Result<tracing_journald::Layer> {
    use tracing_journald::{Priority, PriorityMappings};
    // The crate's own puts info among what stands out, and hides debug among it.
    let priorities = PriorityMappings {
        info: Priority::Informational,
        debug: Priority::Debug,
        ..PriorityMappings::new()
    };
    Ok(tracing_journald::layer()?
        .with_field_prefix(Some(PREFIX.to_owned()))
        .with_syslog_identifier(IDENTIFIER.to_owned())
        .with_priority_mappings(priorities))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_journals_if_device_and_inode_are() {
        let file = tempfile::tempfile().unwrap();
        let stat = fstat(file.as_fd()).unwrap();
        let (device, inode) = (stat.st_dev, stat.st_ino);
        assert!(names(&format!("{device}:{inode}"), &stat));
        for other in [
            format!("{device}:{}", inode + 1),
            format!("{}:{inode}", device + 1),
            format!("{inode}"),
            "a:b".to_owned(),
            String::new(),
        ] {
            assert!(!names(&other, &stat), "{other}");
        }
    }
}
