//! The pages: templates that escape whatever they are given, and what scripts and styles go with
//! them.
//!
//! A page is whole without scripts. What changes is in elements that say by `data-bind` where in the
//! snapshot it comes from, so that `assets/page.js` can renew its text and nothing else. Names,
//! descriptions and everything else that came from phones or people is text on both sides.

use std::collections::HashMap;

use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, HtmlEscape};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::format::told;

const TEMPLATES: [(&str, &str); 11] = [
    ("base.html", include_str!("pages/base.html")),
    ("parts.html", include_str!("pages/parts.html")),
    ("overview.html", include_str!("pages/overview.html")),
    ("phones.html", include_str!("pages/phones.html")),
    ("phone.html", include_str!("pages/phone.html")),
    ("storm.html", include_str!("pages/storm.html")),
    ("files.html", include_str!("pages/files.html")),
    (
        "configuration.html",
        include_str!("pages/configuration.html"),
    ),
    ("unknown.html", include_str!("pages/unknown.html")),
    ("login.html", include_str!("pages/login.html")),
    ("message.html", include_str!("pages/message.html")),
];

const ASSETS: [(&str, &str, &str); 5] = [
    (
        "style.css",
        "text/css; charset=utf-8",
        include_str!("assets/style.css"),
    ),
    (
        "format.js",
        "text/javascript; charset=utf-8",
        include_str!("assets/format.js"),
    ),
    (
        "chart.js",
        "text/javascript; charset=utf-8",
        include_str!("assets/chart.js"),
    ),
    (
        "page.js",
        "text/javascript; charset=utf-8",
        include_str!("assets/page.js"),
    ),
    ("icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
];

/// In bytes of the hash that is in an asset's address.
const HASH_LEN: usize = 8;

/// Where the page of an address belongs in the menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Page {
    Overview,
    Phones,
    Storm,
    Files,
    Configuration,
    Unknown,
    Other,
}

#[derive(Clone, Copy, Serialize)]
pub(super) struct MenuItem {
    page: Page,
    path: &'static str,
    name: &'static str,
}

pub(super) const MENU: [MenuItem; 6] = [
    MenuItem {
        page: Page::Overview,
        path: "/",
        name: "Overview",
    },
    MenuItem {
        page: Page::Phones,
        path: "/phones",
        name: "Phones",
    },
    MenuItem {
        page: Page::Storm,
        path: "/storm",
        name: "Storm",
    },
    MenuItem {
        page: Page::Files,
        path: "/files",
        name: "Files and firmware",
    },
    MenuItem {
        page: Page::Unknown,
        path: "/unknown",
        name: "Unknown devices",
    },
    MenuItem {
        page: Page::Configuration,
        path: "/configuration",
        name: "Configuration",
    },
];

/// What a browser fetches beside a page. Its address has its hash, and so it never changes.
struct Asset {
    media_type: &'static str,
    text: Bytes,
}

pub(super) struct Pages {
    environment: Environment<'static>,
    /// By the last part of their address.
    assets: HashMap<String, Asset>,
}

fn address(name: &str, text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    let hash: String = hash[..HASH_LEN]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
    format!("{stem}-{hash}.{ending}")
}

impl Pages {
    pub(super) fn new() -> Self {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        for (name, text) in TEMPLATES {
            environment
                .add_template(name, text)
                .expect("a test reads every template");
        }
        let mut named = HashMap::new();
        let mut assets = HashMap::new();
        for (name, media_type, text) in ASSETS {
            // A script names others that stand before it.
            let text = named.iter().fold(text.to_owned(), |text, (name, address)| {
                text.replace(&format!("\"./{name}\""), &format!("\"./{address}\""))
            });
            let address = address(name, &text);
            let text = text.into();
            assets.insert(address.clone(), Asset { media_type, text });
            named.insert(name, address);
        }
        environment.add_function("asset", move |name: &str| {
            let address = named.get(name).map_or("", String::as_str);
            Value::from_safe_string(format!("/assets/{address}"))
        });
        environment.add_filter("as_text", |value: Value, kind: &str| told(&value, kind));
        environment.add_filter("at", |value: Value, path: &str| at(&value, path));
        environment.add_filter("in_query", |text: Value| {
            let text = text.as_str().unwrap_or_default();
            form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()
        });
        environment.add_function("bind", bind);
        Self {
            environment,
            assets,
        }
    }

    pub(super) fn render(&self, name: &str, context: &impl Serialize) -> Response {
        let template = self.environment.get_template(name);
        match template.and_then(|it| it.render(Serde(context))) {
            Ok(text) => Html(text).into_response(),
            Err(error) => {
                tracing::error!(event = "web.page_failed", %error, page = name, "the page could not be written");
                axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }

    pub(super) fn asset(&self, address: &str) -> Option<Response> {
        let asset = self.assets.get(address)?;
        let headers = [
            (header::CONTENT_TYPE, asset.media_type),
            (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        ];
        Some((headers, asset.text.clone()).into_response())
    }
}

/// What is at the end of a path with dots; undefined if there is nothing.
fn at(value: &Value, path: &str) -> Value {
    let step = |value: Value, key| value.get_attr(key).unwrap_or_default();
    path.split('.').fold(value.clone(), step)
}

/// An element with the text of what is at `path`, which the script renews. `path` and `kind` are the
/// templates' own words.
fn bind(of: Value, path: &str, kind: Option<&str>) -> Value {
    let kind = kind.unwrap_or_default();
    let found = at(&of, path);
    let text = told(&found, kind);
    let escaped = HtmlEscape(&text);
    // The script writes times as its reader has them, and needs to know which they are.
    let stamp = i64::try_from(found).ok();
    let stamp = match kind {
        "time" => stamp,
        "time_ms" => stamp.map(|ms| ms / 1000),
        _ => None,
    };
    let (tag, unix) = match stamp {
        Some(unix_s) => ("time", format!(" data-unix=\"{unix_s}\"")),
        None => ("span", String::new()),
    };
    Value::from_safe_string(format!(
        "<{tag} data-bind=\"{path}\" data-as=\"{kind}\"{unix}>{escaped}</{tag}>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bound_is_text_whatever_it_says() {
        let of = Value::from(Serde(serde_json::json!({
            "a": {"b": "<img src=x onerror=alert(1)>\"'"}
        })));
        let bound = bind(of, "a.b", None).to_string();
        assert_eq!(
            bound,
            "<span data-bind=\"a.b\" data-as=\"\">&lt;img src=x onerror=alert(1)&gt;&quot;&#x27;</span>"
        );
        assert!(
            bind(Value::UNDEFINED, "a.b", Some("count"))
                .to_string()
                .ends_with("></span>")
        );
    }

    #[test]
    fn every_template_is_read_and_every_asset_is_there_under_its_own_hash() {
        let pages = Pages::new();
        assert_eq!(pages.environment.templates().count(), TEMPLATES.len());
        assert_eq!(pages.assets.len(), ASSETS.len());
        for (address, asset) in &pages.assets {
            let answer = pages.asset(address).unwrap();
            let caching = &answer.headers()[header::CACHE_CONTROL];
            assert!(caching.to_str().unwrap().contains("immutable"));
            let text = str::from_utf8(&asset.text).unwrap();
            assert!(!text.contains("innerHTML"), "{address} writes markup");
            let imports = text.lines().filter_map(|it| it.split_once(" from \"./"));
            for (_, imported) in imports {
                let imported = imported.trim_end_matches("\";");
                assert!(pages.assets.contains_key(imported), "{imported}");
            }
        }
        assert!(pages.asset("style.css").is_none());
    }

    /// The policy of the page allows neither; a browser would leave them out.
    #[test]
    fn no_template_has_inline_script_or_style_or_an_outside_resource() {
        for (name, text) in TEMPLATES {
            for bad in [
                " style=",
                "<style",
                " onclick",
                " onload",
                "http://",
                "https://",
                "javascript:",
                "|safe",
            ] {
                assert!(!text.contains(bad), "{name} has {bad}");
            }
            let scripts = text.matches("<script").count();
            assert_eq!(
                scripts,
                text.matches("<script type=\"module\" src=").count()
            );
        }
    }
}
