//! Exit codes after `sysexits.h`, which systemd prints by name.

mod commands;

use std::io;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use crate::content::ContentError;
use crate::inventory::StoreError;
use crate::storage::Fault;
pub use commands::{codes, markdown};

/// How a command ended. [`HELP`] is the same table for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Exit {
    Ok = 0,
    /// `status`: a better rung was asked for than the one that serves. `firmware check` and `files
    /// check`: phones are told to run what is not here. `why`: something is the matter.
    Degraded = 1,
    Usage = 64,
    Data = 65,
    NoInput = 66,
    Unavailable = 69,
    Software = 70,
    Os = 71,
    Io = 74,
    Temporary = 75,
    NoPermission = 77,
    Config = 78,
}

/// The table printed by `--help`.
pub const HELP: &str = "\
Exit status:
   0  done; `status`: ready, on the best rung that was asked for
   1  `status`: serving, but a kernel path that was asked for is not attached;
      `firmware check`, `files check`: phones are told to run firmware that is not here;
      `why`: something is the matter with the phone, or it is not known whether there is
  64  wrong usage
  65  wrong inventory data, or something that does not fit the inventory;
      `bans lift`: a source that is not shut out
  66  an input file is missing
  69  an address, port or interface is not available; no daemon answers
  70  a fault in the program, or a daemon of another version
  71  the system refused something
  74  reading or writing failed
  75  not now, try again; `status`: the daemon is not ready yet
  77  a permission or capability is missing
  78  wrong configuration";

impl Exit {
    pub const ALL: [Self; 12] = [
        Self::Ok,
        Self::Degraded,
        Self::Usage,
        Self::Data,
        Self::NoInput,
        Self::Unavailable,
        Self::Software,
        Self::Os,
        Self::Io,
        Self::Temporary,
        Self::NoPermission,
        Self::Config,
    ];

    /// Its name in `sysexits.h`, as systemd prints it.
    pub const fn sysexit(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Degraded => "FAILURE",
            Self::Usage => "USAGE",
            Self::Data => "DATAERR",
            Self::NoInput => "NOINPUT",
            Self::Unavailable => "UNAVAILABLE",
            Self::Software => "SOFTWARE",
            Self::Os => "OSERR",
            Self::Io => "IOERR",
            Self::Temporary => "TEMPFAIL",
            Self::NoPermission => "NOPERM",
            Self::Config => "CONFIG",
        }
    }

    /// Whether it stays so until a person does something, whatever is started again: an address that
    /// is taken may be given back, and a folder that is missing may be mounted, but nobody corrects a
    /// configuration by waiting. For `RestartPreventExitStatus=`.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Usage | Self::Data | Self::NoPermission | Self::Config
        )
    }

    /// The code for something the system refused.
    pub fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::NoPermission,
            io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable => Self::Unavailable,
            io::ErrorKind::NotFound => Self::NoInput,
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ReadOnlyFilesystem => Self::Io,
            _ => Self::Os,
        }
    }
}

impl From<&StoreError> for Exit {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::TooNew { .. } | StoreError::Row { .. } => Self::Data,
            StoreError::Create { source, .. } => Self::of_io(source),
            StoreError::Fault { fault, .. } => match fault {
                Fault::Locked => Self::Temporary,
                Fault::Forbidden => Self::NoPermission,
                Fault::Damaged => Self::Data,
                Fault::Full | Fault::ReadOnly | Fault::Other => Self::Io,
            },
            StoreError::Lost { .. } => Self::NoInput,
            StoreError::Open { .. } | StoreError::Database(_) => Self::Io,
        }
    }
}

impl From<&ContentError> for Exit {
    fn from(error: &ContentError) -> Self {
        match error {
            ContentError::Inventory(error) => error.into(),
            ContentError::Root { source, .. }
            | ContentError::Openat2 { source }
            | ContentError::Thread(source) => Self::of_io(source),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_the_help() {
        for exit in Exit::ALL {
            let line = format!("\n{:4}  ", exit as u8);
            assert!(HELP.contains(&line), "{exit:?} is not in the help");
        }
    }

    #[test]
    fn a_port_in_use_a_missing_right_and_a_full_disk_have_their_own_codes() {
        for (kind, exit) in [
            (io::ErrorKind::AddrInUse, Exit::Unavailable),
            (io::ErrorKind::AddrNotAvailable, Exit::Unavailable),
            (io::ErrorKind::PermissionDenied, Exit::NoPermission),
            (io::ErrorKind::StorageFull, Exit::Io),
            (io::ErrorKind::OutOfMemory, Exit::Os),
        ] {
            assert_eq!(Exit::of_io(&kind.into()), exit);
        }
    }
}
