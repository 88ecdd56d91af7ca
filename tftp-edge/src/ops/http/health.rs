//! `/livez`, `/readyz` and `/healthz`.
//!
//! | path | goes by | not well |
//! |---|---|---|
//! | `/livez` | every loop goes round | 503: a restart helps |
//! | `/readyz` | every part can serve | 503: nothing is to be sent here yet |
//! | `/healthz` | both | 503 |
//!
//! The answer is a word and a line for each problem; with `?verbose` a line for each check, well or
//! not; with `Accept: application/json` an object.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{RawQuery, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use super::internal;
use crate::ops::health::{self, Check, State};
use crate::ops::sources::Sources;
use crate::ops::status::Register;

/// What is asked about.
#[derive(Clone, Copy)]
enum Kind {
    Live,
    Ready,
    Both,
}

/// As JSON.
#[derive(Debug, Serialize)]
struct Answer {
    /// `ok`, `degraded` or `failed`: the worst of the checks.
    status: State,
    /// Worth knowing, and no reason to be taken out of service.
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
    checks: Vec<Check>,
}

pub(super) fn router(sources: Arc<Sources>) -> Router {
    let answers = |kind| {
        move |Shared(sources): Shared<Arc<Sources>>, RawQuery(query), headers: HeaderMap| {
            answer(kind, sources, query, headers)
        }
    };
    Router::new()
        .route("/livez", get(answers(Kind::Live)))
        .route("/readyz", get(answers(Kind::Ready)))
        .route("/healthz", get(answers(Kind::Both)))
        .with_state(sources)
}

async fn answer(
    kind: Kind,
    sources: Arc<Sources>,
    query: Option<String>,
    headers: HeaderMap,
) -> Response {
    // Reading the kernel's maps is a row of system calls. Whether the loops go round is told without
    // asking any of the parts: one that is stuck may not answer.
    let look = move || match kind {
        Kind::Live => Answer::new(live(&sources), None),
        Kind::Ready | Kind::Both => {
            let reading = sources.read();
            let notice = Register::new(&reading).and_then(|it| it.notice());
            let mut checks = reading.checks();
            if matches!(kind, Kind::Ready) {
                checks.retain(|it| !it.name.starts_with("loop "));
            }
            Answer::new(checks, notice)
        }
    };
    let answer = match tokio::task::spawn_blocking(look).await {
        Ok(answer) => answer,
        Err(error) => return internal(&error),
    };
    let code = match answer.status {
        State::Ok | State::Degraded => StatusCode::OK,
        State::Failed => StatusCode::SERVICE_UNAVAILABLE,
    };
    let accepted = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok());
    if accepted.is_some_and(|it| it.contains("application/json")) {
        return (code, axum::Json(answer)).into_response();
    }
    let is_verbose = form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .any(|(key, value)| key == "verbose" && value != "0" && value != "false");
    (code, answer.text(kind, is_verbose)).into_response()
}

fn live(sources: &Sources) -> Vec<Check> {
    let verdicts = health::loops(&(sources.loops)());
    sources.health.note(verdicts, SystemTime::now())
}

impl Answer {
    fn new(checks: Vec<Check>, notice: Option<String>) -> Self {
        let states = checks.iter().map(|it| it.state);
        Self {
            status: states.max().unwrap_or(State::Ok),
            notice,
            checks,
        }
    }

    fn text(&self, kind: Kind, is_verbose: bool) -> String {
        let well = self.status != State::Failed;
        let word = match (kind, well) {
            (Kind::Live, true) => "alive",
            (Kind::Live, false) => "not alive",
            (Kind::Ready, true) => "ready",
            (Kind::Ready, false) => "not ready",
            (Kind::Both, true) => "healthy",
            (Kind::Both, false) => "not healthy",
        };
        let mut lines = vec![word.to_owned()];
        for check in &self.checks {
            if is_verbose {
                let since = UNIX_EPOCH + Duration::from_millis(check.since_ms);
                lines.push(format!(
                    "{:<8} {} since {}",
                    check.state.as_str(),
                    check.name,
                    humantime::format_rfc3339_seconds(since)
                ));
                lines.extend(check.problems.iter().map(|it| format!("         {it}")));
            } else if check.state == State::Failed {
                lines.extend(check.problems.iter().cloned());
            }
        }
        if well {
            lines.extend(self.notice.clone());
        }
        lines.join("\n") + "\n"
    }
}
