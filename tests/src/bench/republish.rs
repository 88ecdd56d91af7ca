//! Part c: from the commit of a shared change to the last configuration live in the kernel.

use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use tempfile::TempDir;
use tftp_edge::config::Config;
use tftp_edge::content::{Change, Library, Listener, State};
use tftp_edge::inventory::{self, DEFAULT_SITE, DeviceName, Edit, Inventory, Origin, Want};
use tftp_edge::kernel::Kernel;
use tftp_edge::provisioning;

use super::table::{median, spread};
use super::{BenchOptions, Cell, Goal, Ratio, Table};
use crate::client::{Outcome, Retry, get};
use crate::demo::{Edge, Mode};
use crate::lab::{Lab, LabOptions, interrupted};
use crate::phones::{Family, PhoneSpec};
use crate::server::Place;
use crate::site::{self, Site};

/// What the setting becomes, in turns.
const TIME_ZONES: [&str; 2] = [
    "GMT Standard/Daylight Time",
    "Central Europe Standard/Daylight Time",
];

/// Phones that are asked whether they are given the new file.
const ASKED: usize = 16;

const PATIENCE: Duration = Duration::from_secs(60);

/// The kernel side, with a clock.
struct Timed {
    kernel: Kernel,
    so_far: Mutex<Spent>,
    settled: SyncSender<(Instant, Spent)>,
}

/// What one change has cost the kernel side.
#[derive(Default)]
struct Spent {
    time: Duration,
    files: usize,
    /// The configuration published last.
    last: Option<Arc<str>>,
}

impl Timed {
    fn so_far(&self) -> MutexGuard<'_, Spent> {
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Timed {
    fn changed(&self, changes: &[Change]) {
        let began = Instant::now();
        self.kernel.changed(changes);
        let mut spent = self.so_far();
        spent.time += began.elapsed();
        for change in changes {
            if let State::Published(_) = change.state {
                spent.files += 1;
                // The defaults of some families follow the devices' own files.
                if DeviceName::of_file(&change.name).is_some() {
                    spent.last = Some(change.name.clone());
                }
            }
        }
    }

    fn settled(&self) {
        self.kernel.settled();
        let spent = std::mem::take(&mut *self.so_far());
        // Nobody listens any more at the end.
        let _ = self.settled.try_send((Instant::now(), spent));
    }
}

/// One change, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Round {
    commit: f64,
    notice: f64,
    render: f64,
    kernel: f64,
    live: f64,
}

pub fn measure(options: &BenchOptions, say: &mut impl FnMut(&str)) -> Result<Table> {
    let phones = if options.quick { 1_000 } else { 10_000 };
    let site = Site::without_upgrades(phones);
    let lab = Lab::new(LabOptions::default())?;
    let folder = tempfile::tempdir()?;
    let place = Place::Namespace(&lab.server);
    let edge = Edge::new(&options.daemon, folder.path(), place, Mode::Tc, 20_000)?;
    import(&edge, &site, &folder, place)?;

    say(&format!(
        "c: {phones} configurations, the parts in this process"
    ));
    let config = Config::load(&edge.config())?;
    let (inside, last) = lab
        .server
        .enter(|| inside(&config, phones, options.rounds))?;

    say(&format!("c: {phones} configurations, the daemon"));
    let outside = outside(&edge, &lab, &site, last.as_deref(), options.rounds)?;
    Ok(table(phones, &inside, &outside))
}

fn import(edge: &Edge<'_>, site: &Site, folder: &TempDir, place: Place<'_>) -> Result<()> {
    let csv = folder.path().join("phones.csv");
    site.write(&edge.root(), &csv)?;
    edge.import(&csv)?;
    edge.set(&site::settings(place.address().into()))
}

/// The daemon's own parts, put together as the daemon does, with a clock between them.
fn inside(config: &Config, phones: usize, rounds: usize) -> Result<(Vec<Round>, Option<Arc<str>>)> {
    let kernel = Kernel::start(&config.kernel, &config.tftp, &config.access.allow);
    if let Some(problem) = kernel.snapshot().problem {
        anyhow::bail!("part c cannot be measured: {problem}");
    }
    let (settled, news) = mpsc::sync_channel(64);
    let timed = Arc::new(Timed {
        kernel,
        so_far: Mutex::default(),
        settled,
    });
    let inventory = Inventory::open(&config.inventory)?;
    let library = Library::start(
        &config.content,
        &config.upstream,
        inventory,
        provisioning::Settings::default(),
        Arc::default(),
        vec![timed.clone()],
    )?;
    let mut writer = Inventory::open(&config.inventory)?;
    while news.try_recv().is_ok() {}
    let mut result = Vec::new();
    let mut last = None;
    for round in 0..rounds {
        let change = Edit::of_record(
            inventory::Table::Sites,
            Want::Upsert,
            vec![DEFAULT_SITE.to_owned()],
            vec![("time_zone".into(), TIME_ZONES[round % 2].to_owned())],
        );
        ensure!(!interrupted(), "interrupted");
        let counted = library.counts().last_regeneration;
        let began = Instant::now();
        writer.apply(&change, &Origin::of_process("bench"), false)?;
        let committed = Instant::now();
        let (settled, spent) = wait(&news, phones)?;
        // Told to the listeners first, then counted.
        let deadline = Instant::now() + PATIENCE;
        let took = loop {
            let regeneration = library.counts().last_regeneration;
            if regeneration != counted && regeneration.files >= phones as u64 {
                break regeneration.took;
            }
            ensure!(
                Instant::now() < deadline,
                "the regeneration is never counted"
            );
            std::thread::sleep(Duration::from_millis(1));
        };
        let live = settled - committed;
        result.push(Round {
            commit: ms(committed - began),
            notice: ms(live.saturating_sub(took)),
            render: ms(took.saturating_sub(spent.time)),
            kernel: ms(spent.time),
            live: ms(live),
        });
        last = spent.last;
        // The space of the versions before is given back by a sweep.
        std::thread::sleep(Duration::from_millis(700));
    }
    library.shutdown();
    timed.kernel.shutdown();
    Ok((result, last))
}

fn wait(news: &Receiver<(Instant, Spent)>, phones: usize) -> Result<(Instant, Spent)> {
    loop {
        let (at, spent) = news
            .recv_timeout(PATIENCE)
            .map_err(|_| anyhow!("a change was not published within {PATIENCE:?}"))?;
        if spent.files >= phones {
            return Ok((at, spent));
        }
    }
}

/// From before `tftp-edge inventory site set` runs, and from its end, until the last of the phones
/// asked is given the new file; in milliseconds.
fn outside(
    edge: &Edge<'_>,
    lab: &Lab,
    site: &Site,
    last: Option<&str>,
    rounds: usize,
) -> Result<Vec<(f64, f64)>> {
    let mut daemon = edge.start()?;
    let is_last = |phone: &&PhoneSpec| {
        last.is_some_and(|last| last == Family::config_file(&phone.device).to_ascii_lowercase())
    };
    let last = site.phones.iter().find(is_last);
    let last = last.context("the file published last is no phone's")?;
    let asked: Vec<&PhoneSpec> = site.sample(ASKED).chain([last]).collect();
    let mut result = Vec::new();
    for round in 0..rounds {
        ensure!(!interrupted(), "interrupted");
        // The daemon began with what was set last; never set what is set already.
        let zone = ["Arabian Standard Time", "Iran Standard/Daylight Time"][round % 2];
        let began = Instant::now();
        edge.set(&[format!("time_zone={zone}")])?;
        let set = Instant::now();
        lab.client.enter(|| ask(edge, &asked, zone))?;
        let live = Instant::now();
        result.push((ms(live - began), ms(live - set)));
        ensure!(
            daemon.is_running(),
            "the daemon ended:\n{}",
            daemon.log_tail()
        );
        std::thread::sleep(Duration::from_millis(700));
    }
    daemon.stop()?;
    Ok(result)
}

/// Returns when all of `phones` are given a file with `marker`.
pub(super) fn ask(edge: &Edge<'_>, phones: &[&PhoneSpec], marker: &str) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    // The last one first: while it is waited for, the others come.
    for phone in phones.iter().rev() {
        let name = Family::config_file(&phone.device);
        loop {
            let request = phone.family.request(name.clone());
            let fetched = get(phone.address, edge.address(), request, Retry::default())?;
            if fetched.outcome == Outcome::Complete
                && String::from_utf8_lossy(&fetched.bytes).contains(marker)
            {
                break;
            }
            ensure!(
                Instant::now() < deadline,
                "{name} is still the old one ({:?})",
                fetched.outcome
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    Ok(())
}

pub(super) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn table(phones: usize, inside: &[Round], outside: &[(f64, f64)]) -> Table {
    let row = |what: &str, values: Vec<f64>| {
        vec![
            Cell::text(what),
            Cell::number(median(values.iter().copied()), 1),
            spread(&values, 1),
        ]
    };
    let of = |value: fn(&Round) -> f64| inside.iter().map(value).collect::<Vec<f64>>();
    let live = median(of(|round| round.live));
    let after_set = median(outside.iter().map(|&(_, after)| after));
    Table {
        part: 'c',
        title: format!("republishing {phones} configurations after one shared change"),
        columns: vec!["step", "ms", "rounds"],
        rows: vec![
            row("the commit itself", of(|round| round.commit)),
            row("noticed and read", of(|round| round.notice)),
            row("rendered and in the catalog", of(|round| round.render)),
            row("written to the kernel", of(|round| round.kernel)),
            row("commit to last one live", of(|round| round.live)),
            row(
                "end of `site set` to last phone served",
                outside.iter().map(|&(_, after)| after).collect(),
            ),
            row(
                "start of `site set` to last phone served",
                outside.iter().map(|&(all, _)| all).collect(),
            ),
        ],
        ratios: vec![
            Ratio::new(
                "commit to last one live in the kernel",
                live / 1e3,
                " s",
                Goal::AtMost(1.0),
            ),
            Ratio::new(
                "`site set` to last phone served",
                after_set / 1e3,
                " s",
                Goal::AtMost(1.0),
            ),
        ],
        method: format!(
            "Method: the daemon's own parts (SQLite inventory, library, kernel side on TC) run in \
             this process with a clock between them; a setting that stands in every configuration \
             is committed through a second connection, and the clock stops when the kernel side has \
             written the last one. The inventory is looked at every 100 ms, which is part of \
             `noticed`. Then the real daemon serves the same inventory, `tftp-edge inventory site \
             set` makes the change, and {ASKED} phones spread over the site and the one whose file \
             is published last fetch over TFTP until all are given the new text. Medians over the \
             rounds."
        ),
    }
}
