//! `tftp-edge report`: every phone, whether it is registered, and what it runs.
//!
//! As CSV it is for spreadsheets, which take a field that begins with one of `= + - @` for a formula,
//! in quotes or not, and run it: descriptions come from whoever keeps the inventory, firmware names
//! and failures from the phones themselves. So such a field, and one that begins with a tab or a
//! carriage return, gets a `'` before it. JSON has everything as it is.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use csv::{Terminator, WriterBuilder};
use serde::Serialize;

use super::{PhonesError, ago, json_line, plain, time};
use crate::config::Config;
use crate::inventory::DeviceName;
use crate::journal::{Filter, PhoneRow, Stage};
use crate::ops::control;

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// As CSV (RFC 4180) with a header; a field that a spreadsheet would take for a formula gets a '
    /// before it
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// One JSON object for each phone, one a line
    #[arg(long)]
    pub json: bool,
    /// Only those of this site
    #[arg(long)]
    pub site: Option<String>,
    /// Only those of this model
    #[arg(long)]
    pub model: Option<String>,
    /// The daemon's control socket; taken from the configuration when it is not given
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

/// One phone of the report. Times are RFC 3339, in UTC; what is not known is empty.
#[derive(Debug, Serialize)]
struct Line<'a> {
    device: DeviceName,
    description: &'a str,
    model: &'a str,
    protocol: &'a str,
    site: &'a str,
    /// Directory numbers, with `;` between them.
    lines: String,
    address: String,
    stage: Stage,
    registered_since: String,
    load: &'a str,
    inventory_load: &'a str,
    last_heard: String,
    last_failure: &'a str,
    last_failure_at: String,
    cause: &'a str,
}

const HEADER: [&str; 15] = [
    "device",
    "description",
    "model",
    "protocol",
    "site",
    "lines",
    "address",
    "stage",
    "registered_since",
    "load",
    "inventory_load",
    "last_heard",
    "last_failure",
    "last_failure_at",
    "cause",
];

impl<'a> Line<'a> {
    fn new(row: &'a PhoneRow) -> Self {
        let at = |ms: Option<u64>| ms.map(time).unwrap_or_default();
        let failure = row.last_failure.as_ref();
        Self {
            device: row.device,
            description: &row.description,
            model: row.model.as_deref().unwrap_or_default(),
            protocol: row.protocol.map_or("", |it| it.as_str()),
            site: &row.site,
            lines: row.lines.join(";"),
            address: row.address.map(|it| it.to_string()).unwrap_or_default(),
            stage: row.stage,
            registered_since: at(row.registered_ms),
            load: row.load.as_deref().unwrap_or_default(),
            inventory_load: row.inventory_load.as_deref().unwrap_or_default(),
            last_heard: at(row.heard_ms),
            last_failure: failure.map_or("", |it| it.text.as_str()),
            last_failure_at: at(failure.map(|it| it.at_ms)),
            cause: row.stuck.as_ref().map_or("", |it| it.cause.as_str()),
        }
    }

    /// In the order of [`HEADER`].
    fn fields(&self) -> [&str; HEADER.len()] {
        [
            self.device.as_str(),
            self.description,
            self.model,
            self.protocol,
            self.site,
            &self.lines,
            &self.address,
            self.stage.as_str(),
            &self.registered_since,
            self.load,
            self.inventory_load,
            &self.last_heard,
            self.last_failure,
            &self.last_failure_at,
            self.cause,
        ]
    }
}

impl ReportArgs {
    pub fn run(&self, config: &Config, out: &mut dyn Write) -> Result<(), PhonesError> {
        let socket = self.socket.as_deref().unwrap_or(&config.control.socket);
        let filter = Filter {
            site: self.site.clone(),
            model: self.model.clone(),
            ..Filter::default()
        };
        let rows = control::phones(socket, filter)?.rows;
        if self.json {
            return rows
                .iter()
                .try_for_each(|row| json_line(&Line::new(row), out));
        }
        match self.csv {
            true => csv(&rows, out),
            false => Ok(out.write_all(plain(&table(&rows, super::now_ms())).as_bytes())?),
        }
    }
}

fn csv(rows: &[PhoneRow], out: &mut dyn Write) -> Result<(), PhonesError> {
    // RFC 4180: lines end with CR and LF.
    let mut csv = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .from_writer(out);
    let write = |csv: &mut csv::Writer<_>, fields: [String; HEADER.len()]| {
        csv.write_record(fields).map_err(std::io::Error::from)
    };
    write(&mut csv, HEADER.map(str::to_owned))?;
    for row in rows {
        write(&mut csv, Line::new(row).fields().map(harmless))?;
    }
    Ok(csv.flush()?)
}

fn harmless(field: &str) -> String {
    match field.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{field}"),
        false => field.to_owned(),
    }
}

/// For people: what fits on a line.
fn table(rows: &[PhoneRow], now_ms: u64) -> String {
    let mut text = format!(
        "{:<16} {:<8} {:<24} {:<16} {:<12} {:<14} {:<14} last failure\n",
        "device", "model", "load", "address", "line", "site", "registered"
    );
    for row in rows {
        let load = match (&row.load, &row.inventory_load) {
            (Some(load), Some(wanted)) if !load.eq_ignore_ascii_case(wanted) => format!("{load} *"),
            (Some(load), _) => load.clone(),
            (None, _) => String::new(),
        };
        let registered = match (row.stage, row.registered_ms) {
            (Stage::Registered, Some(since)) => ago(now_ms, since),
            _ => "no".to_owned(),
        };
        let failure = row.last_failure.as_ref();
        let failure = failure.map(|it| format!("{} ago: {}", ago(now_ms, it.at_ms), it.text));
        let line = format!(
            "{:<16} {:<8} {load:<24} {:<16} {:<12} {:<14} {registered:<14} {}",
            row.device,
            row.model.as_deref().unwrap_or("?"),
            row.address.map(|it| it.to_string()).unwrap_or_default(),
            row.lines.first().map_or("", String::as_str),
            row.site,
            failure.unwrap_or_default(),
        );
        text += line.trim_end();
        text.push('\n');
    }
    let registered = rows
        .iter()
        .filter(|row| row.stage == Stage::Registered)
        .count();
    writeln!(
        text,
        "{} phones, {registered} registered; * is another load than the inventory names",
        rows.len()
    )
    .expect("writing to a string cannot fail");
    text
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_report_for_people() {
        insta::assert_snapshot!(table(&sample::rows(), sample::NOW_MS));
    }

    #[test]
    fn the_report_for_spreadsheets() {
        let mut out = Vec::new();
        csv(&sample::rows(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().count() > 1 && text.ends_with("\r\n"));
        insta::assert_snapshot!(text.replace("\r\n", "\n"));
        // It is read back as it was written.
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let records: Vec<_> = reader.records().map(Result::unwrap).collect();
        assert_eq!(records.len(), sample::rows().len());
        assert_eq!(&records[0][1], "'=HYPERLINK(\"x\"), \"kitchen\"");
    }

    #[test]
    fn the_header_names_the_keys_of_json() {
        let rows = sample::rows();
        let value = serde_json::to_value(Line::new(&rows[0])).unwrap();
        for key in HEADER {
            assert!(value.get(key).is_some(), "{key}");
        }
        assert_eq!(value.as_object().unwrap().len(), HEADER.len());
    }

    #[test]
    fn nothing_in_it_is_a_formula() {
        for (field, written) in [
            ("=1+1", "'=1+1"),
            ("+4930123", "'+4930123"),
            ("-", "'-"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tx", "'\tx"),
            ("1001", "1001"),
            ("", ""),
        ] {
            assert_eq!(harmless(field), written);
        }
    }
}
