//! What is answered to a request.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::body::Body;
use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderName, Method, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use tftp_ebpf::stage::Stage;
use tftp_ebpf::verdict::Reason;

use super::body::Sending;
use super::conditional::{Selection, select};
use super::config_list;
use super::counters::{Refusal, Scheme};
use super::link::{Begun, Link};
use super::told::{outcome, stage_of};
use crate::content::upstream::MARK;
use crate::content::{Catalog, Lookup, Query, Version};
use crate::journal::Outcome;
use crate::misses::Miss;
use crate::stats::{StageCounter, Unserved};

/// How long a file is waited for that is not in memory. A phone that is sent away asks over TFTP,
/// which waits for the same file.
const PATIENCE: Duration = Duration::from_secs(10);

/// What another edge says who asks for a client of its own.
const FORWARDED: HeaderName = HeaderName::from_static(MARK);

/// What a signature adds to a name.
const SIGNED: &[u8] = b".sgn";

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("no answer is given")]
pub(super) struct Silence;

/// What a name has turned out to be.
enum Found {
    File(Arc<Version>),
    /// Absent, or not to be served: nobody outside can tell which.
    Nothing,
    /// It could not be read in time.
    NotReady,
}

impl Found {
    /// For the log.
    const fn as_str(&self) -> &'static str {
        match self {
            Self::File(_) => "found",
            Self::Nothing => "absent",
            Self::NotReady => "not_ready",
        }
    }
}

pub(super) async fn answer<B>(link: &Arc<Link>, request: &Request<B>) -> Result<Response, Silence> {
    let since = Instant::now();
    link.asked();
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        link.lane().refuse(Refusal::Method);
        let allow = (header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(empty(StatusCode::METHOD_NOT_ALLOWED, [allow]));
    }
    let name = name(request.uri());
    if config_list::is_asked_for(&name)
        && link
            .site
            .settings
            .get()
            .config_list_allow
            .allows(link.client)
    {
        let list = config_list::write(&link.site.catalog).await;
        let begun = Begun {
            stage: Stage::Other,
            since,
            has_body: true,
            told: None,
        };
        return Ok(file(link, request, begun, list, None));
    }
    let marks = request.headers().get_all(FORWARDED);
    let marks = marks.iter().map(HeaderValue::as_bytes);
    let forwarded = link.site.catalog.forwarders().http(link.client, marks);
    let found = find(link, &name, forwarded).await;
    tracing::debug!(
        peer = %link.client,
        file = %name.escape_ascii(),
        outcome = found.as_str(),
        "asked over HTTP"
    );
    match found {
        Found::File(version) => {
            let told = (!forwarded).then(|| (link.request(&version), Outcome::Complete));
            let begun = Begun {
                stage: version.stage,
                since,
                has_body: true,
                told,
            };
            let bytes = version.bytes.clone();
            Ok(file(link, request, begun, bytes, Some(&version)))
        }
        Found::Nothing => absent(link, &name, forwarded, since),
        Found::NotReady => {
            link.lane().refuse(Refusal::NotReady);
            let (stages, stage) = (&link.lane().stages, stage_of(&name));
            stages.add(stage, StageCounter::Requests, 1);
            stages.ended(stage, Unserved::Shed);
            if !forwarded {
                link.tell_name(&name, Outcome::Overload);
            }
            Ok(empty(StatusCode::SERVICE_UNAVAILABLE, []))
        }
    }
}

/// The path is `/` and the name as a phone would write it over TFTP. Nothing is read behind `?`.
fn name(uri: &Uri) -> Cow<'_, [u8]> {
    let path = uri.path();
    percent_decode_str(path.strip_prefix('/').unwrap_or(path)).into()
}

/// A 404, out of the same budget as ERROR 1 of TFTP; over it, what TFTP says: nothing.
fn absent(link: &Link, name: &[u8], forwarded: bool, now: Instant) -> Result<Response, Silence> {
    let (site, client, miss) = (&link.site, link.client, Miss::of(name));
    if let Err(reason) = site.misses.take(client, &miss, now) {
        // As over TFTP: one scanner behind NAT must not hold up a site's boots.
        let goes_on = miss == Miss::Optional && site.sources.is_known(client, now);
        if !goes_on {
            link.lane().refuse(match reason {
                Reason::UnknownBudget => Refusal::UnknownBudget,
                _ => Refusal::MissBudget,
            });
            // Configurations of devices that nobody knows are what a scan asks for.
            if !forwarded && !matches!(miss, Miss::Device(_)) {
                link.tell_name(name, Outcome::Overload);
            }
            return Err(Silence);
        }
    }
    let (stages, stage) = (&link.lane().stages, stage_of(name));
    stages.add(stage, StageCounter::Requests, 1);
    stages.add(stage, StageCounter::NotFound, 1);
    if !forwarded {
        link.tell_name(name, Outcome::Absent);
    }
    Ok(empty(StatusCode::NOT_FOUND, []))
}

/// The file of a name. On the port of HTTPS the file itself goes before its signed form: the
/// signature of a `.sgn` is what TLS is there instead of. Names that end so by themselves (images
/// of firmware) are found as they are.
async fn find(link: &Link, name: &[u8], forwarded: bool) -> Found {
    let unsigned = match link.scheme {
        Scheme::Https => without_signature(name),
        Scheme::Http => None,
    };
    for name in unsigned.into_iter().chain([name]) {
        let query = Query::new(name, link.client).forwarded(forwarded);
        match look_up(&link.site.catalog, query).await {
            Found::Nothing => {}
            found => return found,
        }
    }
    Found::Nothing
}

fn without_signature(name: &[u8]) -> Option<&[u8]> {
    let (name, suffix) = name.split_at_checked(name.len().checked_sub(SIGNED.len())?)?;
    suffix.eq_ignore_ascii_case(SIGNED).then_some(name)
}

async fn look_up(catalog: &Arc<dyn Catalog>, query: Query<'_>) -> Found {
    let mut lookup = catalog.lookup(query);
    if matches!(lookup, Lookup::Loading) {
        let (wake, ready) = tokio::sync::oneshot::channel();
        let wake = Box::new(move || {
            // Nobody waits any more when the patience has ended.
            let _ = wake.send(());
        });
        catalog.when_ready(query, wake);
        if tokio::time::timeout(PATIENCE, ready).await.is_err() {
            return Found::NotReady;
        }
        lookup = catalog.lookup(query);
    }
    match lookup {
        Lookup::Found(version) => Found::File(version),
        // It was read, and there is no room for it.
        Lookup::Loading => Found::NotReady,
        Lookup::Absent | Lookup::Refused => Found::Nothing,
    }
}

/// The file, a part of it, or what the conditions of the request make of it. What is made for the
/// request has no version and is always sent whole.
fn file<B>(
    link: &Arc<Link>,
    request: &Request<B>,
    mut begun: Begun,
    bytes: Bytes,
    version: Option<&Version>,
) -> Response {
    let len = bytes.len();
    let now = SystemTime::now();
    let validators = version.map(|version| link.site.tags.validators(version));
    let selection = validators.as_ref().map_or(Selection::Whole, |validators| {
        select(request.method(), request.headers(), validators, now, len)
    });
    let (status, range) = match selection {
        Selection::Whole => (StatusCode::OK, 0..len),
        Selection::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Selection::NotModified => (StatusCode::NOT_MODIFIED, 0..0),
        Selection::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, 0..0),
        Selection::Unsatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, 0..0),
    };
    let body = match *request.method() {
        Method::HEAD => Bytes::new(),
        _ => bytes.slice(range.clone()),
    };
    let stage = begun.stage;
    begun.has_body = !body.is_empty();
    if let Some((_, becomes)) = &mut begun.told {
        *becomes = outcome(request.method(), status);
    }
    link.begin(begun);
    let body = match body.is_empty() {
        true => Body::empty(),
        false => Body::new(Sending::new(body, stage, Arc::clone(link))),
    };
    let mut response = empty(status, []);
    *response.body_mut() = body;
    let headers = response.headers_mut();
    let text = |text: String| {
        HeaderValue::try_from(text).expect("digits, quotes and dates are visible ASCII")
    };
    match status {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
            let kind = version.map_or(TEXT, |version| content_type(&version.name));
            headers.insert(header::CONTENT_TYPE, kind);
            // Of what a GET would send, to a HEAD too.
            headers.insert(header::CONTENT_LENGTH, range.len().into());
        }
        _ => {}
    }
    match status {
        StatusCode::PARTIAL_CONTENT => {
            let (first, last) = (range.start, range.end - 1);
            let part = text(format!("bytes {first}-{last}/{len}"));
            headers.insert(header::CONTENT_RANGE, part);
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            headers.insert(header::CONTENT_RANGE, text(format!("bytes */{len}")));
        }
        _ => {}
    }
    if let Some(validators) = validators {
        if let Some(date) = validators.date(now) {
            let date = text(httpdate::fmt_http_date(date));
            headers.insert(header::LAST_MODIFIED, date);
        }
        headers.insert(header::ETAG, text(validators.etag));
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
    response
}

/// An answer without a body. Nothing that is answered may be kept by a proxy on the way: as CUCM.
fn empty<const N: usize>(status: StatusCode, more: [(HeaderName, HeaderValue); N]) -> Response {
    let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    (status, [no_store], more, Body::empty()).into_response()
}

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// By the normalised name.
fn content_type(name: &str) -> HeaderValue {
    HeaderValue::from_static(match name.ends_with(".xml") {
        true => "text/xml",
        false => "application/octet-stream",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_a_suffix_in_any_case() {
        assert_eq!(without_signature(b"a.xml.sgn"), Some(&b"a.xml"[..]));
        assert_eq!(without_signature(b"A.XML.SGN"), Some(&b"A.XML"[..]));
        assert_eq!(without_signature(b"a.xml"), None);
        assert_eq!(without_signature(b"gn"), None);
    }
}
