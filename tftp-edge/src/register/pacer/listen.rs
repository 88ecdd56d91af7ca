//! What changes of the content mean for phones that are registered.

use std::collections::HashSet;
use std::mem;
use std::sync::Arc;
use std::time::SystemTime;

use super::orders::Orders;
use super::queue::{CHANGES, Pushed, Why};
use crate::content::{Change, Listener, State};
use crate::inventory::{Device, DeviceName, Snapshot};
use crate::phonefile::SharedFile;
use crate::register::{Order, Registration};

/// What has changed since phones were last told.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The first publication is over: from now on a file that is published is another one.
    is_live: bool,
    /// Listeners before us have it, too.
    pub(super) is_settled: bool,
    configurations: HashSet<DeviceName>,
    /// Normalised names.
    shared: HashSet<Arc<str>>,
    inventory: bool,
}

impl Heard {
    fn take(&mut self) -> Self {
        let is_live = self.is_live;
        mem::replace(
            self,
            Self {
                is_live,
                ..Self::default()
            },
        )
    }
}

/// In the curator's thread, which has better things to do: it only notes what there is.
impl Listener for Orders {
    fn changed(&self, changes: &[Change]) {
        let mut heard = self.heard.lock();
        if !heard.is_live {
            return;
        }
        let published = changes
            .iter()
            .filter(|change| matches!(change.state, State::Published(_)));
        for change in published {
            if let Some(device) = DeviceName::of_file(&change.name) {
                heard.configurations.insert(device);
            } else if is_shared(&change.name) {
                heard.shared.insert(Arc::clone(&change.name));
            }
        }
    }

    fn settled(&self) {
        let mut heard = self.heard.lock();
        let is_first = !mem::replace(&mut heard.is_live, true);
        heard.is_settled = true;
        drop(heard);
        if !is_first {
            self.wake();
        }
    }

    fn inventory_changed(&self, _snapshot: &Arc<Snapshot>) {
        self.heard.lock().inventory = true;
    }
}

fn is_shared(name: &str) -> bool {
    let has = |kind| name.starts_with(kind);
    name.ends_with(".xml") && (has("dr") || has("sk") || has("fp"))
}

/// The files of a device that it shares with others, by their normalised names.
fn shared_files(device: &Device, snapshot: &Snapshot) -> Vec<String> {
    let Ok(settings) = snapshot.settings(device) else {
        return Vec::new();
    };
    let phone = &settings.phone;
    let files = [
        (&phone.dial_template, SharedFile::DialPlan as fn(_) -> _),
        (&phone.soft_keys, SharedFile::SoftKeys),
        (&phone.feature_policy, SharedFile::FeaturePolicy),
    ];
    let named = files.into_iter().filter(|(name, _)| !name.is_empty());
    named
        .map(|(name, file)| file(name.clone()).to_string().to_ascii_lowercase())
        .collect()
}

impl Orders {
    /// Queues what follows from the changes heard of so far.
    pub(super) fn follow(&self, now: SystemTime) {
        let heard = {
            let mut heard = self.heard.lock();
            if !heard.is_settled {
                return;
            }
            heard.take()
        };
        let Some(snapshot) = self.directory.snapshot() else {
            return;
        };
        for device in &heard.configurations {
            if let Some(registration) = self.table.get(device) {
                self.follow_change(&registration, &snapshot, now);
            }
        }
        if !heard.inventory && heard.shared.is_empty() {
            return;
        }
        for registration in (0..).map_while(|page| self.table.page(page)).flatten() {
            match snapshot.devices.get(&registration.device) {
                None => self.follow_removal(&registration, now),
                Some(_) if heard.shared.is_empty() => {}
                Some(device) => {
                    let files = shared_files(device, &snapshot);
                    if files.iter().any(|file| heard.shared.contains(&**file)) {
                        self.follow_change(&registration, &snapshot, now);
                    }
                }
            }
        }
    }

    fn follow_change(&self, to: &Registration, snapshot: &Snapshot, now: SystemTime) {
        if !self.settings.get().on_change {
            return;
        }
        // Removed ones are the business of `follow_removal`.
        let Some(device) = snapshot.devices.get(&to.device) else {
            return;
        };
        let order = Order::for_change(to);
        let mut state = self.state.lock();
        let pushed = state
            .queue
            .push(to.device, &device.site, order, Why::Change, CHANGES, now);
        state.note(pushed == Pushed::Full);
    }

    fn follow_removal(&self, to: &Registration, now: SystemTime) {
        let site = self.site_of(to);
        let mut state = self.state.lock();
        let pushed = state
            .queue
            .push(to.device, &site, Order::Reset, Why::Removed, CHANGES, now);
        state.note(pushed == Pushed::Full);
    }
}
