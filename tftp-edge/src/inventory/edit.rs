//! What an operator wants done to records: checked as a whole against what there is, then applied
//! as a whole or not at all.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use super::{
    Change, Contents, DeviceName, Inventory, Mistake, Models, Origin, Protocol, Record, Scope,
    Secrets, StoreError, Summary, Table,
};

/// How many mistakes are told at once.
const MAX_ERRORS: usize = 50;

/// How many of those that stand in the way are named.
const MAX_NAMED: usize = 3;

/// Where something to be done was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    #[default]
    CommandLine,
    Line {
        /// None if it is clear which.
        file: Option<Arc<str>>,
        /// From 1; the header is a line too.
        line: u64,
    },
}

/// What is to become of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// It is to be like this, whether it is there or not.
    Upsert,
    /// It must not be there.
    New,
    /// It must be there.
    Existing,
    /// It must be there, and is to go.
    Gone,
}

/// One record and the columns to set. Columns that are not named stay as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub table: Table,
    pub want: Want,
    /// In the order of the table's columns.
    pub keys: Vec<String>,
    pub fields: Vec<(Cow<'static, str>, String)>,
    pub place: Place,
}

/// Rows to be applied together.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    pub rows: Vec<Row>,
    /// Tables that are to hold what the rows say and nothing else.
    pub replaced: BTreeSet<Table>,
    /// What was wrong already where the rows come from. Told with what is wrong with the rows.
    pub(super) errors: RowErrors,
}

/// What an edit does.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub changes: Vec<Change>,
    pub unchanged: usize,
}

impl Plan {
    pub fn summary(&self) -> Summary {
        let mut summary = Summary {
            unchanged: self.unchanged,
            ..Summary::default()
        };
        summary.count(&self.changes);
        summary
    }
}

/// One mistake, where it is, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    pub place: Place,
    /// The record, if it was not told by a line.
    pub record: Option<String>,
    pub column: Option<String>,
    pub problem: String,
}

impl fmt::Display for RowError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut begin = "";
        if let Place::Line { file, line } = &self.place {
            if let Some(file) = file {
                write!(formatter, "{file}, ")?;
            }
            write!(formatter, "line {line}")?;
            begin = ", column ";
        } else if let Some(record) = &self.record {
            write!(formatter, "{record}")?;
            begin = ", ";
        }
        if let Some(column) = &self.column {
            write!(formatter, "{begin}{column}")?;
            begin = ", ";
        }
        match begin {
            "" => formatter.write_str(&self.problem),
            _ => write!(formatter, ": {}", self.problem),
        }
    }
}

/// The first mistakes of many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowErrors {
    pub errors: Vec<RowError>,
    /// Mistakes beyond those told.
    pub more: usize,
}

impl RowErrors {
    pub(super) fn add(&mut self, error: RowError) {
        match self.errors.len() < MAX_ERRORS {
            true => self.errors.push(error),
            false => self.more += 1,
        }
    }

    pub(super) fn add_at(
        &mut self,
        place: &Place,
        column: Option<&str>,
        problem: impl Into<String>,
    ) {
        self.add(RowError {
            place: place.clone(),
            record: None,
            column: column.map(Into::into),
            problem: problem.into(),
        });
    }

    /// Errors are told in the order of the files.
    fn none_or_err(mut self) -> Result<(), Self> {
        self.errors
            .sort_by(|one, other| one.place.cmp(&other.place));
        match self.errors.is_empty() {
            true => Ok(()),
            false => Err(self),
        }
    }
}

impl fmt::Display for RowErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ([only], 0) = (self.errors.as_slice(), self.more)
            && only.place == Place::CommandLine
        {
            return only.fmt(formatter);
        }
        formatter.write_str("nothing was changed:")?;
        for error in &self.errors {
            write!(formatter, "\n  {error}")?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(formatter, "\n  and {more} more"),
        }
    }
}

impl std::error::Error for RowErrors {}

#[derive(Debug, thiserror::Error)]
pub enum EditError {
    #[error(transparent)]
    Rows(#[from] RowErrors),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Inventory {
    /// Applies all of an edit, or nothing. With `dry_run` nothing is written, and the plan says what
    /// would have been.
    pub fn apply(
        &mut self,
        edit: &Edit,
        origin: &Origin,
        dry_run: bool,
    ) -> Result<Plan, EditError> {
        let names = edit.devices_alone();
        let scope = match &names {
            Some(names) => Scope::Devices(names),
            None => Scope::Everything,
        };
        let mut planned = Ok(Plan::default());
        let written = self.store().edit(scope, origin, &mut |contents| {
            planned = edit.plan(contents);
            match &mut planned {
                Ok(plan) if !dry_run => std::mem::take(&mut plan.changes),
                _ => Vec::new(),
            }
        })?;
        let mut plan = planned?;
        if !dry_run {
            plan.changes = written;
        }
        Ok(plan)
    }
}

impl Edit {
    /// One record to be set.
    pub fn of_record(
        table: Table,
        want: Want,
        keys: Vec<String>,
        fields: Vec<(Cow<'static, str>, String)>,
    ) -> Self {
        let row = Row {
            table,
            want,
            keys,
            fields,
            place: Place::CommandLine,
        };
        Self {
            rows: vec![row],
            ..Self::default()
        }
    }

    /// The devices it is about, if it is about nothing else.
    fn devices_alone(&self) -> Option<Vec<DeviceName>> {
        if !self.replaced.is_empty() {
            return None;
        }
        let name = |row: &Row| match row.table {
            // What is no name is told when it is looked at.
            Table::Devices => Some(row.keys.first()?.trim().parse().ok()),
            _ => None,
        };
        let names = self.rows.iter().map(name).collect::<Option<Vec<_>>>()?;
        Some(names.into_iter().flatten().collect())
    }

    /// What there is to do, if nothing is wrong with it.
    pub(super) fn plan(&self, contents: Contents) -> Result<Plan, RowErrors> {
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
            if column.use_of == super::ColumnUse::Required && !is_told && is_missing() {
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

/// What kind of record it is, and its key.
pub(super) fn name_of(record: &Record) -> String {
    format!("{} {}", record.table().noun(), record.key())
}

fn some_of(names: &[String]) -> String {
    let named: Vec<_> = names.iter().take(MAX_NAMED).map(String::as_str).collect();
    let named = named.join(", ");
    match names.len().saturating_sub(MAX_NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
