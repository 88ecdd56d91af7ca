//! One phone, boot by boot: the last boot first.

use std::time::Duration;

use jiff::Timestamp;
use ratatui::text::{Line, Span};

use super::draw::Look;
use super::poll::Sample;
use crate::inventory::DeviceName;
use crate::journal::{BootView, EntryView, Outcome, PhoneView, WhatView};
use crate::ops::status::{duration, size};

pub(super) fn lines<'s>(device: DeviceName, sample: &'s Sample, look: &Look) -> Vec<Line<'s>> {
    match &sample.phone {
        Some(view) if view.phone.device == device => of_phone(view, sample.overview.at_ms, look),
        // The answer to the question before.
        _ => vec![Line::raw(format!("{device}: nothing is known of it yet"))],
    }
}

fn of_phone<'s>(view: &'s PhoneView, now_ms: u64, look: &Look) -> Vec<Line<'s>> {
    let phone = &view.phone;
    let mut told = vec![format!("site {}", phone.site)];
    told.extend(phone.model.as_ref().map(|it| format!("model {it}")));
    told.extend(phone.protocol.map(|it| it.to_string()));
    told.extend(phone.address.map(|it| it.to_string()));
    told.extend(phone.load.as_ref().map(|it| format!("runs {it}")));
    if !phone.lines.is_empty() {
        told.push(format!("lines {}", phone.lines.join(", ")));
    }
    let since = phone.since_ms.map(|since| {
        let since = duration(Duration::from_millis(now_ms.saturating_sub(since)));
        format!(" for {since}")
    });
    let mut lines = vec![
        Line::from(vec![
            Span::styled(phone.device.to_string(), look.title()),
            Span::raw(format!(" {}", phone.description)),
            Span::raw(format!(": {}{}", phone.stage, since.unwrap_or_default())),
        ]),
        Line::raw(told.join(", ")),
    ];
    if !phone.known {
        lines.push(Line::styled("the inventory does not have it", look.bad()));
    }
    for finding in &view.findings {
        lines.push(Line::styled(format!("! {}", finding.text), look.bad()));
        lines.push(Line::raw(format!("  {}", finding.advice)));
    }
    for gap in view.gaps.iter().rev() {
        let (from, until) = (clock(gap.from_ms), clock(gap.until_ms));
        lines.push(Line::raw(format!(
            "? {} events were lost from {from} to {until}: what is missing there is unknown",
            gap.events
        )));
    }
    for boot in view.boots.iter().rev() {
        lines.push(Line::raw(""));
        lines.extend(of_boot(boot, look));
    }
    if view.boots.is_empty() {
        lines.push(Line::raw("nothing was heard of it"));
    }
    lines
}

fn of_boot<'s>(boot: &'s BootView, look: &Look) -> Vec<Line<'s>> {
    let outcome = match boot.registered {
        true => "registered".to_owned(),
        false => format!("came to {}", boot.stage),
    };
    let head = format!("boot {}, {}, {outcome}", boot.number, clock(boot.began_ms));
    let mut lines = vec![Line::styled(head, look.title())];
    lines.extend(boot.entries.iter().map(|it| entry(it, boot.began_ms, look)));
    if boot.left_out > 0 {
        lines.push(Line::raw(format!(
            "  {} in the middle are left out",
            boot.left_out
        )));
    }
    lines
}

fn entry<'s>(entry: &'s EntryView, began_ms: u64, look: &Look) -> Line<'s> {
    let after = entry.at_ms.saturating_sub(began_ms) as f64 / 1e3;
    let mut line = vec![Span::raw(format!(
        "{after:>8.3} s {:<10} ",
        entry.stage.as_str()
    ))];
    match &entry.what {
        WhatView::File {
            name,
            path,
            len_bytes,
            took_us,
            resends,
            outcome,
            ..
        } => {
            line.push(Span::raw(format!("{name}: ")));
            let is_good = matches!(
                outcome,
                Outcome::Complete | Outcome::Probe | Outcome::Pending | Outcome::Absent
            );
            let said = outcome.as_str().replace('_', " ");
            line.push(match is_good {
                true => Span::raw(said),
                false => Span::styled(format!("! {said}"), look.bad()),
            });
            line.push(Span::raw(format!(", {path}")));
            if *outcome == Outcome::Complete {
                let (len, took_ms) = (u64::from(*len_bytes), f64::from(*took_us) / 1e3);
                line.push(Span::raw(format!(", {}, {took_ms:.1} ms", size(len))));
            }
            if *resends > 0 {
                line.push(Span::raw(format!(", {resends} again")));
            }
        }
        WhatView::Fact { text, bad, .. } => line.push(match bad {
            true => Span::styled(format!("! {text}"), look.bad()),
            false => Span::raw(text.as_str()),
        }),
    }
    if entry.times > 1 {
        line.push(Span::raw(format!(" ({} times)", entry.times)));
    }
    line.into()
}

/// UTC: the daemon need not be where the terminal is.
fn clock(at_ms: u64) -> String {
    let at = i64::try_from(at_ms)
        .ok()
        .and_then(|at| Timestamp::from_millisecond(at).ok());
    at.map_or_else(
        || "at a time beyond all calendars".to_owned(),
        |at| at.strftime("%F %T UTC").to_string(),
    )
}
