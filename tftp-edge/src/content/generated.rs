//! The files that come out of the inventory, and which of them a change of it touches.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use tftp_ebpf::name::PATTERNS;

use super::by_site::{self, BySite};
use crate::inventory::{Device, Protocol, Snapshot};
use crate::phonefile::{RenderError, Renderer, XML_DEFAULT};

/// Fewer devices than this are not worth another thread.
const DEVICES_A_THREAD: usize = 128;

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

/// All generated names.
#[derive(Default)]
pub(super) struct GeneratedFiles {
    files: HashMap<Arc<str>, Generated>,
    snapshot: Option<Arc<Snapshot>>,
    xml_default: Arc<BySite<Bytes>>,
    /// What cannot be generated, and why. Its last good version stays.
    pub(super) faults: BTreeMap<String, String>,
    /// Bytes of all files.
    pub(super) bytes: u64,
    pub(super) contents: u64,
}

impl GeneratedFiles {
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
        for (device, content) in render(&touched, &snapshot) {
            self.take(
                device.name.to_string(),
                device.name.config_file(),
                content,
                &mut changed,
            );
        }
        for name in OPTIONAL.into_iter().chain(PATTERNS) {
            self.put(name.to_owned(), Some(Generated::Absent), &mut changed);
        }
        self.update_xml_default(&snapshot, &mut changed);

        let gone = before
            .iter()
            .flat_map(|before| before.devices.keys())
            .filter(|name| !snapshot.devices.contains_key(name));
        for name in gone {
            self.faults.remove(name.as_str());
            // Nothing stays of it, so that nobody can tell it from a device that never was.
            self.put(name.config_file(), None, &mut changed);
        }
        self.snapshot = Some(snapshot);
        changed
    }

    fn update_xml_default(&mut self, snapshot: &Snapshot, changed: &mut Vec<Arc<str>>) {
        let (by_site, faults) = BySite::render(snapshot, &self.xml_default);
        self.faults
            .retain(|subject, _| !by_site::is_subject(subject));
        let problems = faults.into_iter();
        self.faults
            .extend(problems.map(|(subject, error)| (subject, error.to_string())));
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
                self.faults.remove(&subject);
                self.put(name, Some(Generated::Content(content)), changed);
            }
            Err(error) => {
                self.faults.insert(subject, error.to_string());
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

/// The devices that are new or different, by themselves or by their site or their firmware.
fn touched<'s>(before: &Snapshot, now: &'s Snapshot) -> Vec<&'s Device> {
    let same_models = before.models == now.models;
    // Each pair of site and profile is compared once, not once for each of its devices.
    let mut same_settings: HashMap<(&str, Option<&str>), bool> = HashMap::new();
    now.devices
        .values()
        .map(AsRef::as_ref)
        .filter(|device: &&Device| {
            let layers = (device.site.as_str(), device.profile.as_deref());
            let same = before
                .devices
                .get(&device.name)
                .is_some_and(|old| old.as_ref() == *device && before.load(old) == now.load(device));
            let compare = || before.settings(device) == now.settings(device);
            // Settings of its own are laid over the others: then the pair says nothing.
            let same_settings = match device.settings.is_empty() {
                true => *same_settings.entry(layers).or_insert_with(compare),
                false => compare(),
            };
            !(same && same_settings && same_models)
        })
        .collect()
}

/// Renders on all cores.
fn render<'s>(
    devices: &[&'s Device],
    snapshot: &Snapshot,
) -> Vec<(&'s Device, Result<Bytes, RenderError>)> {
    let render_some = |devices: &[&'s Device]| -> Vec<_> {
        let mut renderer = Renderer::default();
        devices
            .iter()
            .map(|device| {
                let content = renderer.device(device, snapshot);
                (*device, content.map(Bytes::copy_from_slice))
            })
            .collect()
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let share = devices.len().div_ceil(cores).max(DEVICES_A_THREAD);
    let mut shares = devices.chunks(share);
    let mine = shares.next().unwrap_or_default();
    thread::scope(|scope| {
        let others: Vec<_> = shares
            .map(|devices| scope.spawn(move || render_some(devices)))
            .collect();
        let mut rendered = render_some(mine);
        for other in others {
            match other.join() {
                Ok(more) => rendered.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        rendered
    })
}
