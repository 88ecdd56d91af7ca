//! A table as a CSV file: UTF-8, one record a row, columns in any order under a header.
//!
//! The columns are those of [`Table::columns`]; devices, sites and profiles have one for each
//! setting too. A column that is not in the file leaves what is there, an empty field clears it.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::sync::Arc;

use csv::{ByteRecord, ReaderBuilder, WriterBuilder};

use super::edit::RowErrors;
use super::records::in_order;
use super::{Place, Record, Row, Secrets, Table, Want};

/// What spreadsheets put before the first column.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What is known of a file beside its content.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Told by the operator.
    pub table: Option<Table>,
    /// Its name without `.csv`.
    pub stem: Option<String>,
    /// Told with every mistake, if there are several files.
    pub shown: Option<Arc<str>>,
}

impl About {
    pub fn place(&self, line: u64) -> Place {
        Place::Line {
            file: self.shown.clone(),
            line,
        }
    }
}

/// A file of records, of any columns, row by row.
pub struct CsvFile<R> {
    reader: csv::Reader<QuoteWatch<R>>,
    record: ByteRecord,
    /// Of the record.
    line: u64,
    header: Vec<String>,
}

impl<R: Read> CsvFile<R> {
    /// Reads the header; its names are in lower case.
    pub(super) fn open(input: R) -> io::Result<Self> {
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(QuoteWatch {
                input,
                state: Quotes::FieldBegins,
            });
        let mut record = ByteRecord::new();
        reader.read_byte_record(&mut record)?;
        let names = record.iter().enumerate().map(|(at, field)| {
            let field = match at {
                0 => field.strip_prefix(BYTE_ORDER_MARK).unwrap_or(field),
                _ => field,
            };
            String::from_utf8_lossy(field).trim().to_owned()
        });
        Ok(Self {
            header: names.collect(),
            reader,
            record,
            line: 1,
        })
    }

    pub(super) fn header(&self) -> &[String] {
        &self.header
    }

    /// The next row that has as many fields as the header, and its line. Rows of spreadsheets that
    /// hold nothing at all are passed over.
    pub(super) fn next(
        &mut self,
        about: &About,
        errors: &mut RowErrors,
    ) -> io::Result<Option<(u64, &ByteRecord)>> {
        loop {
            if !self.reader.read_byte_record(&mut self.record)? {
                if self.reader.get_ref().state == Quotes::Quoted {
                    let problem =
                        "a field that begins with \" is not closed before the end of the file";
                    errors.add_at(&about.place(self.line), None, problem);
                }
                return Ok(None);
            }
            let line = self.record.position().map_or(0, csv::Position::line);
            self.line = line;
            if self.record.iter().all(<[u8]>::is_empty) {
                continue;
            }
            if self.record.len() == self.header.len() {
                return Ok(Some((line, &self.record)));
            }
            let problem = format!(
                "{} fields; expected {}, as the header has",
                self.record.len(),
                self.header.len()
            );
            errors.add_at(&about.place(line), None, problem);
        }
    }
}

/// Where a byte of a CSV file stands, for the one mistake that the reader does not tell: a quote
/// that is still open at the end, as in a file that was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quotes {
    FieldBegins,
    Plain,
    Quoted,
    /// After a quote within quotes: the end of the field, or the first of two.
    MayClose,
}

struct QuoteWatch<R> {
    input: R,
    state: Quotes,
}

impl<R: Read> Read for QuoteWatch<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.input.read(buffer)?;
        self.state = buffer[..len]
            .iter()
            .fold(self.state, |state, byte| match (state, byte) {
                (Quotes::FieldBegins | Quotes::MayClose, b'"') => Quotes::Quoted,
                (Quotes::Quoted, b'"') => Quotes::MayClose,
                (Quotes::Quoted, _) => Quotes::Quoted,
                (_, b',' | b'\n' | b'\r') => Quotes::FieldBegins,
                _ => Quotes::Plain,
            });
        Ok(len)
    }
}

/// The text of a field.
pub(super) fn text(field: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(field)
        .map_err(|_| "it is not UTF-8; save the file as UTF-8".to_owned())
        .map(str::trim)
}

/// Reads a file. All mistakes are told; with a mistake in the header, no row is looked at.
pub fn read(
    input: impl Read,
    about: &About,
    errors: &mut RowErrors,
) -> io::Result<Option<(Table, Vec<Row>)>> {
    let mut file = CsvFile::open(input)?;
    let Some((table, columns)) = header(file.header(), about, errors) else {
        return Ok(None);
    };
    let mut rows = Vec::new();
    while let Some((line, record)) = file.next(about, errors)? {
        let place = about.place(line);
        let mut keys: Vec<_> = table.keys().map(|_| String::new()).collect();
        let mut fields = Vec::with_capacity(columns.len());
        let mut is_text = true;
        for (column, field) in columns.iter().zip(record) {
            let field = match text(field) {
                Ok(field) => field.to_owned(),
                Err(problem) => {
                    is_text = false;
                    errors.add_at(&place, Some(column), problem);
                    continue;
                }
            };
            match table.keys().position(|key| key == column) {
                Some(at) => keys[at] = field,
                None => fields.push((column.clone(), field)),
            }
        }
        if is_text {
            rows.push(Row {
                table,
                want: Want::Upsert,
                keys,
                fields,
                place,
            });
        }
    }
    Ok(Some((table, rows)))
}

type Columns = Vec<Cow<'static, str>>;

/// The table of a file, and its columns in the order of the file.
fn header(names: &[String], about: &About, errors: &mut RowErrors) -> Option<(Table, Columns)> {
    let place = about.place(1);
    if let [only] = names
        && let Some(separator) = [';', '\t'].into_iter().find(|&c| only.contains(c))
    {
        let problem =
            format!("the columns are separated by {separator:?}; save the file with commas");
        errors.add_at(&place, None, problem);
        return None;
    }
    if names.iter().any(|name| name.contains(['\0', '\u{fffd}'])) {
        let problem = "it is not UTF-8; save the file as CSV in UTF-8";
        errors.add_at(&place, None, problem);
        return None;
    }
    let names: Vec<_> = names.iter().map(|name| column_name(name)).collect();
    let table = match table_of(&names, about) {
        Ok(table) => table,
        Err(problem) => {
            errors.add_at(&place, None, problem);
            return None;
        }
    };
    let mut columns = Columns::new();
    let mut right = true;
    for name in &names {
        let problem = match table.column(name) {
            Some(column) if columns.contains(&column) => "the column is there twice".to_owned(),
            Some(column) => {
                columns.push(column);
                continue;
            }
            None => format!(
                "unknown column of {table}; {}",
                table.expected_columns(name)
            ),
        };
        errors.add_at(&place, Some(name), problem);
        right = false;
    }
    for key in table.keys() {
        if !columns.iter().any(|column| column == key) {
            errors.add_at(&place, Some(key), "the column is missing");
            right = false;
        }
    }
    right.then_some((table, columns))
}

/// Columns are written in any case; but of `vendor.NAME` and `xml.NAME`, which name elements.
fn column_name(name: &str) -> String {
    match name.split_once('.') {
        Some((group, element)) => format!("{}.{element}", group.to_ascii_lowercase()),
        None => name.to_ascii_lowercase(),
    }
}

/// The table is told by the operator, by the name of the file, or by its columns.
fn table_of(names: &[String], about: &About) -> Result<Table, String> {
    // `sites-berlin.csv` is of sites too.
    let stem = about
        .stem
        .as_deref()
        .and_then(|stem| stem.split('-').next());
    let by_name = stem.and_then(|stem| match stem {
        "phones" => Some(Table::Devices),
        stem => stem.parse().ok(),
    });
    if let Some(table) = about.table.or(by_name) {
        return Ok(table);
    }
    let has = |name: &str| names.iter().any(|known| known == name);
    let fits = |table: &Table| {
        table.keys().all(has) && names.iter().all(|name| table.column(name).is_some())
    };
    let fitting: Vec<_> = Table::ALL.into_iter().filter(fits).collect();
    match fitting.as_slice() {
        [table] => Ok(*table),
        [] => {
            let known = |table: &Table| {
                let known = names.iter().filter(|name| table.column(name).is_some());
                known.count()
            };
            // The last of the best: most files are of devices.
            Ok(Table::ALL
                .into_iter()
                .max_by_key(known)
                .unwrap_or(Table::Devices))
        }
        several => {
            let several: Vec<_> = several.iter().map(|table| table.as_str()).collect();
            Err(format!(
                "the columns are those of {}; name the file after its table, or say --table",
                several.join(" and of ")
            ))
        }
    }
}

/// Writes records of a table, so that [`read`] gives them back as they are.
pub fn write(table: Table, records: &[Record], output: impl Write) -> io::Result<()> {
    let mut columns: Columns = table.columns().iter().map(|c| Cow::from(c.name)).collect();
    if matches!(table, Table::Sites | Table::Profiles) {
        // They have no other columns than their settings.
        let settings = records.iter().flat_map(Record::set_columns);
        let settings = in_order(settings.map(Cow::into_owned));
        columns.extend(settings.into_iter().map(Cow::Owned));
    }
    let mut writer = WriterBuilder::new().from_writer(output);
    writer.write_record(columns.iter().map(|column| column.as_bytes()))?;
    for record in records {
        let fields = columns
            .iter()
            .map(|column| record.get(column, Secrets::Told));
        writer.write_record(fields)?;
    }
    writer.flush()
}

/// The devices of a file, for tests: with whatever site they name.
#[cfg(test)]
pub(crate) fn parse_csv(input: &[u8]) -> Result<Vec<super::Device>, RowErrors> {
    let about = About {
        table: Some(Table::Devices),
        ..About::default()
    };
    let mut errors = RowErrors::default();
    let read = read(input, &about, &mut errors).expect("a slice can be read");
    let rows = read.map_or_else(Vec::new, |(_, rows)| rows);
    let mut contents = super::Contents::default();
    for (column, field) in rows.iter().flat_map(|row| &row.fields) {
        if column == "site" {
            contents.sites.entry(field.clone()).or_default();
        }
    }
    let edit = super::Edit {
        rows,
        errors,
        ..super::Edit::default()
    };
    let plan = edit.plan(contents)?;
    let devices = plan.changes.into_iter().filter_map(|change| match change {
        super::Change::Added(Record::Device(device)) => Some(*device),
        _ => None,
    });
    Ok(devices.collect())
}

#[cfg(test)]
mod tests;
