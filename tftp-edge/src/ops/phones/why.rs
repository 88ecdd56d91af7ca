//! `tftp-edge why`: what is the matter with a phone, in words.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{PhonesError, Whom, ago, plain, wrapped};
use crate::config::Config;
use crate::journal::{Finding, PhoneView, Stage};
use crate::ops::control;
use crate::ops::exit::Exit;

#[derive(Debug, Args)]
pub struct WhyArgs {
    /// A device such as SEP001122334455, a MAC address, or an IP address
    pub phone: Whom,
    /// One JSON object; times are Unix milliseconds
    #[arg(long)]
    pub json: bool,
    /// The daemon's control socket; taken from the configuration when it is not given
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

impl WhyArgs {
    pub fn run(&self, config: &Config, out: &mut dyn Write) -> Result<Exit, PhonesError> {
        let socket = self.socket.as_deref().unwrap_or(&config.control.socket);
        let device = self.phone.find(socket)?;
        let view = control::phone(socket, device)?.ok_or(PhonesError::Nobody(device))?;
        if self.json {
            let row = &view.phone;
            let value = json!({
                "device": row.device,
                "known": row.known,
                "stage": row.stage,
                "since_ms": row.since_ms,
                "address": row.address,
                "findings": view.findings,
                "events_lost": events_lost(&view),
            });
            super::json_line(&value, out)?;
        } else {
            out.write_all(plain(&told(&view, super::now_ms())).as_bytes())?;
        }
        Ok(exit(&view))
    }
}

fn events_lost(view: &PhoneView) -> u64 {
    view.gaps.iter().map(|gap| gap.events).sum()
}

/// What was lost may have been the fault: that is no success.
fn exit(view: &PhoneView) -> Exit {
    let is_registered = view.phone.stage == Stage::Registered;
    match view.findings.is_empty() && (is_registered || events_lost(view) == 0) {
        true => Exit::Ok,
        false => Exit::Degraded,
    }
}

const INFALLIBLE: &str = "writing to a string cannot fail";

fn told(view: &PhoneView, now_ms: u64) -> String {
    let row = &view.phone;
    let mut text = row.device.to_string();
    if !row.description.is_empty() {
        write!(text, " ({})", row.description).expect(INFALLIBLE);
    }
    let since = row
        .since_ms
        .map(|since| format!(" for {}", ago(now_ms, since)));
    let since = since.unwrap_or_default();
    match row.stage {
        Stage::Registered => write!(text, " is registered{since}"),
        Stage::Dhcp if view.boots.is_empty() => write!(text, ": nothing was ever heard of it"),
        stage => write!(text, " is at stage {stage}{since}"),
    }
    .expect(INFALLIBLE);
    if let Some(address) = row.address {
        write!(text, ", at {address}").expect(INFALLIBLE);
    }
    text.push('\n');
    match view.findings.split_first() {
        None => text += &nothing_found(view),
        Some((first, others)) => {
            text += &finding(first, now_ms);
            if !others.is_empty() {
                text += "\nIt may also be:\n";
            }
            text.extend(others.iter().map(|it| finding(it, now_ms)));
        }
    }
    if row.stage != Stage::Registered && events_lost(view) > 0 {
        let lost = format!(
            "{} events were lost since its first boot that is kept: what is missing is unknown.",
            events_lost(view)
        );
        writeln!(text, "\n{}", wrapped(&lost, "", "")).expect(INFALLIBLE);
    }
    text
}

fn nothing_found(view: &PhoneView) -> String {
    let row = &view.phone;
    let mut text = match row.stage {
        Stage::Registered => "Nothing is the matter with it.\n".to_owned(),
        _ => "Nothing is known to be the matter with it, yet.\n".to_owned(),
    };
    if let Some(failure) = &row.last_failure {
        let last = format!("The last that went wrong: {}", failure.text);
        writeln!(text, "{}", wrapped(&last, "", "  ")).expect(INFALLIBLE);
    }
    text
}

fn finding(finding: &Finding, now_ms: u64) -> String {
    let uncertain = match finding.is_uncertain {
        true => ", uncertain since events were lost",
        false => "",
    };
    let head = format!(
        "{} (for {}{uncertain})",
        finding.cause,
        ago(now_ms, finding.since_ms)
    );
    let seen = wrapped(&format!("{}.", finding.text), "  ", "  ");
    let advice = wrapped(&format!("{}.", finding.advice), "  -> ", "     ");
    format!("\n{head}\n{seen}\n{advice}\n")
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_diagnosis_for_people() {
        let view = sample::view();
        insta::assert_snapshot!(told(&view, sample::NOW_MS));
        assert_eq!(exit(&view), Exit::Degraded);
    }

    #[test]
    fn a_phone_that_is_registered_is_well() {
        let mut view = sample::view();
        view.findings.clear();
        view.phone.stage = Stage::Registered;
        let text = told(&view, sample::NOW_MS);
        assert!(text.contains("is registered for 12 min"), "{text}");
        assert!(text.contains("Nothing is the matter"), "{text}");
        assert_eq!(exit(&view), Exit::Ok);
    }

    #[test]
    fn lost_events_are_no_success() {
        let mut view = sample::view();
        view.findings.clear();
        let text = told(&view, sample::NOW_MS);
        assert!(text.contains("17 events were lost"), "{text}");
        assert_eq!(exit(&view), Exit::Degraded);
        view.gaps.clear();
        assert_eq!(exit(&view), Exit::Ok);
    }
}
