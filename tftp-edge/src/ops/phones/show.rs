//! `tftp-edge phones show`: what the inventory has of a phone, and what it did, boot by boot.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::{PhonesError, Whom, ago, plain, size, time};
use crate::config::Config;
use crate::inventory::command::device_record;
use crate::inventory::{DeviceName, Record};
use crate::journal::{BootView, EntryView, Gap, PhoneView, WhatView};
use crate::ops::control;
use crate::ops::status::duration;

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// A device such as SEP001122334455, a MAC address, or an IP address
    pub phone: Whom,
    /// One JSON object (secrets are left out): the record, and what the daemon knows as `journal`
    #[arg(long)]
    pub json: bool,
    /// The daemon's control socket; taken from the configuration when it is not given
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

impl ShowArgs {
    pub fn run(&self, config: &Config, out: &mut dyn Write) -> Result<(), PhonesError> {
        let socket = self.socket.as_deref().unwrap_or(&config.control.socket);
        let device = match self.phone {
            // The record needs no daemon.
            Whom::Device(name) => name,
            Whom::Mac(mac) => self.phone.find(socket).unwrap_or(DeviceName::sep(mac)),
            Whom::Address(_) => self.phone.find(socket)?,
        };
        let record = device_record(&config.inventory, &device)?;
        let journal = match control::phone(socket, device) {
            Ok(journal) => Ok(journal),
            Err(
                error @ (control::ClientError::NoDaemon { .. }
                | control::ClientError::NotAllowed { .. }),
            ) => Err(error),
            Err(error) => return Err(error.into()),
        };
        if record.is_none() && !matches!(journal, Ok(Some(_))) {
            return Err(PhonesError::Nobody(device));
        }
        if self.json {
            let value = as_json(
                record.as_ref(),
                journal.as_ref().ok().and_then(Option::as_ref),
            );
            return super::json_line(&value, out);
        }
        let mut text = String::new();
        match &record {
            Some(record) => text += &shown(record),
            None => writeln!(text, "{device}\n  (not in the inventory)").expect(INFALLIBLE),
        }
        text += &match &journal {
            Ok(Some(view)) => timeline(view, super::now_ms()),
            Ok(None) => "\nnothing was heard of it\n".to_owned(),
            Err(error) => format!("\nwhat it did is not known: {error}\n"),
        };
        Ok(out.write_all(plain(&text).as_bytes())?)
    }
}

const INFALLIBLE: &str = "writing to a string cannot fail";

fn shown(record: &Record) -> String {
    let mut text = Vec::new();
    crate::inventory::command::print_record(record, &mut text).expect(INFALLIBLE);
    String::from_utf8_lossy(&text).into_owned()
}

/// The record as it always was, with one key more; `journal` is null without a daemon.
fn as_json(record: Option<&Record>, journal: Option<&PhoneView>) -> Value {
    let mut value = record.map_or_else(|| json!({}), Record::json);
    if let Some(object) = value.as_object_mut() {
        let journal = serde_json::to_value(journal).unwrap_or_default();
        object.insert("journal".to_owned(), journal);
    }
    value
}

/// Everything a phone did that is kept, the oldest first.
pub(super) fn timeline(view: &PhoneView, now_ms: u64) -> String {
    let mut text = String::from("\n");
    let row = &view.phone;
    let since = row
        .since_ms
        .map(|since| format!(" for {}", ago(now_ms, since)));
    write!(text, "{}{}", row.stage, since.unwrap_or_default()).expect(INFALLIBLE);
    if let Some(address) = row.address {
        write!(text, ", at {address}").expect(INFALLIBLE);
    }
    if let Some(load) = &row.load {
        write!(text, ", runs {load}").expect(INFALLIBLE);
    }
    writeln!(text, "; boots: {}", row.boots).expect(INFALLIBLE);
    let mut gaps = view.gaps.iter().peekable();
    for boot in &view.boots {
        writeln!(text, "\n{}", headline(boot)).expect(INFALLIBLE);
        let left_out_at = boot.entries.len() / 2;
        for (at, entry) in boot.entries.iter().enumerate() {
            while let Some(gap) = gaps.next_if(|gap| gap.until_ms <= entry.at_ms) {
                text += &unknown(gap, boot);
            }
            if at == left_out_at && boot.left_out > 0 {
                writeln!(text, "            … {} more, not kept …", boot.left_out)
                    .expect(INFALLIBLE);
            }
            text += entry_line(entry, boot).trim_end();
            text.push('\n');
        }
    }
    if let Some(boot) = view.boots.last() {
        for gap in gaps {
            text += &unknown(gap, boot);
        }
    }
    for finding in &view.findings {
        let why = format!("{}: {}", finding.cause, finding.text);
        writeln!(text, "\n{}", super::wrapped(&why, "", "  ")).expect(INFALLIBLE);
    }
    text
}

fn headline(boot: &BootView) -> String {
    let took = Duration::from_millis(boot.last_ms.saturating_sub(boot.began_ms));
    let end = match boot.registered {
        true => "registered".to_owned(),
        false => format!("came as far as {}", boot.stage),
    };
    format!(
        "boot {}, {}, {}: {end}",
        boot.number,
        time(boot.began_ms),
        duration(took)
    )
}

/// `   12.345 s`, counted from the beginning of the boot.
fn after(at_ms: u64, boot: &BootView) -> String {
    let ms = at_ms.saturating_sub(boot.began_ms);
    format!("{:>7}.{:03} s", ms / 1000, ms % 1000)
}

fn unknown(gap: &Gap, boot: &BootView) -> String {
    let lasted = Duration::from_millis(gap.until_ms.saturating_sub(gap.from_ms));
    format!(
        "{}  unknown: {} events lost within {}\n",
        after(gap.from_ms, boot),
        gap.events,
        duration(lasted)
    )
}

fn entry_line(entry: &EntryView, boot: &BootView) -> String {
    let mut text = format!("{}  {:<11}", after(entry.at_ms, boot), entry.stage);
    match &entry.what {
        WhatView::File {
            name,
            version,
            path,
            len_bytes,
            took_us,
            resends,
            outcome,
            ..
        } => {
            let name = match version {
                Some(version) => format!("{name} v{version}"),
                None => name.clone(),
            };
            let outcome = outcome.as_str().replace('_', " ");
            write!(text, "{name:<36} {outcome:<11} {path:<6}").expect(INFALLIBLE);
            if *len_bytes > 0 {
                write!(text, " {:>9}", size(u64::from(*len_bytes))).expect(INFALLIBLE);
            }
            if *took_us > 0 {
                write!(text, " {:>9}", millis(*took_us)).expect(INFALLIBLE);
            }
            if *resends > 0 {
                write!(text, "  {resends} sent again").expect(INFALLIBLE);
            }
        }
        WhatView::Fact { text: fact, .. } => text += fact,
    }
    if let Some(last_ms) = entry.last_ms {
        let lasted = Duration::from_millis(last_ms.saturating_sub(entry.at_ms));
        write!(text, "  ×{} within {}", entry.times, duration(lasted)).expect(INFALLIBLE);
    }
    text
}

fn millis(us: u32) -> String {
    match us {
        0..10_000 => format!("{}.{} ms", us / 1000, us % 1000 / 100),
        10_000..10_000_000 => format!("{} ms", us / 1000),
        us => format!("{}.{} s", us / 1_000_000, us % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_timeline_for_people() {
        insta::assert_snapshot!(timeline(&sample::view(), sample::NOW_MS));
    }

    #[test]
    fn the_record_in_json_has_what_it_always_had() {
        let value = as_json(None, Some(&sample::view()));
        let boots = value.pointer("/journal/boots").and_then(Value::as_array);
        assert_eq!(boots.map(Vec::len), Some(2));
        assert!(as_json(None, None)["journal"].is_null());
    }

    #[test]
    fn times_are_told_in_what_people_read_easily() {
        for (us, text) in [
            (0, "0.0 ms"),
            (9_999, "9.9 ms"),
            (10_000, "10 ms"),
            (9_999_999, "9999 ms"),
            (12_345_678, "12.3 s"),
        ] {
            assert_eq!(millis(us), text);
        }
    }
}
