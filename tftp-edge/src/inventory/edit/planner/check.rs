//! What the records of an inventory say of each other.

use std::collections::{HashMap, HashSet};

use ipnet::IpNet;

use super::super::{Place, RowError, RowErrors, name_of};
use super::Planner;
use crate::inventory::{Change, Mistake, Record, Table};

/// How many of those that stand in the way are named.
const MAX_NAMED: usize = 3;

/// Something that goes, and what would miss it.
struct Removed<'e> {
    place: Option<&'e Place>,
    users: Vec<String>,
}

impl Planner<'_> {
    /// What records say of each other.
    pub(super) fn check(&mut self) {
        let mut errors = std::mem::take(&mut self.errors);
        self.check_references(&mut errors);
        self.check_removed(&mut errors);
        self.check_models(&mut errors);
        self.check_type_ids(&mut errors);
        self.check_file_names(&mut errors);
        self.check_networks(&mut errors);
        self.errors = errors;
    }

    /// Everything as it will be.
    fn after(&self) -> impl Iterator<Item = &Record> {
        let planned = self.planned.iter();
        let planned = planned.filter_map(|planned| planned.change.after());
        self.rest.iter().chain(planned)
    }

    fn check_references(&self, errors: &mut RowErrors) {
        let shared = self
            .after()
            .filter(|record| record.table() != Table::Devices);
        let mut there: HashSet<(Table, String)> = shared
            .map(|record| (record.table(), record.key()))
            .collect();
        there.extend(self.unclear.iter().cloned());
        for planned in &self.planned {
            let Some(after) = planned.change.after() else {
                continue;
            };
            for reference in after.references() {
                let of_table = (reference.table, reference.key);
                if there.contains(&of_table) {
                    continue;
                }
                let (table, key) = of_table;
                let noun = table.noun();
                errors.add(RowError {
                    place: planned.place.cloned().unwrap_or_default(),
                    record: Some(name_of(after)),
                    column: Some(reference.column.into_owned()),
                    problem: format!(
                        "there is no {noun} {key:?}; `tftp-edge inventory set {table} {key} …` \
                         adds it, or a file {table}.csv beside this one"
                    ),
                });
            }
        }
    }

    /// Nothing goes that something else still names.
    fn check_removed(&self, errors: &mut RowErrors) {
        let mut removed: HashMap<(Table, String), Removed<'_>> = HashMap::new();
        for planned in &self.planned {
            if let Change::Removed(record) = &planned.change
                && record.table() != Table::Devices
            {
                let of_table = (record.table(), record.key());
                removed.insert(
                    of_table,
                    Removed {
                        place: planned.place,
                        users: Vec::new(),
                    },
                );
            }
        }
        if removed.is_empty() {
            return;
        }
        for record in self.after() {
            for reference in record.references() {
                if let Some(removed) = removed.get_mut(&(reference.table, reference.key)) {
                    removed.users.push(name_of(record));
                }
            }
        }
        let mut used: Vec<_> = removed
            .into_iter()
            .filter(|(_, removed)| !removed.users.is_empty())
            .collect();
        used.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for ((table, key), Removed { place, mut users }) in used {
            users.sort_unstable();
            users.dedup();
            errors.add(RowError {
                place: place.cloned().unwrap_or_default(),
                record: None,
                column: None,
                problem: format!(
                    "{} {key} cannot be removed; it is used by {}",
                    table.noun(),
                    some_of(&users)
                ),
            });
        }
    }

    /// What was right for a model must be so for what becomes of it.
    fn check_models(&self, errors: &mut RowErrors) {
        for planned in &self.planned {
            let Record::Model(model) = planned.change.record() else {
                continue;
            };
            let mut wrong = Vec::new();
            let mut first = None;
            // Those that are planned have been looked at with the models as they will be.
            for record in &self.rest {
                if !record.models().contains(&&*model.name) {
                    continue;
                }
                if let Err(mistake) = self.still_right(record) {
                    wrong.push(name_of(record));
                    first.get_or_insert(mistake.problem);
                }
            }
            if let Some(first) = first {
                errors.add(RowError {
                    place: planned.place.cloned().unwrap_or_default(),
                    record: Some(name_of(planned.change.record())),
                    column: None,
                    problem: format!("then {} would be wrong: {first}", some_of(&wrong)),
                });
            }
        }
    }

    /// `XMLDefault.cnf.xml` has one element for each type id.
    fn check_type_ids(&self, errors: &mut RowErrors) {
        for planned in &self.planned {
            let Some(Record::Model(model)) = planned.change.after() else {
                continue;
            };
            let Some(type_id) = model.type_id else {
                continue;
            };
            let mut models = self.models.iter();
            let other = models.find(|other| {
                other.type_id == Some(type_id) && !other.name.eq_ignore_ascii_case(&model.name)
            });
            if let Some(other) = other {
                errors.add(RowError {
                    place: planned.place.cloned().unwrap_or_default(),
                    record: Some(format!("{} {}", Table::Models.noun(), model.name)),
                    column: Some("type_id".into()),
                    problem: format!(
                        "{type_id} is that of a {}; expected another one, or nothing",
                        other.name
                    ),
                });
            }
        }
    }

    fn still_right(&self, record: &Record) -> Result<(), Mistake> {
        let protocol = match record {
            Record::Device(device) => Some(device.protocol),
            Record::Load {
                model, protocol, ..
            } => {
                let keys = [model.as_str(), protocol.as_str()];
                return Record::blank(Table::Loads, &keys, &self.models).map(drop);
            }
            _ => None,
        };
        record.clone().check(protocol, &self.models)
    }

    /// An address is in one site.
    fn check_networks(&self, errors: &mut RowErrors) {
        let mut sites: HashMap<IpNet, String> = HashMap::new();
        for record in &self.rest {
            let networks = record.networks().into_iter();
            sites.extend(networks.map(|network| (network, record.key())));
        }
        for planned in &self.planned {
            let Some(after) = planned.change.after() else {
                continue;
            };
            for network in after.networks() {
                if let Some(other) = sites.insert(network, after.key())
                    && other != after.key()
                {
                    errors.add(RowError {
                        place: planned.place.cloned().unwrap_or_default(),
                        record: Some(name_of(after)),
                        column: Some("subnets".into()),
                        problem: format!("{network} is a network of site {other} already"),
                    });
                }
            }
        }
    }

    /// The case of a file's name says nothing.
    fn check_file_names(&self, errors: &mut RowErrors) {
        const OF_FILES: [Table; 3] = [Table::SoftKeys, Table::DialPlans, Table::FeaturePolicies];
        let of_files = |record: &&Record| OF_FILES.contains(&record.table());
        let mut names: HashMap<(Table, String), String> = HashMap::new();
        for record in self.after().filter(of_files) {
            let folded = (record.table(), record.key().to_ascii_lowercase());
            if let Some(other) = names.insert(folded, record.key()) {
                let key = record.key();
                let planned = self.planned.iter();
                let place = planned
                    .filter(|planned| planned.change.after() == Some(record))
                    .find_map(|planned| planned.place);
                errors.add(RowError {
                    place: place.cloned().unwrap_or_default(),
                    record: Some(name_of(record)),
                    column: Some("name".into()),
                    problem: format!("{other} and {key} would be one file; phones ask in any case"),
                });
            }
        }
    }
}

fn some_of(names: &[String]) -> String {
    let named: Vec<_> = names.iter().take(MAX_NAMED).map(String::as_str).collect();
    let named = named.join(", ");
    match names.len().saturating_sub(MAX_NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
