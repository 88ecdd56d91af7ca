//! A real browser: Chromium, told what to do over the WebDriver protocol (W3C).
//!
//! The driver and the browser run where the server is, so that the page has its loopback address
//! and nothing else can be reached. What they keep is in a folder of their own. Of WebDriver there is
//! what the tests use; for what only Chromium has, its own commands go the same way.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::lab::{Process, tool};
use crate::server::Place;

/// Where the driver listens, in its namespace.
const DRIVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9515);

/// How long one command may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long something on a page is waited for.
const WITHIN: Duration = Duration::from_secs(20);

/// Of a picture, in pixels: a list of hundreds is seen by its first ones.
const PICTURE_HEIGHT: u64 = 1_600;

/// Roles of what must have a name (WAI-ARIA 1.2), as Chromium writes them.
const NAMED: [&str; 11] = [
    "button",
    "checkbox",
    "combobox",
    "image",
    "link",
    "navigation",
    "region",
    "searchbox",
    "spinbutton",
    "table",
    "textbox",
];

/// Keys that have no character of their own (WebDriver 17.4.2).
pub mod key {
    pub const TAB: char = '\u{e004}';
    pub const ENTER: char = '\u{e007}';
    pub const SHIFT: char = '\u{e008}';
}

#[derive(Debug)]
pub struct Browser<'lab> {
    place: Place<'lab>,
    session: String,
    // Ends after the session, which ends the browser.
    _driver: Process,
}

impl<'lab> Browser<'lab> {
    /// None where the browser or its driver is not installed.
    pub fn start(place: Place<'lab>, folder: &Path) -> Result<Option<Self>> {
        let (Some(driver), Some(browser)) = (tool("chromedriver"), tool("chromium")) else {
            return Ok(None);
        };
        fs::create_dir_all(folder)?;
        let mut command = place.command(driver);
        command
            .arg(format!("--port={}", DRIVER.port()))
            .env("HOME", folder)
            .env("TMPDIR", folder)
            .env("XDG_CONFIG_HOME", folder)
            .env("XDG_CACHE_HOME", folder)
            // The page writes times as its reader has them.
            .env("TZ", "UTC");
        let mut driver = Process::start("chromedriver", command, &folder.join("driver.log"))?;
        let answers = || place.enter(|| ask("GET", "/status", None)).is_ok();
        driver.wait_until(PATIENCE, answers)?;
        let profile = format!("--user-data-dir={}", folder.join("profile").display());
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            "goog:chromeOptions": { "binary": browser, "args": [
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-extensions",
                "--disable-sync",
                "--no-first-run",
                "--hide-scrollbars",
                "--window-size=1280,900",
                profile,
            ]},
        }}});
        let made = place.enter(|| ask("POST", "/session", Some(&wanted)))?;
        let session = made["sessionId"].as_str().context("no session")?;
        Ok(Some(Self {
            place,
            session: session.to_owned(),
            _driver: driver,
        }))
    }

    fn command(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let path = format!("/session/{}{path}", self.session);
        self.place.enter(|| ask(method, &path, body))
    }

    pub fn open(&self, url: &str) -> Result<()> {
        let body = json!({ "url": url });
        self.command("POST", "/url", Some(&body)).map(drop)
    }

    /// What a function's body returns, run in the page.
    pub fn run(&self, script: &str) -> Result<Value> {
        let body = json!({ "script": script, "args": [] });
        let told = self.command("POST", "/execute/sync", Some(&body));
        told.with_context(|| format!("running {script}"))
    }

    /// Asks until an expression is true.
    pub fn wait_for(&self, expression: &str) -> Result<()> {
        let deadline = Instant::now() + WITHIN;
        let script = format!("return Boolean({expression})");
        while self.run(&script)? != Value::Bool(true) {
            if Instant::now() > deadline {
                let text = self.run("return document.body.innerText")?;
                bail!("waited in vain for {expression}; the page says:\n{text}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Fails unless an expression is true.
    pub fn ensure(&self, what: &str, expression: &str) -> Result<()> {
        let told = self.run(&format!("return ({expression})"))?;
        ensure!(told == Value::Bool(true), "{what}: {told}");
        Ok(())
    }

    /// Presses keys, one after the other, wherever the focus is.
    pub fn press(&self, keys: &str) -> Result<()> {
        let press = |key: char| {
            ["keyDown", "keyUp"].map(|what| json!({ "type": what, "value": key.to_string() }))
        };
        let presses: Vec<_> = keys.chars().flat_map(press).collect();
        let body = json!({ "actions": [{ "type": "key", "id": "keys", "actions": presses }] });
        self.command("POST", "/actions", Some(&body)).map(drop)
    }

    /// A command of Chromium's own debugging protocol.
    pub fn chromium(&self, command: &str, parameters: Value) -> Result<Value> {
        let body = json!({ "cmd": command, "params": parameters });
        self.command("POST", "/goog/cdp/execute", Some(&body))
    }

    /// What screen readers would say nothing of: the roles of controls, regions and tables that have
    /// no name, as the browser itself works them out.
    pub fn unnamed(&self) -> Result<Vec<String>> {
        let told = self.chromium("Accessibility.getFullAXTree", json!({}))?;
        let nodes = told["nodes"].as_array().context("no tree")?;
        let mut found = 0;
        let mut unnamed = Vec::new();
        for node in nodes.iter().filter(|it| it["ignored"] != true) {
            let role = node["role"]["value"].as_str().unwrap_or_default();
            if NAMED.contains(&role) {
                found += 1;
                if node["name"]["value"].as_str().is_none_or(str::is_empty) {
                    unnamed.push(role.to_owned());
                }
            }
        }
        ensure!(found > 5, "{found} in {} nodes", nodes.len());
        Ok(unnamed)
    }

    /// Makes the page as wide as a screen of so many pixels.
    pub fn screen(&self, width: u32, height: u32) -> Result<()> {
        let parameters = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600
        });
        self.chromium("Emulation.setDeviceMetricsOverride", parameters)
            .map(drop)
    }

    /// What somebody prefers, such as `prefers-color-scheme` `dark`.
    pub fn prefer(&self, preferences: &[(&str, &str)]) -> Result<()> {
        let features = preferences
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }));
        let features: Vec<_> = features.collect();
        self.chromium(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        )
        .map(drop)
    }

    /// A picture of the page from its top, as PNG.
    pub fn picture(&self, file: &Path) -> Result<()> {
        let size = self.run(
            "const page = document.documentElement; return [page.clientWidth, page.scrollHeight]",
        )?;
        let height = size[1]
            .as_u64()
            .unwrap_or(PICTURE_HEIGHT)
            .min(PICTURE_HEIGHT);
        let clip = json!({ "x": 0, "y": 0, "width": size[0], "height": height, "scale": 1 });
        let parameters = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let told = self.chromium("Page.captureScreenshot", parameters)?;
        let data = told["data"].as_str().context("no picture")?;
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let data = BASE64_STANDARD.decode(data)?;
        fs::write(file, data).with_context(|| format!("writing {}", file.display()))
    }

    /// What the console said since it was asked last: errors, and what the policy of a page refused.
    pub fn console(&self) -> Result<Vec<String>> {
        let told = self.command("POST", "/se/log", Some(&json!({ "type": "browser" })))?;
        let lines = told.as_array().into_iter().flatten();
        Ok(lines.map(|line| line["message"].to_string()).collect())
    }

    /// The addresses that pages asked for since this was asked last.
    pub fn requests(&self) -> Result<Vec<String>> {
        let told = self.command("POST", "/se/log", Some(&json!({ "type": "performance" })))?;
        let mut urls = Vec::new();
        for line in told.as_array().into_iter().flatten() {
            let message = line["message"].as_str().unwrap_or_default();
            let message: Value = serde_json::from_str(message)?;
            let message = &message["message"];
            if message["method"] == "Network.requestWillBeSent" {
                let url = message["params"]["request"]["url"].as_str();
                urls.extend(url.map(str::to_owned));
            }
        }
        Ok(urls)
    }
}

impl Drop for Browser<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.command("DELETE", "", None) {
            // What is left of it ends with the namespace.
            eprintln!("the browser did not end: {error:#}");
        }
    }
}

/// One command to the driver; the calling thread is where it listens.
fn ask(method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut stream = TcpStream::connect(DRIVER).context("connecting to chromedriver")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {DRIVER}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    // The driver leaves the connection open, whatever it is asked.
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let len = reader.read_line(&mut head)?;
        ensure!(len > 0, "an answer without an end of its headers: {head}");
    }
    let mut lengths = head.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_it = name.eq_ignore_ascii_case("content-length");
        value.trim().parse::<usize>().ok().filter(|_| is_it)
    });
    let mut body = vec![0; lengths.next().context("an answer without a length")?];
    reader.read_exact(&mut body)?;
    let mut answer: Value = serde_json::from_slice(&body).with_context(|| head.clone())?;
    let value = answer["value"].take();
    ensure!(
        head.starts_with("HTTP/1.1 200 "),
        "{method} {path}: {}: {}",
        value["error"],
        value["message"]
    );
    Ok(value)
}
