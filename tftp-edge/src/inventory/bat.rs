//! Phones from a CSV file of Cisco's Bulk Administration Tool: one that was written for it, or one
//! that it exported with all details.
//!
//! Such a file has a column for each field of each line: `DIRECTORY NUMBER 1`, `LINE TEXT LABEL 2`.
//! Headers are written in any case, with one or two spaces before the number, and with a note of
//! the format after them: `Description (String [128] OPTIONAL)`. What a template holds there is not
//! in the file: the model, unless it was exported.
//!
//! Source: Bulk Administration Guide for Cisco Unified Communications Manager, "Text-based CSV
//! files", and exported files.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};

use super::edit::RowErrors;
use super::records::{print_keys, print_lines};
use super::table_file::{About, CsvFile, text};
use super::{
    Edit, KeyAction, Line, LineKey, Mac, Model, ModelKind, Models, Place, Protocol, Row, Table,
    Want,
};

/// What the file leaves to its template.
#[derive(Clone, Debug, Default)]
pub struct BatDefaults {
    pub model: Option<String>,
    pub protocol: Option<Protocol>,
    pub site: Option<String>,
    /// Whether `DEVICE POOL` names the site.
    pub pool_is_site: bool,
}

/// What is in the file and has no place in the inventory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Columns with something in them, and in how many rows.
    columns: BTreeMap<String, usize>,
    /// Speed dials beyond the buttons of their phones.
    keys: usize,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (column, rows) in &self.columns {
            writeln!(formatter, "left out: {column} ({rows} rows)")?;
        }
        match self.keys {
            0 => Ok(()),
            keys => writeln!(
                formatter,
                "left out: {keys} speed dials that have no button on their phones"
            ),
        }
    }
}

/// A column this program has a use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    Name,
    Description,
    Pool,
    Owner,
    Load,
    Type,
    Protocol,
    DigestUser,
    Module(u16),
    Number(u16),
    Label(u16),
    Display(u16),
    MaxCalls(u16),
    BusyTrigger(u16),
    AutoAnswer(u16),
    SpeedDial(u16),
    SpeedDialLabel(u16),
    Blf(u16),
    BlfLabel(u16),
}

/// The field of a column; none if there is no use for it.
fn field(header: &str) -> Option<Field> {
    let plain = header.split('(').next().unwrap_or_default();
    let words: Vec<_> = plain
        .split_whitespace()
        .map(str::to_ascii_uppercase)
        .collect();
    let (name, number) = match words.split_last() {
        Some((last, words)) if last.parse::<u16>().is_ok_and(|number| number > 0) => {
            (words.join(" "), last.parse().ok())
        }
        _ => (words.join(" "), None),
    };
    Some(match (name.as_str(), number) {
        ("DEVICE NAME" | "MAC ADDRESS" | "MAC ADDRESS/DEVICE NAME", None) => Field::Name,
        ("DESCRIPTION", None) => Field::Description,
        ("DEVICE POOL", None) => Field::Pool,
        ("OWNER USER ID", None) => Field::Owner,
        ("PHONE LOAD NAME", None) => Field::Load,
        ("DEVICE TYPE" | "PHONE TYPE", None) => Field::Type,
        ("DEVICE PROTOCOL" | "PROTOCOL", None) => Field::Protocol,
        ("DIGEST USER", None) => Field::DigestUser,
        ("MODULE", Some(number)) => Field::Module(number),
        ("DIRECTORY NUMBER", Some(number)) => Field::Number(number),
        ("LINE TEXT LABEL", Some(number)) => Field::Label(number),
        ("DISPLAY", Some(number)) => Field::Display(number),
        ("MAXIMUM NUMBER OF CALLS", Some(number)) => Field::MaxCalls(number),
        ("BUSY TRIGGER", Some(number)) => Field::BusyTrigger(number),
        ("AUTO ANSWER", Some(number)) => Field::AutoAnswer(number),
        ("SPEED DIAL NUMBER", Some(number)) => Field::SpeedDial(number),
        ("SPEED DIAL LABEL", Some(number)) => Field::SpeedDialLabel(number),
        ("BUSY LAMP FIELD DESTINATION" | "BUSY LAMP FIELD DIRECTORY NUMBER", Some(number)) => {
            Field::Blf(number)
        }
        ("BUSY LAMP FIELD LABEL", Some(number)) => Field::BlfLabel(number),
        _ => return None,
    })
}

/// Reads a file. What is wrong with it is told with the edit's other mistakes.
pub fn read(
    input: impl Read,
    defaults: &BatDefaults,
    models: &Models,
    left_out: &mut LeftOut,
) -> io::Result<Edit> {
    let about = About::default();
    let mut edit = Edit::default();
    let mut errors = RowErrors::default();
    let mut file = CsvFile::open(input)?;
    let header = file.header().to_vec();
    let columns: Vec<_> = header.iter().map(|name| field(name)).collect();
    let has = |wanted: Field| columns.contains(&Some(wanted));
    for (wanted, name) in [
        (Field::Name, "MAC ADDRESS"),
        (Field::Number(1), "DIRECTORY NUMBER 1"),
    ] {
        if !has(wanted) {
            let problem = format!("the column is missing; a file of phones has {name}");
            errors.add_at(&about.place(1), Some(name), problem);
        }
    }
    if !errors.errors.is_empty() {
        edit.errors = errors;
        return Ok(edit);
    }
    while let Some((line, record)) = file.next(&about, &mut errors)? {
        let place = about.place(line);
        let mut values: BTreeMap<Field, String> = BTreeMap::new();
        for ((column, name), value) in columns.iter().zip(&header).zip(record) {
            let value = match text(value) {
                Ok("") => continue,
                Ok(value) => value,
                Err(problem) => {
                    errors.add_at(&place, Some(name), problem);
                    continue;
                }
            };
            let is_used = match column {
                Some(Field::Pool) => defaults.pool_is_site,
                Some(_) => true,
                None => false,
            };
            match (column, is_used) {
                // The first of two of the same meaning.
                (Some(column), true) => drop(values.entry(*column).or_insert(value.into())),
                _ => *left_out.columns.entry(name.clone()).or_default() += 1,
            }
        }
        let phone = Phone {
            values,
            defaults,
            models,
            place,
        };
        let row = phone.row(&mut errors, left_out);
        edit.rows.extend(row);
    }
    edit.errors = errors;
    Ok(edit)
}

/// One row of the file.
struct Phone<'a> {
    values: BTreeMap<Field, String>,
    defaults: &'a BatDefaults,
    models: &'a Models,
    place: Place,
}

impl Phone<'_> {
    fn get(&self, field: Field) -> &str {
        self.values.get(&field).map_or("", String::as_str)
    }

    /// The same, for the table of devices; none after telling what is wrong.
    fn row(&self, errors: &mut RowErrors, left_out: &mut LeftOut) -> Option<Row> {
        let model = self.model(errors)?;
        let protocol = self.protocol(model);
        let lines = match self.lines() {
            Ok(lines) => lines,
            Err((column, problem)) => {
                errors.add_at(&self.place, Some(column), problem);
                return None;
            }
        };
        let modules = self.modules();
        let keys = self.keys(lines.len(), model, &modules, left_out);
        let site = match self.defaults.pool_is_site {
            true => self.get(Field::Pool),
            false => self.defaults.site.as_deref().unwrap_or_default(),
        };
        let mut fields: Vec<(Cow<'static, str>, String)> = vec![
            ("model".into(), model.name.to_string()),
            ("lines".into(), print_lines(&lines)),
        ];
        let optional = [
            (
                "protocol",
                protocol.map_or(String::new(), |p| p.to_string()),
            ),
            ("site", site.to_owned()),
            ("description", self.get(Field::Description).to_owned()),
            ("owner", self.get(Field::Owner).to_owned()),
            ("load", self.get(Field::Load).to_owned()),
            ("auth_name", self.get(Field::DigestUser).to_owned()),
            ("modules", modules.join(";")),
            ("keys", print_keys(&keys)),
        ];
        // What the file does not say, stays as it is.
        let said = optional.into_iter().filter(|(_, value)| !value.is_empty());
        fields.extend(said.map(|(column, value)| (column.into(), value)));
        Some(Row {
            table: Table::Devices,
            want: Want::Upsert,
            keys: vec![self.name(model, protocol)],
            fields,
            place: self.place.clone(),
        })
    }

    fn model(&self, errors: &mut RowErrors) -> Option<&Model> {
        // Exports say `Cisco 7962` or `Cisco ATA 187`.
        let told = self.get(Field::Type);
        let told = told.strip_prefix("Cisco ").unwrap_or(told).replace(' ', "");
        let name = match (told.as_str(), &self.defaults.model) {
            ("", Some(model)) => model.as_str(),
            ("", None) => {
                let problem = "the file says of no model; expected --model, such as --model 7962";
                errors.add_at(&self.place, None, problem);
                return None;
            }
            (told, _) => told,
        };
        let model = self.models.find(name);
        if model.is_none() {
            let problem =
                format!("{name:?} is no known model; `tftp-edge inventory model list` shows them");
            errors.add_at(&self.place, Some("DEVICE TYPE"), problem);
        }
        model
    }

    fn protocol(&self, model: &Model) -> Option<Protocol> {
        let told = self.get(Field::Protocol).parse().ok();
        let told = told.or(self.defaults.protocol);
        // Templates of one protocol are used for phones that speak only the other, too.
        told.filter(|&protocol| model.speaks(protocol))
    }

    /// Addresses are written without what stands before them.
    fn name(&self, model: &Model, protocol: Option<Protocol>) -> String {
        let name = self.get(Field::Name);
        if name.parse::<Mac>().is_err() {
            return name.to_owned();
        }
        let prefix = match model.kind {
            ModelKind::Ata => "ATA",
            _ if protocol.is_some_and(|protocol| model.is_legacy_sip(protocol)) => "SIP",
            _ => "SEP",
        };
        format!("{prefix}{name}")
    }

    fn lines(&self) -> Result<Vec<Line>, (&'static str, String)> {
        let numbers = self.values.keys().filter_map(|field| match field {
            Field::Number(number) => Some(*number),
            _ => None,
        });
        let mut lines = Vec::new();
        for at in numbers {
            let count = |field, column| match self.get(field) {
                "" => Ok(None),
                text => match text.parse() {
                    Ok(count) => Ok(Some(count)),
                    Err(_) => Err((column, format!("{text:?} is no number"))),
                },
            };
            let mut line = Line {
                // A plus is written with a backslash before it.
                number: self.get(Field::Number(at)).replace('\\', ""),
                label: self.get(Field::Label(at)).to_owned(),
                display_name: self.get(Field::Display(at)).to_owned(),
                ..Line::default()
            };
            if line.display_name == line.label || line.display_name == line.number {
                line.display_name.clear();
            }
            line.options.max_calls = count(Field::MaxCalls(at), "MAXIMUM NUMBER OF CALLS")?;
            line.options.busy_trigger = count(Field::BusyTrigger(at), "BUSY TRIGGER")?;
            let auto_answer = self.get(Field::AutoAnswer(at));
            line.options.auto_answer =
                !auto_answer.is_empty() && !auto_answer.eq_ignore_ascii_case("Auto Answer Off");
            lines.push(line);
        }
        Ok(lines)
    }

    /// `7916 24-Button Line Expansion Module` is called `7916-24` here.
    fn modules(&self) -> Vec<String> {
        let modules = self.values.iter().filter_map(|(field, name)| match field {
            Field::Module(_) => Some(name.as_str()),
            _ => None,
        });
        let named = |name: &str| {
            let name = name.strip_prefix("Cisco ").unwrap_or(name);
            let mut words = name.split_whitespace();
            let first = words.next().unwrap_or_default();
            let buttons = words.next().and_then(|word| word.split_once('-'));
            let sized = buttons.map(|(buttons, _)| format!("{first}-{buttons}"));
            let sized = sized.filter(|sized| self.models.find(sized).is_some());
            match (sized, self.models.find(first)) {
                (Some(sized), _) => sized,
                (None, Some(_)) => first.to_owned(),
                (None, None) => name.to_owned(),
            }
        };
        modules.map(named).collect()
    }

    /// Speed dials, then those with a lamp, on the buttons after the lines.
    fn keys(
        &self,
        lines: usize,
        model: &Model,
        modules: &[String],
        left_out: &mut LeftOut,
    ) -> BTreeMap<u16, LineKey> {
        // A file may name more modules than any phone takes.
        let of_module = |name: &String| self.models.find(name).map_or(0, |model| model.lines);
        let of_modules = modules.iter().map(of_module);
        let buttons = of_modules.fold(model.lines, u16::saturating_add);
        let actions = self.values.iter().filter_map(|(field, target)| {
            let number = target.replace('\\', "");
            Some(match field {
                Field::SpeedDial(at) => {
                    (Field::SpeedDialLabel(*at), KeyAction::SpeedDial { number })
                }
                Field::Blf(at) => (Field::BlfLabel(*at), KeyAction::Blf { number }),
                _ => return None,
            })
        });
        let mut keys = BTreeMap::new();
        let mut button = u16::try_from(lines).unwrap_or(u16::MAX);
        for (label, action) in actions {
            button = button.saturating_add(1);
            if button > buttons {
                left_out.keys += 1;
                continue;
            }
            let label = self.get(label).to_owned();
            keys.insert(button, LineKey { label, action });
        }
        keys
    }
}

#[cfg(test)]
mod tests;
