//! What a change of the inventory or of the templates makes of the generated files.

use std::sync::Arc;
use std::time::Instant;

use super::super::library::Regeneration;
use super::super::regeneration::Cause;
use super::Curator;
use crate::alarms::AlarmKind;
use crate::inventory::{DeviceName, Snapshot};
use crate::phonefile::Templates;
use crate::provisioning::{self, since_epoch};

impl Curator {
    /// Takes over a new state of the inventory; gives back the names whose content is another one,
    /// and the devices that were let in or shut out.
    pub(super) fn generate(&mut self, snapshot: Snapshot) -> (Vec<Arc<str>>, Vec<DeviceName>) {
        let snapshot = Arc::new(snapshot);
        for listener in &self.listeners {
            listener.inventory_changed(&snapshot);
        }
        self.shared.inventory.store(Some(snapshot.clone()));
        self.alarms
            .set(AlarmKind::NumberPool, provisioning::used_up(&snapshot));
        let moved = self.gate.update(&snapshot, since_epoch().as_secs());
        let names = self.generated.update(snapshot);
        self.tell_failures();
        (names, moved)
    }

    fn tell_failures(&self) {
        let failures = self.generated.failures();
        let problems = failures.map(|(subject, failure)| (subject.into(), failure.to_string()));
        self.alarms.set(AlarmKind::Generation, problems);
    }

    pub(super) fn regenerate(&mut self, snapshot: Snapshot) {
        let began = Instant::now();
        let (names, moved) = self.generate(snapshot);
        self.publish_generated(Cause::Inventory, &names, &moved, began);
        tracing::info!(
            event = "content.regenerated",
            files = names.len(),
            cause = "inventory",
            took_ms = self.last_regeneration.took.as_millis() as u64,
            "regenerated after a change of the inventory"
        );
    }

    pub(super) fn use_templates(&mut self, templates: Templates) {
        let began = Instant::now();
        let names = self.generated.use_templates(templates);
        self.tell_failures();
        self.publish_generated(Cause::Templates, &names, &[], began);
        tracing::info!(
            event = "content.regenerated",
            files = names.len(),
            cause = "templates",
            took_ms = self.last_regeneration.took.as_millis() as u64,
            "regenerated after a change of the templates"
        );
    }

    fn publish_generated(
        &mut self,
        cause: Cause,
        names: &[Arc<str>],
        moved: &[DeviceName],
        began: Instant,
    ) {
        names.iter().for_each(|name| self.publish(name));
        if !moved.is_empty() {
            self.publish_own_files(moved);
        }
        self.hand_out();
        self.note_regeneration(cause, names, began);
        self.count();
    }

    pub(super) fn note_regeneration(&mut self, cause: Cause, names: &[Arc<str>], began: Instant) {
        let (files, took) = (names.len() as u64, began.elapsed());
        self.last_regeneration = Regeneration { files, took };
        self.regenerations.note(cause, names, took);
    }
}
