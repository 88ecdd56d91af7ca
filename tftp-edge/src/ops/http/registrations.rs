//! `/registrations` and `/registrations/stream`: who is registered, for PBXs.
//!
//! The objects are those of [`crate::register::export`]. Only this host may read them, and whoever
//! `register.export_allow` names: they tell where everybody sits. Nobody makes the daemon hold the
//! whole table: a page of it is written when the one before was taken.

use std::sync::Arc;

use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use serde::Serialize;
use tokio::sync::mpsc::Sender;

use crate::ops::serve::Refusal;
use crate::ops::streamed::{Peer, answer, send};
use crate::register::export::{Export, FOLLOWERS, Feed, Filter};

pub(super) fn router(export: Arc<Export>) -> Router {
    Router::new()
        .route("/registrations", get(list))
        .route("/registrations/stream", get(stream))
        .with_state(export)
}

type Refused = (StatusCode, String);

/// The filter of a request that may be answered; else what is answered instead.
fn admitted(export: &Export, peer: &Peer, query: Option<String>) -> Result<Filter, Refused> {
    if !export.allows(peer.address) {
        let text = format!(
            "{} may not read registrations; name its network in register.export_allow\n",
            peer.address.to_canonical()
        );
        return Err((StatusCode::FORBIDDEN, text));
    }
    Filter::parse(query.as_deref().unwrap_or_default())
        .map_err(|error| (StatusCode::BAD_REQUEST, format!("{error}\n")))
}

async fn list(
    State(export): State<Arc<Export>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    RawQuery(query): RawQuery,
) -> Response {
    let filter = match admitted(&export, &peer, query) {
        Ok(filter) => filter,
        Err(refused) => return refused.into_response(),
    };
    let lease = peer.leases.take();
    answer("application/json", lease, async move |pages| {
        let mut separator = "[\n";
        for at in 0.. {
            let Some(rows) = export.page(at, &filter) else {
                break;
            };
            let mut text = Vec::new();
            for row in rows {
                text.extend_from_slice(separator.as_bytes());
                separator = ",\n";
                write(&row, &mut text);
            }
            if !send(&pages, text).await {
                return;
            }
        }
        let end = match separator {
            "[\n" => "[]\n",
            _ => "\n]\n",
        };
        send(&pages, end).await;
    })
}

async fn stream(
    State(export): State<Arc<Export>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    RawQuery(query): RawQuery,
) -> Response {
    let filter = match admitted(&export, &peer, query) {
        Ok(filter) => filter,
        Err(refused) => return refused.into_response(),
    };
    let Some(feed) = export.follow(filter) else {
        let text = format!("{FOLLOWERS} others follow the registrations, and no more may\n");
        let refusal = Extension(Refusal::TooManyStreams);
        return (StatusCode::SERVICE_UNAVAILABLE, refusal, text).into_response();
    };
    let lease = peer.leases.take();
    answer("application/x-ndjson", lease, async move |pages| {
        follow(feed, &pages).await;
    })
}

async fn follow(mut feed: Feed, pages: &Sender<Bytes>) {
    loop {
        let events = tokio::select! {
            events = feed.next() => events,
            () = pages.closed() => return,
        };
        let mut text = Vec::new();
        for event in events {
            write(&event, &mut text);
            text.push(b'\n');
        }
        if !send(pages, text).await {
            return;
        }
    }
}

fn write(value: &impl Serialize, text: &mut Vec<u8>) {
    serde_json::to_writer(text, value).expect("names, numbers and texts are JSON");
}
