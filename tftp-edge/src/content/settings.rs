//! What is served, and how much memory it may take.

use std::io;
use std::path::PathBuf;

use serde::Deserialize;

use super::ByteSize;
use crate::inventory::StoreError;

/// The `[content]` table of the configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The folder that is served; if it is a link, where that leads at start. A file in it goes
    /// before a generated one of the same name, and appears whole only if it is renamed into
    /// place: one that is written in place may be served half in a pause of the writer.
    pub root: PathBuf,
    /// The operator's templates, laid over generated files; there need not be such a folder.
    pub templates: PathBuf,
    /// The most memory for content. Generated files always have theirs; transfers under way keep
    /// theirs to their end.
    pub memory_limit: ByteSize,
    /// Files up to this size are read when they appear, larger ones when they are asked for.
    pub preload_limit: ByteSize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            root: "/srv/tftp".into(),
            templates: "/etc/tftp-edge/templates".into(),
            memory_limit: ByteSize(1 << 30),
            preload_limit: ByteSize(1 << 20),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    #[error("content.root {path}: {source}; it must be a folder the daemon may read", path = path.display())]
    Root { path: PathBuf, source: io::Error },
    #[error(
        "openat2, which keeps requests within content.root, does not work here: {source}; \
         it needs Linux 5.6 or newer, and a container must allow it"
    )]
    Openat2 { source: io::Error },
    #[error(transparent)]
    Inventory(#[from] StoreError),
    #[error("a thread of the content cannot be started: {0}")]
    Thread(io::Error),
}
