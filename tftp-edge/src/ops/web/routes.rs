//! What is answered to whoever only looks.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde::Serialize;
use serde_json::{Value, json};

use super::guard::{Guard, guard};
use super::live::{Frame, VIEWERS};
use super::pages::{MENU, Page};
use super::search::{Found, LIMIT, Query, detail, find};
use super::session::Seen;
use super::{Web, changes};
use crate::inventory::DeviceName;
use crate::journal::Stage;
use crate::ops::serve::Refusal;
use crate::ops::streamed::{Peer, answer};
use crate::provisioning::{Knockers, Knocking};

/// Of a form; the longest has a handful of names.
const FORM_MAX: usize = 4096;

/// The cookie that holds a session's token.
pub(super) const COOKIE: &str = "tftp-edge-session";

pub(super) type Shared = State<Arc<Web>>;

pub(super) fn router(web: Arc<Web>) -> Router {
    let guarded = web.settings.web.clone();
    Router::new()
        .route("/", get(overview))
        .route("/phones", get(phones))
        .route("/phones/{name}", get(phone))
        .route("/phones/{name}/order", post(changes::order))
        .route("/storm", get(storm))
        .route("/files", get(files))
        .route("/configuration", get(configuration))
        .route("/log", post(changes::log))
        .route("/unknown", get(unknown))
        .route("/unknown/adopt", post(changes::adopt))
        .route("/login", get(login).post(changes::login))
        .route("/logout", post(changes::logout))
        .route("/assets/{name}", get(asset))
        .route("/api/now", get(api_now))
        .route("/api/events", get(api_events))
        .route("/api/history", get(api_history))
        .route("/api/phones", get(api_phones))
        .route("/api/phones/{name}", get(api_phone))
        .route("/api/unknown", get(api_unknown))
        .route("/api/configuration", get(api_configuration))
        .route("/api/firmware", get(api_firmware))
        .fallback(nothing)
        .layer(DefaultBodyLimit::max(FORM_MAX))
        .with_state(web)
        .layer(from_fn_with_state(Guard::new(guarded), guard))
}

/// The token of a session, if the request brings one.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter();
    let mut cookies = cookies
        .filter_map(|it| it.to_str().ok())
        .flat_map(|it| it.split(';'));
    cookies.find_map(|it| it.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// What every page has, with what it has of its own.
#[derive(Serialize)]
struct Context<'c> {
    page: Page,
    title: &'c str,
    menu: &'c [super::pages::MenuItem],
    host: &'c str,
    now: &'c super::now::Now,
    can_log_in: bool,
    form_token: Option<String>,
    said: Option<String>,
    #[serde(flatten)]
    own: Value,
}

impl Web {
    /// A page with this title.
    pub(super) async fn page(
        &self,
        headers: &HeaderMap,
        (page, template, title): (Page, &str, &str),
        own: Value,
    ) -> Response {
        let frame = match self.live.now().await {
            Ok(frame) => frame,
            Err(error) => return failed(&error),
        };
        let seen = cookie(headers).and_then(|it| self.sessions.look(it, Instant::now()));
        let (form_token, said) = match seen {
            Some(Seen { form_token, said }) => (Some(form_token), said),
            None => (None, None),
        };
        let host = headers.get(header::HOST);
        let context = Context {
            page,
            title,
            menu: &MENU,
            host: host.and_then(|it| it.to_str().ok()).unwrap_or_default(),
            now: &frame.now,
            can_log_in: self.sessions.can_begin(),
            form_token,
            said,
            own,
        };
        self.pages.render(template, &context)
    }

    /// Something that went wrong, as a page.
    pub(super) async fn problem(
        &self,
        headers: &HeaderMap,
        status: StatusCode,
        text: &str,
    ) -> Response {
        let title = status.canonical_reason().unwrap_or("Not done");
        let own = json!({ "text": text });
        let page = self.page(headers, (Page::Other, "message.html", title), own);
        (status, page.await).into_response()
    }

    async fn find(self: &Arc<Self>, query: Query) -> Result<Found, Response> {
        let Ok(_place) = self.searches.acquire().await else {
            return Err(StatusCode::SERVICE_UNAVAILABLE.into_response());
        };
        let web = Arc::clone(self);
        let found = tokio::task::spawn_blocking(move || find(&web.parts, &query)).await;
        found.map_err(|error| failed(&error))
    }

    /// The devices that nobody knows: how many there are, and the last of them to ask.
    pub(super) async fn unknown(self: &Arc<Self>) -> Result<(usize, Vec<Knocking>), Response> {
        let web = Arc::clone(self);
        let look = move || (web.parts.sources.knocking)(Knockers::Unknown);
        let mut rows = tokio::task::spawn_blocking(look)
            .await
            .map_err(|error| failed(&error))?;
        let total = rows.len();
        rows.truncate(LIMIT);
        Ok((total, rows))
    }
}

fn failed(error: &dyn std::error::Error) -> Response {
    tracing::error!(event = "web.request_failed", %error, "a request of the web page failed");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

fn json_of(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => failed(&error),
    }
}

fn value(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("names, numbers and texts are JSON")
}

async fn overview(State(web): Shared, headers: HeaderMap) -> Response {
    let page = (Page::Overview, "overview.html", "Overview");
    web.page(&headers, page, Value::Null).await
}

async fn storm(State(web): Shared, headers: HeaderMap) -> Response {
    let own = json!({ "history": web.live.history() });
    web.page(&headers, (Page::Storm, "storm.html", "Storm"), own)
        .await
}

async fn files(State(web): Shared, headers: HeaderMap) -> Response {
    let own = json!({ "firmware": (web.parts.firmware)().as_deref() });
    let page = (Page::Files, "files.html", "Files and firmware");
    web.page(&headers, page, own).await
}

async fn configuration(State(web): Shared, headers: HeaderMap) -> Response {
    let log = web.parts.sources.log.now(Instant::now());
    let own = json!({ "shown": &**web.settings.shown.get(), "log": log });
    let page = (Page::Configuration, "configuration.html", "Configuration");
    web.page(&headers, page, own).await
}

async fn login(State(web): Shared, headers: HeaderMap) -> Response {
    let page = (Page::Other, "login.html", "Log in");
    web.page(&headers, page, Value::Null).await
}

async fn phones(State(web): Shared, headers: HeaderMap, RawQuery(text): RawQuery) -> Response {
    let query = Query::parse(text.as_deref().unwrap_or_default());
    let found = match web.find(query.clone()).await {
        Ok(found) => found,
        Err(response) => return response,
    };
    let [before, after] = query.neighbours(&found);
    let mut shown = value(&query);
    shown["text"] = query.text().into();
    let own = json!({
        "query": shown,
        "found": found,
        "stages": Stage::ALL,
        "before": before,
        "after": after,
    });
    web.page(&headers, (Page::Phones, "phones.html", "Phones"), own)
        .await
}

async fn phone(State(web): Shared, headers: HeaderMap, Path(name): Path<String>) -> Response {
    let known = name.parse::<DeviceName>().ok();
    match known.and_then(|name| detail(&web.parts, name)) {
        Some(phone) => {
            let own = json!({ "phone": phone });
            web.page(&headers, (Page::Phones, "phone.html", "Phone"), own)
                .await
        }
        None => {
            let text = "No phone of this name is in the inventory or registered.";
            web.problem(&headers, StatusCode::NOT_FOUND, text).await
        }
    }
}

async fn unknown(State(web): Shared, headers: HeaderMap) -> Response {
    let (total, rows) = match web.unknown().await {
        Ok(found) => found,
        Err(response) => return response,
    };
    let own = json!({ "found": { "total": total, "rows": rows } });
    let page = (Page::Unknown, "unknown.html", "Unknown devices");
    web.page(&headers, page, own).await
}

async fn asset(State(web): Shared, Path(name): Path<String>) -> Response {
    let asset = web.pages.asset(&name);
    asset.unwrap_or_else(|| StatusCode::NOT_FOUND.into_response())
}

async fn nothing(State(web): Shared, headers: HeaderMap, uri: Uri) -> Response {
    if uri.path().starts_with("/api/") {
        return StatusCode::NOT_FOUND.into_response();
    }
    let text = "There is no such page.";
    web.problem(&headers, StatusCode::NOT_FOUND, text).await
}

async fn api_now(State(web): Shared) -> Response {
    match web.live.now().await {
        Ok(frame) => {
            let media_type = [(header::CONTENT_TYPE, "application/json")];
            (media_type, frame.json.clone()).into_response()
        }
        Err(error) => failed(&error),
    }
}

async fn api_events(State(web): Shared, ConnectInfo(peer): ConnectInfo<Peer>) -> Response {
    let Some(viewer) = web.live.view() else {
        let text = format!("{VIEWERS} others look, and no more may\n");
        let refusal = Extension(Refusal::TooManyStreams);
        return (StatusCode::SERVICE_UNAVAILABLE, refusal, text).into_response();
    };
    let first: Arc<Frame> = match web.live.now().await {
        Ok(frame) => frame,
        Err(error) => return failed(&error),
    };
    let lease = peer.leases.take();
    answer("text/event-stream", lease, async move |pages| {
        viewer.follow(first, &pages).await;
    })
}

async fn api_history(State(web): Shared) -> Response {
    json_of(&web.live.history())
}

async fn api_phones(State(web): Shared, RawQuery(text): RawQuery) -> Response {
    let query = Query::parse(text.as_deref().unwrap_or_default());
    match web.find(query).await {
        Ok(found) => json_of(&found),
        Err(response) => response,
    }
}

async fn api_phone(State(web): Shared, Path(name): Path<String>) -> Response {
    let known = name.parse::<DeviceName>().ok();
    match known.and_then(|name| detail(&web.parts, name)) {
        Some(phone) => json_of(&phone),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn api_unknown(State(web): Shared) -> Response {
    match web.unknown().await {
        Ok((total, rows)) => json_of(&json!({ "total": total, "rows": rows })),
        Err(response) => response,
    }
}

async fn api_configuration(State(web): Shared) -> Response {
    json_of(&**web.settings.shown.get())
}

async fn api_firmware(State(web): Shared) -> Response {
    json_of(&(web.parts.firmware)().as_deref())
}
