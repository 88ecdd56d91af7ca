//! What is answered to whoever changes something: a session first, then orders to phones, and
//! unknown devices that are taken in.
//!
//! Every form carries its session's token. What came of it is told on the page the browser is sent
//! on to, once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Web;
use super::pages::Page;
use super::routes::{COOKIE, Shared, cookie};
use super::session::{LIFETIME, LoginError};
use crate::clock::steady;
use crate::inventory::{DeviceName, Inventory, Origin, StoreError, text};
use crate::ops::log::{self, Level};
use crate::ops::streamed::Peer;
use crate::provisioning::{self, Adoption, Told, since_epoch};
use crate::register::Order;
use crate::register::pacer::{Command, Ordered, Which};

type Form = HashMap<String, String>;

/// The fields of a form; the last one of a name counts.
fn fields(body: &[u8]) -> Form {
    form_urlencoded::parse(body).into_owned().collect()
}

fn field<'f>(form: &'f Form, name: &str) -> Option<&'f str> {
    let value = form.get(name)?.trim();
    Some(value).filter(|value| !value.is_empty())
}

/// Sends the browser on to a page, which it is to fetch.
fn on_to(path: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, path)]).into_response()
}

/// The token of the session a form belongs to; else what is answered instead.
async fn session<'h>(web: &Web, headers: &'h HeaderMap, form: &Form) -> Result<&'h str, Response> {
    let now = Instant::now();
    let token = cookie(headers).filter(|it| web.sessions.has(it, now));
    let Some(token) = token else {
        let text = "Nothing was done: log in first.";
        return Err(web.problem(headers, StatusCode::FORBIDDEN, text).await);
    };
    let own = field(form, "form_token").unwrap_or_default();
    match web.sessions.is_own(token, own, now) {
        true => Ok(token),
        false => {
            let text = "Nothing was done: the form is not of this session. Load the page again.";
            Err(web.problem(headers, StatusCode::FORBIDDEN, text).await)
        }
    }
}

pub(super) async fn login(
    State(web): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = fields(&body);
    // As it was written: a password may end with a space.
    let guess = form.get("password").map_or("", String::as_str);
    match web.sessions.begin(guess, peer.address, Instant::now()) {
        Ok(token) => {
            tracing::info!(event = "web.logged_in", source = %peer.address, "logged in to the web page");
            let seconds = LIFETIME.as_secs();
            let cookie =
                format!("{COOKIE}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict");
            ([(header::SET_COOKIE, cookie)], on_to("/")).into_response()
        }
        Err(error) => {
            tracing::warn!(event = "web.login_refused", source = %peer.address, %error, "no login to the web page");
            let status = match error {
                LoginError::TooMany => StatusCode::TOO_MANY_REQUESTS,
                LoginError::Wrong | LoginError::NoPassword => StatusCode::FORBIDDEN,
            };
            let own = json!({ "problem": sentence(&error.to_string()) });
            let page = web.page(&headers, (Page::Other, "login.html", "Log in"), own);
            (status, page.await).into_response()
        }
    }
}

pub(super) async fn logout(State(web): Shared, headers: HeaderMap, body: Bytes) -> Response {
    match session(&web, &headers, &fields(&body)).await {
        Ok(token) => web.sessions.end(token),
        Err(refused) => return refused,
    }
    let gone = format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict");
    ([(header::SET_COOKIE, gone)], on_to("/")).into_response()
}

pub(super) async fn order(
    State(web): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = fields(&body);
    let token = match session(&web, &headers, &form).await {
        Ok(token) => token,
        Err(refused) => return refused,
    };
    let order = Order::ALL
        .into_iter()
        .find(|order| field(&form, "order") == Some(order.as_str()));
    let (Ok(name), Some(order)) = (name.parse::<DeviceName>(), order) else {
        let text = "Nothing was done: there is no such phone, or no such order.";
        return web.problem(&headers, StatusCode::BAD_REQUEST, text).await;
    };
    let command = Command {
        order,
        phones: Which::Names(vec![name]),
        rate: None,
        ticket: None,
        dry_run: false,
    };
    let ordered = web.parts.sources.orders.command(&command, steady());
    tracing::info!(event = "web.ordered", device = %name, order = order.as_str(), source = %peer.address, "ordered on the web page");
    let said = told(name, order, &ordered);
    web.sessions.say(token, said, Instant::now());
    on_to(&format!("/phones/{name}"))
}

fn told(name: DeviceName, order: Order, ordered: &Ordered) -> String {
    let order = order.as_str();
    if ordered.queued > 0 {
        format!("{name} will be told to {order}.")
    } else if ordered.joined > 0 {
        format!("{name} has an order waiting already.")
    } else if ordered.no_room > 0 {
        "Too many orders are waiting; try again later.".to_owned()
    } else {
        format!("{name} is not registered, and so cannot be told to {order}.")
    }
}

/// For how long a level may be changed; whoever wants it for longer writes it into the settings.
const LOG_MINUTES_MAX: u64 = 24 * 60;

pub(super) async fn log(State(web): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let form = fields(&body);
    let token = match session(&web, &headers, &form).await {
        Ok(token) => token,
        Err(refused) => return refused,
    };
    let said = web.change_log(&form).unwrap_or_else(|problem| problem);
    web.sessions.say(token, said, Instant::now());
    on_to("/configuration")
}

pub(super) async fn adopt(
    State(web): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = fields(&body);
    let token = match session(&web, &headers, &form).await {
        Ok(token) => token,
        Err(refused) => return refused,
    };
    let adoption = match adoption(&web, &form).await {
        Ok(adoption) => adoption,
        Err(text) => {
            web.sessions.say(token, text, Instant::now());
            return on_to("/unknown");
        }
    };
    let name = adoption.name;
    let origin = Origin {
        who: format!("web page, {}", peer.address.to_canonical()),
        how: "phones adopt".to_owned(),
    };
    let work = Arc::clone(&web);
    let adopted = tokio::task::spawn_blocking(move || work.take_in(adoption, &origin)).await;
    let said = match adopted {
        Ok(Ok(number)) => {
            tracing::info!(event = "web.adopted", device = %name, source = %peer.address, "adopted on the web page");
            format!("{name} is taken in, with number {number}.")
        }
        Ok(Err(error)) => format!("{name} is not taken in: {error}."),
        Err(error) => format!("{name} is not taken in: {error}."),
    };
    web.sessions.say(token, said, Instant::now());
    on_to("/unknown")
}

/// What the form says, and else what the device told when it knocked; or what is wrong, to be told
/// on the page.
async fn adoption(web: &Arc<Web>, form: &Form) -> Result<Adoption, String> {
    let wrong = |text: &str| text.to_owned();
    let name = field(form, "name").and_then(|name| name.parse::<DeviceName>().ok());
    let name = name.ok_or_else(|| wrong("That is no device's name, such as SEP001122334455."))?;
    let protocol = match field(form, "protocol").map(str::parse) {
        Some(Err(())) => return Err(wrong("The protocol is sip or sccp.")),
        Some(Ok(protocol)) => Some(protocol),
        None => None,
    };
    let number = field(form, "number").map(str::to_owned);
    if let Some(Err(problem)) = number.as_deref().map(text::directory_number) {
        return Err(sentence(&problem));
    }
    let by_name = Told::by_name(name);
    let sources = Arc::clone(&web.parts.sources);
    let look = move || (sources.knocking)(provisioning::Knockers::Unknown);
    let knocks = tokio::task::spawn_blocking(look).await.unwrap_or_default();
    let knock = knocks.into_iter().find(|it| it.name == name);
    let site = field(form, "site").map(str::to_owned);
    let model = field(form, "model").map(str::to_owned).or(by_name.model);
    let (knocked_site, knocked_model) = match knock {
        Some(knock) => (Some(knock.site), knock.model),
        None => (None, None),
    };
    Ok(Adoption {
        name,
        site: site
            .or(knocked_site)
            .ok_or_else(|| wrong("Nothing tells where the device is: name its site."))?,
        model: model
            .or(knocked_model)
            .ok_or_else(|| wrong("Nothing tells what model the device is: name it."))?,
        protocol: protocol.or(by_name.protocol),
        profile: None,
        number,
    })
}

/// Why a device was not taken in.
#[derive(Debug, thiserror::Error)]
enum NotTakenIn {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Adopt(#[from] provisioning::AdoptError),
    #[error("the inventory gave no answer")]
    Nothing,
}

impl Web {
    /// What came of it, or what is wrong with it.
    fn change_log(&self, form: &Form) -> Result<String, String> {
        let level = field(form, "level").map(|level| Level::try_from(level.to_owned()));
        let level = level
            .transpose()
            .map_err(|error| sentence(&error.to_string()))?;
        let minutes = match field(form, "minutes").map(str::parse::<u64>) {
            None => None,
            Some(Ok(minutes @ 1..=LOG_MINUTES_MAX)) => Some(minutes),
            Some(_) => return Err(format!("The minutes are 1 to {LOG_MINUTES_MAX}.")),
        };
        let lasting = minutes.map(|minutes| Duration::from_secs(minutes * 60));
        let log = &self.parts.sources.log;
        log.change(log::Change::Level(level), lasting, Instant::now())
            .map_err(|error| sentence(&error.to_string()))?;
        let level = log.now(Instant::now()).level;
        Ok(match minutes {
            Some(minutes) => format!("The log is at {level} for {minutes} minutes."),
            None => format!("The log is at {level}."),
        })
    }

    /// Writes the inventory, which the daemon watches; returns the number that was given.
    fn take_in(&self, adoption: Adoption, origin: &Origin) -> Result<String, NotTakenIn> {
        let provisioning = self.settings.provisioning.take();
        let minutes = provisioning.window_minutes;
        let has_windows = provisioning.has_windows();
        let until = has_windows.then(|| since_epoch().as_secs() + provisioning::seconds(minutes));
        let mut inventory = Inventory::open(self.settings.inventory.clone())?;
        let adopted = provisioning::adopt(&mut inventory, &[adoption], until, origin)?;
        let device = adopted.into_iter().next().ok_or(NotTakenIn::Nothing)??;
        let numbers: Vec<_> = device.lines.iter().map(|it| it.number.as_str()).collect();
        Ok(numbers.join(", "))
    }
}

/// With a capital and a stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|it| it.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}
