//! `contrib/grafana/tftp-edge.json`: Grafana is not here to load it, so its structure is looked at.

use serde_json::Value;

use super::contrib::{Exposition, read};
use super::*;

const ROWS: [&str; 7] = [
    "Overview",
    "TFTP",
    "Registration",
    "Storm",
    "XDP",
    "Store",
    "Process",
];

/// Columns of Grafana's grid.
const COLUMNS: u64 = 24;

fn dashboard() -> Value {
    serde_json::from_str(&read("grafana/tftp-edge.json")).expect("the dashboard is JSON")
}

fn panels(dashboard: &Value) -> &[Value] {
    dashboard["panels"].as_array().expect("there are panels")
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("no text {key} in {value}"))
}

fn expressions(dashboard: &Value) -> Vec<String> {
    let targets = panels(dashboard)
        .iter()
        .filter_map(|panel| panel["targets"].as_array());
    let of_panels = targets
        .flatten()
        .map(|target| text(target, "expr").to_owned());
    of_panels.collect()
}

#[test]
fn it_has_its_variables_and_its_rows() {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<_> = variables.iter().map(|it| text(it, "name")).collect();
    assert_eq!(names, ["datasource", "job", "instance"]);
    let rows = panels(&dashboard).iter().filter(|it| it["type"] == "row");
    assert_eq!(rows.map(|it| text(it, "title")).collect::<Vec<_>>(), ROWS);
}

#[test]
fn panels_have_numbers_of_their_own_and_do_not_overlap() {
    let dashboard = dashboard();
    let mut ids = HashSet::new();
    let mut taken = HashSet::new();
    for panel in panels(&dashboard) {
        let title = text(panel, "title");
        let id = panel["id"].as_u64();
        assert!(id.is_some_and(|id| ids.insert(id)), "the id of {title}");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        assert!(w > 0 && h > 0 && x + w <= COLUMNS, "the place of {title}");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(
                taken.insert(cell),
                "{title} overlaps another panel at {cell:?}"
            );
        }
    }
}

#[test]
fn each_panel_tells_what_it_shows_in_what_unit_and_from_where() {
    let dashboard = dashboard();
    for panel in panels(&dashboard).iter().filter(|it| it["type"] != "row") {
        let title = text(panel, "title");
        assert!(
            text(panel, "description").len() > 20,
            "{title} says nothing"
        );
        assert_eq!(
            text(&panel["datasource"], "uid"),
            "${datasource}",
            "{title}"
        );
        let defaults = &panel["fieldConfig"]["defaults"];
        assert!(!text(defaults, "unit").is_empty(), "{title} has no unit");
        let steps = defaults["thresholds"]["steps"].as_array();
        assert!(
            steps.is_some_and(|steps| !steps.is_empty()),
            "{title} has no thresholds"
        );
        let targets = panel["targets"].as_array().unwrap();
        let mut letters = HashSet::new();
        for target in targets {
            assert!(letters.insert(text(target, "refId")), "{title}: refId");
            let expression = text(target, "expr");
            assert!(
                expression.contains("job=~\"$job\""),
                "{title}: {expression}"
            );
            assert!(
                expression.contains("instance=~\"$instance\""),
                "{title}: {expression}"
            );
        }
        assert!(!letters.is_empty(), "{title} shows nothing");
    }
}

#[test]
fn it_asks_for_metrics_that_there_are_in_promql() {
    let dashboard = dashboard();
    let (expressions, exposition) = (expressions(&dashboard), Exposition::new());
    assert!(expressions.len() > 40);
    let also = BTreeSet::from(["up".to_owned()]);
    for expression in &expressions {
        exposition.ensure_has(expression, &also);
    }
    // What Grafana puts in their place.
    let filled = expressions.into_iter().map(|it| {
        it.replace("$__rate_interval", "5m")
            .replace("$job", "tftp-edge")
            .replace("$instance", ".*")
    });
    ensure_promql(filled);
}
