//! `phones.csv`: one device a row, columns in any order under a header.
//!
//! | column | |
//! |---|---|
//! | `name` | `SEP` and 12 hex digits, in any case |
//! | `model` | `7941`, `CP-8851` … |
//! | `protocol` | `sip` or `sccp` |
//! | `lines` | directory numbers, with a label if wanted: `1001:Alice Smith;1002` |
//! | `auth_name`, `secret` | optional, of SIP lines: one for each line, or one for all |
//! | `site`, `load`, `description` | optional |
//!
//! Entries of `lines`, `auth_name` and `secret` are separated by `;`. One that holds a `;` itself
//! is put in single quotes, with `''` for a quote in it: `1001:'Smith; Alice'`.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::Read;

use csv::{ByteRecord, ReaderBuilder};

use super::{DEFAULT_SITE, Device, DeviceName, Line, Models, Protocol, text};

/// How many mistakes are told at once.
const MAX_ERRORS: usize = 50;

const REQUIRED: [&str; 4] = ["name", "model", "protocol", "lines"];
const OPTIONAL: [&str; 5] = ["auth_name", "secret", "site", "load", "description"];

/// One mistake, where it is, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// From 1; the header is a line too.
    pub line: u64,
    pub column: Option<String>,
    pub problem: String,
}

impl fmt::Display for RowError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}", self.line)?;
        if let Some(column) = &self.column {
            write!(formatter, ", column {column}")?;
        }
        write!(formatter, ": {}", self.problem)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("cannot be read: {0}")]
    Read(#[from] csv::Error),
    #[error("nothing was imported:\n{}{}", lines_of(errors), and_more(*more))]
    Rows {
        errors: Vec<RowError>,
        /// Mistakes beyond those told.
        more: usize,
    },
}

fn lines_of(errors: &[RowError]) -> String {
    let lines: Vec<_> = errors.iter().map(|error| format!("  {error}")).collect();
    lines.join("\n")
}

fn and_more(more: usize) -> String {
    match more {
        0 => String::new(),
        more => format!("\n  and {more} more"),
    }
}

#[derive(Default)]
struct Mistakes {
    errors: Vec<RowError>,
    more: usize,
}

impl Mistakes {
    fn add(&mut self, line: u64, column: Option<&str>, problem: impl Into<String>) {
        if self.errors.len() == MAX_ERRORS {
            self.more += 1;
            return;
        }
        self.errors.push(RowError {
            line,
            column: column.map(Into::into),
            problem: problem.into(),
        });
    }

    fn none_or_err(self) -> Result<(), ImportError> {
        if self.errors.is_empty() {
            return Ok(());
        }
        Err(ImportError::Rows {
            errors: self.errors,
            more: self.more,
        })
    }
}

/// Reads and checks a whole file. All mistakes are told, up to 50.
pub fn parse_csv(input: impl Read) -> Result<Vec<Device>, ImportError> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(input);
    let mut record = ByteRecord::new();
    let mut mistakes = Mistakes::default();

    reader.read_byte_record(&mut record)?;
    let columns = header(&record, &mut mistakes);
    mistakes.none_or_err()?;

    let mut mistakes = Mistakes::default();
    let mut devices = Vec::new();
    let mut first_lines: HashMap<DeviceName, u64> = HashMap::new();
    while reader.read_byte_record(&mut record)? {
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != columns.len() {
            mistakes.add(
                line,
                None,
                format!(
                    "{} fields; expected {}, as the header has",
                    record.len(),
                    columns.len()
                ),
            );
            continue;
        }
        let mut row = Row {
            record: &record,
            columns: &columns,
            line,
            mistakes: &mut mistakes,
        };
        let Some(device) = row.device() else {
            continue;
        };
        if let Some(first) = first_lines.insert(device.name, line) {
            mistakes.add(
                line,
                Some("name"),
                format!(
                    "{} is on line {first} already; a device has one row",
                    device.name
                ),
            );
            continue;
        }
        devices.push(device);
    }
    mistakes.none_or_err()?;
    Ok(devices)
}

/// The columns in the order of the file.
fn header(record: &ByteRecord, mistakes: &mut Mistakes) -> Vec<&'static str> {
    let mut columns = Vec::new();
    for (at, field) in record.iter().enumerate() {
        // Spreadsheets put a byte order mark before the first column.
        let field = match at {
            0 => field.strip_prefix(b"\xef\xbb\xbf").unwrap_or(field),
            _ => field,
        };
        let name = String::from_utf8_lossy(field).trim().to_ascii_lowercase();
        match REQUIRED
            .iter()
            .chain(&OPTIONAL)
            .find(|known| **known == name)
        {
            Some(known) if columns.contains(known) => {
                mistakes.add(1, Some(known), "the column is there twice");
            }
            Some(known) => columns.push(*known),
            None => mistakes.add(
                1,
                Some(&name),
                format!(
                    "unknown column; expected {}, and if wanted {}",
                    REQUIRED.join(", "),
                    OPTIONAL.join(", ")
                ),
            ),
        }
    }
    for required in REQUIRED {
        if !columns.contains(&required) {
            mistakes.add(1, Some(required), "the column is missing");
        }
    }
    columns
}

struct Row<'a> {
    record: &'a ByteRecord,
    columns: &'a [&'static str],
    line: u64,
    mistakes: &'a mut Mistakes,
}

impl Row<'_> {
    /// The device, or none after telling what is wrong. All columns are looked at.
    fn device(&mut self) -> Option<Device> {
        let models = Models::default();
        let name = self.parse("name", |text| {
            text.parse::<DeviceName>()
                .map_err(|error| format!("{text:?} is no device name; {error}"))
        });
        let model = self.parse("model", |text| {
            models.find(text).ok_or_else(|| {
                format!("{text:?} is no known model; `tftp-edge inventory model list` shows them")
            })
        });
        let protocol = self.parse("protocol", |text| {
            text.parse::<Protocol>()
                .map_err(|()| format!("{text:?}; expected sip or sccp"))
        });
        let lines = self.parse("lines", lines);
        let auth_names = self.parse("auth_name", |text| entries(text, 64));
        let secrets = self.parse("secret", |text| entries(text, 128));
        let site = self.parse("site", |text| match text {
            "" => Ok(DEFAULT_SITE.to_owned()),
            text => text::value(text, 50),
        });
        let load = self.parse("load", load);
        let description = self.parse("description", |text| text::value(text, 128));

        let (model, protocol) = (model?, protocol?);
        if !model.speaks(protocol) {
            let other = match protocol {
                Protocol::Sip => Protocol::Sccp,
                Protocol::Sccp => Protocol::Sip,
            };
            self.wrong(
                "protocol",
                format!(
                    "a {} reads no {protocol} configuration; expected {other}",
                    model.name
                ),
            );
            return None;
        }
        let name = name?;
        if let Err(expected) = model.check_name(name.kind(), protocol) {
            let problem = format!("{name} cannot be a {}; expected {expected}", model.name);
            self.wrong("name", problem);
            return None;
        }
        let mut lines = lines?;
        if lines.len() > usize::from(model.lines) {
            self.wrong(
                "lines",
                format!(
                    "{} lines; a {} has {}",
                    lines.len(),
                    model.name,
                    model.lines
                ),
            );
            return None;
        }
        self.spread("auth_name", auth_names?, &mut lines, |line, value| {
            line.auth_name = value;
        })?;
        self.spread("secret", secrets?, &mut lines, |line, value| {
            line.secret = value;
        })?;
        Some(Device {
            site: site?,
            load: load?,
            description: description?,
            lines,
            ..Device::new(name, model.name.clone(), protocol)
        })
    }

    fn parse<T>(
        &mut self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let field = self
            .columns
            .iter()
            .position(|known| *known == column)
            .and_then(|at| self.record.get(at))
            .unwrap_or_default();
        let parsed = std::str::from_utf8(field)
            .map_err(|_| "it is not UTF-8; save the file as UTF-8".to_owned())
            .and_then(|text| parse(text.trim()));
        match parsed {
            Ok(value) => Some(value),
            Err(problem) => {
                self.wrong(column, problem);
                None
            }
        }
    }

    /// Gives each line its entry, or the only entry to all of them.
    fn spread(
        &mut self,
        column: &'static str,
        entries: Vec<String>,
        lines: &mut [Line],
        set: impl Fn(&mut Line, String),
    ) -> Option<()> {
        match entries.len() {
            0 => {}
            1 => lines
                .iter_mut()
                .for_each(|line| set(line, entries[0].clone())),
            count if count == lines.len() => lines
                .iter_mut()
                .zip(entries)
                .for_each(|(line, entry)| set(line, entry)),
            count => {
                self.wrong(
                    column,
                    format!(
                        "{count} entries; expected one, or one for each of the {} lines",
                        lines.len()
                    ),
                );
                return None;
            }
        }
        Some(())
    }

    fn wrong(&mut self, column: &str, problem: String) {
        self.mistakes.add(self.line, Some(column), problem);
    }
}

/// A load is named without its suffix in a configuration; here it may have it.
pub(super) fn load(text: &str) -> Result<Option<String>, String> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let load = text.strip_suffix(".loads").unwrap_or(text);
    match load {
        "" => Ok(None),
        load if load.len() > 64 || load.starts_with('.') || !load.chars().all(known) => Err(
            format!("{text:?} is no firmware load; expected a name such as SIP41.9-4-2SR3-1S"),
        ),
        load => Ok(Some(load.to_owned())),
    }
}

fn lines(text: &str) -> Result<Vec<Line>, String> {
    let mut seen = HashSet::new();
    let mut lines = Vec::new();
    for entry in split(text)? {
        let (number, label) = match entry {
            Entry::Quoted(text) => (text, String::new()),
            Entry::Plain(text) => match text.split_once(':') {
                Some((number, label)) => (number.trim().to_owned(), unquote(label.trim())?),
                None => (text, String::new()),
            },
        };
        let known = |c: char| c.is_ascii_alphanumeric() || "*#+._-".contains(c);
        if number.is_empty() || number.len() > 24 || !number.chars().all(known) {
            return Err(format!(
                "{number:?} is no directory number; expected up to 24 of digits, letters and * # + . _ -"
            ));
        }
        if !seen.insert(number.clone()) {
            return Err(format!(
                "{number} is there twice; a number has one line on a device (it may be shared by several devices)"
            ));
        }
        lines.push(Line {
            number,
            label: text::value(&label, 50)?,
            ..Line::default()
        });
    }
    if lines.is_empty() {
        return Err("it is empty; expected at least one directory number, such as 1001".into());
    }
    Ok(lines)
}

fn entries(text: &str, max: usize) -> Result<Vec<String>, String> {
    split(text)?
        .into_iter()
        .map(|entry| match entry {
            Entry::Quoted(entry) | Entry::Plain(entry) => text::value(&entry, max),
        })
        .collect()
}

enum Entry {
    /// The whole entry was in quotes, which are gone.
    Quoted(String),
    Plain(String),
}

/// Splits at every `;` that is not within quotes. A quote begins one only at the beginning of an
/// entry or after its `:`, so that `O'Brien` needs none.
fn split(text: &str) -> Result<Vec<Entry>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut entries = Vec::new();
    let mut start = 0;
    let mut quoted = false;
    let mut may_begin = true;
    for (at, c) in text.char_indices() {
        match c {
            '\'' if quoted || may_begin => {
                // A doubled quote closes and opens again at once.
                quoted = !quoted;
                may_begin = !quoted;
                continue;
            }
            ';' if !quoted => {
                entries.push(entry(&text[start..at])?);
                start = at + 1;
            }
            _ => {}
        }
        if !quoted {
            may_begin = matches!(c, ';' | ':') || (may_begin && c == ' ');
        }
    }
    if quoted {
        return Err("a quote is not closed; expected ' at the end of the entry".into());
    }
    entries.push(entry(&text[start..])?);
    Ok(entries)
}

fn entry(text: &str) -> Result<Entry, String> {
    let text = text.trim();
    match text.starts_with('\'') {
        true => unquote(text).map(Entry::Quoted),
        false => Ok(Entry::Plain(text.to_owned())),
    }
}

fn unquote(text: &str) -> Result<String, String> {
    let Some(rest) = text.strip_prefix('\'') else {
        return Ok(text.to_owned());
    };
    let inner = rest.strip_suffix('\'').unwrap_or_default();
    // What is left of pairs is a quote that closed too early.
    if inner.is_empty() && rest != "'" || inner.replace("''", "").contains('\'') {
        // Not told with the entry, which may be a secret.
        return Err("an entry goes on after its closing quote; write '' for a quote within".into());
    }
    Ok(inner.replace("''", "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "name,model,protocol,lines,auth_name,secret,site,load,description\n";

    fn read(rows: &str) -> Result<Vec<Device>, ImportError> {
        parse_csv(format!("{HEADER}{rows}").as_bytes())
    }

    fn errors(file: &[u8]) -> Vec<String> {
        match parse_csv(file) {
            Err(ImportError::Rows { errors, .. }) => {
                errors.iter().map(RowError::to_string).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn columns_come_in_any_order_and_any_case_of_name() {
        let file = "\u{feff}Model,LINES,name,protocol\nCP-7941,1001,sep00aabbccddee,SCCP\n";
        let devices = parse_csv(file.as_bytes()).unwrap();
        assert_eq!(devices[0].name.to_string(), "SEP00AABBCCDDEE");
        assert_eq!(devices[0].model, "7941");
        assert_eq!(devices[0].site, "default");
        assert_eq!(devices[0].load, None);
    }

    #[test]
    fn a_line_has_a_label_a_user_and_a_secret_if_wanted() {
        let devices = read(
            "SEP001122334455,8851,sip,1001:Alice O'Brien; 1002 ;1003:'Sales; ''24h''',alice,'a;b';;c,hq,sip88xx.12-5-1.loads,Desk\n",
        )
        .unwrap();
        let line = |number: &str, label: &str, secret: &str| Line {
            number: number.into(),
            label: label.into(),
            auth_name: "alice".into(),
            secret: secret.into(),
            ..Line::default()
        };
        assert_eq!(
            devices[0].lines,
            [
                line("1001", "Alice O'Brien", "a;b"),
                line("1002", "", ""),
                line("1003", "Sales; '24h'", "c"),
            ]
        );
        assert_eq!(devices[0].load.as_deref(), Some("sip88xx.12-5-1"));
    }

    #[test]
    fn every_mistake_is_told_with_its_line_and_column() {
        let file = format!(
            "{HEADER}\
             SEP00112233445,7941,sip,1,,,,,\n\
             SEP001122334455,7999,sip,1,,,,,\n\
             SEP001122334456,7941,iax,1,,,,,\n\
             SEP001122334457,7940,sip,1,,,,,\n\
             SEP001122334458,7941,sccp,,,,,,\n\
             SEP001122334459,7941,sccp,1;2;3,,,,,\n\
             SEP00112233445A,7941,sip,1;1,,,,,\n\
             SEP00112233445B,7961,sip,1;2;3,a;b,,,,\n\
             SEP00112233445C,7941,sip,1:'a,,,,,\n\
             SEP00112233445D,7941,sip,1:'a'b,,,,,\n\
             SEP00112233445E,7941,sip,1,,,,../x,\n\
             SEP00112233445F,7941,sip,1,,,,,a\u{7}b\n\
             SEP001122334460,7941,sip\n\
             SEP001122334461,7941,sip,1,,,,,\n\
             sep001122334461,7941,sip,1,,,,,\n"
        );
        let told = errors(file.as_bytes());
        let expected = [
            "line 2, column name: \"SEP00112233445\" is no device name; expected SEP",
            "line 3, column model: \"7999\" is no known model",
            "line 4, column protocol: \"iax\"; expected sip or sccp",
            "line 5, column name: SEP001122334457 cannot be a 7940; expected SIP and its MAC address",
            "line 6, column lines: it is empty; expected at least one",
            "line 7, column lines: 3 lines; a 7941 has 2",
            "line 8, column lines: 1 is there twice",
            "line 9, column auth_name: 2 entries; expected one, or one for each of the 3 lines",
            "line 10, column lines: a quote is not closed",
            "line 11, column lines: an entry goes on after its closing quote",
            "line 12, column load: \"../x\" is no firmware load",
            "line 13, column description: it has the control character U+0007",
            "line 14: 3 fields; expected 9",
            "line 16, column name: SEP001122334461 is on line 15 already",
        ];
        assert_eq!(told.len(), expected.len(), "{told:#?}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.starts_with(expected), "{told}");
        }
    }

    #[test]
    fn a_row_with_several_mistakes_tells_them_all() {
        let told = errors(format!("{HEADER}x y,y,z,1 2,,,,,\n").as_bytes());
        assert_eq!(told.len(), 4, "{told:#?}");
    }

    #[test]
    fn unknown_missing_and_doubled_columns_are_refused_by_name() {
        let told = errors(b"name,name,model,colour\n");
        let begins = [
            "line 1, column name: the column is there twice",
            "line 1, column colour: unknown column; expected name, model, protocol, lines",
            "line 1, column protocol: the column is missing",
            "line 1, column lines: the column is missing",
        ];
        for (told, begin) in told.iter().zip(begins) {
            assert!(told.starts_with(begin), "{told}");
        }
        assert_eq!(errors(b"").len(), 4);
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_refused() {
        let file = [
            HEADER.as_bytes(),
            b"SEP001122334455,7941,sip,1,,,,,caf\xe9\n",
        ]
        .concat();
        assert_eq!(
            errors(&file),
            ["line 2, column description: it is not UTF-8; save the file as UTF-8"]
        );
    }

    #[test]
    fn no_more_than_fifty_mistakes_are_told() {
        let rows = "SEPx,7941,sip,1,,,,,\n".repeat(70);
        match read(&rows) {
            Err(ImportError::Rows { errors, more }) => assert_eq!((errors.len(), more), (50, 20)),
            other => panic!("{other:?}"),
        }
    }
}
