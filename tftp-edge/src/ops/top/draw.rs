//! Draws the board. Nothing is told by colour alone.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Paragraph, Row, Table, TableState, Wrap};

use super::board::{Board, View};
use super::poll::Sample;
use super::rates::Rates;
use super::timeline;
use crate::journal::{Overview, PhoneRow, SiteRow, Stage};
use crate::ops::status::{Register, Status, duration, size};

/// Below it, what is there is cut off.
const COLUMNS: u16 = 80;
/// Sites that are shown at once where lines are few.
const SITES: usize = 4;

pub(super) fn draw(board: &mut Board, frame: &mut Frame<'_>) {
    let [body, foot] =
        Layout::vertical([Constraint::Min(1), Constraint::Length(1)]).areas(frame.area());
    let look = Look {
        has_colour: board.has_colour,
    };
    match (&board.sample, board.view) {
        (_, View::Help) => frame.render_widget(Text::raw(HELP), body),
        (None, _) => frame.render_widget("the daemon is asked …", body),
        (Some(sample), View::Timeline { device, scroll }) => {
            let lines = timeline::lines(device, sample, &look);
            let last_page = lines.len().saturating_sub(usize::from(body.height));
            let scroll = scroll.min(last_page);
            let shown = lines.into_iter().skip(scroll).collect::<Vec<_>>();
            frame.render_widget(Paragraph::new(shown), body);
            // So that the key up moves at once, however far down was pressed.
            board.view = View::Timeline { device, scroll };
        }
        (Some(sample), View::Overview | View::Searching) => {
            overview(board, sample, &look, frame, body);
        }
    }
    frame.render_widget(footer(board, &look), foot);
}

const HELP: &str = "\
tftp-edge top

  up, down, page up, page down    choose a phone
  enter                           its timeline; enter or esc goes back
  s                               another order: trouble, name, site, stage
  /                               search by name, number, site, model, address;
                                  esc forgets the search
  ?                               this
  q, ctrl-c                       quit

Without a search, the phones are those that are busy or stuck.
`tftp-edge phones why NAME` says what is the matter with one.";

/// Colours, if there are any.
pub(super) struct Look {
    has_colour: bool,
}

impl Look {
    fn colour(&self, colour: Color) -> Style {
        match self.has_colour {
            true => Style::new().fg(colour),
            false => Style::new(),
        }
    }

    pub(super) fn bad(&self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    fn good(&self) -> Style {
        self.colour(Color::Green)
    }

    pub(super) fn title(&self) -> Style {
        self.colour(Color::Cyan).add_modifier(Modifier::BOLD)
    }
}

fn overview(board: &Board, sample: &Sample, look: &Look, frame: &mut Frame<'_>, area: Rect) {
    let paths = sample.status.rungs.len() as u16 + 1;
    let sites = sample.overview.sites.len();
    // A tall terminal has room for more of them.
    let shown = sites.min(SITES.max(usize::from(area.height / 5)));
    let rest = u16::from(sites > shown);
    let header = header(sample, look);
    // Many stages at once need more than a line.
    let width = usize::from(area.width.max(1));
    let high: usize = header.iter().map(|it| it.width().div_ceil(width)).sum();
    let [head, middle, by_site, phones] = Layout::vertical([
        Constraint::Length(high as u16),
        Constraint::Length(paths),
        Constraint::Length(shown as u16 + 1 + rest),
        Constraint::Min(2),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(header).wrap(Wrap { trim: true }), head);
    let [left, right] =
        Layout::horizontal([Constraint::Length(COLUMNS - 26), Constraint::Min(26)]).areas(middle);
    draw_paths(&sample.status, &board.rates, look, frame, left);
    draw_registered(&sample.status, &board.rates, look, frame, right);
    draw_sites(&sample.overview, shown, look, frame, by_site);
    draw_phones(board, sample, look, frame, phones);
}

fn header<'s>(sample: &'s Sample, look: &Look) -> Vec<Line<'s>> {
    let (status, all) = (&sample.status, &sample.overview);
    let (state, style) = match (status.ready, status.is_degraded()) {
        (false, _) => ("not ready", look.bad()),
        (true, true) => ("serving, degraded", look.bad()),
        (true, false) => ("serving", look.good()),
    };
    let up = duration(Duration::from_secs(status.uptime_seconds));
    let stuck: u64 = all.stuck.values().sum();
    let calm = Style::new();
    let alarms = match status.alarms.len() {
        0 => Span::raw(""),
        1 => Span::styled("; 1 alarm", look.bad()),
        many => Span::styled(format!("; {many} alarms"), look.bad()),
    };
    vec![
        Line::from(vec![
            Span::styled(format!("tftp-edge {}", status.version), look.title()),
            Span::raw(format!(", up {up}: ")),
            Span::styled(state, style),
            Span::raw(format!(", kernel path {}", status.kernel.mode.as_str())),
            alarms,
        ]),
        Line::from(vec![
            Span::raw(format!(
                "phones: {} expected, {} registered, {} booting, ",
                all.expected,
                all.registered(),
                all.booting()
            )),
            Span::styled(
                format!("{stuck} stuck"),
                if stuck > 0 { look.bad() } else { calm },
            ),
        ]),
        stages(all),
        storm(status.register.as_ref(), look),
    ]
}

/// How many are at which stage of a boot.
fn stages(all: &Overview) -> Line<'_> {
    let counts = all.stages.iter().filter(|(_, count)| **count > 0);
    let told: Vec<_> = counts
        .map(|(stage, count)| format!("{stage} {count}"))
        .collect();
    Line::raw(format!("stages: {}", told.join(", ")))
}

fn storm<'s>(register: Option<&Register>, look: &Look) -> Line<'s> {
    let Some(register) = register else {
        return Line::raw("register: not here");
    };
    let storm = &register.storm;
    let seconds = |seconds| duration(Duration::from_secs(seconds));
    let mut line = vec![
        Span::raw("register: "),
        Span::styled(
            storm.state.to_string(),
            if storm.state.is_storm() {
                look.bad()
            } else {
                look.good()
            },
        ),
        Span::raw(format!(
            ", {:.0}/s come, {:.0}/s served",
            storm.arrivals_per_second, storm.served_per_second
        )),
    ];
    if storm.waiting > 0 {
        line.push(Span::raw(format!(
            "; {} wait, drained in {}",
            storm.waiting,
            seconds(storm.longest_wait_s)
        )));
    }
    line.into()
}

fn draw_paths(status: &Status, rates: &Rates, look: &Look, frame: &mut Frame<'_>, area: Rect) {
    let rows = status.rungs.iter().enumerate().map(|(at, served)| {
        let rate = rates.paths.get(at);
        let cell =
            |value: Option<f64>| right(value.map_or("-".to_owned(), |it| format!("{it:.0}")), 8);
        Row::new(vec![
            Text::raw(served.path.clone()),
            cell(rate.map(|it| it.requests)),
            cell(rate.map(|it| it.complete)),
            cell(rate.map(|it| it.failed)),
            cell(rate.map(|it| it.resent)),
            right(rate.map_or("-".to_owned(), |it| size(it.bytes as u64)), 9),
        ])
    });
    let table = Table::new(rows, [6, 8, 8, 8, 8, 9].map(Constraint::Length)).header(
        Row::new(vec![
            Text::raw("path"),
            right("asked/s", 8),
            right("done/s", 8),
            right("failed/s", 8),
            right("again/s", 8),
            right("sent/s", 9),
        ])
        .style(look.title()),
    );
    frame.render_widget(table, area);
}

fn draw_registered(status: &Status, rates: &Rates, look: &Look, frame: &mut Frame<'_>, area: Rect) {
    let Some(table) = status.register.as_ref().and_then(|it| it.table) else {
        return;
    };
    let rows = [("SIP", table.sip), ("SCCP", table.sccp)];
    let rows = rows.into_iter().enumerate().map(|(at, (protocol, count))| {
        let rate = rates.registered.map(|it| it[at]);
        Row::new(vec![
            Text::raw(protocol),
            right(count.to_string(), 10),
            right(rate.map_or("-".to_owned(), |it| format!("{it:+.0}")), 8),
        ])
    });
    let table = Table::new(rows, [5, 10, 8].map(Constraint::Length)).header(
        Row::new(vec![
            Text::raw("over"),
            right("registered", 10),
            right("new/s", 8),
        ])
        .style(look.title()),
    );
    frame.render_widget(table, area);
}

fn draw_sites(all: &Overview, shown: usize, look: &Look, frame: &mut Frame<'_>, area: Rect) {
    // Where something is the matter comes first.
    let mut sites: Vec<&SiteRow> = all.sites.iter().collect();
    sites.sort_by_key(|it| (std::cmp::Reverse((it.stuck, it.booting)), &it.site));
    let mut rows: Vec<_> = sites.iter().take(shown).map(|it| site(it, look)).collect();
    let more = sites.len() - shown;
    if more > 0 {
        rows.push(Row::new(vec![format!("and {more} more")]));
    }
    let widths = [20, 10, 10, 10, 10].map(Constraint::Length);
    let heads = ["expected", "registered", "booting", "stuck"].map(|head| right(head, 10));
    let head = [Text::raw("site")].into_iter().chain(heads);
    let table = Table::new(rows, widths).header(Row::new(head).style(look.title()));
    frame.render_widget(table, area);
}

fn site<'s>(site: &'s SiteRow, look: &Look) -> Row<'s> {
    let count = |count: u64| right(count.to_string(), 10);
    let stuck = match site.stuck {
        0 => count(0),
        stuck => count(stuck).style(look.bad()),
    };
    Row::new(vec![
        Text::raw(&site.site),
        count(site.expected),
        count(site.registered),
        count(site.booting),
        stuck,
    ])
}

fn draw_phones(board: &Board, sample: &Sample, look: &Look, frame: &mut Frame<'_>, area: Rect) {
    let now_ms = sample.overview.at_ms;
    let rows = sample.phones.iter().map(|row| phone(row, now_ms, look));
    let widths = [
        Constraint::Length(15),
        Constraint::Length(12),
        Constraint::Length(10),
        Constraint::Length(11),
        Constraint::Min(20),
    ];
    let what = match (sample.more, board.search.is_empty()) {
        (0, true) => "busy or stuck".to_owned(),
        (0, false) => "what is the matter".to_owned(),
        (more, _) => format!("and {more} more"),
    };
    let head = Row::new(vec![
        "phone".to_owned(),
        "site".to_owned(),
        "stage".to_owned(),
        "for".to_owned(),
        what,
    ]);
    let table = Table::new(rows, widths)
        .header(head.style(look.title()))
        .highlight_symbol("> ")
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected(board.chosen());
    frame.render_stateful_widget(table, area, &mut state);
}

fn phone<'s>(row: &'s PhoneRow, now_ms: u64, look: &Look) -> Row<'s> {
    let since_ms = row.stuck.as_ref().map(|it| it.since_ms).or(row.since_ms);
    let since = since_ms.map(|since| duration(Duration::from_millis(now_ms.saturating_sub(since))));
    let (what, style) = match (&row.stuck, row.stage) {
        (Some(finding), _) => (format!("! {}", finding.text), look.bad()),
        (None, Stage::Registered) => (row.description.clone(), look.good()),
        (None, _) => match &row.last_failure {
            Some(failure) => (failure.text.clone(), Style::new()),
            None => (row.description.clone(), Style::new()),
        },
    };
    Row::new(vec![
        Text::raw(row.device.to_string()),
        Text::raw(&row.site),
        Text::raw(row.stage.as_str()),
        Text::raw(since.unwrap_or_default()),
        Text::styled(what, style),
    ])
}

fn footer<'b>(board: &'b Board, look: &Look) -> Line<'b> {
    if let Some(problem) = &board.problem {
        return Line::styled(problem.as_str(), look.bad());
    }
    match board.view {
        View::Searching => Line::raw(format!(
            "/{}_   enter keeps it, esc forgets it",
            board.search
        )),
        View::Help => Line::raw("any key goes back"),
        View::Timeline { .. } => Line::raw("up, down: move   esc: back   q: quit"),
        View::Overview => {
            let search = match board.search.as_str() {
                "" => "search".to_owned(),
                search => format!("{search} (esc: all)"),
            };
            let sort = board.sort.as_str();
            Line::raw(format!(
                "q: quit  up, down: choose  enter: timeline  s: by {sort}  /: {search}  ?: help"
            ))
        }
    }
}

fn right<'t>(text: impl Into<String>, width: usize) -> Text<'t> {
    Text::raw(format!("{:>width$}", text.into()))
}
