//! What an edit comes to: every row made into a record, and all records looked at together.

use std::collections::{HashMap, HashSet};

use super::super::records::ColumnUse;
use super::super::{Change, Contents, Mistake, Models, Protocol, Record, Secrets, Table};
use super::{Edit, Place, Plan, Row, RowError, RowErrors, Want, name_of};

/// How many of those that stand in the way are named.
const MAX_NAMED: usize = 3;

impl Edit {
    /// What there is to do, if nothing is wrong with it.
    pub(in super::super) fn plan(&self, contents: Contents) -> Result<Plan, RowErrors> {
        let mut planner = Planner::new(contents, self.errors.clone());
        for table in Table::ALL {
            planner.table(self, table);
        }
        planner.check();
        planner.errors.none_or_err()?;
        let planned = planner.planned.into_iter();
        Ok(Plan {
            changes: planned.map(|planned| planned.change).collect(),
            unchanged: planner.unchanged,
        })
    }
}

struct Planned<'e> {
    change: Change,
    place: Option<&'e Place>,
}

/// Something that goes, and what would miss it.
struct Removed<'e> {
    place: Option<&'e Place>,
    users: Vec<String>,
}

struct Planner<'e> {
    contents: Contents,
    models: Models,
    /// Everything that stays as it is.
    rest: Vec<Record>,
    planned: Vec<Planned<'e>>,
    /// What rows with a mistake are about: not told a second time as missing.
    unclear: HashSet<(Table, String)>,
    unchanged: usize,
    errors: RowErrors,
}

impl<'e> Planner<'e> {
    fn new(contents: Contents, errors: RowErrors) -> Self {
        Self {
            models: Models::new(contents.models.values().cloned()),
            contents,
            rest: Vec::new(),
            planned: Vec::new(),
            unclear: HashSet::new(),
            unchanged: 0,
            errors,
        }
    }

    fn table(&mut self, edit: &'e Edit, table: Table) {
        let stored = match table {
            Table::Devices => std::mem::take(&mut self.contents.devices)
                .into_iter()
                .map(|device| Record::Device(device.into()))
                .collect(),
            table => self.contents.shared(table),
        };
        let rows = || edit.rows.iter().filter(|row| row.table == table);
        let is_replaced = edit.replaced.contains(&table);
        if rows().next().is_none() && !is_replaced {
            self.rest.extend(stored);
            return;
        }
        let stored = stored.into_iter().map(|record| (record.key(), record));
        let mut stored: HashMap<String, Record> = stored.collect();
        let mut first_places: HashMap<String, &Place> = HashMap::new();
        for row in rows() {
            self.row(row, is_replaced, &mut stored, &mut first_places);
        }
        let mut left: Vec<_> = stored.into_values().collect();
        if is_replaced {
            left.sort_by_cached_key(Record::key);
            let removed = left.into_iter().map(Change::Removed);
            self.planned.extend(removed.map(|change| Planned {
                change,
                place: None,
            }));
        } else {
            self.rest.extend(left);
        }
        if table == Table::Models {
            let rest = self.rest.iter();
            let after = rest.chain(self.planned.iter().filter_map(|p| p.change.after()));
            self.models = Models::new(after.filter_map(|record| match record {
                Record::Model(model) => Some((**model).clone()),
                _ => None,
            }));
        }
    }

    fn row(
        &mut self,
        row: &'e Row,
        is_replaced: bool,
        stored: &mut HashMap<String, Record>,
        first_places: &mut HashMap<String, &'e Place>,
    ) {
        let keys: Vec<_> = row.keys.iter().map(String::as_str).collect();
        let blank = match Record::blank(row.table, &keys, &self.models) {
            Ok(blank) => blank,
            Err(mistake) => {
                self.wrong(row, mistake);
                let stand_in = Record::stand_in(row.table, &self.models);
                let draft = stand_in.map(|blank| self.draft(row, None, blank));
                for mistake in draft.and_then(Result::err).into_iter().flatten() {
                    self.wrong(row, mistake);
                }
                return;
            }
        };
        let key = blank.key();
        let noun = row.table.noun();
        let about_key = |problem| Mistake {
            column: row.table.columns()[0].name.into(),
            problem,
        };
        if let Some(first) = first_places.insert(key.clone(), &row.place) {
            let on = match first {
                Place::Line { file: None, line } => format!("line {line}"),
                Place::Line {
                    file: Some(file),
                    line,
                } => format!("line {line} of {file}"),
                Place::CommandLine => "the command line".into(),
            };
            let problem = format!("{key} is on {on} already; expected one row for each {noun}");
            return self.wrong(row, about_key(problem));
        }
        let before = stored.remove(&key);
        let problem = match (&before, row.want) {
            (None, Want::Existing | Want::Gone) => Some(format!("there is no {noun} {key:?}")),
            (Some(_), Want::New) => Some(format!("there is a {noun} {key:?} already")),
            _ => None,
        };
        if let Some(problem) = problem {
            self.rest.extend(before);
            return self.wrong(row, about_key(problem));
        }
        let after = match row.want {
            Want::Gone => None,
            _ => match self.draft(row, before.clone().filter(|_| !is_replaced), blank) {
                Ok(after) => Some(after),
                Err(mistakes) => {
                    for mistake in mistakes {
                        self.wrong(row, mistake);
                    }
                    match before {
                        Some(before) => self.rest.push(before),
                        None => drop(self.unclear.insert((row.table, key))),
                    }
                    return;
                }
            },
        };
        match (before, after) {
            (Some(before), Some(after)) if before == after => {
                self.unchanged += 1;
                self.rest.push(after);
            }
            (before, after) => {
                let change = Change::between(before, after);
                self.planned.extend(change.map(|change| Planned {
                    change,
                    place: Some(&row.place),
                }));
            }
        }
    }

    /// The record as the row wants it. All columns are looked at.
    fn draft(
        &self,
        row: &Row,
        before: Option<Record>,
        blank: Record,
    ) -> Result<Record, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let mut protocol = match &before {
            Some(Record::Device(device)) => Some(device.protocol),
            _ => None,
        };
        let mut draft = before.unwrap_or(blank);
        let own = row.table.columns();
        let place = |column: &str| own.iter().position(|own| own.name == column);
        let mut fields: Vec<_> = row.fields.iter().collect();
        fields.sort_by_key(|(column, _)| place(column).unwrap_or(own.len()));
        for (column, field) in fields {
            if column == "protocol" && field.trim().is_empty() {
                continue;
            }
            match draft.set(column, field) {
                Ok(()) if column == "protocol" => protocol = field.trim().parse::<Protocol>().ok(),
                Ok(()) => {}
                Err(problem) => mistakes.push(Mistake {
                    column: column.clone(),
                    problem,
                }),
            }
        }
        for column in own {
            let is_told = mistakes.iter().any(|mistake| mistake.column == column.name);
            let is_missing = || draft.get(column.name, Secrets::Told).is_empty();
            if column.use_of == ColumnUse::Required && !is_told && is_missing() {
                mistakes.push(Mistake {
                    column: column.name.into(),
                    problem: format!("it is missing; expected {}", column.help),
                });
            }
        }
        if !mistakes.iter().any(|mistake| mistake.column == "model") {
            mistakes.extend(draft.unknown_model(&self.models));
        }
        if mistakes.is_empty() {
            mistakes.extend(draft.check(protocol, &self.models).err());
        }
        match mistakes.is_empty() {
            true => Ok(draft),
            false => Err(mistakes),
        }
    }

    fn wrong(&mut self, row: &Row, mistake: Mistake) {
        self.errors.add(RowError {
            place: row.place.clone(),
            record: Some(format!("{} {}", row.table.noun(), row.keys.join("/"))),
            column: Some(mistake.column.into_owned()),
            problem: mistake.problem,
        });
    }

    /// What records say of each other.
    fn check(&mut self) {
        let mut errors = std::mem::take(&mut self.errors);
        self.check_references(&mut errors);
        self.check_removed(&mut errors);
        self.check_models(&mut errors);
        self.check_type_ids(&mut errors);
        self.check_file_names(&mut errors);
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
