//! The server as browsers and others reach it.

mod site;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use self::site::{MARKUP, PASSWORD, body, header, knocking, site, site_with_password, status};
use super::*;
use crate::config::Config;
use crate::inventory::Inventory;

const PAGES: [&str; 8] = [
    "/",
    "/phones",
    "/phones/SEP000000000001",
    "/storm",
    "/files",
    "/configuration",
    "/unknown",
    "/login",
];

const API: [&str; 7] = [
    "/api/now",
    "/api/history",
    "/api/phones",
    "/api/phones/SEP000000000002",
    "/api/unknown",
    "/api/configuration",
    "/api/firmware",
];

#[tokio::test]
async fn every_answer_is_protected_errors_included() {
    let site = site(|_| ()).await;
    let refused = "GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    let mut answers = vec![("421", site.raw(refused).await)];
    for path in PAGES.into_iter().chain(API) {
        answers.push(("200", site.get(path).await));
    }
    for path in [
        "/nothing",
        "/api/nothing",
        "/phones/SEP0000000000AA",
        "/phones/x",
        "/assets/x.js",
    ] {
        answers.push(("404", site.get(path).await));
    }
    answers.push(("405", site.get("/logout").await));
    answers.push(("403", site.post("/logout", "", "").await));
    for (wanted, answer) in answers {
        assert_eq!(status(&answer), wanted, "{answer}");
        let policy = header(&answer, "content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
        assert!(!policy.contains("unsafe"));
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("cache-control", "no-store"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(header(&answer, name), Some(value), "{answer}");
        }
        assert_eq!(header(&answer, "access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn assets_are_kept_for_ever_under_the_address_that_a_page_names() {
    let site = site(|_| ()).await;
    let page = site.get("/").await;
    let mut seen = 0;
    for part in page.split("\"/assets/").skip(1) {
        let address = part.split('"').next().unwrap();
        let answer = site.get(&format!("/assets/{address}")).await;
        assert_eq!(status(&answer), "200");
        let caching = header(&answer, "cache-control").unwrap();
        assert_eq!(caching, "public, max-age=31536000, immutable");
        seen += 1;
    }
    assert_eq!(seen, 3, "icon, style, script");
}

#[tokio::test]
async fn a_host_that_is_not_ours_is_not_answered() {
    let site = site(|config| config.web.names = vec!["edge.example.net".to_owned()]).await;
    for (host, wanted) in [
        ("Host: edge.example.net:9467\r\n", "200"),
        ("Host: 127.0.0.1\r\n", "200"),
        ("Host: evil.example\r\n", "421"),
        ("Host: localhost\r\nHost: evil.example\r\n", "421"),
    ] {
        let request = format!("GET /api/now HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
        let answer = site.raw(&request).await;
        // hyper itself refuses some of them.
        let is_refused = matches!(status(&answer), "421" | "400");
        assert_eq!(is_refused, wanted == "421", "{host}: {answer}");
    }
    let answer = site.raw("GET /api/now HTTP/1.0\r\n\r\n").await;
    assert_eq!(status(&answer), "421", "without a host");
}

#[tokio::test]
async fn what_phones_and_people_wrote_is_text() {
    let site = site(|_| ()).await;
    for path in [
        "/phones",
        "/phones/SEP000000000001",
        "/phones/SEP000000000002",
        "/phones?q=%3Cimg",
    ] {
        let answer = site.get(path).await;
        assert!(answer.contains("&lt;img src=x onerror="), "{path}");
        assert!(!answer.contains(MARKUP), "{path}");
    }
    let echoed = site
        .get("/phones?q=%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E")
        .await;
    assert!(!echoed.contains("<script>alert"), "{echoed}");
    let json = site.get("/api/phones").await;
    assert_eq!(header(&json, "content-type"), Some("application/json"));
}

#[tokio::test]
async fn phones_are_found_by_what_is_known_of_them_and_shown() {
    let site = site(|_| ()).await;
    let found = async |query: &str| {
        let answer = site.get(&format!("/api/phones?{query}")).await;
        let json: serde_json::Value = serde_json::from_str(body(&answer)).unwrap();
        let rows = json["rows"].as_array().unwrap().iter();
        rows.map(|row| row["device"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let [one, two] = ["SEP000000000001", "SEP000000000002"];
    assert_eq!(found("").await, [one, two]);
    assert_eq!(found("q=reception").await, [two]);
    assert_eq!(found("q=10.0.0.2").await, [two]);
    assert_eq!(found("q=1001").await, [one]);
    assert_eq!(found("site=berlin").await, [one]);
    assert_eq!(found("model=7841&stage=registered").await, [two]);
    assert_eq!(found("stage=dhcp").await, [one]);
    assert!(found("first=2").await.is_empty());
    assert!(found("stuck=1").await.is_empty());
    let page = site.get("/phones/SEP000000000002").await;
    assert!(page.contains("registered over sip, tcp"), "{page}");
    assert!(page.contains("Reception"));
}

#[tokio::test]
async fn without_a_password_nothing_can_be_changed() {
    let site = site(|_| ()).await;
    let page = site.get("/login").await;
    assert!(page.contains("web.password_file"));
    assert!(!page.contains("<form"));
    assert_eq!(status(&site.post("/login", "", "password=").await), "403");
    for path in ["/phones/SEP000000000002/order", "/unknown/adopt", "/logout"] {
        let answer = site
            .post(path, "tftp-edge-session=x", "form_token=x&order=reset")
            .await;
        assert_eq!(status(&answer), "403", "{answer}");
    }
}

#[tokio::test]
async fn a_change_needs_a_session_and_its_own_form() {
    let (site, _folder) = site_with_password().await;
    let (cookie, token) = site.log_in().await;
    let (_, other) = site.log_in().await;
    let order = async |cookie: &str, token: &str| {
        let body = format!("form_token={token}&order=restart");
        site.post("/phones/SEP000000000002/order", cookie, &body)
            .await
    };
    for (cookie, token) in [
        ("", &*token),
        (&*cookie, ""),
        (&*cookie, &*other),
        ("tftp-edge-session=00", &*token),
    ] {
        let answer = order(cookie, token).await;
        assert_eq!(status(&answer), "403", "{answer}");
        assert!(answer.contains("Nothing was done"));
    }
    let answer = order(&cookie, &token).await;
    assert_eq!(status(&answer), "303");
    let path = header(&answer, "location").unwrap();
    let page = site.page(path, &cookie).await;
    assert!(
        page.contains("SEP000000000002 will be told to restart."),
        "{page}"
    );
    assert!(
        !site.page(path, &cookie).await.contains("will be told"),
        "once"
    );

    let answer = site
        .post("/logout", &cookie, &format!("form_token={token}"))
        .await;
    assert_eq!(status(&answer), "303");
    assert_eq!(status(&order(&cookie, &token).await), "403");
}

#[tokio::test]
async fn another_sites_page_cannot_post() {
    let (site, _folder) = site_with_password().await;
    for said in [
        "Origin: http://evil.example\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
    ] {
        let answer = site
            .raw(&format!(
                "POST /login HTTP/1.1\r\nHost: localhost\r\n{said}Connection: close\r\nContent-Length: 0\r\n\r\n"
            ))
            .await;
        assert_eq!(status(&answer), "403", "{answer}");
        assert!(answer.contains("another site"));
    }
}

#[tokio::test]
async fn guesses_are_slowed_down_and_forms_are_bounded() {
    let (site, _folder) = site_with_password().await;
    for _ in 0..5 {
        let answer = site.post("/login", "", "password=wrong").await;
        assert_eq!(status(&answer), "403", "{answer}");
    }
    let body = format!("password={}", PASSWORD.replace(' ', "+"));
    assert_eq!(status(&site.post("/login", "", &body).await), "429");
    let long = "x".repeat(5_000);
    assert_eq!(status(&site.post("/login", "", &long).await), "413");
}

#[tokio::test]
async fn an_unknown_device_is_taken_in_with_the_next_number_of_its_site() {
    let (site, _folder) = site_with_password().await;
    let (cookie, token) = site.log_in().await;
    let body = format!("form_token={token}&name=SEP0000000000FF&model=&protocol=&site=&number=");
    let answer = site.post("/unknown/adopt", &cookie, &body).await;
    assert_eq!(status(&answer), "303", "{answer}");
    let page = site.page("/unknown", &cookie).await;
    assert!(
        page.contains("SEP0000000000FF is taken in, with number 5000."),
        "{page}"
    );
    let mut inventory = Inventory::open(&site.config.inventory).unwrap();
    let devices = inventory.snapshot().unwrap().devices;
    assert_eq!(devices[&knocking().name].site, "berlin");

    let again = site.post("/unknown/adopt", &cookie, &body).await;
    assert_eq!(status(&again), "303");
    let page = site.page("/unknown", &cookie).await;
    assert!(page.contains("is not taken in"), "{page}");
    assert!(site.folder.path().exists());
}

#[tokio::test]
async fn the_log_level_is_changed_for_a_while() {
    let (site, _folder) = site_with_password().await;
    let (cookie, token) = site.log_in().await;
    for (form, said) in [
        (
            "level=debug&minutes=10",
            "The log is at debug for 10 minutes.",
        ),
        ("level=inof&minutes=", "is no log level"),
        ("level=debug&minutes=0", "The minutes are 1 to 1440."),
        ("level=&minutes=", "The log is at info."),
    ] {
        let body = format!("form_token={token}&{form}");
        let answer = site.post("/log", &cookie, &body).await;
        assert_eq!(status(&answer), "303", "{answer}");
        let page = site.page("/configuration", &cookie).await;
        assert!(page.contains(said), "{form}: {page}");
    }
    assert_eq!(status(&site.post("/log", "", "level=off").await), "403");
}

#[tokio::test]
async fn viewers_are_sent_events_and_are_bounded() {
    let site = site(|_| ()).await;
    let mut viewers = Vec::new();
    for _ in 0..live::VIEWERS {
        let mut stream = TcpStream::connect(site.server.address()).await.unwrap();
        stream
            .write_all(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        let mut told = String::new();
        while !told.contains("event: now\n") {
            let mut some = [0; 4_096];
            let len = stream.read(&mut some).await.unwrap();
            assert!(len > 0, "{told}");
            told += &String::from_utf8_lossy(&some[..len]);
        }
        assert!(told.contains("content-type: text/event-stream"), "{told}");
        viewers.push(stream);
    }
    let answer = site.get("/api/events").await;
    assert_eq!(status(&answer), "503", "{answer}");
    let counts = site.server.web.parts.sources.refusals.counts();
    let too_many = crate::ops::serve::Refusal::TooManyStreams;
    assert_eq!(counts[Port::Web as usize][too_many as usize], 1);
    // Who only looks at a page still can.
    assert_eq!(status(&site.get("/").await), "200");
}

#[tokio::test]
async fn a_port_in_use_and_a_bad_password_file_are_named_with_their_key() {
    let site = site(|_| ()).await;
    let parts = || Parts {
        sources: Arc::default(),
        directory: Arc::default(),
        firmware: Arc::new(|| None),
    };
    let mut config = Config::default();
    config.web.address = site.server.address();
    let error = Server::start(LiveConfig::from(&config), parts())
        .await
        .err()
        .unwrap();
    let pid = format!("(pid {})", std::process::id());
    for part in [&*pid, "web.address", "web.enabled = false"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(error.exit(), Exit::Unavailable);
    config.web.password_file = "/nowhere/password".into();
    let error = Server::start(LiveConfig::from(&config), parts())
        .await
        .err()
        .unwrap();
    assert!(
        error.to_string().starts_with("web.password_file: /nowhere"),
        "{error}"
    );
    assert_eq!(error.exit(), Exit::NoInput);
}

#[tokio::test]
async fn another_password_file_holds_from_a_reload_on() {
    let (site, folder) = site_with_password().await;
    let log_in = async |password: &str| {
        let body = format!("password={password}");
        status(&site.post("/login", "", &body).await).to_owned()
    };
    assert_eq!(log_in("something+else+entirely").await, "403");
    assert_eq!(log_in(&PASSWORD.replace(' ', "+")).await, "303");
    let other = folder.path().join("other");
    std::fs::write(&other, "something else entirely").unwrap();
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&other, closed).unwrap();
    let settings = Settings {
        password_file: other,
        ..site.config.web.clone()
    };
    let remarks = site.server.prepare(&settings).unwrap()();
    assert!(remarks[0].starts_with("web.password_file: "), "{remarks:?}");
    assert_eq!(log_in(&PASSWORD.replace(' ', "+")).await, "403");
    assert_eq!(log_in("something+else+entirely").await, "303");
}

#[tokio::test]
async fn whatever_is_wrong_is_counted_and_the_page_is_served_again() {
    use crate::ops::serve::Refusal as R;

    let (site, _folder) = site_with_password().await;
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000));
    let body = "a".repeat(5_000);
    let post = format!(
        "POST /login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: \
         application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\npassword={body}",
        body.len() + 9
    );
    for (request, refusal) in [
        ("\u{16}\u{3}\u{1}\r\n\r\n", R::Malformed),
        (&*long, R::TooLarge),
        (&*post, R::TooLarge),
        ("GET / HTTP/1.0\r\nHost: evil.example\r\n\r\n", R::Denied),
        (
            "GET /nothing HTTP/1.0\r\nHost: localhost\r\n\r\n",
            R::Absent,
        ),
        ("DELETE / HTTP/1.0\r\nHost: localhost\r\n\r\n", R::Method),
    ] {
        let refusals = &site.server.web.parts.sources.refusals;
        let count = || refusals.counts()[Port::Web as usize];
        let before = count();
        let mut stream = TcpStream::connect(site.server.address()).await.unwrap();
        let _ = stream.write_all(request.as_bytes()).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
        let shown: String = request.chars().take(30).collect();
        let counted = tokio::time::timeout(Duration::from_secs(20), async {
            while count() == before {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        assert!(counted.await.is_ok(), "{shown:?} is not counted");
        let mut wanted = before;
        wanted[refusal as usize] += 1;
        assert_eq!(count(), wanted, "{shown:?}");
        assert_eq!(status(&site.get("/").await), "200");
    }
}
