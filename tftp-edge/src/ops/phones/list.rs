//! `tftp-edge phones`: how far each phone is.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::{PhonesError, ago, json_line, plain};
use crate::config::Config;
use crate::journal::{Filter, Page, PhoneRow, Stage};
use crate::ops::control;

#[derive(Debug, Default, PartialEq, Eq, Args)]
pub struct ListArgs {
    /// Only those at this stage of their boot: dhcp (nothing was heard of it), trust, config, default,
    /// firmware, dialrules, locale, softkeys, rings, register, registered
    #[arg(long)]
    pub stage: Option<Stage>,
    /// Only those of this site
    #[arg(long)]
    pub site: Option<String>,
    /// Only those of this model
    #[arg(long)]
    pub model: Option<String>,
    /// Only those that do not get on
    #[arg(long)]
    pub stuck: bool,
    /// Only those with this in their name, description, site, model, firmware, address or a number
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
    /// One JSON object for each phone, one a line; times are Unix milliseconds
    #[arg(long)]
    pub json: bool,
    /// The daemon's control socket; taken from the configuration when it is not given
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

impl ListArgs {
    pub fn run(&self, config: &Config, out: &mut dyn Write) -> Result<(), PhonesError> {
        let socket = self.socket.as_deref().unwrap_or(&config.control.socket);
        let filter = Filter {
            stage: self.stage,
            site: self.site.clone(),
            model: self.model.clone(),
            stuck: self.stuck,
            search: self.search.clone(),
            ..Filter::default()
        };
        let page = control::phones(socket, filter)?;
        if self.json {
            return page.rows.iter().try_for_each(|row| json_line(row, out));
        }
        Ok(out.write_all(plain(&table(&page, super::now_ms())).as_bytes())?)
    }
}

/// For people; nothing but a line if there is nobody.
fn table(page: &Page, now_ms: u64) -> String {
    if page.rows.is_empty() {
        return "no phone fits\n".to_owned();
    }
    let mut text = format!(
        "{:<16} {:<11} {:<13} {:<16} {:<8} {:<16} cause\n",
        "device", "stage", "for", "address", "model", "site"
    );
    for row in &page.rows {
        text += line(row, now_ms).trim_end();
        text.push('\n');
    }
    let stuck = page.rows.iter().filter(|row| row.stuck.is_some()).count();
    let phones = match page.total {
        1 => "1 phone".to_owned(),
        total => format!("{total} phones"),
    };
    match stuck {
        0 => writeln!(text, "{phones}"),
        stuck => writeln!(
            text,
            "{phones}; {stuck} do not get on: `tftp-edge why` says more of each"
        ),
    }
    .expect("writing to a string cannot fail");
    text
}

fn line(row: &PhoneRow, now_ms: u64) -> String {
    let address = row.address.map(|it| it.to_string()).unwrap_or_default();
    let since = row.since_ms.map(|it| ago(now_ms, it)).unwrap_or_default();
    let cause = match (&row.stuck, row.known) {
        (Some(finding), _) => finding.cause.as_str(),
        (None, false) => "(not in the inventory)",
        (None, true) => "",
    };
    format!(
        "{:<16} {:<11} {:<13} {:<16} {:<8} {:<16} {cause}",
        row.device,
        row.stage,
        since,
        address,
        row.model.as_deref().unwrap_or("?"),
        row.site,
    )
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_list_for_people() {
        let rows = sample::rows();
        let page = Page {
            total: rows.len() as u64,
            rows,
        };
        insta::assert_snapshot!(table(&page, sample::NOW_MS));
        assert_eq!(table(&Page::default(), 0), "no phone fits\n");
    }
}
