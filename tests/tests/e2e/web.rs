//! The web page in a real browser, while the phones of a site register in a storm.
//!
//! What it looks like is kept in `target/screenshots`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tftp_ebpf::verdict::Rung;
use tftp_edge_tests::browser::{Browser, key};
use tftp_edge_tests::lab::skipped;
use tftp_edge_tests::phones::registration::Habits;
use tftp_edge_tests::phones::{
    Expected, Fleet, FleetOptions, Oracle as _, PhoneSpec, Progress, Registering,
};
use tftp_edge_tests::rig::{OVER_V4, Rig, ensure_all_registered, run, wait_for};
use tftp_edge_tests::server::Place;
use tftp_edge_tests::site::Site;

const PAGE: &str = "http://127.0.0.1:9467";
const PHONES: usize = 220;
/// Slow enough for a storm that lasts until a browser has looked at it.
const PER_SECOND: u32 = 20;
const PASSWORD: &str = "correct horse battery";

/// A site and a description, as somebody may write them into the inventory.
const MARKUP: &str = "<img src=x onerror=document.title='broken'>";
const EVIL: &str = "SEP00000000EE11";

const PAGES: [(&str, &str); 7] = [
    ("overview", "/"),
    ("phones", "/phones"),
    ("storm", "/storm"),
    ("files", "/files"),
    ("configuration", "/configuration"),
    ("unknown", "/unknown"),
    ("login", "/login"),
];

/// What screen readers go by.
const WELL_FORMED: &str = r#"
    ((all) =>
        all("main").length === 1 &&
        all("h1").length === 1 &&
        all("header nav[aria-label]").length === 1 &&
        document.documentElement.lang === "en" &&
        all("table").every((it) => it.caption !== null) &&
        all("input:not([type=hidden]), select").every((it) => it.labels.length > 0) &&
        all("[aria-labelledby]").every((it) =>
            document.getElementById(it.getAttribute("aria-labelledby"))) &&
        new Set(all("[id]").map((it) => it.id)).size === all("[id]").length
    )((selector) => [...document.querySelectorAll(selector)])
"#;

#[test]
fn the_page_shows_a_storm_and_every_phone_in_it() {
    run(Rung::Xdp, |rig| {
        let mut site = Site::without_upgrades(PHONES);
        let pace = format!("max_registrations_per_second = {PER_SECOND}\n");
        rig.edge.register(&pace)?;
        let password = rig.file("password");
        fs::write(&password, PASSWORD)?;
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600))?;
        rig.edge.configure(&format!(
            "\n[web]\npassword_file = \"{}\"\n\n[inventory.defaults]\nssh_password = \"planted-secret\"\n",
            password.display()
        ))?;
        rig.host(&mut site)?;
        let csv = rig.file("evil.csv");
        let row = format!(
            "name,model,protocol,lines,site,description\n{EVIL},7841,sip,7001,{MARKUP},{MARKUP}\n"
        );
        fs::write(&csv, row)?;
        rig.edge.command(&[
            "inventory",
            "set",
            "sites",
            MARKUP,
            "auto_registration_numbers=8000-8001",
        ])?;
        rig.edge.import(&csv)?;
        rig.start()?;

        let place = Place::Namespace(&rig.lab.server);
        let Some(browser) = Browser::start(place, &rig.file("browser"))? else {
            skipped("chromium and chromedriver are not installed");
            return Ok(());
        };
        let looks = Looks {
            browser,
            folder: screenshots()?,
        };
        let registering = Registering {
            habits: Habits::default(),
            says_farewell: false,
        };
        let progress = Progress::default();
        let mut options = FleetOptions::new(OVER_V4);
        // They stay registered while the page is looked at.
        options.limit = Duration::from_secs(240);
        options.registration = Some(registering);
        let fleet = Fleet {
            phones: &site.phones,
            oracle: &site.oracle,
            options,
        };
        let clients = Place::Namespace(&rig.lab.client);
        let (report, ()) = fleet.stay(clients, &progress, || {
            looks.at_a_storm()?;
            wait_for("all phones", || progress.all_registered() == PHONES as u64)?;
            looks.at_the_end_of_it(rig)?;
            looks.at_phones(&site.phones[7].device)?;
            looks.at_a_timeline(&site, &site.phones[7])?;
            looks.at_all_pages()?;
            looks.with_the_keyboard_alone()?;
            looks.logged_in(&site.phones[7].device)?;
            looks.nothing_is_wrong()
        })?;
        ensure_all_registered(&report)?;
        looks.without_a_daemon(rig)
    });
}

/// Where pictures are kept: beside what was built.
fn screenshots() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let target = test.ancestors().nth(3).context("no target folder")?;
    Ok(target.join("screenshots"))
}

struct Looks<'lab> {
    browser: Browser<'lab>,
    folder: PathBuf,
}

impl Looks<'_> {
    fn open(&self, path: &str) -> Result<()> {
        self.browser.open(&format!("{PAGE}{path}"))?;
        self.browser
            .wait_for("document.documentElement.dataset.link === 'live'")
    }

    fn picture(&self, name: &str) -> Result<()> {
        self.browser
            .picture(&self.folder.join(format!("{name}.png")))
    }

    /// The number a page shows for a part of the snapshot.
    fn number(&self, bound: &str) -> Result<f64> {
        let script =
            format!("return document.querySelector('[data-bind=\"{bound}\"]').textContent");
        let text = self.browser.run(&script)?;
        let text = text.as_str().unwrap_or_default().replace(',', "");
        text.parse().with_context(|| format!("{bound}: {text:?}"))
    }

    /// The number of phones the overview shows at each stage of a row, all at one time.
    fn at_stages<const N: usize>(&self, stages: [&str; N]) -> Result<[u64; N]> {
        let script = format!(
            "const rows = [...document.querySelectorAll('tbody[data-each=stages] tr')];\
             const text = (row, bound) => row.querySelector(`[data-bind=${{bound}}]`).textContent;\
             return {stages:?}.map(stage => rows.find(it => text(it, 'stage') === stage))\
                 .map(row => Number(text(row, 'phones').replace(',', '')))"
        );
        let shown = self.browser.run(&script)?;
        serde_json::from_value::<Vec<u64>>(shown.clone())
            .ok()
            .and_then(|it| it.try_into().ok())
            .with_context(|| format!("{stages:?}: {shown}"))
    }

    /// The page was there before the storm, and tells of it by itself.
    fn at_a_storm(&self) -> Result<()> {
        self.browser.prefer(&[("prefers-color-scheme", "light")])?;
        self.open("/")?;
        self.browser
            .wait_for("document.querySelector('[data-show=\"storm.waiting\"]').hidden === false")?;
        let waiting = "document.querySelector('[data-bind=\"storm.waiting\"]')";
        self.browser.wait_for(&format!(
            "Number({waiting}.textContent.replace(',', '')) > 50"
        ))?;
        // Read aloud, and so without numbers that change. The state is decided once a second, and
        // phones may wait before it is.
        self.browser.wait_for(
            "[...document.querySelectorAll('[role=status]')].some(it => \
             it.textContent.startsWith('Storm:') && !/[0-9]/.test(it.textContent))",
        )?;
        // The stages of all phones are looked at once a second, the storm whenever it is asked for.
        wait_for("some that ask to be registered, while others are", || {
            self.at_stages(["register", "registered"])
                .is_ok_and(|[asking, registered]| asking > 0 && registered < PHONES as u64)
        })?;
        self.picture("storm-overview-light")?;
        self.open("/phones?stage=register")?;
        self.browser.ensure(
            "those who wait are found by their stage, and nobody else",
            "(rows => rows.length > 0 && \
             rows.every(it => it.querySelector('.state').textContent === 'register'))\
             ([...document.querySelectorAll('tbody tr')])",
        )?;
        self.picture("storm-phones-light")?;
        self.open("/storm")?;
        self.browser
            .wait_for("document.querySelectorAll('.chart svg path').length > 2")?;
        self.picture("storm-storm-light")?;
        self.browser.prefer(&[("prefers-color-scheme", "dark")])?;
        self.picture("storm-storm-dark")?;
        self.browser.screen(360, 800)?;
        self.picture("storm-storm-phone")?;
        self.browser.screen(1280, 900)?;
        self.browser.prefer(&[("prefers-color-scheme", "light")])
    }

    /// What the page shows becomes what the metrics say, without being loaded again.
    fn at_the_end_of_it(&self, rig: &Rig<'_>) -> Result<()> {
        self.open("/")?;
        let metrics = rig.metrics()?;
        let registered = metrics.sum("tftp_edge_registrations", &[]);
        ensure!(registered == PHONES as f64, "{registered}");
        wait_for("the page to have the numbers of the metrics", || {
            self.number("phones.registered")
                .is_ok_and(|it| it == registered)
        })?;
        ensure!(self.number("phones.expected")? == PHONES as f64 + 1.0);
        wait_for("the stages of a boot to be empty again", || {
            self.at_stages(["register", "registered"])
                .is_ok_and(|it| it == [0, PHONES as u64])
        })?;
        self.browser.ensure(
            "nobody is left in between",
            "document.querySelector('[data-bind=\"phones.booting\"]').textContent === '0' && \
             document.querySelector('[data-bind=\"phones.silent\"]').textContent === '1'",
        )?;
        self.browser.ensure(
            "a site's name is text",
            &format!(
                "document.querySelector('tbody[data-each=sites]').textContent.includes({MARKUP:?}) && \
                 document.querySelector('main img') === null"
            ),
        )?;
        let script = "return [...document.querySelectorAll('tbody[data-each=rungs] tr')].map(row => \
                      [row.querySelector('[data-bind=path]').textContent, \
                       Number(row.querySelector('[data-bind=requests]').textContent.replace(',', ''))])";
        let shown = self.browser.run(script)?;
        let status: Value = serde_json::from_slice(&rig.edge.command(&["status", "--json"])?)?;
        let rungs = status["rungs"].as_array().context("no rungs")?;
        for (row, rung) in shown.as_array().context("no rows")?.iter().zip(rungs) {
            let name = row[0].as_str().unwrap_or_default().to_lowercase();
            let path = rung["path"].as_str().unwrap_or_default();
            ensure!(name.starts_with(path), "{shown} and {rungs:?}");
            ensure!(
                row[1].as_f64() == rung["requests"].as_f64(),
                "{shown} and {rungs:?}"
            );
        }
        // The script writes every figure as the server does.
        let script = r#"
            const request = new XMLHttpRequest();
            request.open("GET", "/", false);
            request.send();
            const other = new DOMParser().parseFromString(request.responseText, "text/html");
            const texts = (page) => [...page.querySelectorAll("main [data-bind]")]
                .filter((it) => it.dataset.as !== "time" && !it.dataset.as.endsWith("_ms"))
                .map((it) => `${it.dataset.bind} ${it.dataset.as}: ${it.textContent}`);
            return [texts(document), texts(other)];"#;
        wait_for("server and script to agree", || {
            self.browser.run(script).is_ok_and(|it| it[0] == it[1])
        })
        .with_context(|| format!("{:?}", self.browser.run(script)))?;
        self.picture("overview-light")
    }

    /// A phone is found by its number and opened, and what people wrote is text.
    fn at_phones(&self, device: &str) -> Result<()> {
        self.open("/phones")?;
        self.browser.ensure(
            "all are found",
            &format!(
                "document.querySelector('[data-bind=total]').textContent === '{}'",
                PHONES + 1
            ),
        )?;
        self.browser.ensure(
            "and a part is shown",
            "document.querySelectorAll('tbody tr').length === 200",
        )?;
        self.browser.ensure(
            "those of the site are registered",
            "document.querySelectorAll('tbody [data-state=good]').length === 199",
        )?;
        // In the search field: the keyboard, and what a person would write.
        self.browser
            .run("document.querySelector('[name=q]').focus()")?;
        self.browser.press(&device[3..].to_lowercase())?;
        self.browser.press(&key::ENTER.to_string())?;
        self.browser
            .wait_for("document.querySelectorAll('tbody tr').length === 1")?;
        self.browser
            .run("document.querySelector('tbody a').focus()")?;
        self.browser.press(&key::ENTER.to_string())?;
        self.browser.wait_for(&format!(
            "document.querySelector('h1').textContent.startsWith('{device}')"
        ))?;
        self.browser.wait_for(
            "document.querySelector('[data-bind=\"state.words\"]').textContent === 'registered'",
        )?;
        self.browser
            .wait_for("document.documentElement.dataset.link === 'live'")?;
        let is_text = format!(
            "document.querySelector('main').textContent.includes({MARKUP:?}) && \
             document.querySelector('main img') === null && document.title !== 'broken'"
        );
        self.open(&format!("/phones?q={EVIL}"))?;
        self.browser.ensure("markup is text in a list", &is_text)?;
        self.open(&format!("/phones/{EVIL}"))?;
        // Twice: as the server wrote it, and as the script did.
        let asked =
            "performance.getEntriesByType('resource').some(it => it.name.includes('/api/phones'))";
        for _ in 0..2 {
            self.browser.ensure("markup is text", &is_text)?;
            self.browser.wait_for(asked)?;
        }
        Ok(())
    }

    /// What a phone did is on its page: each file it asked for, who answered, and its registration.
    fn at_a_timeline(&self, site: &Site, phone: &PhoneSpec) -> Result<()> {
        self.open(&format!("/phones/{}", phone.device))?;
        let script = "return [...document.querySelectorAll('.timeline tbody tr')].map(row => \
                      ['words', 'end', 'path', 'len_bytes', 'stage', 'after_ms'].map(it => \
                      row.querySelector(`[data-bind=\"${it}\"]`).textContent))";
        let rows: Vec<[String; 6]> = serde_json::from_value(self.browser.run(script)?)?;
        for file in &phone.files {
            let name = file.to_ascii_lowercase().replace('\\', "/");
            let outcome = match site.oracle.expected(file) {
                Expected::Bytes(_) => "complete",
                Expected::Absent | Expected::Judged => "absent",
            };
            let is_it = |row: &&[String; 6]| {
                let has_len = row[3].ends_with('B') == (outcome == "complete");
                row[0] == name && row[1] == outcome && row[2] == "XDP" && has_len
            };
            ensure!(
                rows.iter().any(|row| is_it(&row)),
                "{name}, {outcome}: {rows:#?}"
            );
        }
        let place = |words: &str| rows.iter().position(|row| row[0].starts_with(words));
        let [asks, registered] = [place("asks to register"), place("registered over sip")];
        ensure!(asks.is_some() && asks < registered, "{rows:#?}");
        ensure!(rows[0][5] == "+0.000 s", "{rows:#?}");
        self.picture("phone-light")?;
        self.browser.prefer(&[("prefers-color-scheme", "dark")])?;
        self.picture("phone-dark")?;
        self.browser.prefer(&[("prefers-color-scheme", "light")])?;
        self.browser.ensure(
            "all columns of the timeline are on the screen",
            "(it => it.scrollWidth <= it.clientWidth)(document.querySelector('.timeline').parentElement)",
        )?;
        self.browser.screen(360, 800)?;
        self.picture("phone-phone")?;
        self.browser.screen(1280, 900)
    }

    /// Each page: as wide as the screen of a phone, in the dark, and made of what readers need.
    fn at_all_pages(&self) -> Result<()> {
        for (name, path) in PAGES {
            self.open(path)?;
            self.browser
                .ensure("landmarks, headings, captions and labels", WELL_FORMED)
                .with_context(|| name)?;
            let unnamed = self.browser.unnamed()?;
            ensure!(unnamed.is_empty(), "{name}: without a name: {unnamed:?}");
            self.browser.screen(360, 800)?;
            self.browser.ensure(
                "it is no wider than the screen",
                "document.documentElement.scrollWidth <= 360 || document.documentElement.scrollWidth",
            ).with_context(|| name)?;
            if ["overview", "phones", "configuration"].contains(&name) {
                self.picture(&format!("{name}-phone"))?;
            }
            self.browser.screen(1280, 900)?;
            if !["overview", "phones", "storm"].contains(&name) {
                self.picture(&format!("{name}-light"))?;
            }
            self.browser.prefer(&[
                ("prefers-color-scheme", "dark"),
                ("prefers-reduced-motion", "reduce"),
            ])?;
            let background = "getComputedStyle(document.body).backgroundColor";
            self.browser
                .ensure("it is dark", &format!("{background} === 'rgb(21, 23, 26)'"))?;
            let moves = "[...document.querySelectorAll('main rect, a, button')].some(\
                         it => getComputedStyle(it).transitionDuration !== '0s')";
            self.browser.ensure("nothing moves", &format!("!{moves}"))?;
            if name == "overview" {
                self.picture("overview-dark")?;
            }
            self.browser.prefer(&[("prefers-color-scheme", "light")])?;
        }
        let shown = self.browser.run("const request = new XMLHttpRequest(); request.open('GET', '/configuration', false); request.send(); return request.responseText")?;
        let shown = shown.as_str().unwrap_or_default();
        ensure!(
            shown.contains("ssh_password")
                && !shown.contains("planted-secret")
                && !shown.contains(PASSWORD)
        );
        Ok(())
    }

    /// From the first Tab to the last, each stop can be seen, and the way leads out again.
    fn with_the_keyboard_alone(&self) -> Result<()> {
        self.open("/")?;
        self.browser.run("document.activeElement.blur()")?;
        self.browser.press(&key::TAB.to_string())?;
        self.browser.ensure(
            "the first stop leads past the menu",
            "document.activeElement.className === 'skip'",
        )?;
        self.browser.press(&key::ENTER.to_string())?;
        self.browser
            .ensure("to the content", "document.activeElement.id === 'main'")?;
        self.browser
            .run("document.activeElement.blur(); window.stops = []")?;
        self.open("/phones?q=nobody-at-all")?;
        let mut stops = Vec::new();
        let stop = "const it = document.activeElement; const style = getComputedStyle(it); \
                    const box = it.getBoundingClientRect(); \
                    return it === document.body ? null : \
                    [it.outerHTML.slice(0, 60), style.outlineStyle !== 'none' && style.outlineWidth !== '0px' && box.width > 0]";
        for _ in 0..60 {
            self.browser.press(&key::TAB.to_string())?;
            let at = self.browser.run(stop)?;
            let is_end = at.is_null() || (!stops.is_empty() && Some(&at) == stops.first());
            if is_end {
                break;
            }
            ensure!(at[1] == Value::Bool(true), "no focus is to be seen at {at}");
            stops.push(at);
        }
        // The menu, the search and the way to log in.
        ensure!((12..60).contains(&stops.len()), "{stops:#?}");
        Ok(())
    }

    /// With the password, phones can be told to restart; without scripts of the page's own.
    fn logged_in(&self, device: &str) -> Result<()> {
        self.open("/login")?;
        self.browser.ensure(
            "the field has the focus",
            "document.activeElement.name === 'password'",
        )?;
        self.browser.press(&format!("{PASSWORD}{}", key::ENTER))?;
        self.browser
            .wait_for("document.querySelector('footer button')?.textContent === 'Log out'")?;
        self.open(&format!("/phones/{device}"))?;
        self.browser
            .run("document.querySelector('button[value=apply-config]').click()")?;
        self.browser.wait_for(
            "document.querySelector('.said')?.textContent.includes('will be told to apply-config')",
        )?;
        self.picture("phone-ordered-light")?;
        self.browser
            .run("document.querySelector('footer button').click()")?;
        self.browser
            .wait_for("document.querySelector('footer').textContent.includes('Log in')")
    }

    /// Nothing in the console, nothing that the policy refused, nobody else asked.
    fn nothing_is_wrong(&self) -> Result<()> {
        let console = self.browser.console()?;
        ensure!(console.is_empty(), "the console says {console:#?}");
        let requests = self.browser.requests()?;
        ensure!(requests.len() > 50, "{requests:?}");
        // The browser's own first page comes from within it.
        let places = [PAGE, "data:", "chrome:"];
        let ours = |url: &&String| places.iter().any(|place| url.starts_with(place));
        let others: Vec<_> = requests.iter().filter(|url| !ours(url)).collect();
        ensure!(others.is_empty(), "{others:?}");
        Ok(())
    }

    /// A lost connection is told, and found again.
    fn without_a_daemon(&self, rig: &mut Rig<'_>) -> Result<()> {
        self.open("/")?;
        rig.stop()?;
        self.browser
            .wait_for("document.getElementById('lost').hidden === false")?;
        self.picture("lost-light")?;
        rig.start()?;
        self.browser.wait_for("document.getElementById('lost').hidden && document.documentElement.dataset.link === 'live'")
    }
}
