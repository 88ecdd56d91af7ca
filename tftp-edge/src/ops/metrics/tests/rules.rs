//! The alerts of `contrib/prometheus/`.

use super::contrib::{Exposition, path, read};
use super::*;

const RULES: &str = "prometheus/tftp-edge.rules.yml";
const TESTS: [&str; 2] = [
    "prometheus/tests/firing.yml",
    "prometheus/tests/healthy.yml",
];

/// What stands under a key of the rules, line by line or in a block.
fn values(rules: &str, key: &str) -> Vec<String> {
    let lines: Vec<&str> = rules.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut values = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let text = line.trim_start().trim_start_matches("- ");
        let Some(value) = text.strip_prefix(key).and_then(|it| it.strip_prefix(": ")) else {
            continue;
        };
        values.push(match value {
            "|" | ">-" => lines[at + 1..]
                .iter()
                .take_while(|it| indent(it) > indent(line))
                .map(|it| it.trim())
                .collect::<Vec<_>>()
                .join("\n"),
            value => value.to_owned(),
        });
    }
    values
}

#[test]
fn rules_ask_for_metrics_that_there_are() {
    let rules = read(RULES);
    let mut also: BTreeSet<_> = values(&rules, "record").into_iter().collect();
    assert!(also.len() >= 4);
    also.insert("up".to_owned());
    let (expressions, exposition) = (values(&rules, "expr"), Exposition::new());
    assert!(expressions.len() >= 20);
    for expression in &expressions {
        exposition.ensure_has(expression, &also);
    }
    // And so do the cases they are played with.
    for test in TESTS {
        for series in values(&read(test), "series") {
            exposition.ensure_has(series.trim_matches('\''), &also);
        }
    }
}

#[test]
fn every_alert_is_played_and_has_its_page_in_the_runbook() {
    let (rules, runbook) = (read(RULES), read("prometheus/runbook.md"));
    let [firing, healthy] = TESTS.map(|test| values(&read(test), "alertname"));
    let alerts = values(&rules, "alert");
    let pages = values(&rules, "runbook_url");
    assert_eq!(alerts.len(), pages.len(), "an alert without a page");
    for (alert, page) in alerts.iter().zip(pages) {
        assert!(firing.contains(alert), "{alert} is never seen to fire");
        assert!(
            healthy.contains(alert),
            "{alert} is not seen to keep silent"
        );
        let (_, anchor) = page
            .split_once("runbook.md#")
            .expect("a page of the runbook");
        assert_eq!(anchor, alert.to_ascii_lowercase());
        let heading = format!("\n## {alert}\n");
        assert!(runbook.contains(&heading), "no page for {alert}");
    }
    let headings = runbook
        .lines()
        .filter(|line| line.starts_with("## "))
        .count();
    assert_eq!(headings, alerts.len(), "a page for no alert");
}

/// Keys of the configuration, as `section.key` in code.
#[test]
fn the_runbook_names_keys_that_there_are() {
    let template = include_str!("../../../../tftp-edge.toml");
    let mut keys = HashSet::new();
    let mut section = String::new();
    for line in template.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            section = name.to_owned();
        } else if let Some((key, _)) = line.trim_start_matches('#').split_once(" = ") {
            keys.insert(format!("{section}.{key}"));
        }
    }
    let runbook = read("prometheus/runbook.md");
    let quoted = runbook.split('`').skip(1).step_by(2);
    let quoted = quoted.map(|code| code.split(" = ").next().unwrap_or(code));
    let is_key = |code: &&str| {
        let sections = [
            "tftp.",
            "http.",
            "kernel.",
            "register.",
            "content.",
            "access.",
            "metrics.",
        ];
        sections.iter().any(|section| code.starts_with(section))
    };
    let named: Vec<_> = quoted.filter(is_key).collect();
    assert!(named.len() > 10, "{named:?}");
    for key in named {
        assert!(keys.contains(key), "{key} is no key of the configuration");
    }
}

/// Shows all it says if it does not.
fn succeeds(command: &mut Command) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}

#[test]
fn prometheus_takes_the_rules_and_each_does_what_it_says() {
    let Some(mut promtool) = promtool("the rules of Prometheus and their cases") else {
        return;
    };
    let tests = TESTS.map(path);
    succeeds(promtool.args(["test", "rules"]).args(tests));
    let mut promtool = super::promtool("the example of a configuration").unwrap();
    let example = path("prometheus/scrape.yml");
    succeeds(promtool.args(["check", "config"]).arg(example));
}
