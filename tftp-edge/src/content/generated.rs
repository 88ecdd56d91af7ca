//! The files that come out of the inventory: what there is under which name.

mod render;
mod touched;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use tftp_ebpf::name::PATTERNS;

use super::by_site::{self, BySite};
use crate::inventory::{Device, Protocol, Snapshot};
use crate::phonefile::{RenderError, Renderer, SharedFile, Templates, XML_DEFAULT};
use render::render;
use touched::touched;

/// What all phones of some family ask for at every boot, and get on well without: trust lists, and
/// the rules, rings and tones that a site may have or not. Worth an ERROR 1 from the kernel, unless
/// they are on disk. The trust lists of single devices go by [`PATTERNS`].
pub const OPTIONAL: [&str; 10] = [
    "ctlfile.tlv",
    "itlfile.tlv",
    "appdialrules.xml",
    "dirlookupdialrules.xml",
    "dialplan.xml",
    "defaultheadsetconfig.json",
    "ringlist.xml",
    "distinctiveringlist.xml",
    "g3-tones.xml",
    "mk-sip.jar",
];

/// What the inventory says to a name; a file on disk goes before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Generated {
    Content(Bytes),
    /// The sites do not agree, or none has it; then it is not to come from elsewhere either.
    BySite(Arc<BySite<Bytes>>),
    /// Phones will ask, and there is nothing.
    Absent,
}

/// Why there is no new version of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    reason: String,
    /// Whether there is an earlier one.
    is_served: bool,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instead = match self.is_served {
            true => "its last good version is served",
            false => "there is no earlier version, and phones are told that there is no such file",
        };
        write!(formatter, "cannot be generated: {}; {instead}", self.reason)
    }
}

/// All generated names.
#[derive(Default)]
pub(super) struct GeneratedFiles {
    files: HashMap<Arc<str>, Generated>,
    snapshot: Option<Arc<Snapshot>>,
    templates: Templates,
    /// Those of the snapshot.
    shared: BTreeSet<SharedFile>,
    xml_default: Arc<BySite<Bytes>>,
    /// By device or file as people call it.
    failures: BTreeMap<String, Failure>,
    /// Bytes of all files.
    pub(super) bytes: u64,
    pub(super) contents: u64,
}

impl GeneratedFiles {
    pub(super) fn new(templates: Templates) -> Self {
        Self {
            templates,
            ..Self::default()
        }
    }

    /// What cannot be generated, and why. Its last good version stays.
    pub(super) fn failures(&self) -> impl Iterator<Item = (&str, &Failure)> {
        let failures = self.failures.iter();
        failures.map(|(subject, failure)| (subject.as_str(), failure))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Generated> {
        self.files.get(name)
    }

    pub(super) fn devices(&self, protocol: Protocol) -> u64 {
        let devices = self.snapshot.iter().flat_map(|s| s.devices.values());
        devices.filter(|device| device.protocol == protocol).count() as u64
    }

    pub(super) fn absent(&self) -> u64 {
        self.files.len() as u64 - self.contents
    }

    /// Takes over a new state of the inventory; gives back the names whose content is another one.
    pub(super) fn update(&mut self, snapshot: Arc<Snapshot>) -> Vec<Arc<str>> {
        let before = self.snapshot.take();
        let touched: Vec<&Device> = match &before {
            Some(before) => touched(before, &snapshot),
            None => snapshot.devices.values().map(AsRef::as_ref).collect(),
        };
        let mut changed = Vec::new();
        self.take_devices(render(&touched, &snapshot, &self.templates), &mut changed);
        self.take_shared(&snapshot, &mut changed);
        for name in OPTIONAL.into_iter().chain(PATTERNS) {
            if !self.is_shared(name) {
                self.put(name.to_owned(), Some(Generated::Absent), &mut changed);
            }
        }
        self.update_xml_default(&snapshot, &mut changed);

        let gone = before
            .iter()
            .flat_map(|before| before.devices.keys())
            .filter(|name| !snapshot.devices.contains_key(name));
        for name in gone {
            self.failures.remove(name.as_str());
            // Nothing stays of it, so that nobody can tell it from a device that never was.
            self.put(name.config_file(), None, &mut changed);
        }
        self.snapshot = Some(snapshot);
        changed
    }

    /// Takes over other templates; gives back the names whose content is another one.
    pub(super) fn use_templates(&mut self, templates: Templates) -> Vec<Arc<str>> {
        let before = std::mem::replace(&mut self.templates, templates);
        let mut changed = Vec::new();
        let Some(snapshot) = self.snapshot.take() else {
            return changed;
        };
        // A template may include others, so every file that has or had one may be another.
        let has_one = |device: &&Device| {
            before.of_device(device).is_some() || self.templates.of_device(device).is_some()
        };
        let devices = snapshot.devices.values().map(AsRef::as_ref);
        let touched: Vec<&Device> = devices.filter(has_one).collect();
        self.take_devices(render(&touched, &snapshot, &self.templates), &mut changed);
        self.take_shared(&snapshot, &mut changed);
        self.update_xml_default(&snapshot, &mut changed);
        self.snapshot = Some(snapshot);
        changed
    }

    fn take_devices(
        &mut self,
        rendered: Vec<(&Device, Result<Bytes, RenderError>)>,
        changed: &mut Vec<Arc<str>>,
    ) {
        for (device, content) in rendered {
            let subject = device.name.to_string();
            self.take(subject, device.name.config_file(), content, changed);
        }
    }

    /// They are few and small, so all of them are written anew, and compared.
    fn take_shared(&mut self, snapshot: &Snapshot, changed: &mut Vec<Arc<str>>) {
        let files: BTreeSet<_> = SharedFile::all(snapshot).into_iter().collect();
        let before = std::mem::take(&mut self.shared);
        for gone in before.difference(&files) {
            let subject = gone.to_string();
            self.failures.remove(&subject);
            let name = subject.to_ascii_lowercase();
            // Those become absent.
            if !OPTIONAL.contains(&&*name) {
                self.put(name, None, changed);
            }
        }
        let mut renderer = Renderer::default();
        for file in &files {
            let content = self.templates.shared(&mut renderer, file, snapshot);
            let content = content.map(|bytes| Bytes::copy_from_slice(&bytes));
            let subject = file.to_string();
            self.take(
                subject.clone(),
                subject.to_ascii_lowercase(),
                content,
                changed,
            );
        }
        self.shared = files;
    }

    fn is_shared(&self, name: &str) -> bool {
        let mut shared = self.shared.iter();
        shared.any(|file| file.to_string().eq_ignore_ascii_case(name))
    }

    fn update_xml_default(&mut self, snapshot: &Snapshot, changed: &mut Vec<Arc<str>>) {
        let (by_site, unrendered) = BySite::render(snapshot, &self.templates, &self.xml_default);
        self.failures
            .retain(|subject, _| !by_site::is_subject(subject));
        for by_site::Unrendered {
            subject,
            error,
            is_served,
        } in unrendered
        {
            let reason = error.to_string();
            self.failures.insert(subject, Failure { reason, is_served });
        }
        self.xml_default = Arc::new(by_site);
        let file = match self.xml_default.agreed() {
            Some(Some(content)) => Generated::Content(content.clone()),
            Some(None) | None => Generated::BySite(self.xml_default.clone()),
        };
        self.put(XML_DEFAULT.to_ascii_lowercase(), Some(file), changed);
    }

    /// A file, or why there is no new version of it; `subject` is what people call it.
    fn take(
        &mut self,
        subject: String,
        name: String,
        content: Result<Bytes, RenderError>,
        changed: &mut Vec<Arc<str>>,
    ) {
        match content {
            Ok(content) => {
                self.failures.remove(&subject);
                self.put(name, Some(Generated::Content(content)), changed);
            }
            Err(error) => {
                let failure = Failure {
                    reason: error.to_string(),
                    is_served: matches!(self.get(&name), Some(Generated::Content(_))),
                };
                self.failures.insert(subject, failure);
            }
        }
    }

    fn put(&mut self, name: String, file: Option<Generated>, changed: &mut Vec<Arc<str>>) {
        if self.files.get(name.as_str()) == file.as_ref() {
            return;
        }
        let name: Arc<str> = name.into();
        let len = |file: &Option<Generated>| match file {
            Some(Generated::Content(bytes)) => (1, bytes.len() as u64),
            Some(Generated::BySite(sites)) => (
                u64::from(!sites.is_empty()),
                sites.contents().map(|content| content.len() as u64).sum(),
            ),
            Some(Generated::Absent) | None => (0, 0),
        };
        let (contents, bytes) = len(&file);
        let before = match file {
            Some(file) => self.files.insert(name.clone(), file),
            None => self.files.remove(&name),
        };
        let (contents_before, bytes_before) = len(&before);
        self.contents = self.contents + contents - contents_before;
        self.bytes = self.bytes + bytes - bytes_before;
        changed.push(name);
    }
}

#[cfg(test)]
mod tests;
