//! Holds `contrib/logging.md` and the sources together.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Levels whose events have a row each. Those below have documented fields.
const TOLD: [&str; 3] = ["error", "warn", "info"];

#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    level: String,
    fields: BTreeSet<String>,
}

/// A callsite.
#[derive(Debug)]
struct Site {
    place: String,
    event: Option<String>,
    row: Row,
}

fn crate_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_test = path.ends_with("tests") || path.ends_with("tests.rs");
        if path.is_dir() && !is_test {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") && !is_test {
            found.push(path);
        }
    }
}

/// Every callsite outside of tests.
fn sites() -> Vec<Site> {
    let mut files = Vec::new();
    sources(&crate_folder().join("src"), &mut files);
    let mut sites = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for level in ["error", "warn", "info", "debug", "trace"] {
            let opening = format!("tracing::{level}!(");
            for (at, _) in code.match_indices(&opening) {
                let name = file.strip_prefix(crate_folder()).unwrap().display();
                let line = code[..at].lines().count();
                let arguments = arguments(&code[at + opening.len()..]);
                sites.push(site(format!("{name}:{line}"), level, &arguments));
            }
        }
    }
    sites
}

/// What stands between the commas, up to the closing parenthesis.
fn arguments(code: &str) -> Vec<String> {
    let (mut depth, mut in_text, mut is_escaped) = (0_u32, false, false);
    let mut arguments = vec![String::new()];
    for sign in code.chars() {
        match sign {
            _ if is_escaped => is_escaped = false,
            '\\' if in_text => is_escaped = true,
            '"' => in_text = !in_text,
            _ if in_text => {}
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(String::new());
                continue;
            }
            _ => {}
        }
        arguments.last_mut().unwrap().push(sign);
    }
    let trimmed = arguments.iter().map(|it| it.trim().to_owned());
    trimmed.filter(|it| !it.is_empty()).collect()
}

fn site(place: String, level: &str, arguments: &[String]) -> Site {
    let mut event = None;
    let mut fields = BTreeSet::new();
    for argument in arguments {
        if argument.starts_with('"') || argument.starts_with("target:") {
            continue;
        }
        let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
        let name = name.trim().trim_start_matches(['%', '?']).to_owned();
        if name == "event" {
            event = Some(value.trim().trim_matches('"').to_owned());
        } else {
            fields.insert(name);
        }
    }
    let level = level.to_owned();
    Site {
        place,
        event,
        row: Row { level, fields },
    }
}

/// The rows of the table whose head begins with `first`, cell by cell.
fn table(first: &str) -> Vec<Vec<String>> {
    let file = crate_folder().join("../contrib/logging.md");
    let text = fs::read_to_string(file).unwrap();
    let head = format!("| {first} |");
    let after = text.lines().skip_while(|line| !line.starts_with(&head));
    let rows = after.skip(2).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| -> Vec<_> {
        let cells = line
            .trim_start_matches('|')
            .trim_end_matches('|')
            .split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    rows.map(cells).collect()
}

/// The names between backquotes.
fn quoted(cell: &str) -> BTreeSet<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn documented() -> BTreeMap<String, Row> {
    let mut rows = BTreeMap::new();
    for cells in table("event") {
        let [event, level, fields, meaning, advice] = &cells[..] else {
            panic!("a row has five cells: {cells:?}")
        };
        assert!(!meaning.is_empty() && !advice.is_empty(), "{cells:?}");
        let row = Row {
            level: level.clone(),
            fields: quoted(fields),
        };
        let name = event.trim_matches('`').to_owned();
        assert!(rows.insert(name, row).is_none(), "{event} has two rows");
    }
    rows
}

#[test]
fn every_event_has_a_row_and_every_row_an_event() {
    let rows = documented();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for Site { place, event, row } in sites() {
        if !TOLD.contains(&row.level.as_str()) {
            continue;
        }
        let Some(event) = event else {
            wrong.push(format!("{place}: has no `event = \"part.what\"`"));
            continue;
        };
        match rows.get(&event) {
            None => wrong.push(format!("{place}: {event} has no row: {row:?}")),
            Some(told) if *told != row => {
                wrong.push(format!(
                    "{place}: {event} is {row:?}; its row says {told:?}"
                ));
            }
            Some(_) => {}
        }
        seen.insert(event);
    }
    let missing = rows.keys().filter(|event| !seen.contains(*event));
    wrong.extend(missing.map(|event| format!("the row {event} has no event")));
    assert!(seen.len() > 50, "only {} were found", seen.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_field_means_the_same_everywhere_and_is_told_once() {
    let rows = table("field");
    let known: BTreeSet<_> = rows.iter().flat_map(|cells| quoted(&cells[0])).collect();
    let sites = sites();
    let used: BTreeMap<_, _> = sites
        .iter()
        .flat_map(|site| site.row.fields.iter().map(|it| (it.clone(), &site.place)))
        .collect();
    let mut wrong = Vec::new();
    for (field, place) in &used {
        if !known.contains(field) {
            wrong.push(format!("{place}: {field} is not in the table of fields"));
        }
    }
    let unused = known.iter().filter(|field| !used.contains_key(*field));
    wrong.extend(unused.map(|field| format!("no event has a field {field}")));
    assert_eq!(known.len(), rows.len(), "a field has two rows, or none");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_name_tells_the_part_and_what_happened() {
    for event in documented().keys() {
        let parts: Vec<_> = event.split('.').collect();
        let is_word = |part: &&str| {
            !part.is_empty() && part.chars().all(|it| it.is_ascii_lowercase() || it == '_')
        };
        assert!(parts.len() == 2 && parts.iter().all(is_word), "{event}");
    }
}
