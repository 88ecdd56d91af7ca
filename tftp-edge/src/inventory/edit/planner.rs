//! What an edit comes to: every row made into a record, and all records looked at together.

mod check;

use std::collections::{HashMap, HashSet};

use super::super::records::ColumnUse;
use super::super::{Change, Contents, Mistake, Models, Protocol, Record, Secrets, Table};
use super::{Edit, Place, Plan, Row, RowError, RowErrors, Want};

impl Edit {
    /// What there is to do, if nothing is wrong with it.
    pub fn plan(&self, contents: Contents) -> Result<Plan, RowErrors> {
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
}
