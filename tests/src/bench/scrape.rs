//! Part i: a scrape of `/metrics`, with 100 phones and with 100,000.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use tftp_edge::config::Config;
use tftp_edge::inventory::Protocol;
use tftp_edge::register::store::Store;
use tftp_edge::register::storm::{self, Storm};
use tftp_edge::register::{Binding, Desk, Edit, NoGuard, Registration, Table as Phones, Transport};

use super::registrar::population::{self, SIP_MODEL};
use super::table::median;
use super::{BenchOptions, Cell, Goal, Ratio, Table};
use crate::demo::{Edge, Metrics, Mode};
use crate::lab::{Lab, LabOptions, interrupted};
use crate::server::Place;

const FEW: u32 = 100;
/// Scrapes that are measured, after those that are not.
const SCRAPES: usize = 50;
const WARM_UP: usize = 3;

/// How long nobody registers anew.
const HOUR: Duration = Duration::from_secs(3_600);

/// Scrapes of one daemon.
struct Scraped {
    phones: u32,
    ms: Vec<f64>,
    series: usize,
    bytes: usize,
}

pub fn measure(options: &BenchOptions, say: &mut impl FnMut(&str)) -> Result<Table> {
    let many = if options.quick { 10_000 } else { 100_000 };
    let few = scrape(options, FEW, say)?;
    let many = scrape(options, many, say)?;
    ensure!(
        few.series == many.series,
        "{} series with {} phones, {} with {}",
        few.series,
        few.phones,
        many.series,
        many.phones
    );
    let middles = [&few, &many].map(|it| median(it.ms.iter().copied()));
    let rows = [&few, &many].into_iter().zip(middles).map(|(of, middle)| {
        let least = of.ms.iter().copied().fold(f64::INFINITY, f64::min);
        let most = of.ms.iter().copied().fold(0.0, f64::max);
        vec![
            Cell::Count(of.phones.into()),
            Cell::number(least, 2),
            Cell::number(middle, 2),
            Cell::number(most, 2),
            Cell::Count(of.series as u64),
            Cell::number(of.bytes as f64 / 1e3, 0),
        ]
    });
    Ok(Table {
        part: 'i',
        title: format!("scrapes of /metrics, {SCRAPES} each"),
        columns: vec!["phones", "min ms", "median ms", "max ms", "series", "kB"],
        rows: rows.collect(),
        ratios: vec![
            Ratio::new(
                format!("a scrape with {} phones", many.phones),
                middles[1],
                " ms",
                Goal::AtMost(50.0),
            ),
            Ratio::new(
                format!("against {} phones", few.phones),
                middles[1] / middles[0],
                "",
                Goal::AtMost(2.0),
            ),
        ],
        method: "Method: the real daemon on TC with all phones in its inventory, their \
                 configurations in the kernel, and all registered: its own store is written with \
                 their registrations before it starts, and it takes them over. A scrape is one \
                 request over loopback on a connection of its own, until its last byte; nothing \
                 else goes on. Both have the same series, or the part fails."
            .to_owned(),
    })
}

fn scrape(options: &BenchOptions, phones: u32, say: &mut impl FnMut(&str)) -> Result<Scraped> {
    ensure!(!interrupted(), "interrupted");
    say(&format!("i: {phones} phones"));
    let lab = Lab::new(LabOptions::default())?;
    let folder = tempfile::tempdir()?;
    let place = Place::Namespace(&lab.server);
    let edge = Edge::new(&options.daemon, folder.path(), place, Mode::Tc, 20_000)?;
    edge.amend("kernel", "memory_limit = \"2GiB\"\n")?;
    edge.register("")?;
    let csv = folder.path().join("devices.csv");
    std::fs::write(&csv, population::csv(Protocol::Sip, phones))?;
    edge.import(&csv)?;
    write_registrations(&edge, phones)?;
    let mut daemon = edge.start()?;
    let metrics = edge.metrics()?;
    for gauge in [
        "tftp_edge_registrations",
        "tftp_edge_registrations_expected",
    ] {
        let found = metrics.sum(gauge, &[]);
        ensure!(
            found == f64::from(phones),
            "{gauge} is {found}, not {phones}"
        );
    }
    let mut scraped = Scraped {
        phones,
        ms: Vec::with_capacity(SCRAPES),
        series: 0,
        bytes: 0,
    };
    for number in 0..WARM_UP + SCRAPES {
        let (took, text) = edge.scrape()?;
        if number >= WARM_UP {
            scraped.ms.push(took.as_secs_f64() * 1e3);
        }
        (scraped.series, scraped.bytes) = (Metrics::parse(&text).len(), text.len());
    }
    daemon.stop()?;
    Ok(scraped)
}

/// Has the daemon's own store write a table with all phones registered over UDP.
fn write_registrations(edge: &Edge<'_>, phones: u32) -> Result<()> {
    let config = Config::load(&edge.config())?;
    let path = config.register.database_beside(&config.inventory.database);
    let alarms = Arc::default();
    let table = Phones::new(phones as usize, Arc::new(NoGuard), Arc::clone(&alarms));
    let desk = Desk {
        access: tftp_edge::live::Live::default(),
        alarms,
        bans: Arc::default(),
        directory: Arc::default(),
        guard: Arc::new(NoGuard),
        journal: Arc::default(),
        newcomers: Arc::default(),
        storm: Arc::new(Storm::new(storm::Settings::default())),
        table: Arc::new(table),
    };
    let store = Store::start(path, &desk).context("starting the store")?;
    let now = SystemTime::now();
    for phone in 0..phones {
        let registration = registration(phone, now)?;
        let device = registration.device;
        desk.table.edit(&device, |_| ((), Edit::Put(registration)));
    }
    ensure!(desk.table.len() == phones as usize, "the table is not full");
    // Writes all that is not written yet.
    drop(store);
    Ok(())
}

fn registration(phone: u32, now: SystemTime) -> Result<Registration> {
    let source = SocketAddr::new(population::address(phone).into(), 5060);
    let line = population::line(phone).to_string();
    Ok(Registration {
        device: population::device(phone).parse()?,
        protocol: Protocol::Sip,
        transport: Transport::Udp,
        source,
        connection: None,
        type_id: Some(SIP_MODEL.1),
        load: None,
        version: 0,
        since: now,
        expires: now + HOUR,
        bindings: vec![Binding {
            contact: format!("sip:{line}@{source}").into(),
            line: line.into(),
            call_id: population::device(phone).into(),
            cseq: 1,
            expires: now + HOUR,
            all_lines: false,
        }],
    })
}
