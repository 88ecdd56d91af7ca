//! Conditions and ranges of a request (RFC 9110 sections 13 and 14): headers in, a decision out.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, HeaderName, Method, header};

/// What tells one version of a file from another.
#[derive(Clone, Debug)]
pub(super) struct Validators {
    /// Strong, with its quotes.
    pub(super) etag: String,
    pub(super) modified: SystemTime,
}

impl Validators {
    /// The date in whole seconds, if it tells this version from any before it: what was changed
    /// within the same second would have the same (RFC 9110 section 8.8.2.2).
    pub(super) fn date(&self, now: SystemTime) -> Option<SystemTime> {
        let age = now.duration_since(self.modified).ok()?;
        (age >= Duration::from_secs(2)).then(|| whole_seconds(self.modified))
    }
}

fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.map_or(0, |since| since.as_secs()))
}

/// What of a file is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    Whole,
    /// 206.
    Part(Range<usize>),
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
    /// 416.
    Unsatisfiable,
}

/// Decides in the order of RFC 9110 section 13.2.2.
pub(super) fn select(
    method: &Method,
    headers: &HeaderMap,
    validators: &Validators,
    now: SystemTime,
    len: usize,
) -> Selection {
    let date = validators.date(now);
    if let Some(tags) = list(headers, header::IF_MATCH) {
        // A weak tag never matches here.
        if !tags.iter().any(|&tag| tag == "*" || tag == validators.etag) {
            return Selection::PreconditionFailed;
        }
    } else if let (Some(since), Some(date)) = (time(headers, header::IF_UNMODIFIED_SINCE), date)
        && date > since
    {
        return Selection::PreconditionFailed;
    }
    if let Some(tags) = list(headers, header::IF_NONE_MATCH) {
        let is_same = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag) == validators.etag;
        if tags.iter().any(|&tag| tag == "*" || is_same(tag)) {
            return Selection::NotModified;
        }
    } else if let (Some(since), Some(date)) = (time(headers, header::IF_MODIFIED_SINCE), date)
        && date <= since
    {
        return Selection::NotModified;
    }
    if method != Method::GET || !may_be_partial(headers, validators, date) {
        return Selection::Whole;
    }
    match headers.get(header::RANGE).map(|value| value.to_str()) {
        Some(Ok(ranges)) => range(ranges, len),
        _ => Selection::Whole,
    }
}

/// If-Range: the part is wanted only of the version the client has begun with.
fn may_be_partial(headers: &HeaderMap, validators: &Validators, date: Option<SystemTime>) -> bool {
    match headers.get(header::IF_RANGE) {
        None => true,
        Some(value) if value.as_bytes() == validators.etag.as_bytes() => true,
        Some(_) => match (time(headers, header::IF_RANGE), date) {
            // Exactly that date, not an earlier one (section 13.1.5).
            (Some(wanted), Some(date)) => wanted == date,
            _ => false,
        },
    }
}

/// A range that is not understood, or several of them, may be answered with the whole file
/// (section 14.2).
fn range(value: &str, len: usize) -> Selection {
    let Some(spec) = value
        .strip_prefix("bytes=")
        .filter(|spec| !spec.contains(','))
    else {
        return Selection::Whole;
    };
    let Some((first, last)) = spec.trim().split_once('-') else {
        return Selection::Whole;
    };
    let number = |text: &str| -> Option<usize> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // One that does not fit is beyond every end.
        is_number.then(|| text.parse().unwrap_or(usize::MAX))
    };
    let part = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(len),
        (Some(first), None) if last.is_empty() => first..len,
        (None, Some(last)) if first.is_empty() => len.saturating_sub(last)..len,
        _ => return Selection::Whole,
    };
    if part.is_empty() {
        return Selection::Unsatisfiable;
    }
    Selection::Part(part)
}

/// The members of a list header, over all its lines. Our tags hold no comma, so one that does is
/// taken apart without harm.
fn list(headers: &HeaderMap, name: HeaderName) -> Option<Vec<&str>> {
    headers.contains_key(&name).then(|| {
        let lines = headers.get_all(name).into_iter();
        let lines = lines.filter_map(|value| value.to_str().ok());
        lines
            .flat_map(|line| line.split(',').map(str::trim))
            .collect()
    })
}

fn time(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const LEN: usize = 1000;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn date(seconds: u64) -> String {
        httpdate::fmt_http_date(at(seconds))
    }

    fn ask(method: &Method, headers: &[(HeaderName, &str)]) -> Selection {
        let validators = Validators {
            etag: "\"v1\"".to_owned(),
            modified: at(1_000) + Duration::from_millis(300),
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        select(method, &map, &validators, at(2_000), LEN)
    }

    fn get(headers: &[(HeaderName, &str)]) -> Selection {
        ask(&Method::GET, headers)
    }

    #[test]
    fn one_range_is_a_part() {
        for (range, part) in [
            ("bytes=0-0", 0..1),
            ("bytes=100-199", 100..200),
            ("bytes=999-", 999..1000),
            ("bytes=900-5000", 900..1000),
            ("bytes=-100", 900..1000),
            ("bytes=-5000", 0..1000),
            ("bytes=0-99999999999999999999999", 0..1000),
        ] {
            assert_eq!(
                get(&[(header::RANGE, range)]),
                Selection::Part(part),
                "{range}"
            );
        }
    }

    #[test]
    fn a_range_behind_the_end_cannot_be_satisfied() {
        for range in ["bytes=1000-", "bytes=1000-1001", "bytes=-0"] {
            assert_eq!(
                get(&[(header::RANGE, range)]),
                Selection::Unsatisfiable,
                "{range}"
            );
        }
    }

    #[test]
    fn what_is_no_single_range_gets_the_whole_file() {
        for range in [
            "bytes=0-1,5-6",
            "bytes=5-1",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=-",
            "bytes=",
            "lines=1-2",
        ] {
            assert_eq!(get(&[(header::RANGE, range)]), Selection::Whole, "{range}");
        }
        let head = ask(&Method::HEAD, &[(header::RANGE, "bytes=0-1")]);
        assert_eq!(
            head,
            Selection::Whole,
            "RFC 9110 section 14.2 knows ranges of GET only"
        );
    }

    #[test]
    fn a_range_holds_only_for_the_version_it_was_asked_of() {
        let of =
            |validator: &str| get(&[(header::RANGE, "bytes=0-1"), (header::IF_RANGE, validator)]);
        assert_eq!(of("\"v1\""), Selection::Part(0..2));
        assert_eq!(of("\"v0\""), Selection::Whole);
        assert_eq!(of("W/\"v1\""), Selection::Whole);
        assert_eq!(of(&date(1_000)), Selection::Part(0..2));
        assert_eq!(of(&date(1_500)), Selection::Whole);
    }

    #[test]
    fn a_client_that_has_the_version_is_not_sent_it_again() {
        for tag in ["\"v1\"", "W/\"v1\"", "\"v0\", \"v1\"", "*"] {
            let selection = get(&[(header::IF_NONE_MATCH, tag)]);
            assert_eq!(selection, Selection::NotModified, "{tag}");
        }
        let old = get(&[(header::IF_NONE_MATCH, "\"v0\"")]);
        assert_eq!(old, Selection::Whole);
        let since = |seconds| get(&[(header::IF_MODIFIED_SINCE, &date(seconds))]);
        assert_eq!(since(999), Selection::Whole);
        assert_eq!(since(1_000), Selection::NotModified);
        // The tag is the better witness.
        let both = get(&[
            (header::IF_NONE_MATCH, "\"v0\""),
            (header::IF_MODIFIED_SINCE, &date(1_500)),
        ]);
        assert_eq!(both, Selection::Whole);
    }

    #[test]
    fn a_precondition_that_does_not_hold_ends_the_request() {
        let failed = Selection::PreconditionFailed;
        assert_eq!(get(&[(header::IF_MATCH, "\"v0\"")]), failed);
        assert_eq!(get(&[(header::IF_MATCH, "W/\"v1\"")]), failed);
        assert_eq!(get(&[(header::IF_MATCH, "\"v1\"")]), Selection::Whole);
        assert_eq!(get(&[(header::IF_UNMODIFIED_SINCE, &date(999))]), failed);
        assert_eq!(
            get(&[(header::IF_UNMODIFIED_SINCE, &date(1_000))]),
            Selection::Whole
        );
    }

    #[test]
    fn a_date_tells_versions_apart_only_when_its_second_is_over() {
        let validators = Validators {
            etag: String::new(),
            modified: at(1_000),
        };
        assert_eq!(validators.date(at(1_001)), None);
        assert_eq!(validators.date(at(1_002)), Some(at(1_000)));
        // A clock that was set back.
        assert_eq!(validators.date(at(1)), None);
    }
}
