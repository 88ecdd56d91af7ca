//! A server with something to show, and requests to it.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::access::Access;
use crate::config::Config;
use crate::inventory::{ImportMode, Inventory, Unchecked, parse_csv};
use crate::journal::{Board, Event, Fact, Happening, Journal};
use crate::provisioning::Knocking;
use crate::register::{Edit, Registration, Transport};

pub(super) const PASSWORD: &str = "correct horse battery";
pub(super) const MARKUP: &str = "<img src=x onerror=alert(1)>";

/// A server with an inventory of its own, of two phones and one that knocks.
pub(super) struct Site {
    pub(super) server: Server,
    pub(super) folder: tempfile::TempDir,
    pub(super) config: Config,
}

pub(super) async fn site(change: impl FnOnce(&mut Config)) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.web.address = (Ipv4Addr::LOCALHOST, 0).into();
    config.inventory.database = folder.path().join("inventory.db");
    change(&mut config);
    let rows = format!(
        "name,model,protocol,lines,site,description\n\
         SEP000000000001,8851,sip,1001,berlin,{MARKUP}\n\
         SEP000000000002,7841,sip,1002,munich,Reception\n"
    );
    let devices = parse_csv(rows.as_bytes()).unwrap();
    let mut inventory = Inventory::open(&config.inventory).unwrap();
    let store = inventory.store();
    store.import(&devices, ImportMode::Upsert, false).unwrap();
    let pool = Some("5000-5009".to_owned());
    let pool = ("auto_registration_numbers".to_owned(), pool);
    store.set_site("berlin", &[pool]).unwrap();

    let directory = Arc::new(Directory::default());
    directory.update(Arc::new(inventory.snapshot().unwrap()));
    let (journal, table) = (Arc::new(Journal::default()), Arc::default());
    registers(&journal, &table);
    let board = Board::new(journal, Arc::clone(&directory), Arc::clone(&table));
    let export = crate::register::export::Export::new(
        Arc::clone(&table),
        Arc::clone(&directory),
        Access::default(),
    );
    let orders =
        crate::register::pacer::Orders::new(config.register.orders, table, Arc::clone(&directory));
    let parts = Parts {
        sources: Arc::new(Sources {
            board: Arc::new(board),
            export: Arc::new(export),
            orders: Arc::new(orders),
            knocking: Arc::new(|_| vec![knocking()]),
            ..Sources::default()
        }),
        directory,
        firmware: Arc::new(|| None),
    };
    let server = Server::start(LiveConfig::from(&config), parts)
        .await
        .unwrap();
    Site {
        server,
        folder,
        config,
    }
}

pub(super) fn knocking() -> Knocking {
    Knocking {
        name: "SEP0000000000FF".parse().unwrap(),
        source: [10, 0, 0, 9].into(),
        site: "berlin".to_owned(),
        first_seen: 1,
        last_seen: 2,
        times: 3,
        file: "SEP0000000000FF.cnf.xml".to_owned(),
        model: Some("7841".to_owned()),
        protocol: None,
    }
}

/// The second phone registers, with firmware of an evil name.
pub(super) fn registers(journal: &Journal, table: &crate::register::Table) {
    let device = "SEP000000000002".parse().unwrap();
    let (protocol, transport) = (crate::inventory::Protocol::Sip, Transport::Tcp);
    let source = ([10, 0, 0, 2], 5060).into();
    let at = std::time::SystemTime::now();
    journal.tell(&Event {
        at,
        device: Some(device),
        source,
        what: Happening::Fact(Fact::Registered {
            protocol,
            transport,
            load: Some(MARKUP.into()),
        }),
    });
    let registration = Registration {
        device,
        protocol,
        transport,
        source,
        connection: None,
        type_id: None,
        load: Some(MARKUP.into()),
        version: 0,
        since: at,
        expires: at + Duration::from_secs(120),
        bindings: Vec::new(),
    };
    table.edit(&device, |_| ((), Edit::Put(registration)));
}

pub(super) fn with_password(config: &mut Config, folder: &std::path::Path) {
    let file = folder.join("password");
    fs::write(&file, PASSWORD).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    config.web.password_file = file;
}

pub(super) async fn site_with_password() -> (Site, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let site = site(|config| with_password(config, folder.path())).await;
    (site, folder)
}

impl Site {
    /// Sends a request as it is and reads all of the answer.
    pub(super) async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.server.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // An answer that does not end is cut off by the reader.
        let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub(super) async fn get(&self, path: &str) -> String {
        self.raw(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ))
        .await
    }

    pub(super) async fn post(&self, path: &str, cookie: &str, body: &str) -> String {
        self.raw(&format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: {cookie}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await
    }

    /// The cookie of a session, and the token of its forms.
    pub(super) async fn log_in(&self) -> (String, String) {
        let body = format!("password={}", PASSWORD.replace(' ', "+"));
        let answer = self.post("/login", "", &body).await;
        assert!(answer.starts_with("HTTP/1.1 303 "), "{answer}");
        let cookie = header(&answer, "set-cookie").unwrap();
        for wanted in ["HttpOnly", "SameSite=Strict", "Max-Age=43200", "Path=/"] {
            assert!(cookie.contains(wanted), "{cookie}");
        }
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let page = self.page("/unknown", &cookie).await;
        let (_, rest) = page.split_once("name=\"form_token\" value=\"").unwrap();
        let (token, _) = rest.split_once('"').unwrap();
        (cookie, token.to_owned())
    }

    pub(super) async fn page(&self, path: &str, cookie: &str) -> String {
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        self.raw(&format!("{head}Cookie: {cookie}\r\n\r\n")).await
    }
}

pub(super) fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let (head, _) = answer.split_once("\r\n\r\n")?;
    let mut headers = head.lines().filter_map(|line| line.split_once(": "));
    headers.find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
}

pub(super) fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

pub(super) fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}
