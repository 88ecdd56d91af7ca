//! The boots of a phone as lines that people read, one after the other.

use serde::Serialize;

use crate::journal::{BootView, EntryView, Gap, Outcome, Stage, WhatView};

/// One boot.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Timeline {
    number: u32,
    began_ms: u64,
    /// From its begin to the first that was seen of the stage it came to.
    took_ms: u64,
    /// The last stage it reached.
    stage: Stage,
    registered: bool,
    lines: Vec<Line>,
}

/// One line of a boot. What does not apply is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Line {
    /// Since the boot began; none for what has no time.
    #[serde(skip_serializing_if = "Option::is_none")]
    after_ms: Option<u64>,
    stage: Option<Stage>,
    words: String,
    /// How it ended.
    end: String,
    /// `good`, `busy`, `bad`, `none` for what is not there, `note` for what is neither, or
    /// `unknown`.
    mark: &'static str,
    times: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    len_bytes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    took_us: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resends: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
}

/// The present boot first. A gap is in each boot it falls into: what is missing there is unknown.
pub(super) fn timelines(boots: Vec<BootView>, gaps: &[Gap]) -> Vec<Timeline> {
    let mut ends = boots.iter().skip(1).map(|it| it.began_ms);
    let ends: Vec<_> = boots
        .iter()
        .map(|_| ends.next().unwrap_or(u64::MAX))
        .collect();
    let boots = boots.into_iter().zip(ends);
    let timelines = boots.map(|(boot, end_ms)| {
        let within = |gap: &&Gap| gap.until_ms >= boot.began_ms && gap.from_ms < end_ms;
        let gaps: Vec<_> = gaps.iter().filter(within).collect();
        Timeline::new(&boot, &gaps)
    });
    let mut timelines: Vec<_> = timelines.collect();
    timelines.reverse();
    timelines
}

impl Timeline {
    fn new(boot: &BootView, gaps: &[&Gap]) -> Self {
        let entries = boot.entries.iter();
        let mut lines: Vec<_> = entries.map(|it| Line::new(it, boot.began_ms)).collect();
        if boot.left_out > 0 {
            let words = format!("{} entries that found no room", boot.left_out);
            // Those that are kept are the first half and the last ones.
            lines.insert(lines.len() / 2, Line::unknown(None, words));
        }
        for gap in gaps {
            let after = gap.from_ms.saturating_sub(boot.began_ms);
            let behind = |line: &Line| line.after_ms.is_some_and(|at| at > after);
            let place = lines.iter().position(behind).unwrap_or(lines.len());
            let words = format!("{} events of all phones were lost", gap.events);
            lines.insert(place, Line::unknown(Some(after), words));
        }
        let mut entries = boot.entries.iter();
        let reached = entries.find(|it| it.stage == boot.stage);
        let reached_ms = reached.map_or(boot.last_ms, |it| it.at_ms);
        Self {
            number: boot.number,
            began_ms: boot.began_ms,
            took_ms: reached_ms.saturating_sub(boot.began_ms),
            stage: boot.stage,
            registered: boot.registered,
            lines,
        }
    }
}

impl Line {
    fn new(entry: &EntryView, began_ms: u64) -> Self {
        let line = Self {
            after_ms: Some(entry.at_ms.saturating_sub(began_ms)),
            stage: Some(entry.stage),
            times: entry.times,
            ..Self::default()
        };
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
                let ended = *outcome != Outcome::Pending;
                let is_sent = *outcome == Outcome::Complete;
                Self {
                    words: name.clone(),
                    end: outcome.as_str().replace('_', " "),
                    mark: mark(*outcome),
                    path: Some(path.clone()),
                    len_bytes: (*len_bytes > 0 || is_sent).then_some(*len_bytes),
                    took_us: ended.then_some(*took_us),
                    resends: ended.then_some(*resends),
                    version: *version,
                    ..line
                }
            }
            WhatView::Fact { text, bad, .. } => Self {
                words: text.clone(),
                mark: match (bad, entry.stage) {
                    (true, _) => "bad",
                    (false, Stage::Registered) => "good",
                    (false, _) => "note",
                },
                ..line
            },
        }
    }

    fn unknown(after_ms: Option<u64>, words: String) -> Self {
        Self {
            after_ms,
            words,
            end: "unknown".to_owned(),
            mark: "unknown",
            times: 1,
            ..Self::default()
        }
    }
}

/// A file that is not there is nothing bad: phones ask for much that nobody has.
const fn mark(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Complete => "good",
        Outcome::Pending => "busy",
        Outcome::Absent | Outcome::Probe | Outcome::Superseded | Outcome::Unconfirmed => "none",
        Outcome::Refused
        | Outcome::Unheard
        | Outcome::TimedOut
        | Outcome::Aborted
        | Outcome::Unreachable
        | Outcome::Overload => "bad",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(at_ms: u64, name: &str, outcome: Outcome) -> EntryView {
        EntryView {
            at_ms,
            last_ms: None,
            times: 1,
            stage: Stage::Config,
            what: WhatView::File {
                name: name.to_owned(),
                class: "config".to_owned(),
                version: Some(3),
                path: "xdp".to_owned(),
                len_bytes: 0,
                took_us: 900,
                resends: 0,
                outcome,
            },
        }
    }

    fn boot(number: u32, began_ms: u64, entries: Vec<EntryView>, left_out: u32) -> BootView {
        BootView {
            number,
            began_ms,
            last_ms: entries.last().map_or(began_ms, |it| it.at_ms),
            stage: Stage::Config,
            registered: false,
            entries,
            left_out,
        }
    }

    fn words(timeline: &Timeline) -> Vec<(&str, &str)> {
        let lines = timeline.lines.iter();
        lines.map(|it| (it.words.as_str(), it.mark)).collect()
    }

    #[test]
    fn what_was_lost_stands_where_it_was_and_in_no_other_boot() {
        let mut first = file(9_000, "two", Outcome::Absent);
        first.stage = Stage::Trust;
        let boots = vec![
            boot(1, 1_000, vec![file(1_100, "one", Outcome::Complete)], 0),
            boot(
                2,
                9_000,
                vec![first, file(9_900, "three", Outcome::Pending)],
                0,
            ),
        ];
        let gap = Gap {
            from_ms: 9_500,
            until_ms: 9_600,
            events: 7,
        };
        let timelines = timelines(boots, &[gap]);
        assert_eq!(timelines[0].number, 2, "the present one first");
        let lost = "7 events of all phones were lost";
        let present = [("two", "none"), (lost, "unknown"), ("three", "busy")];
        assert_eq!(words(&timelines[0]), present);
        assert_eq!(timelines[0].took_ms, 900, "to its configuration");
        assert_eq!(words(&timelines[1]), [("one", "good")]);
        // A file that is under way has taken no time yet.
        assert_eq!(timelines[0].lines[2].took_us, None);
    }

    #[test]
    fn what_found_no_room_is_told_in_the_middle() {
        let entries = (0..4).map(|at| file(at, "file", Outcome::Complete));
        let timelines = timelines(vec![boot(1, 0, entries.collect(), 12)], &[]);
        let words = words(&timelines[0]);
        assert_eq!(words[2], ("12 entries that found no room", "unknown"));
        assert_eq!(words.len(), 5);
    }
}
