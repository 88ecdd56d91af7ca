//! What every file must be.

use std::collections::HashMap;

use bytes::Bytes;
use tftp_ebpf::name::{KEY_LEN, normalise};

use super::registration::Buttons;

/// What a phone must be given for a name.
#[derive(Clone, Debug)]
pub enum Expected {
    /// These bytes.
    Bytes(Bytes),
    /// ERROR 1.
    Absent,
    /// A file that [`Oracle::check`] judges when it is there.
    Judged,
}

/// Knows what every file must be. Asked from all threads of a fleet.
pub trait Oracle: Sync {
    fn expected(&self, name: &str) -> Expected;

    /// Judges a file of which [`Oracle::expected`] said [`Expected::Judged`].
    fn check(&self, name: &str, content: &[u8]) -> Result<(), String> {
        let _ = content;
        Err(format!("nobody can judge {name}"))
    }

    /// What the buttons of a phone must be, if anybody knows.
    fn buttons(&self, device: &str) -> Option<&Buttons> {
        let _ = device;
        None
    }
}

/// Names with their bytes; every other name is absent. Knows names in any spelling.
#[derive(Clone, Debug, Default)]
pub struct FileOracle {
    files: HashMap<String, Bytes>,
}

impl FileOracle {
    pub fn insert(&mut self, name: &str, content: Bytes) {
        self.files.insert(fold(name), content);
    }

    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.files.get(&fold(name))
    }
}

impl Oracle for FileOracle {
    fn expected(&self, name: &str) -> Expected {
        match self.get(name) {
            Some(content) => Expected::Bytes(content.clone()),
            None => Expected::Absent,
        }
    }
}

/// The one spelling of a name, or the name itself where there is none.
fn fold(name: &str) -> String {
    let mut out = [0; KEY_LEN];
    match normalise(name.as_bytes(), &mut out) {
        Ok(folded) => String::from_utf8_lossy(folded).into_owned(),
        Err(_) => name.to_owned(),
    }
}
